"""Tool calls beside their results, in the words of OpenTelemetry, of OpenAI, and of Vercel."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.calls import MOST_CALLS, calls_of
from surefoot.core.span import Span, SpanKind


def span(kind: SpanKind = "chat", at: int = 0, **other: Any) -> Span:
    attributes = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in other.pop("attributes", {}).items()
    }
    given: dict[str, Any] = {"trace_id": "ab" * 16, "span_id": f"{at:016x}", "name": "step", "agent": "a"}
    return Span(**given | other, kind=kind, started_ns=at, ended_ns=at + 10**9, attributes=attributes)


def test_a_step_that_ran_a_tool_is_the_call_that_counts() -> None:
    parts = [{"type": "tool_call", "id": "c1", "name": "lookup", "arguments": {"n": 1}},
             {"type": "tool_call", "id": "c2", "name": "pay", "arguments": {}}]  # fmt: skip
    asked = span(attributes={"gen_ai.output.messages": [{"role": "assistant", "parts": parts}]})
    ran = span("tool", 1, input='{"n": 1}', output="42", attributes={"gen_ai.tool.call.id": "c1"})
    first, second = calls_of([ran, asked])
    assert (first.name, first.arguments, first.result, first.latency_s) == ("step", '{"n": 1}', "42", 1.0)
    assert (second.name, second.known, second.span_id, second.latency_s) == ("pay", False, "", None)


def test_what_a_broken_tool_said_stands_where_its_result_would() -> None:
    (call,) = calls_of([span("tool", status="error", message="503", name="pay")])
    assert (call.failed, call.known, call.result) == (True, True, "503")


def test_a_call_in_the_messages_of_openai_finds_its_result_in_a_later_message() -> None:
    asked = {"role": "assistant", "tool_calls": [{"id": "x", "type": "function", "function": {
        "name": "lookup", "arguments": '{"order": 7}'}}]}  # fmt: skip
    back = {"role": "tool", "tool_call_id": "x", "content": "lost"}
    (call,) = calls_of([span(attributes={"gen_ai.input.messages": [asked, back]})])
    assert (call.name, call.arguments, call.result, call.known) == ("lookup", '{"order": 7}', "lost", True)


def test_the_words_of_vercel_and_of_opentelemetry_are_read_too() -> None:
    vercel = [{"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "v", "toolName": "t", "args": 1}]},
              {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "v", "result": [2]}]}]  # fmt: skip
    otel = [{"role": "tool", "parts": [{"type": "tool_call_response", "id": "o", "response": "done"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "o", "name": "u"}]}]  # fmt: skip
    found = calls_of([span(attributes={"ai.prompt.messages": vercel}),
                      span(at=1, attributes={"gen_ai.input.messages": otel})])  # fmt: skip
    assert [(one.name, one.arguments, one.result) for one in found] == [("t", "1", "[2]"), ("u", "", "done")]


def test_steps_without_ids_are_not_told_twice() -> None:
    said = [{"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "lookup"}]}]
    assert len(calls_of([span("tool", name="lookup"), span(at=1, attributes={"gen_ai.output.messages": said})])) == 1


def test_no_request_gives_more_than_the_most() -> None:
    many = [{"role": "assistant", "parts": [{"type": "tool_call", "id": str(n), "name": "t"} for n in range(999)]}]
    assert len(calls_of([span(attributes={"gen_ai.output.messages": many})])) == MOST_CALLS


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "id", "parts", "content", "tool_calls", "function", "arguments", "role", "name"]),
        inner | st.sampled_from(["tool_call", "function", "tool", "tool-result"]), max_size=5,
    ), max_leaves=20,
)  # fmt: skip


@given(JUNK)
def test_whatever_messages_hold_nothing_breaks(junk: Any) -> None:
    for value in (junk, [junk], json.dumps([junk])):
        for call in calls_of([Span(trace_id="a", span_id="b", name="c", agent="d", started_ns=0, kind="chat",
                                   attributes={"gen_ai.output.messages": value})]):  # fmt: skip
            assert isinstance(call.name, str)
            assert isinstance(call.arguments, str)

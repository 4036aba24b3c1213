"""The dialects of OpenTelemetry: what each of them says of an agent becomes the same few fields of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core import otel
from surefoot.core.span import SpanEvent

PARTS = [{"role": "system", "parts": [{"type": "text", "content": "be kind"}]},
         {"role": "user", "parts": [{"type": "text", "content": "May I?"}]}]  # fmt: skip
DIALECTS: dict[str, dict[str, Any]] = {
    "gen_ai": {
        "gen_ai.operation.name": "chat", "gen_ai.conversation.id": "s-1", "user.id": "u-1",
        "gen_ai.request.model": "m-0", "gen_ai.response.model": "m-1", "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5, "gen_ai.input.messages": json.dumps(PARTS),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "Yes"}]}]),
    },
    "gen_ai of old": {
        "gen_ai.operation.name": "chat", "gen_ai.conversation.id": "s-1", "enduser.id": "u-1",
        "gen_ai.request.model": "m-1", "gen_ai.usage.prompt_tokens": 12, "gen_ai.usage.completion_tokens": 5,
        "gen_ai.prompt": "May I?", "gen_ai.completion": "Yes",
    },
    "openinference": {
        "openinference.span.kind": "LLM", "session.id": "s-1", "user.id": "u-1", "llm.model_name": "m-1",
        "llm.token_count.prompt": 12, "llm.token_count.completion": 5, "input.value": "May I?", "output.value": "Yes",
    },
    "openinference, flattened": {
        "openinference.span.kind": "LLM", "session.id": "s-1", "user.id": "u-1", "llm.model_name": "m-1",
        "llm.token_count.prompt": 12, "llm.token_count.completion": 5,
        "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "be kind",
        "llm.input_messages.1.message.role": "user", "llm.input_messages.1.message.content": "May I?",
        "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "Yes",
    },
    "traceloop": {
        "llm.request.type": "chat", "traceloop.association.properties.session_id": "s-1",
        "traceloop.association.properties.user_id": "u-1", "gen_ai.response.model": "m-1",
        "gen_ai.usage.prompt_tokens": "12", "gen_ai.usage.completion_tokens": "5",
        "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "May I?",
        "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "Yes",
    },
    "vercel": {
        "ai.operationId": "ai.generateText.doGenerate", "ai.telemetry.metadata.sessionId": "s-1",
        "ai.telemetry.metadata.userId": "u-1", "ai.model.id": "m-1", "ai.usage.promptTokens": 12,
        "ai.usage.completionTokens": 5, "ai.response.text": "Yes",
        "ai.prompt.messages": json.dumps([{"role": "user", "content": [{"type": "text", "text": "May I?"}]}]),
    },
    "langfuse": {
        "langfuse.observation.type": "generation", "langfuse.session.id": "s-1", "langfuse.user.id": "u-1",
        "langfuse.observation.model.name": "m-1", "langfuse.observation.usage_details": '{"input": 12, "output": 5}',
        "langfuse.observation.input": json.dumps({"messages": [{"role": "user", "content": "May I?"}]}),
        "langfuse.observation.output": json.dumps({"role": "assistant", "content": "Yes"}),
    },
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_says_the_same(dialect: str) -> None:
    told = DIALECTS[dialect]
    assert otel.kind_of(told) == "chat"
    assert (otel.first_text(told, otel.SESSION), otel.first_text(told, otel.ACTOR)) == ("s-1", "u-1")
    assert otel.first_text(told, otel.MODEL) == "m-1"
    assert otel.tokens_of(told) == (12, 5)
    assert (otel.input_of(told), otel.output_of(told)) == ("May I?", "Yes")


@pytest.mark.parametrize(
    ("name", "word", "kind"),
    [
        ("gen_ai.operation.name", "invoke_agent", "agent"), ("gen_ai.operation.name", "execute_tool", "tool"),
        ("gen_ai.operation.name", "embeddings", "embeddings"), ("gen_ai.operation.name", "retrieval", "retrieval"),
        ("openinference.span.kind", "AGENT", "agent"), ("openinference.span.kind", "EVALUATOR", "evaluation"),
        ("openinference.span.kind", "CHAIN", "other"), ("traceloop.span.kind", "workflow", "agent"),
        ("traceloop.span.kind", "tool", "tool"), ("ai.operationId", "ai.generateText", "agent"),
        ("ai.operationId", "ai.toolCall", "tool"), ("langfuse.observation.type", "agent", "agent"),
        ("langfuse.observation.type", "retriever", "retrieval"), ("anything.else", "agent", "other"),
        ("gen_ai.operation.name", 5, "other"),
    ],
)  # fmt: skip
def test_the_kind_of_a_step_is_read_from_each_dialect(name: str, word: Any, kind: str) -> None:
    assert otel.kind_of({name: word}) == kind


def test_a_dialect_that_says_nothing_of_the_kind_leaves_it_to_the_next() -> None:
    assert otel.kind_of({"gen_ai.operation.name": "something_new", "openinference.span.kind": "TOOL"}) == "tool"


def test_old_events_carry_the_words_too() -> None:
    events = (
        SpanEvent(name="gen_ai.system.message", at_ns=1, attributes={"content": "be kind"}),
        SpanEvent(name="gen_ai.user.message", at_ns=2, attributes={"content": "May I?"}),
        SpanEvent(name="gen_ai.choice", at_ns=3, attributes={"index": 0, "message": '{"content": "Yes"}'}),
    )
    assert (otel.input_of({}, events), otel.output_of({}, events)) == ("May I?", "Yes")


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ("plain", "plain"), ("[not json", "[not json"), ('{"query": "May I?"}', '{"query": "May I?"}'), ("[]", "[]"),
        ('[{"role": "tool", "content": "x"}]', '[{"role": "tool", "content": "x"}]'), ("[" * 5_000, "[" * 5_000),
        ('[{"role": "user", "content": "first"}, {"role": "user", "content": "last"}]', "last"),
    ],
)  # fmt: skip
def test_of_messages_the_last_words_of_the_user_count_and_all_else_stays(told: str, text: str) -> None:
    assert otel.input_of({"input.value": told}) == text


def test_how_an_answer_ended_is_told_in_our_words() -> None:
    assert otel.finish_of({"gen_ai.response.finish_reasons": ["length"]}, "ok") == "length"
    assert otel.finish_of({"ai.response.finishReason": "content-filter"}, "unset") == "refused"
    assert otel.finish_of({"gen_ai.response.finish_reasons": ["stop"]}, "error") == "error"
    assert otel.finish_of({}, "unset") == "stop"


def test_a_level_of_langfuse_is_a_status() -> None:
    assert otel.status_of(0, {"langfuse.observation.level": "ERROR"}) == "error"
    assert [otel.status_of(code, {}) for code in (0, 1, 2, 7)] == ["unset", "ok", "error", "unset"]


def test_numbers_that_are_none_count_as_nothing() -> None:
    for value in ("much", -5, True, "nan", float("nan"), float("inf"), 1e300, None, [1]):
        assert otel.first_number({"a": value}, ("a",)) == 0
    assert otel.first_number({"a": "x", "b": "2.5"}, ("a", "b")) == 2.5


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inside: st.one_of(st.lists(inside, max_size=3), st.dictionaries(st.text(max_size=4), inside, max_size=3)),
    max_leaves=5,
)
NAMES = sorted({
    name for told in DIALECTS.values() for name in told
} | {*otel.INPUT, *otel.OUTPUT, *otel.COST, "langfuse.observation.cost_details", "surefoot.version"})  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), st.one_of(VALUES, VALUES.map(json.dumps))))
def test_attributes_of_any_shape_are_read_without_a_fall(told: dict[str, Any]) -> None:
    texts = (otel.input_of(told), otel.output_of(told), otel.first_text(told, otel.SESSION), otel.kind_of(told))
    assert all(isinstance(one, str) for one in texts)
    tokens = (*otel.tokens_of(told), otel.version_of(told))
    assert all(isinstance(one, int) and one >= 0 for one in tokens)
    assert otel.cost_of(told) >= 0
    assert otel.finish_of(told, "unset") in ("stop", "length", "refused")

"""What the gateway understands of OpenAI's protocols, and that nothing that comes in makes it stumble."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.wire import asked, checked, heard, heard_stream, posed, source_of, unit_of

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
WORDS = st.sampled_from([
    "choices", "message", "content", "delta", "finish_reason", "usage", "output", "type", "text", "status", "response",
    "error", "tool_calls", "function", "index", "name", "arguments", "refusal", "prompt_tokens", "messages", "role",
    "input", "metadata", "user", "conversation", "id", "incomplete_details", "reason",
])  # fmt: skip
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4))


@given(JSON)
def test_no_answer_makes_it_stumble_and_none_without_a_finish_is_whole(document: Any) -> None:
    for protocol in ("chat", "responses"):
        told = heard(protocol, document)
        assert isinstance(told.text, str)
        if "stop" not in str(document) and "calls" not in str(document) and "completed" not in str(document):
            assert told.finish != "stop" or "function_call" in str(document)


@given(st.lists(JSON, max_size=5))
def test_no_stream_makes_it_stumble(events: list[Any]) -> None:
    for protocol in ("chat", "responses"):
        assert isinstance(heard_stream(protocol, events).text, str)


@given(JSON)
def test_a_body_is_refused_or_can_be_served(document: Any) -> None:
    for protocol in ("chat", "responses"):
        try:
            body = checked(protocol, {**document, "model": "a"} if isinstance(document, dict) else document)
        except Invalid:
            continue
        assert unit_of(protocol, body, {}, "app")
        assert isinstance(asked(protocol, body), str)
        assert isinstance(source_of(body, {}), str)
        assert posed(protocol, body, system="S", params={}, render="prepend")["model"] == "a"


MESSAGES = st.lists(st.fixed_dictionaries({
    "role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]), "content": st.text(max_size=5)
}), max_size=6)  # fmt: skip


@given(MESSAGES, st.sampled_from(["replace", "prepend", "none"]))
def test_of_what_an_app_says_only_system_messages_are_ever_left_out(
    messages: list[dict[str, str]], render: Any
) -> None:
    body = {"model": "a", "messages": messages, "other": [1]}
    sent = posed("chat", body, system="S", params={"seed": 1}, render=render)
    talk = [one for one in messages if one["role"] not in ("system", "developer")]
    assert [one for one in sent["messages"] if one["role"] not in ("system", "developer")] == talk
    assert sent["other"] == [1]
    assert body == {"model": "a", "messages": messages, "other": [1]}, "the app's own body is not touched"
    if render == "none":
        assert sent == body
    else:
        assert sent["messages"][0] == {"role": "system", "content": "S"}
        own = [one for one in messages if one["role"] in ("system", "developer")]
        assert sent["messages"][1:] == (messages if render == "prepend" else talk)
        assert (own == []) or (render == "prepend") == (own[0] in sent["messages"][1:])


@pytest.mark.parametrize(("protocol", "name"), [("chat", "max_tokens"), ("responses", "max_output_tokens")])
def test_a_bound_on_the_answer_has_the_name_of_its_protocol(protocol: Any, name: str) -> None:
    body = {"model": "a", "messages": [], "input": "x"}
    sent = posed(protocol, body, system="S", params={"max_tokens": 9, "temperature": 0}, render="replace")
    assert sent[name] == 9
    assert sent["temperature"] == 0


def test_a_conversation_is_one_unit_from_its_first_words_on_and_apps_do_not_mix() -> None:
    first = [{"role": "system", "content": "s"}, {"role": "user", "content": "hello"}]
    later = [*first, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "more"}]

    def unit(messages: list[dict[str, str]], caller: str = "app", headers: dict[str, str] | None = None) -> str:
        return unit_of("chat", {"model": "a", "messages": messages}, headers or {}, caller)

    assert unit(first) == unit(later)
    assert unit(first) != unit(first, "another app")
    assert unit(first) != unit([{"role": "user", "content": "hello!"}])
    assert unit(first, headers={"x-surefoot-session": "s1"}) == "session:s1"
    assert (
        unit_of("responses", {"model": "a", "input": "x", "conversation": {"id": "c"}}, {}, "app") == "conversation:c"
    )


@pytest.mark.parametrize(("answer", "finish"), [
    ({"status": "completed", "output": []}, "stop"), ({"status": "failed"}, "error"),
    ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
    ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "refused"),
    ({"status": "in_progress"}, "truncated"), ({}, "truncated"),
])  # fmt: skip
def test_how_a_response_ended(answer: dict[str, Any], finish: str) -> None:
    assert heard("responses", answer).finish == finish
    events = [{"type": "response.output_text.delta", "delta": "x"}]
    assert heard_stream("responses", events).finish == "truncated"

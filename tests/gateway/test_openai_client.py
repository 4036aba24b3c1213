"""The unmodified OpenAI client against the gateway: what it sends arrives, what the upstream says comes back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import openai
import pytest
from gateway_house import GHOST, OPERATOR, UPSTREAM_KEY, House

TOOLS = [{"type": "function", "function": {
    "name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]  # fmt: skip


def test_a_chat_comes_back_as_the_upstream_sent_it_with_two_headers_more(house: House) -> None:
    raw = house.client().chat.completions.with_raw_response.create(
        model="support", messages=[{"role": "user", "content": "hello"}], temperature=0.5
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "[Support.\n\nYou are v1.] hello"
    assert answer.usage.total_tokens == 18
    assert answer.model == "stub-1"
    assert (answer.model_extra or {})["unknown_field"] == {"a": [1]}
    assert raw.headers["x-request-id"] == "req-7"
    assert raw.headers["x-ratelimit-remaining"] == "9"
    assert "set-cookie" not in raw.headers
    assert raw.headers["x-surefoot-version"] == "1"
    assert raw.headers["x-surefoot-trace-id"] == house.trace().id
    sent = house.upstream.seen[0]
    assert sent["temperature"] == 0.5
    assert sent["model"] == "stub-1"


def test_what_was_said_is_recorded_with_version_cost_and_time(house: House) -> None:
    house.chat("where is my parcel", user="cust-7")
    trace = house.trace()
    assert (trace.agent, trace.version, trace.unit, trace.source) == ("support", 1, "user:cust-7", "cust-7")
    assert trace.input == "where is my parcel"
    assert trace.output.endswith("where is my parcel")
    assert trace.finish == "stop"
    assert trace.cost_usd == pytest.approx((11 * 1.0 + 7 * 2.0) / 1e6)
    assert 0 < trace.latency_s < 5
    assert house.outcomes(trace.id) == [], "nobody has judged it"


def test_a_stream_arrives_piece_by_piece_while_the_upstream_still_speaks(house: House) -> None:
    started, at = time.monotonic(), list[float]()
    words: list[str] = []
    for chunk in house.chat("fault:slow a b c d e f", stream=True):
        at.append(time.monotonic() - started)
        words.append(chunk.choices[0].delta.content or "")
    assert "".join(words).strip().endswith("fault:slow a b c d e f")
    assert at[-1] - at[0] > 0.3, "they came one by one"
    assert at[0] < at[-1] / 2
    trace = house.trace()
    assert trace.finish == "stop"
    assert trace.output.strip().endswith("a b c d e f")


def test_usage_at_the_end_of_a_stream_arrives_and_is_counted(house: House) -> None:
    chunks = list(house.chat("hi", stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.total_tokens == 18
    assert house.trace().cost_usd > 0


def test_a_tool_is_called_and_its_answer_answered(house: House) -> None:
    first = house.chat("weather?", tools=TOOLS)
    call = first.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Berlin"}')
    second = house.chat("", tools=TOOLS, messages=[
        {"role": "user", "content": "weather?"}, first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ])  # fmt: skip
    assert second.choices[0].finish_reason == "stop"
    assert [trace.finish for trace in house.traces()] == ["stop", "stop"]
    assert house.traces()[0].output == '[{"arguments":"{\\"city\\": \\"Berlin\\"}","name":"weather"}]'
    assert house.upstream.seen[0]["tools"] == TOOLS


def test_a_tool_that_is_called_in_a_stream_is_recorded_the_same(house: House) -> None:
    chunks = list(house.chat("weather?", tools=TOOLS, stream=True))
    assert any(chunk.choices and chunk.choices[0].delta.tool_calls for chunk in chunks)
    assert house.trace().output == '[{"arguments":"{\\"city\\": \\"Berlin\\"}","name":"weather"}]'


def test_json_mode_and_schemas_pass_through(house: House) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    answer = house.chat("sort this", response_format=schema)
    assert answer.choices[0].message.content == '{"label": "billing"}'
    assert house.upstream.seen[0]["response_format"] == schema


@pytest.mark.parametrize(("fault", "kind"), [
    ("400", openai.BadRequestError), ("401", openai.AuthenticationError), ("429", openai.RateLimitError),
    ("500", openai.InternalServerError),
])  # fmt: skip
def test_an_error_of_the_upstream_comes_back_as_it_was(
    house: House, fault: str, kind: type[openai.APIStatusError]
) -> None:
    with pytest.raises(kind) as raised:
        house.chat(f"fault:{fault}")
    assert raised.value.body == {"message": f"upstream says {fault}", "type": "stub", "param": "x", "code": "c"}
    assert raised.value.response.headers["x-request-id"] == "req-bad"
    assert raised.value.response.headers["x-surefoot-version"] == "1"
    trace = house.trace()
    assert trace.finish == "error"
    blamed = [one.verdict for one in house.outcomes(trace.id)]
    assert blamed == ([] if fault in ("401", "429") else ["failure"]), "a limit or a key says nothing about a version"


@pytest.mark.parametrize("fault", ["429", "500"])
def test_a_passing_fault_is_asked_again_and_nobody_notices(house: House, fault: str) -> None:
    assert house.chat(f"fault:{fault} once").choices[0].finish_reason == "stop"
    assert len(house.upstream.seen) == 2
    assert len(house.traces()) == 1


def test_an_answer_that_is_too_long_is_a_failure_of_its_own(house: House) -> None:
    assert house.chat("fault:length").choices[0].finish_reason == "length"
    assert house.trace().finish == "length"
    assert house.failures() == ["the answer ended by length"]


def test_a_refusal_is_a_failure_of_its_own(house: House) -> None:
    house.chat("fault:refused")
    assert house.failures() == ["the answer ended by refused"]


def test_a_stream_that_is_cut_is_cut_for_the_app_and_recorded_as_truncated(house: House) -> None:
    with pytest.raises(openai.APIConnectionError):
        list(house.chat("fault:cut a b c", stream=True))
    trace = house.soon(house.traces)[0]
    assert trace.finish == "truncated"
    assert trace.output.startswith("[Sup")
    assert house.failures() == ["the answer ended by truncated"]


def test_a_stream_that_ends_without_a_finish_is_truncated_too(house: House) -> None:
    list(house.chat("fault:truncated a b c", stream=True))
    assert house.trace().finish == "truncated"
    assert house.failures() == ["the answer ended by truncated"]


def test_an_answer_that_is_no_json_passes_and_is_no_success(house: House) -> None:
    with house.client().chat.completions.with_streaming_response.create(
        model="support", messages=[{"role": "user", "content": "fault:malformed"}]
    ) as raw:
        assert raw.status_code == 200
        assert raw.read() == b'{"choices": [{"message": '
    assert house.trace().finish == "truncated"


def test_an_upstream_that_hangs_ends_at_the_deadline_with_504(opened: Any) -> None:
    house = opened(deadline_s=0.4)
    started = time.monotonic()
    with pytest.raises(openai.InternalServerError) as raised:
        house.chat("fault:hang")
    assert raised.value.status_code == 504
    assert time.monotonic() - started < 3
    assert house.trace().finish == "error"
    assert house.failures() == ["the answer ended by error"]
    house.soon(lambda: house.upstream.broken_off)


def test_a_stream_that_falls_silent_is_given_up(opened: Any) -> None:
    house = opened(deadline_s=0.4)
    with pytest.raises(openai.APIConnectionError):
        list(house.chat("fault:stall a b", stream=True))
    assert house.soon(house.traces)[0].finish == "truncated"


def test_an_answer_that_came_packed_is_understood(house: House) -> None:
    assert house.chat("fault:gzip").choices[0].message.content.endswith("fault:gzip")
    assert house.trace().output.endswith("fault:gzip")
    assert house.upstream.headers[0]["accept-encoding"] == "identity"


def test_a_redirect_is_not_followed_with_the_key_in_hand(house: House) -> None:
    answer = house.http().post("/v1/chat/completions", json={
        "model": "support", "messages": [{"role": "user", "content": "fault:redirect"}]})  # fmt: skip
    assert answer.status_code == 307
    assert len(house.upstream.seen) == 1


async def test_fifty_at_once_each_get_their_own(house: House) -> None:
    async with house.async_client() as client:

        async def one(number: int) -> str:
            answer = await client.chat.completions.create(
                model="support", messages=[{"role": "user", "content": f"no {number}"}], user=f"u{number}"
            )
            return str(answer.choices[0].message.content).rpartition("] ")[2]

        said = await asyncio.gather(*(one(number) for number in range(50)))
    assert said == [f"no {number}" for number in range(50)]
    assert sorted(trace.input for trace in house.traces()) == sorted(said)


async def test_streams_in_parallel_do_not_mix(house: House) -> None:
    async with house.async_client() as client:

        async def one(number: int) -> str:
            stream = await client.chat.completions.create(
                model="support", messages=[{"role": "user", "content": f"n{number} a b c"}], stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream]).rpartition("] ")[2].strip()

        assert await asyncio.gather(*(one(n) for n in range(12))) == [f"n{n} a b c" for n in range(12)]


def test_responses_are_served_in_their_own_protocol(house: House) -> None:
    answer = house.client().responses.create(model="support", input="hello", instructions="old ones")
    assert answer.output_text == 'echo Support.\n\nYou are v1.|"hello"'
    assert house.trace().input == "hello"
    assert house.trace().finish == "stop"
    assert house.trace().cost_usd > 0


def test_responses_stream_in_their_own_protocol(house: House) -> None:
    kinds = [event.type for event in house.client().responses.create(model="support", input="hello", stream=True)]
    assert kinds == ["response.output_text.delta", "response.completed"]
    assert house.trace().output.endswith('|"hello"')
    assert house.trace().finish == "stop"


def test_embeddings_pass_with_the_model_of_the_agent(house: House) -> None:
    answer = house.client().embeddings.create(model="support", input="hello", encoding_format="float")
    assert answer.data[0].embedding == [0.5, 0.25]
    assert house.upstream.seen[0]["model"] == "stub-1"
    assert house.upstream.headers[0]["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert house.traces() == []


def test_models_are_the_agents_that_the_token_reaches(house: House) -> None:
    assert [one.id for one in house.client().models.list()] == ["support"]
    assert house.client(OPERATOR).models.retrieve("support").owned_by == "surefoot"
    with pytest.raises(openai.NotFoundError):
        house.client().models.retrieve("nobody")


def test_an_agent_that_is_not_there_is_told_with_those_that_are(house: House) -> None:
    with pytest.raises(openai.NotFoundError, match=r"no agent 'helper'.*support"):
        house.client(OPERATOR).chat.completions.create(model="helper", messages=[{"role": "user", "content": "x"}])


def test_a_token_that_is_held_to_an_agent_that_is_not_there_is_told_of_no_other(house: House) -> None:
    held = house.client(GHOST)
    said = [{"role": "user", "content": "x"}]
    for asking in (
        lambda: held.chat.completions.create(model="soon", messages=said),
        lambda: held.chat.completions.create(model="soon", messages=said, extra_query={"version": "1"}),
        lambda: held.responses.create(model="soon", input="x"),
        lambda: held.embeddings.create(model="soon", input="x"),
        lambda: held.models.retrieve("support"),
    ):
        with pytest.raises(openai.NotFoundError) as told:
            asking()
        assert "support" not in told.value.response.text.replace("no agent 'support'", "")
        assert "support" not in str(told.value.response.headers)

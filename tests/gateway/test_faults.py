"""Faults of upstreams, clients and disks, one by one: what the app sees, what is kept, and who is to blame."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest
from gateway_house import TOKEN, VIEWER, House

from surefoot.config import ModelSettings
from surefoot.core.breaker import Breaker

CHAT = "/v1/chat/completions"


def body(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "support", "messages": [{"role": "user", "content": text}], **more}


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> str:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    document = {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk", "choices": [choice]}
    return f"data: {json.dumps(document)}"


def said(lines: list[str]) -> str:
    return "".join(f"{line}\n\n" for line in lines)


# What passes through as it is ----------------------------------------------------------------------------------------


def test_several_answers_logprobs_audio_and_what_nobody_knows_pass_byte_for_byte(house: House) -> None:
    choices = [
        {"index": n, "message": {"role": "assistant", "content": f"answer {n}", "audio": {"id": "a", "data": "QUJD"},
                                 "annotations": [{"new": n}]},
         "finish_reason": "stop", "logprobs": {"content": [{"token": "é", "logprob": -0.25, "bytes": [195, 169]}]}}
        for n in range(3)
    ]  # fmt: skip
    document = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices,
                "service_tier": "new", "usage": {"prompt_tokens": 3, "completion_tokens": 4, "details": {"a": 1}},
                "from_the_future": [None, True, 1e-9, "\u2028"]}  # fmt: skip
    given = body(say=document, n=3, logprobs=True, modalities=["text", "audio"], audio={"voice": "x", "format": "wav"},
                 not_known_yet={"deep": [1, {"a": None}]})  # fmt: skip
    answer = house.http().post(CHAT, json=given)
    assert answer.json() == document
    sent = house.upstream.seen[0]
    assert {name: sent[name] for name in given if name not in ("model", "messages")} == {
        name: given[name] for name in given if name not in ("model", "messages")
    }
    assert house.trace().output == "answer 0"
    typed = house.client().chat.completions.create(**body(), extra_body={"say": document, "n": 3})
    assert [choice.message.content for choice in typed.choices] == ["answer 0", "answer 1", "answer 2"]


def test_ten_thousand_chunks_arrive_in_order_and_are_recorded_as_one(house: House) -> None:
    lines = [chunk({"content": f"{n},"}) for n in range(10_000)] + [chunk({}, "stop"), "data: [DONE]"]
    with house.http().stream("POST", CHAT, json=body(say=lines, stream=True)) as answer:
        got = b"".join(answer.iter_raw())
    assert got.decode() == said(lines)
    trace = house.trace()
    assert (trace.finish, trace.output) == ("stop", "".join(f"{n}," for n in range(10_000)))


def test_huge_arguments_of_a_tool_arrive_whole_from_their_pieces(house: House) -> None:
    arguments = json.dumps({"text": "löwe " * 150_000})
    pieces = [arguments[n : n + 4000] for n in range(0, len(arguments), 4000)]
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "write", "arguments": ""}}
    lines = [chunk({"tool_calls": [call]})]
    lines += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
    lines += [chunk({}, "tool_calls"), "data: [DONE]"]
    stream = house.client().chat.completions.create(**body(stream=True), extra_body={"say": lines})
    got = "".join(
        call.function.arguments or ""
        for one in stream
        for call in one.choices[0].delta.tool_calls or []
        if call.function
    )
    assert got == arguments
    assert json.loads(house.trace().output) == [{"name": "write", "arguments": arguments}]


def test_events_of_another_kind_and_comments_in_a_stream_pass(house: House) -> None:
    lines = [": ping", 'event: thinking\ndata: {"new": 1}', chunk({"content": "a"}), "data: no json",
             "id: 7\nretry: 9", chunk({"content": "b"}, "stop"), "data: [DONE]"]  # fmt: skip
    with house.http().stream("POST", CHAT, json=body(say=lines, stream=True)) as answer:
        assert b"".join(answer.iter_raw()).decode() == said(lines)
    assert (house.trace().output, house.trace().finish) == ("ab", "stop")


def test_an_error_in_the_middle_of_a_stream_is_an_end_of_its_own(house: House) -> None:
    lines = [chunk({"content": "half"}), 'data: {"error": {"message": "overloaded", "type": "server_error"}}']
    with pytest.raises(openai.APIError, match="overloaded"):
        list(house.client().chat.completions.create(**body(stream=True), extra_body={"say": lines}))
    assert (house.soon(house.traces)[0].finish, house.trace().output) == ("error", "half")


@pytest.mark.parametrize(("fault", "name", "arguments"), [
    ("badjson", "weather", '{"city": '), ("badtool", "no_such_tool", '{"city": "Berlin"}'),
    ("loop", "weather", '{"city": "Berlin"}'),
])  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_call_of_a_tool_passes_as_it_is(
    house: House, fault: str, name: str, arguments: str, stream: bool
) -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    messages = [{"role": "user", "content": f"fault:{fault}"}]
    if fault == "loop":
        messages.append({"role": "tool", "tool_call_id": "call_1", "content": "rain"})
    answer = house.chat("", messages=messages, tools=tools, stream=stream)
    found = [c.choices[0].delta.tool_calls for c in answer] if stream else [answer.choices[0].message.tool_calls]
    call = next(calls for calls in found if calls)[0].function
    assert (call.name, call.arguments) == (name, arguments)
    assert json.loads(house.trace().output) == [{"name": name, "arguments": arguments}]


# Deadlines, breakers, stand-ins --------------------------------------------------------------------------------------


def test_all_attempts_share_one_deadline(opened: Any) -> None:
    house = opened(deadline_s=2, attempts=10)
    started = time.monotonic()
    answer = house.http().post(CHAT, json=body("fault:429"))
    assert answer.status_code == 429, "the last answer there was"
    assert answer.json()["error"]["message"] == "upstream says 429"
    assert 1 < len(house.upstream.seen) < 10
    assert time.monotonic() - started < 8


def test_an_upstream_that_asks_for_more_time_than_there_is_is_not_waited_for(opened: Any) -> None:
    with dull(b"HTTP/1.1 503 Busy\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n") as (url, heard):
        house = opened(models={"dull": ModelSettings(model="m", base_url=url)}, deadline_s=20)
        use(house, "dull")
        started = time.monotonic()
        answer = house.http().post(CHAT, json=body())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3600")
    assert time.monotonic() - started < 10
    assert len(heard) == 1


def test_a_breaker_heals_by_one_request_that_tries(opened: Any) -> None:
    house = opened(attempts=1)
    forwarding = house.gateway.house.forwarding
    forwarding._terms = replace(forwarding._terms, breaker=Breaker(trip=2, rest_s=1.0))
    house.upstream.down = True
    client = house.http()
    assert [client.post(CHAT, json=body()).status_code for _ in range(3)] == [503, 503, 502]
    asked = len(house.upstream.seen)
    house.soon(lambda: client.post(CHAT, json=body()).status_code == 503)  # it was tried, and is still down
    assert len(house.upstream.seen) == asked + 1
    house.upstream.down = False
    house.soon(lambda: client.post(CHAT, json=body()).status_code == 200)
    assert forwarding.breakers["main"].closed
    assert client.post(CHAT, json=body()).status_code == 200


def test_a_stand_in_takes_over_a_stream_that_has_not_begun(opened: Any) -> None:
    with dull(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n") as (url, heard):
        house = opened(models={"dull": ModelSettings(model="m", base_url=url)}, fallback={"dull": ("spare",)})
        use(house, "dull")
        chunks = list(house.chat("a b", stream=True))
    assert {one.model for one in chunks} == {"stub-spare"}
    assert len(heard) == 2, "as many attempts as are allowed, then the stand-in"
    assert house.trace().finish == "stop"


def test_an_upstream_that_resets_the_connection_in_a_stream_is_truncated_and_counted(opened: Any) -> None:
    begun = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    piece = said([chunk({"content": "half"})]).encode()
    with dull(begun + b"%x\r\n%s\r\n" % (len(piece), piece), reset=True) as (url, _):
        house = opened(models={"dull": ModelSettings(model="m", base_url=url)})
        use(house, "dull")
        with pytest.raises((openai.APIConnectionError, openai.APIError)):
            list(house.chat("x", stream=True))
    trace = house.soon(house.traces)[0]
    assert (trace.finish, trace.output) == ("truncated", "half")
    assert house.failures() == ["the answer ended by truncated"]
    assert house.gateway.house.forwarding.breakers["dull"].failures == 1


# Clients -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["fault:hang", "fault:slow " + "word " * 300])
def test_a_client_that_times_out_or_lets_go_stops_the_upstream(house: House, text: str) -> None:
    if "hang" in text:
        with pytest.raises(openai.APITimeoutError):
            house.client(timeout=1.5).chat.completions.create(**body(text))
    else:
        stream = house.client().chat.completions.create(**body(text), stream=True)
        next(iter(stream))
        stream.close()
    house.soon(lambda: house.upstream.broken_off == 1)
    trace = house.soon(house.traces)[0]
    assert trace.finish == "cancelled"
    assert house.outcomes(trace.id) == []
    assert house.gateway.house.forwarding.breakers["main"].failures == 0, "nor is the upstream to blame"


def test_a_client_that_goes_away_between_two_attempts_ends_them(opened: Any) -> None:
    with dull(b"HTTP/1.1 503 Busy\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n") as (url, heard):
        house = opened(models={"dull": ModelSettings(model="m", base_url=url)}, attempts=10, deadline_s=60)
        use(house, "dull")
        with pytest.raises(openai.APITimeoutError):
            house.client(timeout=1.5).chat.completions.create(**body())
        house.soon(lambda: house.gateway.house.tally.gone == 1)
        assert len(heard) == 1
    assert house.soon(house.traces)[0].finish == "cancelled"


def test_a_client_that_stops_reading_is_to_blame_itself(opened: Any) -> None:
    house = opened(deadline_s=3)
    lines = [chunk({"content": "x" * 60_000}) for _ in range(120)]
    content = json.dumps(body(say=lines, stream=True)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {len(content)}\r\n\r\n"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", house.served.port))
        connection.sendall(head.encode())
        threading.Thread(target=_pour, args=(connection, content), daemon=True).start()
        trace = house.soon(house.traces, 20)[0]
    assert trace.finish == "cancelled"
    assert house.outcomes(trace.id) == []
    assert house.gateway.house.forwarding.breakers["main"].failures == 0


def _pour(connection: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(content)


# The record ----------------------------------------------------------------------------------------------------------


def pragma(house: House, words: str) -> Any:
    """Set something on the connection of the recorder, so that the real database says no."""

    def work(tx: Any) -> Any:
        result = tx.connection.exec_driver_sql(f"PRAGMA {words}")
        return result.scalar() if result.returns_rows else None

    async def run() -> Any:
        return await house.gateway.house.recorder.write(work)

    return house.served.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_disk_and_a_store_that_is_read_only_cost_nobody_an_answer(house: House, stream: bool) -> None:
    def ask(text: str) -> str:
        answer = house.chat(text, stream=stream)
        whole = (
            "".join(c.choices[0].delta.content or "" for c in answer) if stream else answer.choices[0].message.content
        )
        return str(whole).rpartition("] ")[2].strip()

    assert ask("before") == "before"
    full = int(pragma(house, "page_count"))
    assert int(pragma(house, f"max_page_count={full}")) == full
    words = "w" * 9000  # longer than the free room of the pages that are there
    assert [ask(words) for _ in range(4)] == [words] * 4
    lost = house.gateway.house.tally.records["lost"]
    assert lost >= 2
    assert pragma(house, f"max_page_count={2**30}") == 2**30
    assert ask("between") == "between"
    pragma(house, "query_only=on")
    assert ask("read-only") == "read-only"
    assert house.gateway.house.tally.records["lost"] == lost + 1
    counted = house.http(VIEWER).get("/metrics").text
    assert f'surefoot_gateway_records_total{{state="lost"}} {lost + 1}' in counted
    assert {"before", "between"} <= {trace.input for trace in house.traces()} <= {"before", "between", words}


def test_texts_that_wait_to_be_written_are_bounded_in_length_too(house: House, monkeypatch: Any) -> None:
    import sqlite3

    monkeypatch.setattr("surefoot.gateway.completions.PATIENCE_S", 0.05)
    monkeypatch.setattr("surefoot.adapters.store.recorder.MOST_CHARS", 100_000)
    house.chat("warm")
    with sqlite3.connect(house.app.settings.store, isolation_level=None) as lock:
        lock.execute("BEGIN IMMEDIATE")
        for _ in range(5):
            house.chat("x" * 30_000)
        assert house.gateway.house.tally.records["lost"] >= 3, "each trace is twice that long: two or fewer fit"
        lock.execute("COMMIT")
    house.soon(lambda: house.gateway.house.recorder.load().waiting == 0)
    house.chat("x" * 30_000)
    assert house.gateway.house.recorder.load().waiting == 0


# Upstreams that say one thing ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def dull(answer: bytes, *, reset: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """An upstream that says this to everything (and then resets the connection): its address, and what it heard."""
    listening = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += connection.recv(65536)
                heard.append(asked)
                connection.sendall(answer)
                if reset:
                    time.sleep(0.2)  # so that what was sent is read before the reset throws it away
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1", heard
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def use(house: House, model: str) -> None:
    def work(tx: Any) -> Any:
        agent = tx.agents.get("support")
        return tx.agents.swap(replace(agent, habits=replace(agent.habits, model=model)))

    house.app.store.write_now(work)

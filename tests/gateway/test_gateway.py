"""Who serves whom, who may come in, and what happens when something breaks."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import sqlite3
import threading
import time
from typing import Any

import openai
import pytest
from gateway_house import HELD, OPERATOR, TOKEN, UPSTREAM_KEY, VIEWER, House
from hypothesis import given, settings
from hypothesis import strategies as st

from surefoot.config import ModelSettings
from surefoot.core.rollout.assign import unit_share
from surefoot.engine.rollback import rollback
from surefoot.engine.route import FRESH_S
from surefoot.gateway.bodies import Told
from surefoot.gateway.tally import Tally
from surefoot.ports.recorder import Load

CHAT = "/v1/chat/completions"


def body(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "support", "messages": [{"role": "user", "content": text}], **more}


def version_of(house: House, **headers: str) -> int:
    answer = house.http().post(CHAT, json=body(), headers={k.replace("_", "-"): v for k, v in headers.items()})
    assert answer.status_code == 200
    return int(answer.headers["x-surefoot-version"])


# Which version -------------------------------------------------------------------------------------------------------


def test_a_session_keeps_its_version_and_the_share_is_what_it_says(house: House) -> None:
    rollout = house.rollout(30)
    with house.http() as client:

        def ask(unit: str) -> int:
            done = client.post(CHAT, json=body(), headers={"X-Surefoot-Session": unit})
            return int(done.headers["x-surefoot-version"])

        first = {f"s{n}": ask(f"s{n}") for n in range(60)}
        again = {unit: ask(unit) for unit in first}
    assert first == again
    drawn = {unit: 2 if unit_share(rollout.salt, f"session:{unit}") < 0.3 else 1 for unit in first}
    assert first == drawn
    assert set(first.values()) == {1, 2}


def test_a_unit_keeps_its_version_when_the_share_grows_and_in_another_process(opened: Any) -> None:
    house = opened()
    rollout = house.rollout(5)
    units = [f"u{n}" for n in range(400)]
    waverer = next(u for u in units if 0.05 < unit_share(rollout.salt, f"session:{u}") < 0.4)
    assert version_of(house, X_Surefoot_Session=waverer) == 1
    house.share(rollout.id, 45)
    other = opened(folder=house.app.settings.store.parent)
    time.sleep(FRESH_S)
    assert version_of(house, X_Surefoot_Session=waverer) == 1, "known here"
    assert version_of(other, X_Surefoot_Session=waverer) == 1, "the row in the store wins over the hash"
    fresh = next(u for u in units if 0.05 < unit_share(rollout.salt, f"session:{u}") < 0.4 and u != waverer)
    assert version_of(other, X_Surefoot_Session=fresh) == 2
    trace = house.traces()[-2]
    assert (trace.arm, trace.weight_percent) == ("incumbent", 5.0), "evidence goes by the first share"


def test_a_rollback_holds_for_every_request_a_quarter_of_a_second_later(house: House) -> None:
    rollout = house.rollout(99)
    sessions = [f"s{n}" for n in range(60)]
    mine = [s for s in sessions if unit_share(rollout.salt, f"session:{s}") < 0.99][:5]
    assert {version_of(house, X_Surefoot_Session=s) for s in mine} == {2}
    asyncio.run(rollback(house.app.ports, "support", by="bob", reason="test"))
    time.sleep(FRESH_S)
    assert {version_of(house, X_Surefoot_Session=s) for s in mine} == {1}


def test_a_conversation_without_any_name_keeps_its_version(house: House) -> None:
    house.rollout(50)
    for number in range(12):
        opening = {"role": "user", "content": f"my question {number}"}
        turns = [opening, {"role": "assistant", "content": "so?"}, {"role": "user", "content": "and more"}]
        raw = house.client().chat.completions.with_raw_response
        first = raw.create(model="support", messages=[opening])
        later = raw.create(model="support", messages=turns)
        assert first.headers["x-surefoot-version"] == later.headers["x-surefoot-version"]
    assert {trace.version for trace in house.traces()} == {1, 2}


def test_the_session_comes_before_the_user_and_the_user_before_the_actor(house: House) -> None:
    client = house.http()
    client.post(CHAT, json=body(user="u"), headers={"X-Surefoot-Session": "s", "X-Surefoot-Actor": "a"})
    client.post(CHAT, json=body(user="u"), headers={"X-Surefoot-Actor": "a"})
    client.post(CHAT, json=body(metadata={"conversation_id": "c"}), headers={"X-Surefoot-Actor": "a"})
    client.post(CHAT, json=body(), headers={"X-Surefoot-Actor": "a"})
    assert [trace.unit for trace in house.traces()] == ["session:s", "user:u", "conversation:c", "actor:a"]


def test_a_version_is_pinned_for_a_test_only_with_permission(house: House) -> None:
    house.rollout(1)
    with pytest.raises(openai.PermissionDeniedError):
        house.client(default_query={"version": "v2"}).chat.completions.create(**body())
    raw = house.client(OPERATOR, default_query={"version": "v2"}).chat.completions.with_raw_response.create(**body())
    assert raw.headers["x-surefoot-version"] == "2"
    assert house.trace().rollout == "", "it is no part of the experiment"
    answer = house.http(OPERATOR).post(f"{CHAT}?version=x", json=body())
    assert answer.status_code == 400
    assert house.http(OPERATOR).post(f"{CHAT}?version=77", json=body()).status_code == 404


@pytest.mark.parametrize(("render", "said"), [
    ("replace", ["Support.\n\nYou are v1."]), ("prepend", ["Support.\n\nYou are v1.", "app's own"]),
    ("none", ["app's own"]),
])  # fmt: skip
def test_the_app_s_own_system_message_is_replaced_kept_or_alone(opened: Any, render: str, said: list[str]) -> None:
    house = opened(render=render, params={"temperature": "0.1"})
    messages = [{"role": "system", "content": "app's own"}, {"role": "user", "content": "hi"}]
    house.chat("", messages=messages, temperature=0.9)
    sent = house.upstream.seen[0]
    assert [one["content"] for one in sent["messages"] if one["role"] == "system"] == said
    assert sent["messages"][-1]["content"] == "hi"
    assert sent["temperature"] == (0.9 if render == "none" else 0.1)


def test_an_agent_may_be_treated_otherwise_than_the_rest(opened: Any) -> None:
    house = opened(render="replace", renders={"support": "none"})
    house.chat("hi")
    assert [one["role"] for one in house.upstream.seen[0]["messages"]] == ["user"]


# Who comes in ---------------------------------------------------------------------------------------------------------


def test_nobody_comes_in_without_a_token_that_may(house: House) -> None:
    for token in ("", "sf_wrong", "sk-something"):
        answer = house.http(token).post(CHAT, json=body())
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "authentication_error"
        assert "wrong" not in answer.text.replace("what is wrong", "")
    assert house.http(VIEWER).post(CHAT, json=body()).status_code == 403
    assert house.http(VIEWER).post("/v1/embeddings", json={"model": "support", "input": "x"}).status_code == 403
    assert house.upstream.seen == []


def test_the_upstream_gets_its_own_key_and_never_the_token(house: House) -> None:
    house.chat("hi")
    assert house.upstream.headers[0]["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert TOKEN not in str(house.upstream.headers)


def test_an_app_s_own_key_goes_through_and_is_shown_to_no_stand_in(opened: Any) -> None:
    house = opened(fallback={"main": ("spare",)}, attempts=1)
    client = house.client("sk-own-key-of-the-app-123456", default_headers={
        "X-Surefoot-Token": TOKEN, "OpenAI-Organization": "org-1"})  # fmt: skip
    client.chat.completions.create(**body())
    sent = house.upstream.headers[0]
    assert sent["authorization"] == "Bearer sk-own-key-of-the-app-123456"
    assert sent["openai-organization"] == "org-1"
    assert "x-surefoot-token" not in sent
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**body("fault:500"))
    assert [one["model"] for one in house.upstream.seen] == ["stub-1", "stub-1"]


def test_no_secret_is_kept_logged_or_repeated(house: House, capfd: Any, caplog: Any) -> None:
    own = "sk-own-key-of-the-app-123456"
    answers = [
        house.http().post(CHAT, json=body("fault:500")),
        house.http(own).post(CHAT, json=body(), headers={"X-Surefoot-Token": TOKEN}),
        house.http(own).post(CHAT, json=body()),
        house.http(TOKEN).post(CHAT, content=b"{"),
    ]
    metrics = house.http(VIEWER).get("/metrics").text
    told = "".join(one.text + str(one.headers) for one in answers) + metrics + str(house.gateway.house.tally)
    captured = capfd.readouterr()
    said = told + captured.out + captured.err + caplog.text
    for secret in (TOKEN, own, UPSTREAM_KEY):
        assert secret not in said
        assert secret.encode() not in house.stored_bytes()


def test_what_a_user_writes_is_redacted_before_it_is_kept_and_not_before_it_is_asked(house: House) -> None:
    house.chat("I am ann@example.com with card 4111 1111 1111 1111")
    assert "ann@example.com" in house.upstream.seen[0]["messages"][-1]["content"]
    trace = house.trace()
    assert trace.input.startswith("I am [email:")
    assert "[card:" in trace.output
    assert b"ann@example.com" not in house.stored_bytes()
    assert b"4111 1111" not in house.stored_bytes()


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [
    b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"model": "support"}', b'{"model": 7, "messages": []}',
    b'{"model": "support", "messages": "x"}', b'{"model": "support", "messages": [1]}',
    b'{"model": "", "messages": []}',
    b'{"model": "support", "messages": [{"role": "user", "content": "\\ud800"}]}', b"[" * 100_000,
    b'{"model": "support", "messages": ' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"model": "support", "messages": [{}]}',
])  # fmt: skip
def test_what_is_no_request_is_refused_with_a_sentence(house: House, raw: bytes) -> None:
    answer = house.http().post(CHAT, content=raw)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
    assert house.upstream.seen == []
    assert house.traces() == []


def test_a_body_that_is_too_long_is_not_read(opened: Any) -> None:
    house = opened(max_body_bytes=2000)
    assert house.http().post(CHAT, json=body("x" * 3000)).status_code == 413
    chunks = (b"x" * 500 for _ in range(10))
    assert house.http().post(CHAT, content=chunks).status_code == 413
    assert house.http().post(CHAT, json=body("x" * 100)).status_code == 200


def test_other_paths_and_methods_are_refused_in_openai_s_shape(house: House) -> None:
    assert house.http().get(CHAT).status_code == 405
    answer = house.http().post("/v1/images/generations", json={})
    assert answer.status_code == 404
    assert "docs/reference/gateway.md" in answer.json()["error"]["message"]


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=6) | st.just(b"data: [DONE]\n\n"), max_size=6))
def test_nothing_of_a_stream_is_lost_or_turned_around(pieces: list[bytes]) -> None:
    told = Told()
    passed = b"".join(part for piece in pieces for part in told.split(piece))
    assert passed == b"".join(pieces) == told.all


@settings(max_examples=150)
@given(st.binary(max_size=20), st.sampled_from([b"data: [DONE]", b"data:[DONE]"]), st.lists(st.integers(0, 40)))
def test_the_mark_of_the_end_is_found_however_a_stream_is_cut(said: bytes, mark: bytes, cuts: list[int]) -> None:
    stream = b"data: " + said.replace(b"\n", b"") + b"\n\n" + mark + b"\n\n"
    ends = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    told, held, begun = Told(), b"", False
    for start, end in itertools.pairwise(ends):
        now, last = told.split(stream[start:end])
        begun = begun or bool(last)
        held += last or (now if begun else b"")
    assert held.endswith(b"]\n\n")
    assert stream.rindex(mark) <= len(stream) - len(held) < stream.rindex(mark) + len(mark)


def test_words_of_a_model_are_no_mark_of_the_end(house: House) -> None:
    words = ["it", "ends", "with", "data: [DONE]", "or", "data:[DONE]", "you see"]
    lines = [f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': word}}]})}" for word in words] + [
        'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}',
        "data: [DONE]",
    ]
    with house.http().stream("POST", CHAT, json=body(stream=True, say=lines)) as answer:
        assert b"".join(answer.iter_raw()).decode() == "".join(f"{line}\n\n" for line in lines)
    assert (house.trace().finish, house.trace().output) == ("stop", "".join(words))


# What breaks ----------------------------------------------------------------------------------------------------------


def test_a_stand_in_answers_when_the_upstream_does_not(opened: Any) -> None:
    house = opened(fallback={"dead": ("spare",)}, models={
        "dead": ModelSettings(model="gone", base_url=f"http://127.0.0.1:{free_port()}/v1")})  # fmt: skip
    house.app.store.write_now(lambda tx: tx.agents.swap(_with_model(tx.agents.get("support"), "dead")))
    assert house.chat("hi").model == "stub-spare"
    assert house.gateway.house.forwarding.fallbacks == 1


def test_an_upstream_that_cannot_be_reached_is_a_502_that_says_so(opened: Any) -> None:
    house = opened(models={"dead": ModelSettings(model="gone", base_url=f"http://127.0.0.1:{free_port()}/v1")})
    house.app.store.write_now(lambda tx: tx.agents.swap(_with_model(tx.agents.get("support"), "dead")))
    answer = house.http().post(CHAT, json=body())
    assert answer.status_code == 502
    assert "dead cannot be reached" in answer.json()["error"]["message"]
    assert house.failures() == ["the answer ended by error"]


def test_an_upstream_that_keeps_failing_is_left_alone(opened: Any) -> None:
    house = opened(attempts=1)
    house.upstream.down = True
    for _ in range(5):
        assert house.http().post(CHAT, json=body()).status_code == 503
    asked = len(house.upstream.seen)
    house.upstream.down = False
    answer = house.http().post(CHAT, json=body())
    assert answer.status_code == 502
    assert "left alone" in answer.text
    assert len(house.upstream.seen) == asked
    assert 'surefoot_gateway_breaker_open{upstream="main"} 1' in house.http(VIEWER).get("/metrics").text


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_stops_the_upstream(house: House, stream: bool) -> None:
    house.upstream.gap_s = 0.2
    text = "fault:slow " + "word " * 200 if stream else "fault:hang"
    raw = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n"
    content = json.dumps(body(text, stream=stream))
    with socket.create_connection(("127.0.0.1", house.served.port)) as connection:
        connection.sendall(f"{raw}content-length: {len(content)}\r\n\r\n{content}".encode())
        house.soon(lambda: house.upstream.seen)
        if stream:
            assert connection.recv(100)
        time.sleep(0.1)
    house.soon(lambda: house.upstream.broken_off)
    trace = house.soon(house.traces)[0]
    assert trace.finish == "cancelled"
    assert house.outcomes(trace.id) == [], "the version is not to blame"
    assert house.gateway.house.tally.gone == 1


def test_a_store_that_cannot_be_written_costs_nobody_an_answer(house: House, monkeypatch: Any) -> None:
    house.chat("before")

    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("surefoot.adapters.store.bulk.append", broken)
    assert house.chat("now").choices[0].message.content.endswith("now")
    assert (
        "".join(c.choices[0].delta.content or "" for c in house.chat("and now", stream=True))
        .strip()
        .endswith("and now")
    )
    assert house.gateway.house.tally.records["lost"] == 2
    assert 'surefoot_gateway_records_total{state="lost"} 2' in house.http(VIEWER).get("/metrics").text
    monkeypatch.undo()
    house.chat("after")
    assert [trace.input for trace in house.traces()] == ["before", "after"]


def test_a_store_that_is_locked_delays_the_record_and_not_the_answer(house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr("surefoot.gateway.completions.PATIENCE_S", 0.2)
    house.chat("before")
    with sqlite3.connect(house.app.settings.store, isolation_level=None) as lock:
        lock.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        assert house.chat("locked").choices[0].message.content.endswith("locked")
        assert time.monotonic() - started < 2
        assert house.gateway.house.tally.records["late"] == 1
        lock.execute("COMMIT")
    house.soon(lambda: len(house.traces()) == 2)


def test_when_too_much_waits_the_gateway_answers_and_counts_the_loss(opened: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("surefoot.gateway.completions.PATIENCE_S", 0.1)
    house = opened(queue=2)
    house.chat("warm")
    with sqlite3.connect(house.app.settings.store, isolation_level=None) as lock:
        lock.execute("BEGIN IMMEDIATE")
        for number in range(5):
            house.chat(f"no {number}")
        assert house.gateway.house.tally.records["lost"] == 3
        assert house.http().get("/ready").status_code == 503
        lock.execute("COMMIT")
    house.soon(lambda: len(house.traces()) == 3)
    house.soon(lambda: house.http().get("/ready").status_code == 200)


def test_a_store_that_cannot_be_read_serves_on_from_what_is_known(house: House, monkeypatch: Any) -> None:
    house.chat("before")

    async def broken(_work: object) -> None:
        from surefoot.core.errors import Unavailable

        raise Unavailable("the disk is gone")

    monkeypatch.setattr(type(house.app.store), "read", lambda _self, work: broken(work))
    time.sleep(FRESH_S)
    assert house.chat("now").choices[0].finish_reason == "stop"
    assert house.gateway.house.routing.stale == 1


def test_health_readiness_and_counts_answer(house: House) -> None:
    house.chat("hi")
    client = house.http(VIEWER)
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/ready").json()["status"] == "ready"
    text = client.get("/metrics").text
    assert 'surefoot_gateway_records_total{state="kept"} 1' in text
    assert house.http("").get("/metrics").status_code == 401


def test_the_counts_of_all_agents_are_not_for_a_token_that_is_held_to_some(house: House) -> None:
    refused = house.http(HELD).get("/metrics")
    assert refused.status_code == 403
    assert "held to some agents" in refused.text
    assert "surefoot_gateway" not in refused.text


def test_a_request_whose_trace_is_left_to_its_program_is_counted(house: House) -> None:
    headers = {"x-surefoot-part-of": "0af7651916cd43dd8448eb211c80319c"}
    assert house.http().post(CHAT, json=body("hi"), headers=headers).status_code == 200
    house.chat("hi")
    text = house.http(VIEWER).get("/metrics").text
    assert 'surefoot_gateway_records_total{state="left"} 1' in text
    assert 'surefoot_gateway_left_total{agent="support"} 1' in text
    assert len(house.soon(house.traces)) == 1


def test_a_name_in_the_counts_cannot_break_out_of_its_label() -> None:
    load = Load()
    text = Tally().text(load, retries=0, fallbacks=0, stale=0, unkept=0, breakers={'a"} 9\n\\': True})
    assert 'surefoot_gateway_breaker_open{upstream="a\\"} 9\\n\\\\"} 1' in text.split("\n")


def test_small_pieces_are_not_held_back_by_the_kernel(house: House) -> None:
    content = json.dumps(body("a b c d e f g h", stream=True))
    with socket.create_connection(("127.0.0.1", house.served.port)) as connection:
        connection.sendall((
            f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
            f"content-length: {len(content)}\r\n\r\n{content}"
        ).encode())  # fmt: skip
        assert connection.recv(10)
        sides = list(house.served.server.server_state.connections)
        assert sides
        for side in sides:
            assert side.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_many_threads_share_one_commit(house: House) -> None:
    threads = [threading.Thread(target=house.chat, args=(f"n{n}",)) for n in range(24)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    load = house.gateway.house.recorder.load()
    assert load.written == 24
    assert load.commits <= 24
    assert len(house.traces()) == 24


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def _with_model(agent: Any, model: str) -> Any:
    from dataclasses import replace

    return replace(agent, habits=replace(agent.habits, model=model))

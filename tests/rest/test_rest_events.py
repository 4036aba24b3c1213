"""What happens is streamed: in order, from where one left off, to those who may see it, and never without bound."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_house import V1, Door, canary, problem

from surefoot.api import feeds, streaming
from surefoot.api.feeds import Feed, Listener, heard
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.event import Event, Wanted, fits, kind_of, patterns
from surefoot.engine.admit import FRESH_S


class Stream:
    """A client that reads events until it has enough."""

    def __init__(self, door: Door, path: str, by: str = "ana", **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
        sent = {"Authorization": f"Bearer sf_{by}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        self._connection.request("GET", f"{V1}{path}", headers=sent)
        self.answer = self._connection.getresponse()
        if self.answer.status != 200:
            self._connection.close()
            raise AssertionError(self.answer.status)

    def lines(self) -> Iterator[dict[str, Any]]:
        found: dict[str, Any] = {}
        for raw in self.answer:
            line = raw.decode().rstrip("\n")
            if not line:
                if "event" in found:
                    yield found
                found = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                found[name] = json.loads(value) if name == "data" else value

    def take(self, count: int) -> list[dict[str, Any]]:
        found = []
        for one in self.lines():
            found.append(one)
            if len(found) == count:
                break
        return found

    def close(self) -> None:
        self._connection.close()


def taught(door: Door, *texts: str, agent: str = "support") -> None:
    for text in texts:
        assert door.post(f"/agents/{agent}/lessons", {"text": text}).status == 201


def test_events_are_heard_as_they_happen_and_again_from_where_one_left_off(door: Door) -> None:
    first = Stream(door, "/events?agent=support&kinds=lesson.*")
    taught(door, "one", "two")
    seen = first.take(2)
    first.close()
    assert [one["data"]["facts"]["text"] for one in seen] == ["one", "two"]
    assert seen[0]["event"] == "lesson.added"
    taught(door, "three")
    again = Stream(door, "/events?agent=support&kinds=lesson.*", Last_Event_ID=seen[0]["id"])
    assert [one["data"]["facts"]["text"] for one in again.take(2)] == ["two", "three"]
    again.close()
    unable = Stream(door, f"/events?kinds=lesson.added&lastEventId={seen[0]['id']}")  # a client that sets no headers
    assert [one["data"]["facts"]["text"] for one in unable.take(2)] == ["two", "three"]
    unable.close()
    since = Stream(door, f"/events?after={seen[1]['id']}&kinds=lesson.added")
    assert since.take(1)[0]["data"]["facts"]["text"] == "three"
    since.close()


def test_only_events_of_agents_that_the_token_sees_are_told(door: Door) -> None:
    held = Stream(door, "/events?after=0", by="held")
    door.do(canary)
    taught(door, "for support")
    taught(door, "for other", agent="other")
    seen = held.take(2)
    assert {one["data"]["agent"] for one in seen} == {"other"}
    assert [one["data"]["kind"] for one in seen] == ["agent.created", "lesson.added"]
    held.close()
    assert door.get("/events", by="app").status == 403


def test_a_token_held_to_one_agent_cannot_listen_to_another_by_name(door: Door) -> None:
    problem(door.get("/events?agent=support", by="held"), 404, "not_found")


def test_what_makes_no_sense_is_refused_before_the_stream_begins(door: Door) -> None:
    for asked in ("kinds=ROLLOUT", "kinds=a..b", "after=-1", "after=x", "kinds=" + ",".join(["a.b"] * 51)):
        problem(door.get(f"/events?{asked}"), 422, "invalid")
    for wrong in ("x", "-1", "1.5", "9" * 17):
        problem(door.get("/events", Last_Event_ID=wrong), 422, "invalid")


def test_changes_of_memory_are_streamed_by_pattern_and_scope(door: Door) -> None:
    path = "/agents/support/memory"
    door.put(f"{path}/limit", {"value": 1, "scope": "agent"}, by="app")
    stream = Stream(door, "/agents/support/memory-events?pattern=lim*&after=0", by="app")
    door.put(f"{path}/other", {"value": 1, "scope": "agent"}, by="app")
    door.put(f"{path}/limit", {"value": 2, "scope": "session"}, by="app", X_Session_ID="s9")
    door.delete(f"{path}/limit?scope=agent", by="app")
    seen = stream.take(2)
    stream.close()
    assert [(one["event"], one["data"]["scope"]) for one in seen] == [
        ("memory.set", "agent"), ("memory.delete", "agent")]  # fmt: skip
    problem(door.get("/agents/support/memory-events", by="vera"), 403, "forbidden")


def test_more_listeners_than_may_be_are_sent_away(door: Door, monkeypatch: Any) -> None:
    monkeypatch.setattr(feeds, "MOST", 2)
    kept = [Stream(door, "/events") for _ in range(2)]
    refused = door.get("/events")
    assert (refused.status, int(refused.headers["retry-after"]) >= 1) == (429, True)
    kept[0].close()
    deadline = time.monotonic() + 10
    monkeypatch.setattr(feeds, "HEARTBEAT_S", 0.05)
    while time.monotonic() < deadline:
        taught(door, "wake")
        try:
            Stream(door, "/events").close()
            break
        except AssertionError:
            time.sleep(0.2)
    else:
        pytest.fail("a listener that went away still counts")
    kept[1].close()


def test_a_listener_that_does_not_keep_up_is_told_where_to_go_on(door: Door, monkeypatch: Any) -> None:
    monkeypatch.setattr(feeds, "BUFFER", 3)
    monkeypatch.setattr(Listener, "__init__", _small(3))
    stream = Stream(door, "/events?kinds=lesson.*")

    async def many(app: Any) -> None:
        def work(tx: Any) -> None:
            for number in range(50):
                tx.audit.append(at=app.ports.clock(), actor="x", action="lesson-added", subject="support",
                                payload={"n": number})  # fmt: skip

        await app.store.write(work)

    door.do(many)
    seen = list(stream.lines())
    stream.close()
    assert seen[-1]["event"] == "dropped"
    assert seen[-1]["data"]["after"] == int(seen[-2]["id"])
    rest = Stream(door, f"/events?kinds=lesson.*&after={seen[-1]['data']['after']}")
    numbers = [one["data"]["facts"]["n"] for one in (*seen[:-1], *rest.take(50 - len(seen) + 1))]
    rest.close()
    assert numbers == list(range(50))


def _small(most: int) -> Any:
    def made(self: Any, fits: Any) -> None:
        self.fits, self.waiting, self.dropped = fits, asyncio.Queue(most), False

    return made


def test_one_poller_serves_all_listeners_and_rests_when_nobody_listens() -> None:
    reads: list[int] = []

    async def read(at: int) -> list[tuple[int, str]]:
        reads.append(at)
        return [(at + 1, "x")] if at < 5 else []

    async def last() -> int:
        return 0

    async def story() -> None:
        feed: Feed[str] = Feed(read, last)
        async with feed.listening(lambda _: True) as (one, at), feed.listening(lambda _: True) as (two, _):
            assert at == 0
            while one.waiting.qsize() < 5 or two.waiting.qsize() < 5:  # noqa: ASYNC110  the poller is what is tested
                await asyncio.sleep(0.01)
        count = len(reads)
        await asyncio.sleep(0.1)
        assert len(reads) == count
        assert reads[:5] == [0, 1, 2, 3, 4]

    feeds_poll, feeds.POLL_S = feeds.POLL_S, 0.01
    try:
        asyncio.run(story())
    finally:
        feeds.POLL_S = feeds_poll


@given(total=st.integers(0, 60), begin=st.integers(0, 60), joined=st.integers(0, 60), page=st.integers(1, 7))
def test_whenever_one_joins_each_event_is_heard_once_and_in_order(
    total: int, begin: int, joined: int, page: int
) -> None:
    at = min(joined, total)
    begin = min(begin, total)

    async def older(after: int) -> list[tuple[int, int]]:
        return [(n, n) for n in range(after + 1, total + 1)][:page]

    async def story() -> list[int]:
        listener: Listener[int] = Listener(lambda _: True, asyncio.Queue(1000))
        for number in range(at + 1, total + 1):
            listener.told(number, number)
        listener.dropped = True
        return [one async for _, one in heard(listener, begin, at, older) if one is not None]

    assert asyncio.run(story()) == list(range(begin + 1, total + 1))


def test_a_client_that_stops_reading_is_let_go(door: Door, monkeypatch: Any) -> None:
    monkeypatch.setattr(streaming, "PATIENCE_S", 0.3)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    slow.connect(("127.0.0.1", door.port))
    slow.sendall(f"GET {V1}/events?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sf_ana\r\n\r\n".encode())

    async def many(app: Any) -> None:
        def work(tx: Any) -> None:
            for number in range(300):
                tx.audit.append(at=app.ports.clock(), actor="x", action="lesson-added", subject="support",
                                payload={"n": number, "text": "x" * 20_000})  # fmt: skip

        await app.store.write(work)

    try:
        door.do(many)
        assert door.get("/agents").status == 200, "others are answered meanwhile"
        deadline, feed = time.monotonic() + 15, door.api.state.reception.feeds.events
        while feed.listeners and time.monotonic() < deadline:
            time.sleep(0.1)
        assert feed.listeners == 0
    finally:
        slow.close()


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}(\.[a-z0-9_]{1,8}){0,2}", fullmatch=True)


@given(NAMES)
def test_a_kind_fits_itself_a_star_and_its_family(kind: str) -> None:
    assert fits(kind, kind)
    assert fits("*", kind)
    assert fits(f"{kind.partition('.')[0]}*", kind)
    assert not fits(f"{kind}.more", kind)
    assert patterns([kind, "*"]) == (kind, "*")


@given(st.text(max_size=120))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        (one,) = patterns([text])
    except Invalid:
        return
    assert fits(one, one.replace("*", "x"))


def test_an_action_is_a_kind_with_one_dot() -> None:
    assert kind_of("rollout-await_approval") == "rollout.await_approval"
    assert kind_of("wish-roll_back") == "wish.roll_back"
    assert kind_of("stopped") == "stopped"


def test_who_wants_an_agent_hears_nothing_that_is_about_none() -> None:
    from datetime import UTC, datetime

    event = Event(seq=1, kind="stopped.all", agent="", subject="*", actor="x", at=datetime.now(UTC))
    assert not Wanted(agents=frozenset({"support"})).fits(event)
    assert Wanted().fits(event)


def told_to_dan(door: Door, role: str) -> str:
    """A token made over the API that is good already; without its `sf_`."""
    token = door.post("/tokens", {"name": "dan", "role": role}).json["token"].removeprefix("sf_")
    deadline = time.monotonic() + 10
    while door.get("/agents", by=token).status != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    return token


@pytest.mark.parametrize("path", ["/events?kinds=lesson.*", "/agents/support/memory-events"])
def test_an_open_stream_ends_with_its_token_and_tells_nothing_more(door: Door, path: str) -> None:
    stream = Stream(door, path, by=told_to_dan(door, "operator"))

    def happens(word: str) -> None:
        taught(door, word)
        door.put(f"/agents/support/memory/{word}", {"value": 1, "scope": "agent"})

    happens("before")
    assert len(stream.take(1)) == 1
    assert door.delete("/tokens/dan").status in (200, 204)
    time.sleep(FRESH_S + streaming.ASKED_S)
    happens("after")
    assert list(stream.lines()) == []
    stream.close()
    deadline, feeds_ = time.monotonic() + 5, door.api.state.reception.feeds
    while (feeds_.events.listeners or feeds_.memory.listeners) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (feeds_.events.listeners, feeds_.memory.listeners) == (0, 0)


def test_a_quiet_stream_ends_with_its_token_at_the_next_sign_of_life(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(streaming, "ASKED_S", 0.1)
    stream = Stream(door, "/events?kinds=nothing.happens", by=told_to_dan(door, "viewer"))
    door.delete("/tokens/dan")
    began = time.monotonic()
    assert list(stream.lines()) == []
    assert time.monotonic() - began < 5
    stream.close()


def test_a_stream_that_cannot_begin_leaves_no_listener_behind(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = door.api.state.reception.feeds.events
    kept = Stream(door, "/events")

    async def away() -> int:
        raise Unavailable("the store is busy", hint="wait")

    monkeypatch.setattr(feed, "last", away)
    problem(door.get(f"/events?after={2**40}"), 503, "unavailable")
    assert feed.listeners == 1, "only the one that was there"
    kept.close()

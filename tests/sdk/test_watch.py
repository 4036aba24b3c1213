"""Who listens to memory is told of each change once, as it happens, whoever writes and whatever the server does."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from sdk_house import TOKEN, Process, Scene, Served, create, free_port, opened, remote, settings_for, soon

from surefoot.api import feeds
from surefoot.core.memory import Where
from surefoot.core.token import hashed
from surefoot.engine.remember import remember
from surefoot.sdk import watch
from surefoot.sdk.agent import Agent
from surefoot.sdk.house import closed
from surefoot.sdk.watch import Changed


@contextmanager
def listening(agent: Agent, pattern: str = "*", work: Any = None) -> Iterator[list[Changed]]:
    heard: list[Changed] = []

    def told(one: Changed) -> None:
        heard.append(one)
        if work is not None:
            work(one)

    one = agent.memory.agent.on_change(pattern)(told)
    try:
        yield heard
    finally:
        one.stop()


def written_elsewhere(app: Any, agent: str, *keys: str) -> None:
    """Write as another process does: by a store of its own."""
    for key in keys:
        asyncio.run(remember(app.ports, Where(agent=agent), key, 1, scope="agent"))


def keys(heard: list[Changed]) -> list[str]:
    return [one.key for one in heard]


def test_a_change_is_told_long_before_the_next_look_would_find_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "POLL_S", 4.0)
    took: list[float] = []
    with listening(scene.agent) as heard:
        for n in range(7):
            began = time.perf_counter()
            scene.agent.sync.memory.agent.set(f"k{n}", n)
            soon(lambda n=n: len(heard) > n)
            took.append(time.perf_counter() - began)
    assert keys(heard) == [f"k{n}" for n in range(7)]
    assert statistics.median(took) < feeds.POLL_S / 4


def test_what_another_process_writes_is_told_within_about_a_second(scene: Scene) -> None:
    with listening(scene.agent) as heard:
        began = time.perf_counter()
        written_elsewhere(scene.app, scene.agent.name, "theirs")
        soon(lambda: heard)
        assert time.perf_counter() - began < 2.0


def test_many_writers_are_told_of_once_each_and_in_their_order(scene: Scene) -> None:
    agent = scene.agent
    memory = agent.sync.memory.agent
    before = max((one.seq for one in memory.changes()), default=0)  # what others wrote for everybody
    with listening(agent, "a*") as first, listening(agent, "*") as second, listening(agent, "*9") as third:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: memory.set(f"{'ab'[n % 2]}{n}", n), range(60)))
        soon(lambda: len(second) >= 60 and len(first) >= 30)
        time.sleep(0.3)
    everything = [(one.seq, one.key) for one in memory.changes(after=before)]
    assert [(one.seq, one.key) for one in second] == everything
    assert [(one.seq, one.key) for one in first] == [one for one in everything if one[1].startswith("a")]
    assert keys(third) == [key for _, key in everything if key.endswith("9")]


def test_a_listener_hears_of_its_scope_alone_and_of_all_it_may_read_when_it_names_none(scene: Scene) -> None:
    agent = scene.agent
    mine, all_of_it = list[str](), list[str]()
    with agent.context(session="ann@example.org"):
        watches = [
            agent.memory.session("ann@example.org").on_change()(lambda one: mine.append(one.key)),
            agent.sync.memory.on_change()(lambda one: all_of_it.append(one.key)),
        ]
        agent.sync.memory.set("hers", 1)
    agent.sync.memory.agent.set("the agent's", 1)
    agent.sync.memory.session("bob").set("his", 1)
    soon(lambda: len(all_of_it) >= 2)
    time.sleep(0.3)
    for one in watches:
        one.stop()
    assert (mine, all_of_it) == (["hers"], ["hers", "the agent's"])


def test_a_slow_listener_is_told_of_everything_and_holds_up_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_WAITING", 6)
    monkeypatch.setattr(watch, "AWAY_S", 0.05)
    with (
        listening(scene.agent, work=lambda _: time.sleep(0.02)) as slow,
        listening(scene.agent) as fast,
    ):
        for n in range(40):
            scene.agent.sync.memory.agent.set(f"k{n}", n)
        soon(lambda: len(fast) >= 40 and len(slow) >= 40)
    assert keys(slow) == keys(fast) == [f"k{n}" for n in range(40)]


def test_a_listener_may_stop_itself_and_hears_nothing_more(scene: Scene) -> None:
    heard: list[str] = []
    memory = scene.agent.memory.agent

    @memory.on_change()
    def once(one: Changed) -> None:
        heard.append(one.key)
        once.stop()

    for key in "abc":
        scene.agent.sync.memory.agent.set(key, 1)
    soon(lambda: heard)
    time.sleep(0.2)
    assert heard == ["a"]
    assert once not in scene.house.watches


# Servers that go, and servers that know no stream ---------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    app = opened(settings_for(tmp_path / "store.db"))
    create(app, "support", model="local-lexical")
    app.close()
    (tmp_path / "surefoot.toml").write_text(
        f'store = "store.db"\n[tokens.prog]\nsha256 = "{hashed(TOKEN)}"\nrole = "agent"\n'
    )
    one = Process(tmp_path, free_port())
    yield one
    one.kill()


@pytest.mark.slow
def test_a_server_that_is_killed_loses_nothing_for_a_listener_and_tells_nothing_twice(server: Process) -> None:
    app = opened(settings_for(server.folder / "store.db"))
    server.start()
    agent = remote(server.url, server.folder / "cache")
    over = threading.Event()
    wrote: list[str] = []

    def write() -> None:
        while not over.is_set():
            wrote.append(f"k{len(wrote)}")
            written_elsewhere(app, "support", wrote[-1])
            over.wait(0.03)

    with listening(agent, "k*") as heard, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            soon(lambda: len(heard) > 5, 20)
            server.kill()
            time.sleep(1.0)
            missed = len(wrote)
            server.start()
            soon(lambda: len(heard) > missed + 5, 20)
        finally:
            over.set()
        writing.result(10)
        soon(lambda: len(heard) >= len(wrote), 20)
    assert keys(heard) == wrote
    assert [one.seq for one in heard] == sorted({one.seq for one in heard})
    closed(agent._house)
    app.close()


class Between:
    """Something between that gives no stream: it knows none, holds it back, or breaks it off within a line."""

    def __init__(self, app: Any, how: str) -> None:
        self.app, self.how = app, how
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].endswith("/memory-events"):
            await self.app(scope, receive, send)
            return
        self.asked += 1
        if self.how == "holds back":
            await asyncio.sleep(0.6)
        cut = self.how in ("breaks off", "is odd")
        asked = parse_qs(scope["query_string"].decode()).get("after", ["1"])[0]
        body = f': from {asked}\nretry: 2\nid: 9\ndata: {{"se'.encode() if cut else b'{"detail": "Not Found"}'
        if self.how == "is odd":
            body = f": from {asked}\nretry: 2\ndata: [1]\n\n".encode()
        await send({"type": "http.response.start", "status": 200 if cut else 404, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("how", ["knows none", "holds back", "breaks off", "is odd"])
def test_where_there_is_no_stream_it_is_looked_instead(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FIRST_S", 0.3)
    monkeypatch.setattr(watch, "LOOKS", 2)
    app = opened(settings_for(tmp_path / "store.db"))
    create(app, "support")
    gateway = app.gateway(behind=app.api(loopback=True, environ={}))
    between = Between(gateway, how)
    served = Served(between)
    agent = remote(served.address, tmp_path / "cache")
    agent.sync.memory.agent.set("before", 1)
    with listening(agent) as heard:
        for n in range(5):
            agent.sync.memory.agent.set(f"k{n}", n)
            time.sleep(0.4)
        soon(lambda: len(heard) >= 5)
    assert keys(heard) == [f"k{n}" for n in range(5)]
    assert between.asked >= 2, "it asks for the stream again"
    closed(agent._house)
    served.end(gateway.aclose)
    app.close()


def test_a_house_that_is_closed_is_not_opened_again_by_who_still_listens(tmp_path: Path) -> None:
    app = opened(settings_for(tmp_path / "store.db"))
    create(app, "support")
    gateway = app.gateway(behind=app.api(loopback=True, environ={}))
    served = Served(gateway)
    agent = remote(served.address, tmp_path / "cache")
    heard: list[str] = []
    agent.memory.on_change()(lambda one: heard.append(one.key))
    closed(agent._house)
    written_elsewhere(app, "support", "late")
    time.sleep(watch.LOOK_EVERY_S + 0.4)
    assert (heard, agent._house.watches, agent._house.line._loop) == ([], set(), None)
    served.end(gateway.aclose)
    app.close()


def test_many_listeners_that_do_not_let_go_hold_up_the_end_of_a_program_no_longer_than_one(tmp_path: Path) -> None:
    app = opened(settings_for(tmp_path / "store.db"))
    create(app, "support")
    gateway = app.gateway(behind=app.api(loopback=True, environ={}))
    served = Served(gateway)
    agent = remote(served.address, tmp_path / "cache")
    over, begun = threading.Event(), list[str]()

    def stuck(one: Changed) -> None:
        begun.append(one.key)
        over.wait(20)

    for _ in range(5):
        agent.memory.agent.on_change()(stuck)
    written_elsewhere(app, "support", "k")
    soon(lambda: len(begun) == 5, 10)
    began = time.monotonic()
    closed(agent._house)
    took = time.monotonic() - began
    over.set()
    assert took < 2.5
    assert agent._house.watches == set()
    served.end(gateway.aclose)
    app.close()

"""Surefoot goes away, comes back, is slow or never was: the program goes on, and what was taken arrives."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sdk_house import TOKEN, Process, Served, create, free_port, opened, remote, settings_for, soon, traces_of

from surefoot.core.errors import Invalid, SurefootError, Unavailable
from surefoot.core.memory import Where
from surefoot.core.signature import Unauthenticated
from surefoot.core.token import EVERY_AGENT, hashed
from surefoot.engine.pause import decide_pause
from surefoot.engine.remember import remember
from surefoot.sdk.agent import Agent
from surefoot.sdk.house import House, closed
from surefoot.sdk.link import Away, Mistake, Place
from surefoot.sdk.waiting import Item, Waiting

SRC = Path(__file__).parents[2] / "src"


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


@pytest.fixture
def app(server: Process) -> Iterator[Any]:
    one = opened(settings_for(server.folder / "store.db"))
    yield one
    one.close()


@pytest.fixture
def agent(server: Process, tmp_path: Path) -> Iterator[Agent]:
    one = remote(server.url, tmp_path / "cache")
    yield one
    server.kill()
    closed(one._house)


@contextmanager
def program(server: Process, text: str) -> Iterator[subprocess.Popen[str]]:
    """A program of its own that knows only the address and the token."""
    here = {name: value for name, value in os.environ.items() if not name.startswith("SUREFOOT")}
    given = {"PYTHONPATH": str(SRC), "SUREFOOT_URL": server.url, "SUREFOOT_TOKEN": TOKEN,
             "XDG_CACHE_HOME": str(server.folder / "cache")}  # fmt: skip
    running = subprocess.Popen(
        [sys.executable, "-c", text], cwd=server.folder, env={**here, **given}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def finished(server: Process, text: str) -> str:
    """What a program says while it runs to its good end."""
    with program(server, text) as running:
        out, err = running.communicate(timeout=40)
        assert running.returncode == 0, err
    return out + err


@pytest.mark.slow
def test_the_server_is_killed_and_started_again_and_nothing_that_was_taken_is_lost(
    server: Process, agent: Agent, app: Any
) -> None:
    @agent.entry
    async def answer(text: str) -> str:
        return f"{text} by v{agent.version}"

    async def calls(first: int, last: int) -> list[str]:
        return [await answer(str(n)) for n in range(first, last)]

    server.start()
    assert asyncio.run(calls(0, 20))[-1] == "19 by v1"
    server.kill()
    began = time.monotonic()
    assert asyncio.run(calls(20, 60))[-1] == "59 by v1"
    assert time.monotonic() - began < 5, "a server that is away is left alone"
    assert agent.health().connected is False
    assert agent.health().remembered == 40
    assert agent.sync.outcome(agent.last_trace_id, expected="late") is False
    assert agent.sync.memory.get("k", default="mine") == "mine"
    assert agent.sync.memory.append("kept", 1) is None
    server.start()
    assert agent.sync.flush(20)
    found = traces_of(app, "support")
    assert sorted(int(one.input) for one in found) == list(range(60))
    assert app.store.read_now(lambda tx: tx.outcomes.of(agent.last_trace_id))[0].expected == "late"
    assert agent.sync.memory.get("kept") == [1]
    health = agent.health()
    assert (health.waiting, health.waiting_bytes, health.lost, health.refused) == (0, 0, 0, 0)


@pytest.mark.slow
def test_the_last_genome_known_serves_a_program_that_begins_while_the_server_is_away(
    server: Process, agent: Agent, tmp_path: Path
) -> None:
    server.start()
    known = agent.prompt
    server.kill()
    (kept,) = (tmp_path / "cache" / "surefoot" / "genomes").glob("*.json")
    assert kept.stat().st_mode & 0o077 == 0
    assert TOKEN not in kept.read_text()
    closed(agent._house)
    later = remote(server.url, tmp_path / "cache")

    @later.entry
    def answer(text: str) -> str:
        return later.prompt

    assert answer("hi") == known
    assert later.health().remembered == 1
    kept.write_text("{broken")
    closed(later._house)
    blank = remote(server.url, tmp_path / "cache")
    assert blank.health().remembered == 0
    with pytest.raises(Unavailable, match="no genome of support is known here"):
        _ = blank.genome
    closed(blank._house)


def test_without_any_genome_the_function_still_runs_and_the_loss_is_counted(agent: Agent) -> None:
    @agent.entry
    def answer(text: str) -> str:
        return text.upper()

    assert answer("hi") == "HI"
    assert agent.health().lost == 1
    assert "no version was known" in agent.health().problem or "does not answer" in agent.health().problem


@pytest.mark.slow
def test_a_model_that_cannot_be_reached_is_told_and_the_version_is_not_to_blame(
    server: Process, agent: Agent, app: Any
) -> None:
    server.start()
    _ = agent.genome
    server.kill()

    @agent.entry
    async def answer(text: str) -> str:
        return await agent.ai(text)

    with pytest.raises(Unavailable):
        asyncio.run(answer("hi"))
    server.start()
    assert agent.sync.flush(20)
    (trace,) = traces_of(app, "support")
    assert trace.finish == "error"
    assert app.store.read_now(lambda tx: tx.outcomes.of(trace.id)) == []


@pytest.mark.slow
def test_a_pause_outlives_the_program_and_the_server(server: Process, app: Any) -> None:
    text = (
        "import surefoot, json\n"
        "d = surefoot.agent('support').sync.pause('promote-2.1.0', reason='ready?')\n"
        "print(json.dumps([d.decision, d.feedback]), flush=True)\n"
    )
    server.start()
    with program(server, text) as first:
        soon(lambda: app.store.read_now(lambda tx: tx.pauses.listed(agents=EVERY_AGENT)), 20)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
    with program(server, text) as second:
        time.sleep(1.0)
        server.kill()
        server.start()
        asyncio.run(decide_pause(app.ports, "support", "promote-2.1.0", "approved", by="rita", feedback="go"))
        out, err = second.communicate(timeout=30)
        assert json.loads(out) == ["approved", "go"], err
    assert len(app.store.read_now(lambda tx: tx.pauses.listed(agents=EVERY_AGENT))) == 1


@pytest.mark.slow
def test_a_program_that_ends_at_once_sends_what_waits_and_says_what_it_could_not(server: Process, app: Any) -> None:
    text = (
        "import surefoot\n"
        "agent = surefoot.agent('support')\n"
        "@agent.entry\n"
        "def f(text): return text\n"
        "for n in range(30): f(str(n))\n"
    )
    server.start()
    finished(server, text)
    assert len(traces_of(app, "support")) == 30
    server.kill()
    began = time.monotonic()
    assert "30 things were not sent to Surefoot" in finished(server, text)
    assert time.monotonic() - began < 12


@pytest.mark.slow
def test_a_child_after_a_fork_has_connections_of_its_own_and_sends_nothing_twice(server: Process, app: Any) -> None:
    text = (
        "import os, surefoot\n"
        "agent = surefoot.agent('support')\n"
        "@agent.entry\n"
        "def f(text): return text\n"
        "f('parent before')\n"
        "pid = os.fork()\n"
        "f('child' if pid == 0 else 'parent after')\n"
        "assert agent.sync.flush(10)\n"
        "if pid == 0: os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
    )
    server.start()
    finished(server, text)
    assert sorted(one.input for one in traces_of(app, "support")) == ["child", "parent after", "parent before"]


def test_a_program_with_surefoot_inside_sends_what_waits_at_its_end(server: Process, app: Any) -> None:
    text = (
        "import asyncio, surefoot\n"
        "agent = surefoot.agent('support', store='store.db')\n"
        "@agent.entry\n"
        "async def f(text): return text\n"
        "async def main(): await asyncio.gather(*(f(str(n)) for n in range(40)))\n"
        "asyncio.run(main())\n"
    )
    assert finished(server, text) == ""
    assert len(traces_of(app, "support")) == 40


def test_who_listens_from_before_surefoot_is_there_is_told_of_nothing_older(tmp_path: Path) -> None:
    app = opened(settings_for(tmp_path / "store.db"))
    create(app, "support", model="local-lexical")
    asyncio.run(remember(app.ports, Where(agent="support"), "old", 1))
    port, heard = free_port(), list[str]()
    agent = remote(f"http://127.0.0.1:{port}", tmp_path / "cache")
    began = time.monotonic()
    watch = agent.memory.agent.on_change("*")(lambda change: heard.append(change.key))
    assert time.monotonic() - began < 4, "nobody waits for it"
    gateway = app.gateway(behind=app.api(loopback=True, environ={}))
    served = Served(gateway, port)
    time.sleep(3.0)  # it is left alone for two seconds
    assert agent.sync.memory.agent.set("new", 1)
    soon(lambda: heard)
    watch.stop()
    assert heard == ["new"]
    closed(agent._house)
    served.end(gateway.aclose)
    app.close()


async def test_a_mistake_on_the_way_does_not_end_the_sending() -> None:
    tries: list[str] = []

    async def send(one: Item) -> Any:
        tries.append(one.path)
        if len(tries) == 1:
            raise RuntimeError("cannot schedule new futures")

    waiting = Waiting(send)
    waiting.put(item(1))
    assert await waiting.flushed(3)
    assert (tries, waiting.counts.sent) == (["/traces"] * 2, 1)


# What waits ----------------------------------------------------------------------------------------------------------


def item(n: int, path: str = "/traces") -> Item:
    return Item(method="POST", path=path, body={"id": str(n)}, batch=path if path == "/traces" else "")


async def test_what_has_no_room_is_counted_and_what_was_taken_arrives_in_its_order() -> None:
    came: list[Any] = []

    async def send(one: Item) -> Any:
        came.append(one.body)

    waiting = Waiting(send, most=5)
    assert [waiting.put(item(n)) for n in range(7)] == [True] * 5 + [False] * 2
    assert waiting.counts.lost == 2
    small = Waiting(send, most_bytes=700)
    assert [small.put(item(n)) for n in range(4)] == [True, True, True, False]
    assert await waiting.flushed(2)
    assert came == [{"traces": [{"id": str(n)} for n in range(5)]}]
    assert (waiting.bytes, waiting.counts.sent) == (0, 5)


async def test_what_the_server_refuses_is_counted_and_stops_nothing_behind_it() -> None:
    tries: list[Any] = []

    async def send(one: Item) -> Any:
        tries.append(one.path)
        if len(tries) == 1:
            raise Away("not yet")
        if one.path == "/bad":
            raise SurefootError("wrong in itself")
        return {"refused": {"2": "unknown version"}} if one.path == "/traces" else None

    waiting = Waiting(send)
    for one in (item(1), item(2), item(3, "/bad"), item(4, "/good")):
        waiting.put(one)
    assert await waiting.flushed(5)
    assert tries == ["/traces", "/traces", "/bad", "/good"]
    assert (waiting.counts.sent, waiting.counts.refused) == (2, 2)


async def test_one_that_spoils_its_batch_takes_no_others_with_it() -> None:
    kept: list[str] = []

    async def send(one: Item) -> Any:
        ids = [each["id"] for each in one.body["traces"]]
        if "3" in ids:
            raise Invalid("trace 3 is wrong in itself")
        kept.extend(ids)

    waiting = Waiting(send)
    for n in range(7):
        waiting.put(item(n))
    assert await waiting.flushed(3)
    assert kept == ["0", "1", "2", "4", "5", "6"]
    assert (waiting.counts.sent, waiting.counts.refused) == (6, 1)


async def test_what_surefoot_makes_a_mistake_over_each_time_takes_nothing_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("surefoot.sdk.waiting.FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("surefoot.sdk.waiting.LONGEST_PAUSE_S", 0.002)
    kept: list[str] = []

    async def send(one: Item) -> Any:
        ids = [trace["id"] for trace in one.body["traces"]] if one.batch else [one.body["id"]]
        if "3" in ids or (ids[0] == "0" and len(kept) == 0 and len(moody) < 2 and not moody.append(1)):
            raise Mistake("Surefoot made a mistake (ValueError)")
        kept.extend(ids)

    moody: list[int] = []
    waiting = Waiting(send)
    for n in range(7):
        waiting.put(item(n))
    assert await waiting.flushed(10)
    assert kept == ["0", "1", "2", "4", "5", "6"]
    assert (waiting.counts.sent, waiting.counts.refused) == (6, 1)
    assert "ValueError" in waiting.counts.problem


async def test_a_server_that_is_busy_for_long_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surefoot.sdk.waiting.FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("surefoot.sdk.waiting.LONGEST_PAUSE_S", 0.002)
    tries: list[str] = []

    async def send(one: Item) -> Any:
        tries.append(one.path)
        if len(tries) < 40:
            raise Unavailable("too much waits")

    waiting = Waiting(send)
    waiting.put(item(1))
    assert await waiting.flushed(5)
    assert (waiting.counts.sent, waiting.counts.refused) == (1, 0)


async def test_a_token_that_is_refused_loses_nothing() -> None:
    tries: list[str] = []

    async def send(one: Item) -> Any:
        tries.append(one.path)
        if len(tries) < 3:
            raise Unauthenticated("the token is not known")

    waiting = Waiting(send)
    waiting.put(item(1))
    assert await waiting.flushed(5)
    assert (waiting.counts.sent, waiting.counts.refused) == (1, 0)


async def test_a_batch_is_bounded_so_that_no_server_refuses_it_for_its_length() -> None:
    sizes: list[int] = []

    async def send(one: Item) -> Any:
        sizes.append(len(json.dumps(one.body)))

    waiting = Waiting(send)
    for n in range(30):
        waiting.put(Item(method="POST", path="/traces", batch="/traces", body={"id": str(n), "input": "x" * 30_000}))
    assert await waiting.flushed(5)
    assert max(sizes) < 256 * 1024
    assert len(sizes) > 3


async def test_a_place_that_never_answers_is_left_alone_after_three_times() -> None:
    house = House(Place(url="http://127.0.0.1:9"), kept_in=None)
    began = time.monotonic()
    for _ in range(50):
        assert await house.line.reach(house.assigned("support", "session:a", {})) is None
    assert time.monotonic() - began < 3
    closed(house)

"""A share that a connector sets is decided and done in one transaction, whoever else sets one at the same moment."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.audit import verify
from surefoot.core.errors import Conflict
from surefoot.core.process import Vital
from surefoot.engine.connect import connected
from surefoot.engine.enrol import Announced, register
from surefoot.engine.register import stop as switch
from surefoot.engine.weigh import shares, weigh

AGENT = "tickets"
WRITERS = 6


class Well:
    """A process that is where it says, and well."""

    async def permit(self, base_url: str) -> str:
        return base_url

    async def vital(self, base_url: str) -> Vital:
        return Vital(well=True)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An agent whose version 1.0.0 is live, and 2.0.0 and 3.0.0 are candidates."""

    async def work(app: Any) -> None:
        for version in ("1.0.0", "2.0.0", "3.0.0"):
            announced = Announced(agent=AGENT, version=version, base_url=f"http://{version}", content=version)
            await register(app.ports, Well(), announced, by="ops", operates=True, ttl=timedelta(minutes=5))  # type: ignore[arg-type]

    path = tmp_path / "store.db"
    app = build(Settings(store=path), environ={})
    try:
        asyncio.run(work(app))
    finally:
        app.close()
    return path


def at_once(store: Path, wishes: list[tuple[str, float]]) -> list[Any]:
    """Let as many writers, each with its own connection to the file, set a share at the same moment."""
    together = threading.Barrier(len(wishes))

    def writer(wish: tuple[str, float]) -> Any:
        app = build(Settings(store=store), environ={})
        try:
            together.wait(20)
            return asyncio.run(connected(app.ports, AGENT, *wish, by="ops"))[0]
        except Conflict as refused:
            return refused
        finally:
            app.close()

    with ThreadPoolExecutor(len(wishes)) as pool:
        return list(pool.map(writer, wishes))


def looked(store: Path, see: Any) -> Any:
    app = build(Settings(store=store), environ={})
    try:
        return app.store.read_now(see)
    finally:
        app.close()


def test_of_many_who_set_a_share_at_once_each_decides_on_what_the_one_before_left(store: Path) -> None:
    done = at_once(store, [("2.0.0", 3.0 + n) for n in range(WRITERS)])
    assert not [one for one in done if isinstance(one, Conflict)], done
    steps = {one.previous_percent: one.weight_percent for one in done}
    assert len(steps) == WRITERS, "no two saw the same share before"
    walked, at = [], 0.0
    while at in steps:
        at = steps.pop(at)
        walked.append(at)
    assert len(walked) == WRITERS
    assert looked(store, lambda tx: shares(tx, AGENT)) == {1: 100 - walked[-1], 2: walked[-1]}
    assert len(looked(store, lambda tx: tx.rollouts.all(AGENT))) == 1, "one of them began it"
    assert looked(store, lambda tx: verify(tx.audit.all())) is not None


def test_of_two_who_begin_with_different_versions_one_is_refused_and_leaves_nothing_behind(store: Path) -> None:
    first, second = at_once(store, [("2.0.0", 5.0), ("3.0.0", 5.0)])
    refused = [one for one in (first, second) if isinstance(one, Conflict)]
    assert len(refused) == 1
    states = looked(store, lambda tx: [tx.versions.get(AGENT, number).state for number in (2, 3)])
    assert sorted(states) == ["canary", "candidate"]
    assert len(looked(store, lambda tx: tx.rollouts.all(AGENT))) == 1


def test_a_share_that_is_refused_begins_no_rollout(store: Path) -> None:
    async def work(app: Any) -> None:
        await switch(app.ports, AGENT, by="ops", stopped=True, reason="night")
        for wish in (weigh(app.ports, AGENT, 2, 5.0, by="ops"), connected(app.ports, AGENT, "2.0.0", 5.0, by="ops")):
            with pytest.raises(Conflict):
                await wish

    app = build(Settings(store=store), environ={})
    try:
        asyncio.run(work(app))
        assert app.store.read_now(lambda tx: tx.rollouts.all(AGENT)) == []
        assert app.store.read_now(lambda tx: tx.versions.get(AGENT, 2).state) == "candidate"
        assert "wish-share" not in [one.action for one in app.store.read_now(lambda tx: tx.audit.all())]
    finally:
        app.close()

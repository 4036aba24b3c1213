"""Inside a write, which holds the store for everybody, nobody asks the operating system for anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from surefoot.core.errors import Conflict
from surefoot.core.request_key import Busy
from surefoot.engine import once, work
from surefoot.ports.jobs import NoLauncher


class Watched:
    """A store that says whether a write is under way."""

    def __init__(self, store: Any) -> None:
        self._store, self.writing = store, False

    async def read(self, task: Any) -> Any:
        return await self._store.read(task)

    async def write(self, task: Any) -> Any:
        def seen(tx: Any) -> Any:
            self.writing = True
            try:
                return task(tx)
            finally:
                self.writing = False

        return await self._store.write(seen)


@pytest.fixture
def asked(house, monkeypatch):
    """A house whose processes are all dead, and whether that was asked inside a write."""
    store, inside = Watched(house.ports.store), []

    def works(owner: str) -> bool:
        inside.append(store.writing)
        return owner == "new"

    monkeypatch.setattr(once, "works", works)
    monkeypatch.setattr(work, "alive_here", works)
    return replace(house.ports, store=store), inside


async def test_whether_a_request_still_runs_is_asked_before_the_write(asked):
    ports, inside = asked
    assert (await once.take(ports, "ana", "k-1", "request"))[0]
    assert (await once.take(ports, "ana", "k-1", "request"))[0], "whoever had it is dead, and changed nothing"
    assert inside == [False]


async def test_a_key_that_somebody_took_meanwhile_is_theirs(asked, monkeypatch):
    """Between the question and the write another request takes the key of the dead one."""
    ports, inside = asked
    _, mine = await once.take(ports, "ana", "k-1", "request")
    read = ports.store.read

    async def late(task):
        found = await read(task)
        theirs = replace(mine, owner="new", at=mine.at + timedelta(seconds=1), until=mine.until + timedelta(hours=1))
        await ports.store.write(lambda tx: tx.request_keys.put(theirs))
        return found

    monkeypatch.setattr(ports.store, "read", late)
    with pytest.raises(Busy):
        await once.take(ports, "ana", "k-1", "request")
    assert inside == [False]


async def test_whether_jobs_still_run_is_asked_before_the_write(asked):
    ports, inside = asked

    class Launcher(NoLauncher):
        async def launch(self, job: str) -> str:
            return "new" if not inside else "old"

    await work.ask(ports, Launcher(), "tick", ["tick", "a"], agent="a", by="bob")
    with pytest.raises(Conflict, match="does this already"):
        await work.ask(ports, Launcher(), "tick", ["tick", "a"], agent="a", by="bob")
    await work.ask(ports, Launcher(), "tick", ["tick", "b"], agent="b", by="bob")
    await work.ask(ports, Launcher(), "tick", ["tick", "b"], agent="b", by="bob")
    assert inside
    assert not any(inside)

"""Memory on a real store: lookup order, sibling scopes, fifty writers, bounds, expiry, changes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import timedelta

import pytest

from surefoot.core.errors import Conflict
from surefoot.core.memory import MOST_KEYS, Where
from surefoot.engine.remember import append, changes, entries, forget, recall, remember, similar

ONE = Where(agent="support", workflow="w1", session="s1", actor="a1")


async def value(house, where, key, **more):
    found = await recall(house.ports, where, key, **more)
    return None if found is None else found.value


async def test_the_first_scope_that_has_the_key_answers_and_says_which_it_is(house):
    for scope in ("global", "agent", "actor", "session", "workflow"):
        await remember(house.ports, ONE, "k", scope, scope=scope)
    for scope in ("workflow", "session", "actor", "agent", "global"):
        found = await recall(house.ports, ONE, "k")
        assert (found.value, found.place.scope) == (scope, scope)
        assert await forget(house.ports, ONE, "k", scope=scope)
    assert await recall(house.ports, ONE, "k") is None
    assert not await forget(house.ports, ONE, "k", scope="agent")


async def test_siblings_do_not_see_each_other_and_what_is_the_agents_is_seen_by_all(house):
    other = Where(agent="support", workflow="w2", session="s2", actor="a2")
    await remember(house.ports, ONE, "default", 1)
    assert await value(house, other, "default") is None
    await append(house.ports, ONE, "failures", {"text": "wrong"}, scope="agent")
    await append(house.ports, other, "failures", {"text": "wrong again"}, scope="agent")
    assert await value(house, other, "failures") == [{"text": "wrong"}, {"text": "wrong again"}]
    assert await value(house, Where(agent="support"), "failures") == await value(house, ONE, "failures")
    assert await value(house, Where(agent="sales"), "failures") is None


async def test_a_named_scope_is_the_only_one_that_is_looked_at(house):
    await remember(house.ports, ONE, "k", "mine", scope="agent")
    assert await value(house, ONE, "k", scope="session") is None


async def test_fifty_writers_append_and_nothing_is_lost(house):
    await asyncio.gather(*(append(house.ports, ONE, "log", n, scope="agent") for n in range(50)))
    assert sorted(await value(house, ONE, "log", scope="agent")) == list(range(50))


def test_writers_in_other_processes_lose_nothing_either(tmp_path):
    program = """
import asyncio, sys
from pathlib import Path
from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.memory import Where
from surefoot.engine.remember import append
async def main():
    app = build(Settings(store=Path(sys.argv[1])))
    for n in range(25):
        await append(app.ports, Where(agent="x"), "log", f"{sys.argv[2]}-{n}")
    app.close()
asyncio.run(main())
"""
    from surefoot.app import build
    from surefoot.config import Settings

    store = tmp_path / "s.db"
    build(Settings(store=store)).close()
    running = [subprocess.Popen([sys.executable, "-c", program, str(store), str(n)]) for n in range(4)]
    assert [one.wait(60) for one in running] == [0] * 4
    app = build(Settings(store=store))
    found = asyncio.run(recall(app.ports, Where(agent="x"), "log"))
    app.close()
    assert sorted(found.value) == sorted(f"{w}-{n}" for w in range(4) for n in range(25))


async def test_what_expired_is_gone_and_a_new_list_begins(house):
    await remember(house.ports, ONE, "code", 123, scope="agent", ttl_s=60)
    house.later(seconds=59)
    assert await value(house, ONE, "code") == 123
    house.later(seconds=1)
    assert await value(house, ONE, "code") is None
    assert await entries(house.ports, ONE, scope="agent") == []
    assert (await append(house.ports, ONE, "code", 1, scope="agent")).value == [1]
    assert "expire" in [one.action for one in await changes(house.ports, ONE)]


async def test_a_scope_that_is_full_says_so_and_keeps_what_it_has(house, monkeypatch):
    monkeypatch.setattr("surefoot.engine.remember.MOST_KEYS", 3)
    for number in range(3):
        await remember(house.ports, ONE, f"k{number}", number, scope="agent")
    with pytest.raises(Conflict, match="remembers 3 keys" if MOST_KEYS != 3 else ""):
        await remember(house.ports, ONE, "k3", 3, scope="agent")
    await remember(house.ports, ONE, "k0", "new", scope="agent")
    assert len(await entries(house.ports, ONE, scope="agent")) == 3


async def test_changes_are_told_in_order_and_resumed_where_one_left_off(house):
    for number in range(5):
        await remember(house.ports, ONE, f"a.{number}", number)
    await remember(house.ports, Where(agent="support", workflow="w2"), "a.9", 9)
    first = await changes(house.ports, ONE, pattern="a.*", limit=2)
    rest = await changes(house.ports, ONE, pattern="a.*", after=first[-1].seq)
    assert [one.key for one in (*first, *rest)] == [f"a.{number}" for number in range(5)]
    assert await changes(house.ports, ONE, pattern="b*") == []


async def test_a_change_that_fits_is_found_behind_many_that_do_not(house, monkeypatch):
    monkeypatch.setattr("surefoot.engine.remember.PAGE", 3)
    for key in (*(f"a.{n}" for n in range(7)), "b", "a.7", "b.2"):
        await remember(house.ports, ONE, key, 1)
    found = await changes(house.ports, ONE, pattern="b*", limit=1)
    assert [one.key for one in found] == ["b"]
    assert [one.key for one in await changes(house.ports, ONE, pattern="b*", after=found[0].seq)] == ["b.2"]


async def test_changes_of_one_scope_are_told_alone(house):
    await remember(house.ports, ONE, "k", 1, scope="session")
    await remember(house.ports, ONE, "k", 1, scope="agent")
    assert [one.place.scope for one in await changes(house.ports, ONE, scope="session")] == ["session"]


async def test_items_are_found_by_their_words(house):
    for text in ("my card was eaten by the machine", "the parcel never came", "wrong invoice number"):
        await append(house.ports, ONE, "failures", {"text": text}, scope="agent")
    await remember(house.ports, ONE, "other", "nothing alike", scope="global")
    found = await similar(house.ports, ONE, "where is my parcel", limit=1)
    assert json.dumps(found[0].value) == '{"text": "the parcel never came"}'


async def test_the_time_of_a_list_stays_when_items_come(house):
    first = await remember(house.ports, ONE, "log", [], scope="agent", ttl_s=60)
    house.later(seconds=30)
    assert (await append(house.ports, ONE, "log", 1, scope="agent")).expires_at == first.written_at + timedelta(
        seconds=60
    )


async def test_a_long_list_is_read_page_by_page_and_each_key_is_on_one_of_them(
    house, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surefoot.engine.remember.STRETCH", 4)
    for n in range(11):
        await remember(house.ports, ONE, f"k{n:02}", n, scope="agent")
    found: list[str] = []
    while page := await entries(house.ports, ONE, scope="agent", after=found[-1] if found else "", limit=3):
        found += [one.key for one in page]
    assert found == [f"k{n:02}" for n in range(11)]
    assert [one.key for one in await entries(house.ports, ONE, scope="agent", pattern="*1*", limit=2)] == ["k01", "k10"]

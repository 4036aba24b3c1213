"""What the database picks and puts in order is what reading all of it would have given."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import surefoot.adapters.store.audit as audit_room
from surefoot.adapters.store import SqlStore, open_store, tables
from surefoot.core.approval import Approval, state_at
from surefoot.core.audit import sealed
from surefoot.core.backlog import Lever
from surefoot.core.errors import NotFound
from surefoot.ports.audit import AuditFilter

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
STATES = ("open", "doing", "drafted", "shipped", "failed", "closed")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    one = open_store(tmp_path_factory.mktemp("ranks") / "store.db")
    one.write_now(_filled)
    yield one
    one.close()


def _filled(tx: Any) -> None:
    luck = random.Random(7)
    for number in range(120):
        tx.levers.put(Lever(
            id=f"L-{number:03}", agent=luck.choice(["a", "b"]), gap=f"missed:{number}", title="t",
            impact=luck.choice([0.0, 0.1, 0.25, 1.0]), failures=luck.randrange(9), state=luck.choice(STATES),
            tries=luck.randrange(4), severity=luck.choice([0.5, 1.0]), trend=luck.choice([1.0, 1.5]),
        ))  # fmt: skip
        tx.approvals.add(Approval(
            id=f"r-{number:03}", agent=luck.choice(["a", "b", "c"]), rollout="r", version=2, version_digest="v",
            evidence_digest="e", proposers=("p",), requested_at=NOW - timedelta(hours=luck.randrange(200)),
            expires_at=NOW + timedelta(hours=luck.randrange(-90, 90), seconds=30),
            state=luck.choice(["pending", "approved", "rejected"]),
        ))  # fmt: skip
    head, rows = None, list[dict[str, Any]]()
    for _ in range(900):
        subject = luck.choice(["a", "a/v1", "a0", "a-b", "ab/v1", "b", "b/v2", ""]) if luck.random() > 0.05 else "c/v1"
        entry = sealed(head, at=NOW, actor=luck.choice("xyz"), action=luck.choice("pq"), subject=subject, payload={})
        head = (entry.seq, entry.digest)
        rows.append({name: getattr(entry, name) for name in entry.__slots__})
    tx.connection.execute(sa.insert(tables.audit), rows)


@pytest.mark.parametrize("state", ["", *STATES])
def test_levers_come_by_the_worth_that_core_gives_them(store: SqlStore, state: str) -> None:
    every = store.read_now(lambda tx: tx.levers.all("a"))
    wanted = sorted(every, key=lambda one: (one.state not in ("open", "doing"), -one.worth, one.id))
    wanted = [one for one in wanted if not state or one.state == state]
    assert store.read_now(lambda tx: tx.levers.ranked("a", state=state, limit=999)) == wanted
    assert store.read_now(lambda tx: tx.levers.ranked("a", state=state, limit=5)) == wanted[:5]


def test_levers_are_counted_and_found_as_reading_all_of_them_would(store: SqlStore) -> None:
    every = store.read_now(lambda tx: tx.levers.all("a"))
    opened = [one for one in every if one.state in ("open", "doing")]
    states = {state: sum(one.state == state for one in every) for state in STATES}
    assert store.read_now(lambda tx: tx.levers.states("a")) == states
    assert store.read_now(lambda tx: tx.levers.opened("a")) == (len(opened), sum(one.failures for one in opened))
    assert store.read_now(lambda tx: tx.levers.opened("nobody")) == (0, 0)
    gaps = [f"missed:{number}" for number in range(40)]
    assert store.read_now(lambda tx: tx.levers.answering("a", gaps)) == {
        one.gap: one for one in every if one.gap in gaps
    }  # fmt: skip
    assert store.read_now(lambda tx: tx.levers.answering("a", [])) == {}


def test_one_lever_is_found_by_its_id_and_a_missing_one_names_some(store: SqlStore) -> None:
    one = store.read_now(lambda tx: tx.levers.all("a"))[3]
    assert store.read_now(lambda tx: tx.levers.get("a", one.id)) == one
    with pytest.raises(NotFound, match="has no lever"):
        store.read_now(lambda tx: tx.levers.get("b", one.id))


@pytest.mark.parametrize("agents", [(), ("a",), ("a", "c"), ("nobody",)])
def test_what_waits_and_what_does_not_are_all_requests_once(store: SqlStore, agents: tuple[str, ...]) -> None:
    every = [one for one in store.read_now(lambda tx: tx.approvals.all()) if not agents or one.agent in agents]
    waiting = store.read_now(lambda tx: tx.approvals.listed(agents=agents, waiting=NOW))
    over = store.read_now(lambda tx: tx.approvals.decided(NOW, agents=agents, skip=0, limit=999))
    assert sorted(one.id for one in (*waiting, *over)) == sorted(one.id for one in every)
    assert all(state_at(one, NOW) != "pending" for one in over)
    assert over == sorted(over, key=lambda one: (one.requested_at, one.id), reverse=True)
    parts = [store.read_now(lambda tx, skip=skip: tx.approvals.decided(NOW, agents=agents, skip=skip, limit=7))
             for skip in range(0, 126, 7)]  # fmt: skip
    assert [one for part in parts for one in part] == over


@pytest.mark.parametrize("recent", [1, 50, 20_000])
@pytest.mark.parametrize("agent", ["", "a", "b", "c", "a-b", "nobody"])
@pytest.mark.parametrize(("actor", "action"), [("", ""), ("x", ""), ("", "q"), ("y", "p"), ("nobody", "")])
def test_a_page_of_the_record_is_the_same_however_it_is_looked_for(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, recent: int, agent: str, actor: str, action: str
) -> None:
    monkeypatch.setattr(audit_room, "RECENT", recent)
    wanted = AuditFilter(agent=agent, actor=actor, action=action)
    every = store.read_now(lambda tx: tx.audit.all())
    fits = [
        one for one in reversed(every)
        if (not agent or one.subject == agent or one.subject.startswith(f"{agent}/"))
        and (not actor or one.actor == actor) and (not action or one.action == action)
    ]  # fmt: skip
    assert store.read_now(lambda tx: tx.audit.listed(wanted, before=None, limit=30)) == fits[:30]
    older = [one for one in fits if one.seq < 400]
    assert store.read_now(lambda tx: tx.audit.listed(wanted, before=400, limit=30)) == older[:30]


def test_incidents_of_one_state_are_those_of_all(tmp_path: Path) -> None:
    from surefoot.core.incident import Incident

    store = open_store(tmp_path / "store.db")
    one = Incident(id="i-0", agent="a", kind="sentinel", at=NOW, version=1, sentence="s")
    states = ("open", "closed", "open", "closed", "closed")
    found = [replace(one, id=f"i-{number}", state=state) for number, state in enumerate(states)]
    store.write_now(lambda tx: [tx.incidents.add(each) for each in found])
    assert store.read_now(lambda tx: tx.incidents.all("a", state="open")) == [found[0], found[2]]
    assert store.read_now(lambda tx: tx.incidents.all()) == found
    assert store.read_now(lambda tx: tx.vitals.incidents(["a"])).count == 2
    store.close()

"""The contract of incidents, switches, the queue, holdbacks and the stream of labels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from surefoot.adapters.store import open_store
from surefoot.core.errors import Conflict, NotFound
from surefoot.core.incident import Incident
from surefoot.core.rollout import RolloutSettings
from surefoot.core.rollout.standing import Rollout, rollout_named
from surefoot.core.score import Outcome
from surefoot.core.trace import Pin, Trace

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
ODD = "Straße ☃ \x00 \u202e\U0001f600 'quoted\" -- ; DROP TABLE incidents\r\n\t"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = open_store(tmp_path / "store.db")
    yield opened
    opened.close()


def incident(name: str = "i1", **more: Any) -> Incident:
    return Incident(**{"id": name, "agent": "a", "kind": "holdback", "at": NOW, "version": 2, "sentence": ODD,
                       "facts": {"rates": [0.1, None], "text": ODD}, **more})  # fmt: skip


def rollout(name: str, **more: Any) -> Rollout:
    return Rollout(**{
        "id": name, "agent": "a", "challenger": 2, "incumbent": 1, "settings": RolloutSettings(), "state": "draft",
        "weight_percent": 0.0, "epoch": 0, "started_at": NOW, "salt": name, **more,
    })  # fmt: skip


def test_an_incident_comes_back_as_it_was(store):
    store.write_now(lambda tx: tx.incidents.add(incident()))
    assert store.read_now(lambda tx: tx.incidents.get("i1")) == incident()
    with pytest.raises(NotFound, match="'i2'"):
        store.read_now(lambda tx: tx.incidents.get("i2"))


def test_incidents_are_listed_by_agent_oldest_first(store):
    given = [incident("b", at=NOW), incident("a", at=NOW + timedelta(hours=1)), incident("c", agent="other", at=NOW)]
    for one in reversed(given):
        store.write_now(lambda tx, one=one: tx.incidents.add(one))
    assert [one.id for one in store.read_now(lambda tx: tx.incidents.all("a"))] == ["b", "a"]
    assert [one.id for one in store.read_now(lambda tx: tx.incidents.all())] == ["b", "c", "a"]


def test_an_incident_is_written_over_the_revision_it_was_read_at(store):
    store.write_now(lambda tx: tx.incidents.add(incident()))
    after = store.write_now(lambda tx: tx.incidents.swap(replace(incident(), state="closed", closed_by=ODD)))
    assert after.revision == 1
    with pytest.raises(Conflict, match="somebody else"):
        store.write_now(lambda tx: tx.incidents.swap(replace(incident(), note="late")))
    assert store.read_now(lambda tx: tx.incidents.get("i1")) == after


def test_a_switch_is_off_until_it_is_turned_on(store):
    assert store.read_now(lambda tx: tx.switches.get("stop-all")) is None
    for reason in (ODD, "again"):
        store.write_now(lambda tx, reason=reason: tx.switches.on("stop-all", {"by": "eve", "reason": reason}))
        assert store.read_now(lambda tx: tx.switches.get("stop-all")) == {"by": "eve", "reason": reason}
    assert store.read_now(lambda tx: tx.switches.get("other")) is None
    store.write_now(lambda tx: tx.switches.off("stop-all"))
    assert store.read_now(lambda tx: tx.switches.get("stop-all")) is None


def test_any_number_may_wait_and_one_is_in_progress(store):
    waiting = [rollout(f"q{n}", queued=True, started_at=NOW + timedelta(hours=n)) for n in (2, 1)]
    for one in (*waiting, rollout("r1", state="canary")):
        store.write_now(lambda tx, one=one: tx.rollouts.add(one))
    assert [one.id for one in store.read_now(lambda tx: tx.rollouts.queue("a"))] == ["q1", "q2"]
    assert store.read_now(lambda tx: tx.rollouts.active("a")).id == "r1"
    with pytest.raises(Conflict):
        store.write_now(lambda tx: tx.rollouts.add(rollout("r2")))


@pytest.mark.parametrize(
    ("changes", "found"),
    [({"state": "promoted", "holdback_percent": 5.0}, True), ({"state": "promoted"}, False),
     ({"state": "closed", "holdback_percent": 5.0}, False), ({"state": "canary", "holdback_percent": 5.0}, False),
     ({"state": "promoted", "holdback_percent": 5.0, "agent": "other"}, False)],
)  # fmt: skip
def test_a_holdback_is_that_of_a_promoted_rollout(store, changes, found):
    store.write_now(lambda tx: tx.rollouts.add(rollout("r1", **changes)))
    held = store.read_now(lambda tx: tx.rollouts.holdback("a"))
    assert (held is not None) == found
    assert held is None or held.watched


def test_a_rollout_written_before_there_were_holdbacks_has_none(store):
    """Its document lacks the fields; it must not start to serve its old incumbent again."""
    import json
    import sqlite3

    store.write_now(lambda tx: tx.rollouts.add(rollout("r1", state="promoted", weight_percent=100.0)))
    with sqlite3.connect(store.path) as raw:
        document = json.loads(raw.execute("SELECT document FROM rollouts").fetchone()[0])
        for name in ("queued", "thawed_epoch", "promoted_at", "holdback_percent", "alarms"):
            del document[name]
        raw.execute("UPDATE rollouts SET document = ?", (json.dumps(document),))
    assert store.read_now(lambda tx: tx.rollouts.holdback("a")) is None
    assert store.read_now(lambda tx: tx.rollouts.queue("a")) == []
    assert not store.read_now(lambda tx: tx.rollouts.get("r1")).watched


def test_a_scope_names_its_rollout():
    one = rollout("r1")
    assert rollout_named(one.holdback_scope) == rollout_named(one.id) == "r1"
    assert one.holdback_scope != one.id


def test_the_stream_has_one_label_a_unit_in_the_order_of_arrival(store):
    def request(tx, name: str, unit: str, at: int) -> None:
        tx.traces.add(Trace(id=name, agent="a", version=2, unit=unit, input=ODD, output="x", finish="stop",
                            at=NOW + timedelta(seconds=at), rollout="r1:holdback", arm="challenger"))  # fmt: skip

    def say(tx, name: str, verdict: Any) -> None:
        tx.outcomes.add(Outcome(trace_id=name, verdict=verdict, at=NOW, source="test"))

    def scene(tx) -> None:
        for unit, arm in (("ann", "challenger"), ("bob", "incumbent"), ("cid", "challenger")):
            tx.traces.pin(Pin(rollout="r1:holdback", unit=unit, arm=arm, weight_percent=95.0, epoch=0))
        for at, (name, unit) in enumerate((("a1", "ann"), ("a2", "ann"), ("b1", "bob"), ("c1", "cid"))):
            request(tx, name, unit, at)
        for name, verdict in (("b1", "failure"), ("c1", "unknown"), ("a2", "failure"), ("a1", "success")):
            say(tx, name, verdict)

    store.write_now(scene)
    stream = store.read_now(lambda tx: tx.rollouts.label_stream("r1:holdback"))
    assert stream == [("incumbent", 95.0, True), ("challenger", 95.0, False)]
    assert store.read_now(lambda tx: tx.rollouts.label_stream("r1")) == []

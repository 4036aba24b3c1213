"""Retention: what is old goes, what a rollout or a case still needs stays, and every count stays right."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_house import START, House

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.job import Job
from surefoot.core.retention import Retention, due
from surefoot.core.token import any_agent
from surefoot.engine.inspect import miscounted
from surefoot.engine.observe import observe
from surefoot.engine.once import this_process
from surefoot.engine.pause import decide_pause, pause
from surefoot.engine.retain import retain, retain_daily
from surefoot.engine.rollback import rollback
from surefoot.engine.triage import sort_into_cases

MONTH = Retention(
    traces_days=30, spans_days=30, memory_days=30, evals_days=30, notices_days=30, pauses_days=30, jobs_days=30
)


def later(house: House, days: float) -> None:
    house.clock.now += timedelta(days=days)


def right(house: House) -> bool:
    """Whether every running count is what its rows say."""
    return house.see(lambda tx: tx.deleting.counted_right("support")) and house.do(miscounted(house.ports)) == []


def inputs(house: House) -> set[str]:
    return {row[0] for row in house.rows("SELECT input FROM traces WHERE finish <> 'gone'")}


def cased(house: House) -> None:
    house.app.store.write_now(lambda tx: sort_into_cases(tx, "support"))


@given(
    days=st.none() | st.floats(0.1, 1000),
    needed=st.lists(st.tuples(st.sampled_from(["r1", "r2"]), st.floats(0, 2000)), max_size=4),
)
def test_nothing_goes_that_is_younger_than_its_days_or_than_a_rollout_needs(
    days: float | None, needed: list[tuple[str, float]]
) -> None:
    since = [(name, START - timedelta(days=age)) for name, age in needed]
    found = due(Retention(traces_days=days), START, since)
    if days is None:
        assert found.before is None
        return
    assert found.before is not None
    assert found.before <= START - timedelta(days=days)
    assert all(found.before <= moment for _, moment in since)
    assert bool(found.held_by) == any(moment < START - timedelta(days=days) for _, moment in since)


@pytest.mark.parametrize("days", [0, -1, 1e9, float("nan")])
def test_days_that_make_no_sense_are_refused(days: float) -> None:
    with pytest.raises(Invalid):
        Retention(traces_days=days)


def test_without_days_nothing_goes(house: House) -> None:
    house.ask("old")
    later(house, 10_000)
    assert house.do(retain(house.ports, Retention())).counts == {}
    assert house.do(retain_daily(house.ports, Retention())) is None
    assert inputs(house) == {"old"}


def test_old_requests_go_with_all_that_hangs_on_them_and_a_dry_run_says_how_many(house: House) -> None:
    for n in range(5):
        house.ask(f"old {n}", expected="refund", session="s", actor="ann")
    unlabelled = house.ask("old and never judged")
    cased(house)
    later(house, 31)
    young = house.ask("young", expected="refund")
    would = house.do(retain(house.ports, MONTH, dry_run=True))
    assert (would.counts["traces"], would.dry_run) == (6, True)
    assert len(inputs(house)) == 7
    done = house.do(retain(house.ports, MONTH))
    assert {kind: done.counts[kind] for kind in ("traces", "outcomes", "failures")} == {
        "traces": 6, "outcomes": 5, "failures": 5
    }  # fmt: skip
    assert inputs(house) == {"young"}
    assert [row[0] for row in house.rows("SELECT trace_id FROM failures")] == [young]
    assert len(house.rows("SELECT 1 FROM cases")) == 5, "cases stay: they are what the agent is tested with"
    verdicts = house.see(lambda tx: tx.outcomes.labelled("support"))
    assert (verdicts.failure, verdicts.unknown) == (6, 1), "what was counted stays counted"
    assert right(house)
    entry = house.see(lambda tx: tx.audit.all())[-1]
    assert (entry.action, entry.payload["traces"]) == ("deleted-by-age", 6)
    assert house.do(retain(house.ports, MONTH)).counts == {}
    with pytest.raises(Exception, match=unlabelled):
        house.do(observe(house.ports, unlabelled, expected="refund", sees=any_agent))


def test_a_labelled_request_stays_until_a_case_was_made_of_it(house: House) -> None:
    house.ask("not sorted yet", expected="refund")
    later(house, 31)
    assert house.do(retain(house.ports, MONTH)).counts == {}
    cased(house)
    assert house.do(retain(house.ports, MONTH)).counts["traces"] == 1


def test_a_rollout_in_progress_keeps_what_it_is_decided_from_and_an_ended_one_keeps_its_counts(house: House) -> None:
    house.ask("before the challenger", expected="refund")
    later(house, 10)
    rollout = house.canary()
    for n in range(20):
        house.ask(f"in the canary {n}", expected="refund" if n % 2 else "billing", actor=f"u{n}")
        house.ask(f"in the canary {n} again", expected="refund", actor=f"u{n}")
    cased(house)
    later(house, 100)
    before = house.see(lambda tx: (tx.rollouts.strata(rollout), tx.rollouts.assigned(rollout)))
    assert sum(one.labels for one in before[0]) == 20
    done = house.do(retain(house.ports, MONTH))
    assert done.counts["traces"] == 1
    assert done.held == {"support": rollout}
    assert len(inputs(house)) == 40
    house.do(rollback(house.ports, "support", by="bob", reason="enough"))
    done = house.do(retain(house.ports, MONTH))
    assert (done.counts["kept"], done.counts["traces"], done.held) == (20, 20, {})
    assert inputs(house) == set()
    assert house.see(lambda tx: (tx.rollouts.strata(rollout), tx.rollouts.assigned(rollout))) == before
    assert right(house), "recounted from what is left, the evidence is what it was"
    leftover = house.rows("SELECT input, output, actor, session, source, slices FROM traces")
    assert {tuple(row) for row in leftover} == {("", "", "", "", "", "{}")}


def test_a_skeleton_takes_a_late_verdict_but_compares_nothing(house: House) -> None:
    rollout = house.canary()
    trace = house.ask("kept bare", expected="billing", actor="u1")
    cased(house)
    house.do(rollback(house.ports, "support", by="bob", reason="enough"))
    later(house, 31)
    house.do(retain(house.ports, MONTH))
    with pytest.raises(Conflict, match="were deleted"):
        house.do(observe(house.ports, trace, expected="billing", sees=any_agent))
    house.do(observe(house.ports, trace, verdict="failure", sees=any_agent))
    assert right(house)
    assert house.see(lambda tx: tx.rollouts.strata(rollout))[0].labels == 1
    with house.serving() as door:
        door.get(f"/traces/{trace}", code=404)
        assert door.all("/agents/support/traces", "traces") == []


def test_it_runs_once_a_day_whichever_worker_comes_first(house: House) -> None:
    house.ask("old")
    later(house, 31)
    first = house.do(retain_daily(house.ports, MONTH))
    assert first is not None
    assert first.counts["traces"] == 1
    assert house.do(retain_daily(house.ports, MONTH)) is None
    later(house, 1)
    assert house.do(retain_daily(house.ports, MONTH)) is not None


def test_other_kinds_go_by_their_own_days(house: House) -> None:
    from surefoot.core.memory import Where
    from surefoot.engine.remember import entries, remember

    where = Where(agent="support", session="s1", actor="ann")
    for scope in ("session", "actor", "agent"):
        house.do(remember(house.ports, where, "k", "v", scope=scope))
    later(house, 31)
    assert house.do(retain(house.ports, MONTH)).counts == {"memory": 1}
    kept: list[Any] = [house.do(entries(house.ports, where, scope=one)) for one in ("session", "actor", "agent")]
    assert [len(one) for one in kept] == [0, 1, 1], "what is known of a person or an agent is not a question of age"


def test_waits_that_are_over_and_work_that_has_ended_go_and_what_goes_on_stays(house: House) -> None:
    for name, hours in (("decided", 8000.0), ("expired", 1.0), ("waits", 8000.0)):
        house.do(pause(house.ports, "support", name, by="app", hours=hours, reason="ann's order"))
    house.do(decide_pause(house.ports, "support", "decided", "approved", by="bob"))
    gone, mine = "elsewhere:1", this_process()
    for name, state, owner in (("done", "done", gone), ("works", "running", mine), ("died", "running", dead_process())):
        job = Job(id=name, kind="tick", agent="support", words=("tick",), by="ann", at=house.clock.now, state=state,
                  owner=owner, files={"suite.yaml": "Whiskerina"})  # fmt: skip
        house.app.store.write_now(lambda tx, j=job: tx.jobs.add(j))
    later(house, 31)
    would = house.do(retain(house.ports, MONTH, dry_run=True)).counts
    assert (would["pauses"], would["jobs"]) == (2, 1)
    assert house.do(retain(house.ports, MONTH)).counts == {"pauses": 2, "jobs": 2}
    assert [row[0] for row in house.rows("SELECT name FROM pauses")] == ["waits"]
    assert [row[0] for row in house.rows("SELECT id FROM jobs")] == ["works"]


def dead_process() -> str:
    """A process of this machine that has ended."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return f"{this_process().rpartition(':')[0]}:{gone.pid}"


def test_requests_and_outcomes_come_in_while_old_ones_go_and_nothing_is_miscounted(house: House) -> None:
    for n in range(60):
        house.ask(f"old {n}", expected="refund")
    cased(house)
    later(house, 31)
    with house.serving() as door:
        stop = threading.Event()
        sent: list[str] = []

        def serve() -> None:
            while not stop.is_set():
                body = {"model": "support", "messages": [{"role": "user", "content": f"young {len(sent)}"}]}
                got = door.ask("POST", "/v1/chat/completions", as_="app", json=body)
                assert got.status_code == 200, got.text
                trace = got.headers["x-surefoot-trace-id"]
                door.post("/outcomes", {"trace_id": trace, "expected": "billing"})
                sent.append(trace)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            assert house.do(retain(house.ports, MONTH)).counts["traces"] == 60
        finally:
            stop.set()
            thread.join(20)
    assert sent
    assert {row[0] for row in house.rows("SELECT id FROM traces")} == set(sent)
    verdicts = house.see(lambda tx: tx.outcomes.labelled("support"))
    assert (verdicts.failure, verdicts.success, verdicts.unknown) == (60, len(sent), 0)
    assert right(house)

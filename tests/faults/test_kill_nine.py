"""`kill -9` at random moments of a tick and of a rollout: a restart finishes the work, and applies it once."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import victim

from surefoot.adapters.store import SqlStore, open_store
from surefoot.core.audit import verify
from surefoot.engine.operate import ENDED

VICTIM = Path(__file__).with_name("victim.py")
Facts = dict[str, object]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an agent that failed often enough; every sequence of kills starts from a copy of it."""
    store = tmp_path_factory.mktemp("faults") / "prepared.db"
    app = victim.opened(store)
    asyncio.run(victim.prepare(app.ports))
    app.close()
    return store


def start(job: str, store: Path, *, fault: str = "") -> subprocess.Popen[str]:
    """Start the victim and wait until it is at work."""
    process = subprocess.Popen(
        [sys.executable, str(VICTIM), job, str(store)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FAULT": fault}, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", f"the victim did not start: {line}{process.communicate()[1]}"
    return process


def finished(process: subprocess.Popen[str], *, within_s: float) -> bool:
    """Wait for the victim to end by itself; kill -9 when the time is up. Gives whether it ended."""
    try:
        _, errors = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    assert process.returncode == 0, errors
    return True


def at_rest(job: str, store: Path) -> None:
    """Run the victim to its end."""
    assert finished(start(job, store), within_s=180)


def survive(
    job: str, prepared: Path, place: Path, check: Callable[[SqlStore], Facts], *, kills: int, seed: int
) -> None:
    """Kill the job at `kills` random moments in all; compare each finished store with one that was never killed."""
    chance, done, round_number = random.Random(seed), 0, 0
    reference = _copy(prepared, place / "reference.db")
    started = time.monotonic()
    at_rest(job, reference)
    longest = max(0.3, time.monotonic() - started)
    expected = looked(reference, check)
    while done < kills:
        round_number += 1
        store = _copy(prepared, place / f"round-{round_number}.db")
        for _ in range(12):  # then it may end in peace
            if done >= kills or finished(start(job, store), within_s=chance.uniform(0, longest)):
                break
            done += 1
        at_rest(job, store)
        assert looked(store, check) == expected, f"round {round_number} after {done} kills (seed {seed})"


def _copy(prepared: Path, to: Path) -> Path:
    for suffix in ("", "-wal", "-shm"):
        source = prepared.with_name(prepared.name + suffix)
        if source.exists():
            shutil.copy(source, to.with_name(to.name + suffix))
    return to


def looked(path: Path, check: Callable[[SqlStore], Facts]) -> Facts:
    """Read what must be equal, and assert what must hold in every store."""
    store = open_store(path)
    try:
        found = store.read_now(lambda tx: verify(tx.audit.all()))
        assert found.intact, found.problem
        assert store.engine.connect().exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        return check(store)
    finally:
        store.close()


def after_ticks(store: SqlStore) -> Facts:
    """What two ticks amount to: nothing lost, nothing twice, no money reserved twice."""

    def read(tx) -> Facts:
        name = victim.AGENT
        agent, draft = tx.agents.get(name), tx.drafts.get(name)
        scopes = [f"{name}/tick/1", f"{name}/tick/2"]
        spent = [tx.ledgers.get(scope, agent.habits.tick_budget) for scope in scopes]
        assert not [key for ledger in spent for key, _ in ledger.reserved], "a reservation was never settled"
        actions = [entry.action for entry in tx.audit.all()]
        assert actions.count("tick-started") == actions.count("tick-ended") == 2
        return {
            "tick": agent.tick,
            "proposals": [(p.id, p.state, [e.fingerprint for e in p.proposal.edits]) for p in tx.proposals.all(name)],
            "versions": [(v.number, v.genome, v.state) for v in tx.versions.all(name)],
            "looks": [(look.digest, look.verdict) for look in tx.looks.all(name)],
            "draft": draft and [edit.fingerprint for edit in draft.edits],
            "levers": [(lever.gap, lever.state, lever.tries) for lever in tx.levers.all(name)],
            "lessons": len(tx.lessons.all(name)),
            "rollouts": len(tx.rollouts.all(name)),
            "calls": [ledger.settled.calls for ledger in spent],
            "audit": sorted(actions),
        }

    return json.loads(json.dumps(store.read_now(read)))


def after_rollout(store: SqlStore) -> Facts:
    """What a rollout comes to: one promotion, every step with a row of its own, shares that mean what they say."""

    def read(tx) -> Facts:
        (rollout,) = tx.rollouts.all(victim.AGENT)
        history = tx.rollouts.history(rollout.id)
        actions = [entry.action for entry in tx.audit.all()]
        assert [row.seq for row in history] == list(range(1, rollout.steps + 1)), "a reconcile was lost or came twice"
        assert rollout.state in ENDED
        moves = [(row.weight_before, row.weight_after) for row in history if row.weight_before != row.weight_after]
        assert all(after == before for (_, after), (before, _) in itertools.pairwise(moves))
        served = tx.outcomes.labelled(victim.AGENT)
        assert served.failure + served.success + served.unknown > 0
        return {
            "state": rollout.state,
            "live": tx.agents.get(victim.AGENT).live,
            "lineage": [number for number, _, _, _ in tx.agents.lineage(victim.AGENT)],
            "promotions": actions.count("rollout-promote"),
            "started": actions.count("rollout-started"),
            "approvals": [approval.state for approval in tx.approvals.all(victim.AGENT)],
        }

    return json.loads(json.dumps(store.read_now(read)))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_tick_killed_a_few_times_is_finished_and_applied_once(prepared: Path, tmp_path: Path) -> None:
    survive("tick", prepared, tmp_path, after_ticks, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_rollout_killed_a_few_times_is_finished_and_applied_once(prepared: Path, tmp_path: Path) -> None:
    survive("rollout", prepared, tmp_path, after_rollout, kills=3, seed=2)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [11, 12])
def test_a_tick_survives_kill_nine_at_random_moments(prepared: Path, tmp_path: Path, seed: int) -> None:
    survive("tick", prepared, tmp_path, after_ticks, kills=10, seed=seed)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [21, 22])
def test_a_rollout_survives_kill_nine_at_random_moments(prepared: Path, tmp_path: Path, seed: int) -> None:
    survive("rollout", prepared, tmp_path, after_rollout, kills=10, seed=seed)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("moment", ["before", "inside", "after"])
@pytest.mark.parametrize("action", ["ramp", "hold", "await_approval", "promote"])
def test_a_rollout_survives_kill_nine_at_each_boundary_of_a_reconcile(
    prepared: Path, tmp_path: Path, action: str, moment: str
) -> None:
    store = _copy(prepared, tmp_path / "store.db")
    process = start("rollout", store, fault=f"{action}:{moment}")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, "the fault never came"
    at_rest("rollout", store)
    facts = looked(store, after_rollout)
    assert (facts["state"], facts["promotions"], facts["started"], facts["lineage"]) == ("promoted", 1, 1, [1, 2])

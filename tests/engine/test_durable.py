"""The workflow engine: waiting for a person is durable, and whoever starts next takes over what a dead one left."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.edit import Edit, apply_edits
from surefoot.core.errors import Conflict, Unavailable
from surefoot.core.rollout import RolloutSettings
from surefoot.core.starter import starting_genome
from surefoot.core.token import any_agent
from surefoot.engine import durable
from surefoot.engine.approve import approve, waiting
from surefoot.engine.cancel import cancel_tick
from surefoot.engine.observe import observe
from surefoot.engine.operate import start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.serve import serve
from surefoot.engine.survey import found

LABELS = ("left", "right")


@pytest.fixture
def app(tmp_path: Path):
    opened = build(Settings(store=tmp_path / "surefoot.db"), environ={})
    yield opened
    opened.close()


async def rollout_under_way(app: App) -> str:
    """An agent that always fails, and a challenger that never does, on live traffic."""
    habits = Habits(rollout=RolloutSettings(ledger_slots=None, min_fresh_labels=5, holdback_percent=0))
    base = starting_genome(LABELS)
    await create_agent(app.ports, "compass", base, by="ada", labels=LABELS, habits=habits)
    wrong = Edit(kind="add", target="rule-1", text="If the message mentions alpha, answer left.")
    version = await offer_version(app.ports, "compass", apply_edits(base, [wrong]), by="ada", rationale="alpha is left")
    return (await start_rollout(app.ports, "compass", version.number, by="ada", forced_by="ada")).id


async def traffic(app: App, requests: int, start: int = 0) -> None:
    """Requests whose right answer only the challenger is sure to know."""
    for number in range(start, start + requests):
        served = await serve(app.ports, "compass", f"alpha {number}", unit=f"u{number}", source=f"u{number}")
        live = await app.store.read(lambda tx: tx.agents.get("compass").live)
        verdict = "success" if served.version != 1 or live != 1 else "failure"
        await observe(app.ports, served.trace_id, verdict=verdict, sees=any_agent)


async def until(holds: Callable[[], bool], app: App, seconds: float = 20) -> None:
    """Wait for a fact in the store."""
    for _ in range(int(seconds / 0.02)):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen in time")


def state(app: App, rollout: str) -> str:
    return app.store.read_now(lambda tx: tx.rollouts.get(rollout).state)


async def asked(app: App, worker: durable.Durable, rollout: str) -> str:
    """Operate the rollout until a person is asked; gives the request's id."""
    await worker.operate(rollout, interval_s=0.02)
    count = 0
    while state(app, rollout) != "awaiting_approval":
        await traffic(app, 20, start=count)
        count += 20
        assert count < 5_000, "the win never came"
    return (await waiting(app.ports))[0].id


async def test_a_decision_made_by_another_process_wakes_the_operator_at_once(app: App) -> None:
    rollout = await rollout_under_way(app)
    async with app.worker(poll_s=0.01) as worker:
        request = await asked(app, worker, rollout)
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "surefoot", "--store", str(app.store.path), "approve", request,
                             "--by", "grace"], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        ended = await worker.operated(rollout)
    assert ended["state"] == "promoted"
    assert app.store.read_now(lambda tx: tx.agents.get("compass").live) == 2


async def test_waiting_for_a_person_survives_a_restart_and_costs_no_reconcile_while_nothing_moves(app: App) -> None:
    rollout = await rollout_under_way(app)
    async with app.worker(poll_s=0.01) as worker:
        request = await asked(app, worker, rollout)
    assert state(app, rollout) == "awaiting_approval"
    await approve(app.ports, request, "approved", by="grace")
    async with app.worker(poll_s=0.01) as worker:  # the workflow of the one before is taken over
        await until(lambda: state(app, rollout) == "promoted", app)
        await worker.settled()
    assert [e.action for e in app.store.read_now(lambda tx: tx.audit.all())].count("rollout-promote") == 1


async def test_a_rollback_fires_while_a_person_is_being_asked(app: App) -> None:
    from surefoot.engine.rollback import rollback

    rollout = await rollout_under_way(app)
    async with app.worker(poll_s=0.01) as worker:
        request = await asked(app, worker, rollout)
        await rollback(app.ports, "compass", by="grace", reason="no")
        await worker.wake(rollout)
        assert (await worker.operated(rollout))["state"] == "rolled_back"
    with pytest.raises(Conflict, match="stale"):
        await approve(app.ports, request, "approved", by="grace")


async def test_a_long_rollout_goes_on_in_a_chain_of_workflows(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "TURNS", 3)
    rollout = await rollout_under_way(app)
    async with app.worker(poll_s=0.01) as worker:
        request = await asked(app, worker, rollout)
        await approve(app.ports, request, "approved", by="grace")
        await worker.wake(rollout)
        assert (await worker.operated(rollout))["state"] == "promoted"
    with sqlite3.connect(app.store.path) as raw:
        links = raw.execute("SELECT COUNT(*) FROM workflow_status WHERE workflow_uuid LIKE 'operate:%'").fetchone()[0]
    assert links > 1


async def test_an_expired_request_promotes_nothing_and_a_person_is_asked_anew(app: App, tmp_path: Path) -> None:
    rollout = await rollout_under_way(app)
    async with app.worker(poll_s=0.01) as worker:
        request = await asked(app, worker, rollout)
    later = build(
        Settings(store=tmp_path / "surefoot.db"), environ={}, clock=lambda: datetime.now(UTC) + timedelta(hours=73)
    )
    async with later.worker(poll_s=0.01) as worker:
        await worker.reconcile(rollout)
        states = {a.id: a.state for a in later.store.read_now(lambda tx: tx.approvals.all("compass"))}
        assert states[request] == "expired"
        assert sorted(states.values()) == ["expired", "pending"]
        with pytest.raises(Conflict):
            await approve(later.ports, request, "approved", by="grace")
    assert state(app, rollout) == "awaiting_approval"
    later.close()


async def test_two_operators_at_once_promote_once(app: App) -> None:
    rollout = await rollout_under_way(app)
    async with app.worker(poll_s=0.01) as worker:
        request = await asked(app, worker, rollout)
        await approve(app.ports, request, "approved", by="grace")
        await asyncio.gather(*(worker.reconcile(rollout) for _ in range(8)), return_exceptions=True)
        await worker.wake(rollout)
        await worker.operated(rollout)
    actions = [entry.action for entry in app.store.read_now(lambda tx: tx.audit.all())]
    assert actions.count("rollout-promote") == 1
    assert app.store.read_now(lambda tx: [n for n, *_ in tx.agents.lineage("compass")]) == [1, 2]


async def test_a_tick_that_policy_forbids_says_so_and_leaves_nothing_behind(app: App) -> None:
    from surefoot.core.policy import Policy

    await create_agent(
        app.ports, "vault", starting_genome(LABELS), by="ada", labels=LABELS, policy=Policy(stakes="high")
    )
    async with app.worker(poll_s=0.01) as worker:
        with pytest.raises(Exception, match="report-only"):
            await worker.tick("vault")
        assert await worker.pending() == []
    assert app.store.read_now(lambda tx: tx.agents.get("vault").tick) == 0


def test_a_workflow_without_its_engine_is_an_operators_error() -> None:
    with pytest.raises(Unavailable, match="not running"):
        durable._ports()


async def test_a_version_that_was_never_put_before_the_gate_gets_no_traffic_unless_a_person_forces_it(app: App) -> None:
    base = starting_genome(LABELS)
    await create_agent(app.ports, "compass", base, by="ada", labels=LABELS)
    rule = Edit(kind="add", target="rule-1", text="If the message mentions alpha, answer left.")
    version = await offer_version(app.ports, "compass", apply_edits(base, [rule]), by="ada", rationale="alpha is left")
    with pytest.raises(Conflict, match="never put before the gate"):
        await start_rollout(app.ports, "compass", version.number, by="grace")
    assert app.store.read_now(lambda tx: tx.versions.get("compass", 2).state) == "candidate"
    assert (
        await start_rollout(app.ports, "compass", version.number, by="grace", forced_by="grace")
    ).forced_by == "grace"


async def test_a_worker_whose_work_was_taken_over_while_it_slept_lets_go_of_it_when_it_wakes(app: App) -> None:
    """Its machine was suspended for longer than a lease, and a worker on another machine claimed its executor."""
    rollout = await rollout_under_way(app)
    async with app.worker(poll_s=0.01) as worker:
        await worker.operate(rollout, interval_s=1000)
        await until(lambda: bool(durable._running()), app)
        await worker._beat()
        assert durable._running(), "a heartbeat in time changes nothing"
        app.store.write_now(lambda tx: tx.executors.claim(lambda *_: True))
        await worker._beat()
        assert not durable._running()
        assert [one.id for one in await worker.pending()] == [f"operate:{rollout}:0"], "whoever took it goes on with it"


def test_the_machine_of_an_executor_is_told_apart_from_one_whose_name_begins_alike() -> None:
    assert durable._host("web-2-77-1a2b3c4d") == "web-2"
    assert durable._host("web-77-1a2b3c4d") == "web"


async def test_a_tick_that_broke_off_reads_as_lost_and_can_be_called_off(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise Unavailable("the model is away", hint="wait")

    async def state() -> str:
        return (await found(app.ports, "tick", "compass/tick-1", sees=any_agent)).state

    await create_agent(app.ports, "compass", starting_genome(LABELS), by="ada", labels=LABELS)
    monkeypatch.setattr("surefoot.engine.tick.triage", broken)
    async with app.worker() as worker:
        with pytest.raises(Unavailable, match="the model is away"):
            await worker.tick("compass")
        assert await state() == "lost", "nobody goes on with it, though its worker lives"
        assert await cancel_tick(app.ports, "compass", 1, by="ada", reason="it is over")
        assert await state() == "cancelled"


async def test_a_store_that_is_busy_for_a_moment_does_not_end_the_heartbeat(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[bool] = []

    async def beat(_: object) -> None:
        beats.append(True)
        if len(beats) == 2:
            raise Unavailable("the store is busy")

    async with app.worker():
        pass
    monkeypatch.setattr(durable, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(durable.Durable, "_beat", beat)
    async with app.worker():
        await until(lambda: len(beats) > 5, app)

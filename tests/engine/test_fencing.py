"""A worker that slept past its lease, because its machine was suspended, does not go on as if it held the work.

The clock is scripted, and a worker that sleeps renews nothing (`RENEW_S` is an age). All else is real: two workers on
one store, the second one takes up what the first one let lapse, and then the first one wakes.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from exam_house import Subject, a_suite, exams, verdicts
from hypothesis import given
from hypothesis import strategies as st

from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.errors import Conflict
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.suite import SuiteCase
from surefoot.core.worker import HEARTBEAT_S, LEASE, LEFT, fenced, holds, standing
from surefoot.engine import claim
from surefoot.engine.run import Terms, begin, cancel, carry_out

START = datetime(2026, 3, 1, tzinfo=UTC)


class Story:
    """A clock that stands until somebody moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Suspended(Subject):
    """A subject that answers some cases, and then not before its machine wakes."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.left, self.awake, self.asleep = answers, asyncio.Event(), asyncio.Event()

    async def answer(self, case: SuiteCase, epoch: int) -> Observed:
        if self.left <= 0:
            self.asleep.set()
            await self.awake.wait()
        self.left -= 1
        return await super().answer(case, epoch)


@pytest.fixture
def clock() -> Story:
    return Story()


@pytest.fixture
def app(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(claim, "RENEW_S", 3600)
    made = build(Settings(store=tmp_path / "s.db"), environ={})
    yield replace(made, ports=replace(made.ports, clock=clock))
    made.close()


async def asleep(app, subject, run, terms) -> asyncio.Task:
    """Let a worker begin, until its machine is suspended."""
    going = asyncio.create_task(carry_out(app.ports, exams(app), subject, run.id, terms))
    await asyncio.wait_for(subject.asleep.wait(), 10)
    return going


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("answers", [0, 3, 17])
async def test_who_wakes_up_after_another_took_its_work_writes_nothing_more(app, clock, shared, answers):
    suite, terms = a_suite(24), Terms(concurrency=4, shared=shared)
    late, quick = Suspended(answers), Subject()
    run = await begin(app.ports, exams(app), suite, quick, terms)
    going = await asleep(app, late, run, terms)
    clock.pass_(claim.LEASE.total_seconds() + 1)
    done = await carry_out(app.ports, exams(app), quick, run.id, terms)
    assert done.state == "done"
    before = await verdicts(app, run.id)
    late.awake.set()
    with pytest.raises(Conflict, match="slept past its lease"):
        await asyncio.wait_for(going, 10)
    after = await app.store.read(lambda tx: tx.evals.run(run.id))
    assert (after.state, after.revision) == (done.state, done.revision)
    assert await verdicts(app, run.id) == before
    assert len(before) == 24


async def test_who_slept_while_nobody_else_came_goes_on(app, clock):
    suite, terms, late = a_suite(12), Terms(concurrency=2), Suspended(3)
    run = await begin(app.ports, exams(app), suite, late, terms)
    going = await asleep(app, late, run, terms)
    clock.pass_(86_400)
    late.left = 1000
    late.awake.set()
    assert (await asyncio.wait_for(going, 10)).state == "done"
    assert len(await verdicts(app, run.id)) == 12


async def test_a_run_that_was_closed_while_its_worker_slept_stays_closed(app, clock):
    """It was cancelled on another machine, where its worker counted as gone."""
    suite, terms, late = a_suite(12), Terms(concurrency=2), Suspended(3)
    run = await begin(app.ports, exams(app), suite, late, terms)
    going = await asleep(app, late, run, terms)
    await app.store.write(lambda tx: tx.evals.swap(replace(tx.evals.run(run.id), worker="another-host:7")))
    clock.pass_(claim.LEASE.total_seconds() + 1)
    assert (await cancel(app.ports, run.id, by="olga", reason="gone")).state == "cancelled"
    late.left = 1000
    late.awake.set()
    with pytest.raises(Conflict, match="slept past its lease"):
        await asyncio.wait_for(going, 10)
    assert (await app.store.read(lambda tx: tx.evals.run(run.id))).state == "cancelled"


async def test_claims_that_another_took_are_never_renewed(app, clock):
    suite, terms = a_suite(4), Terms(shared=True)
    run = await begin(app.ports, exams(app), suite, Subject(), terms)
    trials = [claim.Trial(case, 0) for case in suite.cases]
    mine, theirs = (claim.Claims(app.ports, run.id, ()) for _ in range(2))
    assert len(await mine.take(trials[:2])) == 2
    for _ in range(5):  # as long as it renews in time it keeps them
        clock.pass_(claim.LEASE.total_seconds() - 1)
        await mine.renewed()
        assert await theirs.take(trials[:2]) == []
        await theirs.renewed()
    clock.pass_(claim.LEASE.total_seconds() + 1)
    assert len(await theirs.take(trials[1:3])) == 2
    for what in (mine.renewed(), mine.take(trials[3:])):
        with pytest.raises(Conflict):
            await what
    await theirs.renewed()


async def test_whatever_sleeps_and_wakes_no_trial_is_ever_held_by_two_that_may_write(app, clock):
    """Workers take, renew, sleep and wake in any order; of each trial at most one may write at any moment."""
    suite, chance = a_suite(6), random.Random(5)
    run = await begin(app.ports, exams(app), suite, Subject(), Terms(shared=True))
    trials = [claim.Trial(case, 0) for case in suite.cases]
    workers = [claim.Claims(app.ports, run.id, ()) for _ in range(4)]
    believes: dict[int, set[str]] = {at: set() for at in range(4)}
    stopped, stops = set[int](), 0
    for _ in range(400):
        at = chance.randrange(4)
        if at in stopped:
            workers[at], believes[at] = claim.Claims(app.ports, run.id, ()), set()
            stopped.discard(at)
        clock.pass_(chance.choice((0, 1, 5, 25)))
        try:
            if chance.random() < 0.5:
                await workers[at].renewed()
            else:
                got = await workers[at].take(chance.sample(trials, 2))
                believes[at] |= {trial.case.id for trial in got}
        except Conflict:
            stopped.add(at)
            stops += 1

        def may_write(tx: Any) -> list[set[str]]:
            found = []
            for one in set(believes) - stopped:
                try:
                    workers[one].must_hold(tx)
                except Conflict:
                    continue
                found.append(believes[one])
            return found

        held = await app.store.read(may_write)
        assert sum(len(one) for one in held) == len(set().union(*held)), held
    assert stops > 10


# Core ----------------------------------------------------------------------------------------------------------------

MOMENTS = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)
ALIVE = st.sampled_from([True, False, None])


@given(silence=MOMENTS, alive=ALIVE)
def test_a_worker_holds_its_work_only_within_its_lease_and_never_once_its_process_is_dead(silence, alive):
    now = START
    word = standing(now - timedelta(seconds=silence), now, alive_here=alive)
    assert holds(now - timedelta(seconds=silence), now, alive_here=alive) == (word == "at work")
    assert (word == "dead") == (alive is False)
    assert (word == "silent") == (alive is not False and timedelta(seconds=silence) > LEASE)


@given(alive=ALIVE)
def test_who_left_in_peace_holds_nothing_and_who_never_says_so_counts_by_its_process(alive):
    assert standing(START, START, alive_here=alive, pid=LEFT) == "left"
    assert holds(None, START, alive_here=alive) == (alive is not False)


@given(late=MOMENTS, taken=st.booleans())
def test_only_who_is_late_and_whose_work_was_taken_must_stop(late, taken):
    assert fenced(START, START + timedelta(seconds=late), taken=taken) == (
        taken and timedelta(seconds=late) > timedelta()
    )


def test_a_lease_outlasts_several_heartbeats_so_that_one_that_is_late_costs_nothing():
    assert LEASE.total_seconds() >= 3 * HEARTBEAT_S

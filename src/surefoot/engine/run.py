"""Run: examine a subject on a suite, make every verdict durable when it is there, and conclude.

`begin` keeps the run with its suite as it is; `carry_out` does what is missing, which is an anti-join of the plan
with the verdicts that are stored, so beginning, resuming and repeating after a crash are one thing. When the plan is
done, cases that flipped against the baseline are tried again before they count; then flaky cases go to quarantine and
the run is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from surefoot.core.budget import Budget
from surefoot.core.digest import digest
from surefoot.core.errors import Conflict, Invalid
from surefoot.core.exam.flake import CONFIRM, at_odds, to_confirm
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.run import EvalRun, Scope, Spent
from surefoot.core.exam.suite import Suite, SuiteCase
from surefoot.core.exam.verdict import results
from surefoot.engine.claim import WAIT_S, Claims, attended, carried_now
from surefoot.engine.grade import judge_of
from surefoot.engine.ink import Ink
from surefoot.engine.isolate import isolate
from surefoot.engine.once import this_process
from surefoot.engine.purse import Purse
from surefoot.engine.tranche import Trial, Trials
from surefoot.engine.trial import Desk
from surefoot.ports import Ports, Tx
from surefoot.ports.exam import Exams, Subject

Known = Mapping[tuple[str, int], frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a run is carried out: trials at once, epochs (0: each case's own), trials more for a flip, and the budget.

    `shared` says that other workers carry out the same run at the same time.
    """

    concurrency: int = 16
    epochs: int = 0
    confirm: int = CONFIRM
    budget: Budget = field(default_factory=Budget)
    cache: bool = False
    shared: bool = False
    agent: str = ""
    day_budget: Budget = field(default_factory=Budget)


async def begin(
    ports: Ports, exams: Exams, suite: Suite, subject: Subject, terms: Terms, *, scope: Scope = "full",
    parent: str = "", how: Mapping[str, object] | None = None,
) -> EvalRun:  # fmt: skip
    """Keep a new run; Invalid if no case is left to run, Forbidden if the judge would judge its own work."""
    if not suite.cases:
        raise Invalid(f"no case of {suite.name!r} matches", hint="surefoot eval list SUITE shows ids and tags")
    judge, pin = judge_of(exams, subject, suite.cases)
    planned = sum(_epochs(case, terms.epochs) for case in suite.cases)
    budget = {side: limit for side in ("calls", "tokens", "usd") if (limit := getattr(terms.budget, side)) is not None}
    run = EvalRun(
        id=ports.new_id(), suite=suite.name, suite_digest=_digest(suite),
        subject=subject.name, subject_digest=subject.digest, state="running", started_at=ports.clock(), judge=judge,
        judge_pin=pin, scope=scope, parent=parent, epochs=terms.epochs, planned=planned, confirm=terms.confirm,
        agent=terms.agent, limits=budget, how=dict(how or {}),
    )  # fmt: skip

    def work(tx: Tx) -> EvalRun:
        full = [one for one in tx.evals.runs(suite=suite.name) if one.state == "done" and one.scope == "full"]
        same = [one for one in full if one.judge_pin == pin]
        kept = replace(run, baseline=parent or (same[0].id if same else ""))
        tx.evals.begin(kept, suite)
        return kept

    return await ports.store.write(work)


async def carry_out(
    ports: Ports, exams: Exams, subject: Subject, run_id: str, terms: Terms, *, suite: Suite | None = None
) -> EvalRun:
    """Do what is missing of a run; gives the run as it then stands. Conflict for another subject or judge.

    `suite` spares reading it again; it is used only if it is the one the run was begun with.
    """
    async with attended(ports, run_id) as there:
        return await _carried_out(ports, exams, subject, run_id, terms, suite, there)


async def _carried_out(
    ports: Ports, exams: Exams, subject: Subject, run_id: str, terms: Terms, suite: Suite | None, there: Claims
) -> EvalRun:
    run = await ports.store.write(lambda tx: _taken_up(tx, ports, run_id, subject, exams))
    if not terms.shared:
        there.took_up(run)
    if suite is None or _digest(suite) != run.suite_digest:
        suite = await ports.store.read(lambda tx: tx.evals.suite(run.suite_digest))
    purse = Purse(ports, {f"eval/{run.id}": terms.budget} | _day(ports, terms))
    try:
        why = await _session(ports, exams, subject, run, suite, terms, purse, _plan(suite, run.epochs), there)
        if not why and run.confirm and run.baseline:
            again = await ports.store.read(lambda tx: _again(tx, run, suite))
            why = await _session(ports, exams, subject, run, suite, terms, purse, again, there) if again else ""
    except asyncio.CancelledError:
        with suppress(Conflict):  # others hold it by now, and close it
            await asyncio.shield(ports.store.write(lambda tx: _ended(tx, ports, run, suite, "cancelled", there)))
        raise
    return await ports.store.write(lambda tx: _ended(tx, ports, run, suite, why, there))


def _day(ports: Ports, terms: Terms) -> dict[str, Budget]:
    return {f"{terms.agent}/day/{ports.clock():%Y-%m-%d}": terms.day_budget} if terms.agent else {}


def _digest(suite: Suite) -> str:
    """Name a suite with the place its code comes from."""
    return digest([suite.digest, suite.origin, suite.root])[:16]


def _taken_up(tx: Tx, ports: Ports, run_id: str, subject: Subject, exams: Exams) -> EvalRun:
    run = tx.evals.run(run_id)
    pin = exams.judge.pin if exams.judge and run.judge_pin else run.judge_pin
    if run.subject_digest != subject.digest or pin != run.judge_pin or (run.judge_pin and exams.judge is None):
        raise Conflict(
            f"eval run {run.id} examines {run.subject}" + (f", judged by {run.judge}" if run.judge else ""),
            hint="name the same subject and judge, or begin a new run",
        )
    if run.state == "done":
        return run
    return tx.evals.swap(replace(
        run, state="running", why="", ended_at=None, worker=this_process(), taken_at=ports.clock(),
        had=tx.evals.spent(run.id).answers,
    ))  # fmt: skip


def _epochs(case: SuiteCase, override: int) -> int:
    return override or case.epochs


def _plan(suite: Suite, override: int) -> list[Trial]:
    """Give all trials, epoch by epoch, so that half a run has seen every case once."""
    most = max((_epochs(case, override) for case in suite.cases), default=0)
    return [
        Trial(case, epoch) for epoch in range(most) for case in suite.cases if epoch < _epochs(case, override)
    ]  # fmt: skip


def _again(tx: Tx, run: EvalRun, suite: Suite) -> list[Trial]:
    """Give more trials for the cases that flipped, as their planned epochs say, so that a resume sees the same."""
    before = tx.evals.run(run.baseline)
    odd = at_odds(tx.evals.tallies(run.id), tx.evals.tallies(before.id))
    if not odd:
        return []
    old = suite if before.suite_digest == run.suite_digest else tx.evals.suite(before.suite_digest)
    most = {case.id: _epochs(case, run.epochs) for case in suite.cases}
    planned = [v for v in tx.evals.verdicts(run.id, odd) if v.epoch < most.get(v.case, 0)]
    flipped = to_confirm(
        suite.cases, results(suite.cases, planned), results(old.cases, tx.evals.verdicts(before.id, odd)),
        {case.id: case.digest for case in old.cases},
    )  # fmt: skip
    named = {case.id: case for case in suite.cases}
    return [
        Trial(named[i], _epochs(named[i], run.epochs) + more) for more in range(run.confirm) for i in flipped
    ]  # fmt: skip


async def _session(
    ports: Ports, exams: Exams, subject: Subject, run: EvalRun, suite: Suite, terms: Terms, purse: Purse,
    plan: Sequence[Trial], there: Claims,
) -> str:  # fmt: skip
    """Do the trials of a plan that are not done; gives why it ended early, or nothing.

    Where others work too, what they hold is waited for, and done here if they die.
    """
    while True:
        done, spent = await ports.store.read(lambda tx: (tx.evals.finished(run.id), tx.evals.spent(run.id)))
        missing = [trial for trial in plan if not _complete(trial, done)]
        if not missing:
            return ""
        partly = {(t.case.id, t.epoch) for t in missing}
        known = await ports.store.read(lambda tx, keys=partly: tx.evals.answers(run.id, keys))
        why = await _worked(ports, exams, subject, run, suite, terms, purse, missing, done, known, spent, there)
        if why or not terms.shared:
            return why
        await asyncio.sleep(WAIT_S)


def _complete(trial: Trial, done: Known) -> bool:
    said = done.get((trial.case.id, trial.epoch))
    return said is not None and said.issuperset(trial.case.scorers)


async def _worked(
    ports: Ports, exams: Exams, subject: Subject, run: EvalRun, suite: Suite, terms: Terms, purse: Purse,
    missing: Sequence[Trial], done: Known, known: Mapping[tuple[str, int], Observed], spent: Spent, there: Claims,
) -> str:  # fmt: skip
    claims = Claims(ports, run.id, known) if terms.shared else None

    def must_hold(tx: Tx) -> None:
        for one in (there, claims):
            if one is not None:
                one.must_hold(tx)

    async with Ink(ports, run.id, spent, exams.progress, must_hold) as ink:
        at_once = max(1, min(terms.concurrency, len(missing)))
        trials = Trials(missing, subject, purse, ink, at_once=at_once, choose=claims.take if claims else None)
        desk = Desk(
            ports=ports, exams=exams, subject=subject, run=run, root=suite.root, purse=purse, ink=ink, trials=trials,
            done=done, known=known, cache=terms.cache,
        )  # fmt: skip
        workers = [asyncio.create_task(desk.work()) for _ in range(at_once)]
        renewing = [asyncio.create_task(claims.renew())] if claims else []
        try:
            await asyncio.gather(*workers)
        finally:
            for task in (*workers, *renewing):
                task.cancel()
            await asyncio.gather(*workers, *renewing, return_exceptions=True)
            trials.close()
    if claims:
        await claims.release()
    return "cancelled" if ink.cancelled else trials.why


def _ended(tx: Tx, ports: Ports, run: EvalRun, suite: Suite, why: str, there: Claims) -> EvalRun:
    """Close the session: done, cancelled, or stopped for want of money; a run that is done sorts out its flakes."""
    now = tx.evals.run(run.id)
    if now.state == "done":  # another worker closed it
        return now
    there.must_hold(tx)
    state = "cancelled" if why == "cancelled" or now.state == "cancelling" else "stopped" if why else "done"
    after = tx.evals.swap(replace(now, state=state, why=why, ended_at=ports.clock()))
    if state == "done":
        isolate(tx, after, suite, ports.clock())
    return after


async def cancel(ports: Ports, run_id: str, *, by: str, reason: str) -> EvalRun:
    """Ask a run to stop; whoever carries it out notices, keeps what finished, and closes it.

    Where nobody carries it out any more, it is closed here. Invalid without a name or a reason, which the record keeps;
    Conflict for one that does not run.
    """
    if not by.strip() or not reason.strip():
        raise Invalid("a run is cancelled by a person, with a reason", hint="say who (--by NAME) and why (--why TEXT)")
    seen = await ports.store.read(lambda tx: tx.evals.run(run_id))
    left = await at_work(ports, seen) is False

    def work(tx: Tx) -> EvalRun:
        run, now = tx.evals.run(run_id), ports.clock()
        alone = left and run.worker == seen.worker
        if run.state != "running" and not (alone and run.state == "cancelling"):
            raise Conflict(f"eval run {run.id} is {run.state}", hint="only a running one can be cancelled")
        after = replace(run, state="cancelled" if alone else "cancelling", why="cancelled" if alone else run.why,
                        ended_at=now if alone else None)  # fmt: skip
        tx.audit.append(at=now, actor=by, action="eval-cancelled", subject=run.about or "evals",
                        payload={"run": run.id, "reason": reason})  # fmt: skip
        return tx.evals.swap(after)

    return await ports.store.write(work)


async def at_work(ports: Ports, run: EvalRun) -> bool | None:
    """Whether a process still carries a run out; None where it did not say which one does."""
    return await ports.store.read(lambda tx: carried_now(tx, run, ports.clock()))

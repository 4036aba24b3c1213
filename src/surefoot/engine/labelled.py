"""Labelled: people judge blind what a judge judged, and the judge is measured by them."""

from __future__ import annotations

from dataclasses import dataclass

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.exam.calibration import Calibration, Corrected, calibration, corrected_rate
from surefoot.core.exam.label import Drawn, Label, agreement, judged, to_label
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.run import EvalRun
from surefoot.core.exam.suite import SuiteCase
from surefoot.ports import Ports, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """What a person is shown: case, criterion and answer; never what the judge said."""

    case: SuiteCase
    epoch: int
    scorer: str
    criterion: str
    observed: Observed
    left: int


async def next_blind(ports: Ports, run_id: str, *, by: str, drawn: Drawn) -> Blind | None:
    """Give what this person labels next; None when nothing is left."""
    if not by.strip():
        raise Invalid("a label needs a name", hint="say who judges: --by NAME")
    return await ports.store.read(lambda tx: _next(tx, run_id, by, drawn))


def _next(tx: Tx, run_id: str, by: str, drawn: Drawn) -> Blind | None:
    run = tx.evals.run(run_id)
    waiting = to_label(run.id, tx.evals.verdicts(run.id), tx.evals.labels(run.id), by=by, drawn=drawn)
    if not waiting:
        return None
    one = waiting[0]
    case = next(c for c in tx.evals.suite(run.suite_digest).cases if c.id == one.case)
    seen = tx.evals.answers(run.id, {(one.case, one.epoch)})[(one.case, one.epoch)]
    return Blind(case=case, epoch=one.epoch, scorer=one.scorer, criterion=case.judged[one.scorer], observed=seen,
                 left=len(waiting))  # fmt: skip


async def label(
    ports: Ports,
    run_id: str,
    case: str,
    epoch: int,
    scorer: str,
    *,
    passed: bool,
    by: str,
    drawn: Drawn,
    note: str = "",
) -> None:
    """Keep a label; Conflict if no judge judged this."""

    def work(tx: Tx) -> None:
        run = tx.evals.run(run_id)
        known = {(v.case, v.epoch, v.scorer) for v in judged(tx.evals.verdicts(run.id, {case}))}
        if (case, epoch, scorer) not in known:
            raise Conflict(f"no judge judged {case!r} by {scorer!r} in epoch {epoch + 1} of {run.id}",
                           hint="surefoot eval label RUN --by NAME shows what waits")  # fmt: skip
        tx.evals.label(Label(run=run.id, case=case, epoch=epoch, scorer=scorer, by=by, passed=passed, drawn=drawn,
                             note=note, at=ports.clock()))  # fmt: skip

    await ports.store.write(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a judge is worth on one run: its agreement with people, and the run's rate corrected for its errors."""

    judge: str
    pin: str
    calibration: Calibration
    corrected: Corrected | None
    labels: int
    queue: int


async def worth(ports: Ports, run_id: str) -> Worth:
    """Measure the judge of a run, with the labels of every run that the same pinned judge judged."""

    def work(tx: Tx) -> Worth:
        run = tx.evals.run(run_id)
        here = judged(tx.evals.verdicts(run.id))
        told = _told(tx, run)
        seen = calibration([pair for one in told for pair in agreement(judged(tx.evals.verdicts(one)), told[one])])
        known = [v for v in here if v.state != "abstained"]
        rate = corrected_rate(sum(v.state == "passed" for v in known), len(known), seen) if known else None
        queue = to_label(run.id, here, tx.evals.labels(run.id), by="", drawn="queue")
        return Worth(judge=run.judge, pin=run.judge_pin, calibration=seen, corrected=rate,
                     labels=sum(len(one) for one in told.values()), queue=len(queue))  # fmt: skip

    return await ports.store.read(work)


def _told(tx: Tx, run: EvalRun) -> dict[str, list[Label]]:
    """Give the labels of every run that the same judge judged."""
    told: dict[str, list[Label]] = {}
    for one in tx.evals.labels():
        told.setdefault(one.run, []).append(one)
    return {name: labels for name, labels in told.items() if tx.evals.run(name).judge_pin == run.judge_pin}

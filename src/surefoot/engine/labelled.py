"""Labelled: people judge blind what a judge judged, and the judge is measured by them.

They also say in the open, with everything in sight, which answers of a run are right and what the right one would be;
`amended` gives the suite with what they agree on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.exam.calibration import Calibration, Corrected, calibration, corrected_rate
from surefoot.core.exam.label import (
    EXPECTED,
    MOST_CHARS,
    PERSON,
    Drawn,
    Label,
    Questions,
    agreement,
    judged,
    said_right,
    to_label,
)
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.run import EvalRun
from surefoot.core.exam.suite import Suite, SuiteCase
from surefoot.engine.serve import storable
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
    note = _kept(ports, note)

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
        if one.drawn != "open":
            told.setdefault(one.run, []).append(one)
    return {name: labels for name, labels in told.items() if tx.evals.run(name).judge_pin == run.judge_pin}


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a person says in the open of one answer of a run: whether it is right, and what would be.

    `passed` None says nothing of the answer, an empty `expected` nothing of the right one.
    """

    run: str
    case: str
    epoch: int = 0
    passed: bool | None = None
    expected: str = ""
    note: str = ""


async def say(ports: Ports, words: Sequence[Word], *, by: str) -> list[Label]:
    """Keep what a person says, all of it or nothing; saying it again replaces it.

    Invalid for a word that says nothing, Conflict for an answer that is not there.
    """
    if not by.strip():
        raise Invalid("a label needs a name", hint="say who judges: --by NAME")
    for one in words:
        _must_say_something(one)
    kept = [replace(one, note=_kept(ports, one.note), expected=_kept(ports, one.expected)) for one in words]
    return await ports.store.write(lambda tx: [label for one in kept for label in _said(tx, ports, one, by)])


def _kept(ports: Ports, text: str) -> str:
    return ports.redact(storable(text.strip()))


def _must_say_something(one: Word) -> None:
    if one.passed is None and not one.expected.strip():
        raise Invalid("this says nothing", hint="say pass or fail, or what the right answer is")
    if max(len(one.expected), len(one.note)) > MOST_CHARS:
        raise Invalid(f"a text is longer than {MOST_CHARS} characters", hint="say it shorter")


def _said(tx: Tx, ports: Ports, one: Word, by: str) -> list[Label]:
    run, now = tx.evals.run(one.run), ports.clock()
    if not tx.evals.answered(run.id, [(one.case, one.epoch)]):
        raise Conflict(f"eval run {run.id} has no answer to {one.case!r} in epoch {one.epoch + 1}",
                       hint="surefoot eval list RUN shows what it has")  # fmt: skip
    said = Label(run=run.id, case=one.case, epoch=one.epoch, scorer=PERSON, by=by, passed=bool(one.passed),
                 drawn="open", note=one.note, at=now)  # fmt: skip
    found = [] if one.passed is None else [said]
    if one.expected:  # a word on the case, so it does not matter which answer it was said beside
        found.append(replace(said, epoch=0, scorer=EXPECTED, passed=True, note=one.expected))
    for label in found:
        tx.evals.label(label)
    tx.audit.append(at=now, actor=by, action="eval-said", subject=run.about or "evals",  # what was said may be held out
                    payload={"run": run.id, "case": one.case, "epoch": one.epoch + 1, "passed": one.passed,
                             "expected": bool(one.expected)})  # fmt: skip
    return found


async def words_of(ports: Ports, run_id: str) -> list[Label]:
    """Give what people said in the open of a run, oldest first."""

    def work(tx: Tx) -> list[Label]:
        return [one for one in tx.evals.labels(tx.evals.run(run_id).id) if one.drawn == "open"]

    return await ports.store.read(work)


async def amended(ports: Ports, run_id: str) -> tuple[Suite, list[str]]:
    """Give the suite of a run with the answers that people hold to be right, and the cases on which they differ.

    The last word of each person counts, of every run of a suite of this name that asked the same question; a case on
    which people differ stays as it was.
    """

    def work(tx: Tx) -> tuple[Suite, list[str]]:
        run = tx.evals.run(run_id)
        suite, labels = tx.evals.suite(run.suite_digest), [one for one in tx.evals.labels() if one.scorer == EXPECTED]
        runs = [one for one in map(tx.evals.run, {label.run for label in labels}) if one.suite == run.suite]
        asked = {one: _questions(tx.evals.suite(one)) for one in {each.suite_digest for each in runs}}
        agreed, differ = said_right(labels, {one.id: asked[one.suite_digest] for one in runs}, _questions(suite))
        cases = tuple(replace(c, expected=agreed[c.id]) if c.id in agreed else c for c in suite.cases)
        return replace(suite, cases=cases), differ

    return await ports.store.read(work)


def _questions(suite: Suite) -> Questions:
    return {case.id: case.input for case in suite.cases}

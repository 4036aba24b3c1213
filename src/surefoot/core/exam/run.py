"""A run: one suite, one subject, and what may be concluded when it ends.

Decided in this order: cancelled, too many errored, then the gate. The gate fails on a lost must-case, or where even
the most favourable reading of everything unknown stays below `min_pass`; it passes only if every must-case passed and
the passed alone reach `min_pass`; all between is inconclusive. A flaky case is in quarantine: it neither blocks nor
passes anything, and a must-case in quarantine keeps the gate from passing. A child run over failing cases never
passes, because only a full run can.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from surefoot.core.exam.suite import SuiteCase
from surefoot.core.exam.verdict import CaseResult, Standing, counts
from surefoot.core.figure import percent
from surefoot.core.proposal import Cost

RunState = Literal["running", "cancelling", "cancelled", "stopped", "done"]
Scope = Literal["full", "part", "failing"]
Word = Literal["pass", "fail", "too_many_errored", "inconclusive", "cancelled"]
EXIT: Mapping[Word, int] = {"pass": 0, "fail": 1, "too_many_errored": 3, "inconclusive": 4, "cancelled": 130}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRun:
    """One run as it is kept.

    `subject` names what was examined and `subject_digest` pins it; `judge_pin` pins model, prompt and parameters of
    the judge (empty: no judge). `epochs` overrides the cases' own if above 0. `why` says why it stopped early.
    `worker` is the process that took it up last, `taken_at` when, and `had` how many answers there were then: what
    came since is how fast it goes.
    """

    id: str
    suite: str
    suite_digest: str
    subject: str
    subject_digest: str
    state: RunState
    started_at: datetime
    judge_pin: str = ""
    judge: str = ""
    scope: Scope = "full"
    parent: str = ""
    epochs: int = 0
    planned: int = 0
    confirm: int = 0
    baseline: str = ""
    agent: str = ""
    limits: Mapping[str, float] = field(default_factory=dict[str, float])
    how: Mapping[str, object] = field(default_factory=dict[str, object])
    ended_at: datetime | None = None
    why: str = ""
    worker: str = ""
    taken_at: datetime | None = None
    had: int = 0
    revision: int = 0

    @property
    def about(self) -> str:
        """The agent that was examined; empty for a program or a recording."""
        return self.agent or str(self.how.get("agent") or "")

    @property
    def open(self) -> bool:
        """Whether work may still be done on it."""
        return self.state != "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a run has done so far: cases answered, calls, tokens, US dollars; `known` is False if some cost is not."""

    answers: int = 0
    cost: Cost = field(default_factory=Cost)
    known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunVerdict:
    """What a run means: a word, one sentence, and the counts it rests on."""

    word: Word
    sentence: str
    counts: Mapping[Standing, int]
    quarantined: tuple[str, ...] = ()
    must_lost: tuple[str, ...] = ()
    must_open: tuple[str, ...] = ()
    missing: int = 0

    @property
    def exit_code(self) -> int:
        """The exit code of the command line."""
        return EXIT[self.word]


def carried(run: EvalRun, *, alive_here: bool | None, held: int) -> bool | None:
    """Whether a process carries a run out; None where it did not say which one does.

    `alive_here` says whether its worker lives on this host; None for one of another host, whose processes nobody can
    see from here: there only a lease counts, of which `held` are good now.
    """
    if alive_here or held:
        return True
    return False if run.worker else None


def run_verdict(
    run: EvalRun, cases: Sequence[SuiteCase], found: Mapping[str, CaseResult], *, min_pass: float, max_errored: float,
    quarantine: Collection[str] = (),
) -> RunVerdict:  # fmt: skip
    """Decide what a run means; `quarantine` names cases that were flaky before, those of this run are added."""
    flaky = {one.id for one in found.values() if one.flaky} | (set(quarantine) & set(found))
    judged = {case.id: found[case.id] for case in cases if case.id in found and case.id not in flaky}
    musts = [case.id for case in cases if case.severity == "must"]
    lost = tuple(i for i in musts if i in judged and judged[i].standing == "failed")
    still = tuple(i for i in musts if i not in lost and (i not in judged or judged[i].standing != "passed"))
    tally, missing = counts(found), sum(case.id not in found for case in cases)
    word, sentence = _word(
        run, judged, len(cases) - len(flaky), lost, still, min_pass=min_pass, max_errored=max_errored
    )
    return RunVerdict(
        word=word, sentence=sentence, counts=tally, quarantined=tuple(sorted(flaky)), must_lost=lost, must_open=still,
        missing=missing,
    )  # fmt: skip


def _word(
    run: EvalRun, judged: Mapping[str, CaseResult], of: int, lost: Sequence[str], still: Sequence[str], *,
    min_pass: float, max_errored: float,
) -> tuple[Word, str]:  # fmt: skip
    tally = counts(judged)
    passed, sure_not, errored = tally["passed"], tally["failed"], tally["errored"]
    if run.state in ("cancelled", "cancelling"):
        return "cancelled", f"cancelled after {len(judged)} of {of} cases; what finished is kept"
    if judged and errored > max_errored * len(judged):
        return "too_many_errored", f"{errored} of {len(judged)} cases errored: nothing can be concluded"
    if lost:
        return "fail", f"{len(lost)} must-case{'s' if len(lost) > 1 else ''} failed: {', '.join(lost[:5])}"
    if of and of - sure_not < min_pass * of - 1e-9:
        return "fail", f"{sure_not} of {of} cases failed; {percent(min_pass, 0)} must pass"
    if run.state != "done" or len(judged) < of:
        return "inconclusive", f"{run.why or 'it is not finished'}; {len(judged)} of {of} cases have a verdict"
    if not of or still:
        what = f"must-cases without a clear pass: {', '.join(still[:5])}" if still else "every case is in quarantine"
        return "inconclusive", what
    if passed < min_pass * of - 1e-9:
        return "inconclusive", f"{passed} of {of} cases passed, {of - passed - sure_not} are unknown"
    if run.scope != "full":
        return "inconclusive", f"all {passed} of this part passed; the gate needs one full run after this"
    return "pass", f"{passed} of {of} cases passed"

"""A report: one run with all that people and programs ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from surefoot.core.exam.contrast import Contrast
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.passk import PassK, pass_k
from surefoot.core.exam.run import EvalRun, RunVerdict, Spent
from surefoot.core.exam.suite import Suite
from surefoot.core.exam.verdict import CaseResult, Verdict

MOST_K = 8


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run, its suite, what came of each case, what it means, and how it compares with another run."""

    run: EvalRun
    suite: Suite
    results: Mapping[str, CaseResult]
    verdict: RunVerdict
    spent: Spent
    verdicts: tuple[Verdict, ...] = ()
    answers: Mapping[tuple[str, int], Observed] = field(default_factory=dict[tuple[str, int], Observed])
    contrast: Contrast | None = None

    def pass_k(self, tag: str = "") -> tuple[PassK, ...]:
        """Give pass^1, pass^2 … up to the trials there are, over all cases or those with a tag."""
        wanted = [case.id for case in self.suite.cases if not tag or tag in case.tags]
        trials = [(one.passed, one.passed + one.failed) for i in wanted if (one := self.results.get(i)) is not None]
        most = min(MOST_K, max((n for _, n in trials), default=0))
        return tuple(pass_k(trials, k) for k in range(1, most + 1))

    @property
    def rate(self) -> float | None:
        """The share of cases that passed, quarantined ones aside; unknown counts as not passed."""
        held = set(self.verdict.quarantined)
        counted = [one for one in self.results.values() if one.id not in held]
        return sum(one.standing == "passed" for one in counted) / len(counted) if counted else None

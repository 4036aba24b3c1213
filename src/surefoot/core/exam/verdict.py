"""Verdicts: what each scorer said of one answer, and how they add up to an epoch, a case and a run.

An epoch passes only if every scorer passed. One that failed makes it failed, even where another could not be carried
out; else errored before abstained. A case passes if enough of its epochs pass; epochs that disagree make it flaky.
Unknown is never success: in every sum it counts on the side that does not let the run pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from surefoot.core.exam.check import FindingState
from surefoot.core.exam.suite import SuiteCase

Standing = Literal["passed", "failed", "errored", "abstained"]
NO_CHECK = "no_check"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One scorer's word on one epoch of one case of one run."""

    case: str
    epoch: int
    scorer: str
    state: FindingState
    score: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """A case over its epochs: how many passed, failed and stayed unknown, and what that makes it."""

    id: str
    standing: Standing
    passed: int
    failed: int
    unknown: int
    notes: tuple[str, ...] = ()

    @property
    def epochs(self) -> int:
        """How many epochs have a verdict."""
        return self.passed + self.failed + self.unknown

    @property
    def flaky(self) -> bool:
        """Whether some epochs passed and others failed."""
        return self.passed > 0 and self.failed > 0

    @property
    def rate(self) -> float | None:
        """The share of known epochs that passed; None if none is known."""
        known = self.passed + self.failed
        return self.passed / known if known else None


def epoch_standing(states: Iterable[FindingState]) -> Standing:
    """Give what the scorers of one epoch make of it; no scorer at all is errored."""
    seen = set(states) - {"skipped"}
    if "failed" in seen:
        return "failed"
    if "errored" in seen or not seen:
        return "errored"
    return "abstained" if "abstained" in seen else "passed"


def case_result(case: SuiteCase, verdicts: Sequence[Verdict]) -> CaseResult:
    """Sum up a case from the verdicts of its epochs; an epoch that lacks a scorer's word is unknown."""
    wanted, by_epoch = set(case.scorers or (NO_CHECK,)), dict[int, list[Verdict]]()
    for verdict in verdicts:
        by_epoch.setdefault(verdict.epoch, []).append(verdict)
    stands: list[Standing] = [_epoch(wanted, said) for said in by_epoch.values()]
    passed, failed = stands.count("passed"), stands.count("failed")
    unknown = len(stands) - passed - failed
    notes = dict.fromkeys(f"{one.scorer}: {one.note}" for one in verdicts if one.note and one.state != "passed")
    return CaseResult(
        id=case.id, standing=_standing(stands, case.threshold), passed=passed, failed=failed, unknown=unknown,
        notes=tuple(notes),
    )  # fmt: skip


def _epoch(wanted: set[str], said: Sequence[Verdict]) -> Standing:
    stands = epoch_standing(one.state for one in said)
    return "errored" if stands == "passed" and wanted - {one.scorer for one in said} else stands


def _standing(stands: Sequence[Standing], threshold: float) -> Standing:
    """Decide only what the unknown epochs cannot change."""
    if not stands:
        return "errored"
    passed, known_not = stands.count("passed"), stands.count("failed")
    if passed >= threshold * len(stands) - 1e-9:
        return "passed"
    if len(stands) - known_not < threshold * len(stands) - 1e-9:
        return "failed"
    return "errored" if "errored" in stands else "abstained"


def results(cases: Iterable[SuiteCase], verdicts: Iterable[Verdict]) -> dict[str, CaseResult]:
    """Sum up every case that has a verdict."""
    by_case: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_case.setdefault(verdict.case, []).append(verdict)
    return {case.id: case_result(case, by_case[case.id]) for case in cases if case.id in by_case}


def counts(found: Mapping[str, CaseResult]) -> dict[Standing, int]:
    """Count the cases by standing."""
    tally: dict[Standing, int] = {"passed": 0, "failed": 0, "errored": 0, "abstained": 0}
    for one in found.values():
        tally[one.standing] += 1
    return tally

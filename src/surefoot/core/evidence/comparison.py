"""Incumbent and candidate on the same cases: pairs of scores, averaged until one number a case and version is left.

The case is the unit, so repeats are averaged first. An unknown score is never a success: a pair that misses a side is
set aside and counted, and a comparison that misses too many sides, or misses them on the candidate's side far more
often than on the incumbent's, cannot show a gain.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from surefoot.core.errors import Invalid
from surefoot.core.evidence.paired import sign_test

MAX_UNSCORED = 0.10
LOPSIDED_ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One run of one case under both versions.

    Scores lie in [0, 1]; None is unknown. Several pairs with one `case_id` are repeats. `group` names near-duplicates
    that were split together; it is kept for readers, the unit stays the case.
    """

    case_id: str
    incumbent: float | None
    candidate: float | None
    group: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])
    must_pass: bool = False

    def __post_init__(self) -> None:
        for side, score in (("incumbent", self.incumbent), ("candidate", self.candidate)):
            if score is not None and not 0 <= score <= 1:
                raise Invalid(f"case {self.case_id!r} has the {side} score {score}", hint="score in [0, 1] or None")

    @property
    def complete(self) -> bool:
        """Whether both versions have a score."""
        return self.incumbent is not None and self.candidate is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCase:
    """The mean scores of one case over its complete repeats."""

    case_id: str
    incumbent: float
    candidate: float
    slices: Mapping[str, str]

    @property
    def difference(self) -> float:
        """Candidate minus incumbent, in [-1, 1]."""
        return self.candidate - self.incumbent


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Pairs averaged into cases: the scored ones, and what could not be scored.

    `unscored` counts pairs that miss a side; `candidate_missing` and `incumbent_missing` those that miss only that
    one. A must-pass case is lost when the candidate scores below the incumbent on it.
    """

    cases: tuple[ScoredCase, ...]
    pairs: int
    unscored: int
    candidate_missing: int
    incumbent_missing: int
    must_pass_lost: tuple[str, ...]
    must_pass_unscored: tuple[str, ...]

    @property
    def differences(self) -> tuple[float, ...]:
        """The score differences, one a case."""
        return tuple(case.difference for case in self.cases)

    @property
    def binary(self) -> bool:
        """Whether every averaged score is 0 or 1, so that a sign test loses nothing."""
        return all(score in (0.0, 1.0) for case in self.cases for score in (case.incumbent, case.candidate))

    @property
    def too_many_unscored(self) -> bool:
        """Whether over a tenth of the pairs misses a side, or the candidate's side is missing suspiciously often.

        A candidate that leaves out just the cases it would lose must not look better for it.
        """
        lopsided = sign_test(for_it=self.candidate_missing, against_it=self.incumbent_missing)
        return self.unscored > MAX_UNSCORED * self.pairs or lopsided <= LOPSIDED_ALPHA


def comparison(pairs: Iterable[Pair]) -> Comparison:
    """Average the repeats of each case and set aside what is unknown."""
    by_case: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_case[pair.case_id].append(pair)
    every = [pair for repeats in by_case.values() for pair in repeats]
    scored = {case_id: _scored(case_id, repeats) for case_id, repeats in by_case.items()}
    musts = [case_id for case_id, repeats in by_case.items() if any(pair.must_pass for pair in repeats)]
    return Comparison(
        cases=tuple(case for case in scored.values() if case is not None),
        pairs=len(every),
        unscored=sum(not pair.complete for pair in every),
        candidate_missing=sum(pair.candidate is None and pair.incumbent is not None for pair in every),
        incumbent_missing=sum(pair.incumbent is None and pair.candidate is not None for pair in every),
        must_pass_lost=tuple(i for i in musts if (case := scored[i]) is not None and case.difference < 0),
        must_pass_unscored=tuple(i for i in musts if not all(pair.complete for pair in by_case[i])),
    )


def _scored(case_id: str, repeats: Sequence[Pair]) -> ScoredCase | None:
    """Give the mean over the complete repeats of one case, None when there is none."""
    known = [(p.incumbent, p.candidate) for p in repeats if p.incumbent is not None and p.candidate is not None]
    if not known:
        return None
    return ScoredCase(
        case_id=case_id,
        incumbent=math.fsum(incumbent for incumbent, _ in known) / len(known),
        candidate=math.fsum(candidate for _, candidate in known) / len(known),
        slices=repeats[0].slices,
    )

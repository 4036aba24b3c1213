"""Two runs of one suite side by side: which got better, by how much, and which cases flipped.

Only cases that both runs know, with the same content, are compared, and only if one pinned judge judged both: a judge
that changed needs a new baseline. The case is the unit, its score the share of its known epochs that passed. The word
comes from an exact sign test (or a betting e-process where epochs make scores between 0 and 1) at .025 a side. A
single case that flips is listed with its own exact p, because most flips of a noisy agent mean nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from surefoot.core.errors import Conflict
from surefoot.core.evidence.paired import betting_cases_needed, betting_evidence, cases_needed, sign_test, tally
from surefoot.core.evidence.slices import SliceFinding, slice_findings
from surefoot.core.exam.run import EvalRun
from surefoot.core.exam.suite import SuiteCase
from surefoot.core.exam.verdict import CaseResult
from surefoot.core.figure import figure, signed

Change = Literal["regressed", "fixed", "flaky", "same", "unknown"]
ALPHA = 0.025
FLIP_ALPHA = 0.05
_Z = NormalDist().inv_cdf(1 - ALPHA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """What happened to one case; `p` is Fisher's exact one-sided p of the change of its epochs."""

    case: str
    change: Change
    before: float | None
    after: float | None
    p: float
    severity: str = "should"

    @property
    def shown(self) -> bool:
        """Whether the case's own epochs are evidence enough, without the others."""
        return self.p <= FLIP_ALPHA


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """The comparison: a word, the paired delta with its 95 % interval, flips (regressions first) and slices."""

    word: Literal["better", "worse", "inconclusive"]
    sentence: str
    delta: float | None
    low: float
    high: float
    compared: int
    gained: int
    lost: int
    needs: int | None
    flips: tuple[Flip, ...]
    slices: tuple[SliceFinding, ...]
    left_out: tuple[str, ...]


def contrast(
    before: tuple[EvalRun, Sequence[SuiteCase], Mapping[str, CaseResult]],
    after: tuple[EvalRun, Sequence[SuiteCase], Mapping[str, CaseResult]], *, quarantine: Collection[str] = (),
) -> Contrast:  # fmt: skip
    """Compare two runs; Conflict if their judges differ."""
    (one, old, was), (other, new, now) = before, after
    if one.judge_pin != other.judge_pin:
        raise Conflict(
            f"the judge of {other.id} is not the one of {one.id}, so their verdicts cannot be compared",
            hint="run the baseline again with the same judge",
        )
    known = {case.id: case.digest for case in old}
    shared = [case for case in new if known.get(case.id) == case.digest]
    left_out = tuple(case.id for case in new if known.get(case.id) != case.digest)
    flips = [_flip(case, was.get(case.id), now.get(case.id), case.id in quarantine) for case in shared]
    pairs = [
        (case, flip.after - flip.before) for case, flip in zip(shared, flips, strict=True)
        if flip.before is not None and flip.after is not None and case.id not in quarantine
    ]  # fmt: skip
    return _judged(one.id, pairs, flips, left_out)


def _judged(
    seed: str, pairs: Sequence[tuple[SuiteCase, float]], flips: Sequence[Flip], left_out: tuple[str, ...]
) -> Contrast:
    differences = [difference for _, difference in pairs]
    seen, needs = tally(differences), None
    delta, low, high = interval(differences)
    word: Literal["better", "worse", "inconclusive"] = "inconclusive"
    if not differences:
        sentence = "no case has a known result in both runs"
    elif _shown(differences):
        word, sentence = "better", f"better by {signed(delta)} on {seen.n} cases"
    elif _shown([-d for d in differences]):
        word, sentence = "worse", f"worse by {signed(delta)} on {seen.n} cases"
    else:
        needs = _needed(differences)
        more = f"about {figure(needs)} more cases would tell" if needs else "no number of cases would soon tell"
        sentence = f"{signed(delta)} on {seen.n} cases is no evidence; {more}"
    shuffles = 999 if len(pairs) <= 2000 else 199
    slices = slice_findings(differences, [case.slice for case, _ in pairs], seed=seed, shuffles=shuffles)
    order = {"regressed": 0, "flaky": 1, "unknown": 2, "fixed": 3, "same": 4}
    return Contrast(
        word=word, sentence=sentence, delta=delta if differences else None, low=low, high=high, compared=seen.n,
        gained=seen.gained, lost=seen.lost, needs=needs,
        flips=tuple(sorted(flips, key=lambda flip: (order[flip.change], flip.severity != "must", flip.p, flip.case))),
        slices=slices, left_out=left_out,
    )  # fmt: skip


def interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """Give the mean difference and its 95 % interval, with half a case added to each cell (Agresti and Min 2005)."""
    n = len(differences)
    if not n:
        return 0.0, -1.0, 1.0
    total, squares = math.fsum(differences), math.fsum(d * d for d in differences)
    middle = total / (n + 2)
    half = _Z * math.sqrt(max(0.0, (squares + 1) / (n + 2) - middle**2) / (n + 2))
    return total / n, max(-1.0, middle - half), min(1.0, middle + half)


def _binary(differences: Sequence[float]) -> bool:
    return all(d in (-1.0, 0.0, 1.0) for d in differences)


def _shown(differences: Sequence[float]) -> bool:
    seen = tally(differences)
    if _binary(differences):
        return sign_test(for_it=seen.gained, against_it=seen.lost) <= ALPHA
    return betting_evidence(differences) >= 1 / ALPHA


def _needed(differences: Sequence[float]) -> int | None:
    """About how many more cases show a gain (or loss) of the size seen, with a chance of 80 %."""
    seen, mean = tally(differences), math.fsum(differences) / len(differences)
    if not mean:
        return None
    if _binary(differences):
        found = cases_needed(discordance=seen.discordance, gain=abs(mean), alpha=ALPHA)
    else:
        towards = differences if mean > 0 else [-d for d in differences]
        found = betting_cases_needed(towards, gain=abs(mean), alpha=ALPHA)
    return None if found is None else max(1, found - seen.n)


def _flip(case: SuiteCase, was: CaseResult | None, now: CaseResult | None, doubted: bool) -> Flip:
    before, after = (was.rate if was else None), (now.rate if now else None)
    p = 1.0 if not was or not now else fisher(was, now)
    return Flip(
        case=case.id, change=_change(was, now, doubted), before=before, after=after, p=p, severity=case.severity
    )


def _change(was: CaseResult | None, now: CaseResult | None, doubted: bool) -> Change:
    if was is None or now is None or was.rate is None or now.rate is None:
        return "unknown"
    if doubted or was.flaky or now.flaky:
        return "flaky"
    if was.rate == now.rate:
        return "same"
    return "fixed" if now.rate > was.rate else "regressed"


def fisher(was: CaseResult, now: CaseResult) -> float:
    """Give the one-sided exact p that a case's epochs differ as much in this direction; 1 where they do not differ."""
    n1, n2 = was.passed + was.failed, now.passed + now.failed
    if not n1 or not n2 or was.passed * n2 == now.passed * n1:
        return 1.0
    low, high = (was, now) if was.passed * n2 < now.passed * n1 else (now, was)
    passes, size, other = low.passed + high.passed, high.passed + high.failed, low.passed + low.failed
    ways = math.comb(size + other, passes)
    most = min(size, passes)
    return sum(math.comb(size, k) * math.comb(other, passes - k) for k in range(high.passed, most + 1)) / ways

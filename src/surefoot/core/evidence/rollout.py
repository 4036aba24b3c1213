"""What live outcomes say about a challenger: e-processes that condition on the labels.

Given that a label is a failure of a unit routed at share w, how likely is it the challenger's? At relative risk
RR = p1/p0 the answer is w*RR / (w*RR + 1 - w). The failure rate itself cancels, so a drift that hits both arms is
harmless, and w may move as it likes, because it was fixed before the request. Success labels add a second factor
whose null is w itself; its alternative needs a failure rate frozen before the start. All three tests here (win,
non-inferior win, guard) are functions of counts by weight epoch, arm and outcome: order-free, mergeable across
workers, and recomputed, never restarted. Source: Lindon & Malek 2022; Turner, Ly, Grünwald 2024; evidence.md §1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from surefoot.core.errors import Invalid
from surefoot.core.evidence.mixture import BETTER, WORSE, Events, e_value, events

NONINFERIOR_RISK = 1.25
NONINFERIOR_POINTS = 0.02
_RATE_FLOOR, _RATE_CEILING = 0.005, 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Labelled units of one weight epoch, one label a unit; a unit belongs to the epoch of its first request.

    `weight_percent` is the challenger's share when those units were assigned. Unknown outcomes are not in here.
    """

    epoch: int
    weight_percent: float
    challenger_failures: int = 0
    challenger_successes: int = 0
    incumbent_failures: int = 0
    incumbent_successes: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.weight_percent <= 100:
            raise Invalid(f"epoch {self.epoch} has the weight {self.weight_percent}", hint="use a share in 0 to 100 %")
        counts = (self.challenger_failures, self.challenger_successes, self.incumbent_failures)
        if min(*counts, self.incumbent_successes) < 0:
            raise Invalid(f"epoch {self.epoch} has a negative count", hint="count the outcomes again")

    @property
    def challenger_labels(self) -> int:
        """Labelled units of the challenger."""
        return self.challenger_failures + self.challenger_successes

    @property
    def incumbent_labels(self) -> int:
        """Labelled units of the incumbent."""
        return self.incumbent_failures + self.incumbent_successes

    @property
    def labels(self) -> int:
        """Labelled units of both arms."""
        return self.challenger_labels + self.incumbent_labels


def merged(strata: Iterable[Stratum]) -> tuple[Stratum, ...]:
    """Give one stratum per (epoch, weight), adding the counts of workers that saw different units."""
    cells: dict[tuple[int, float], Stratum] = {}
    for one in strata:
        key = one.epoch, one.weight_percent
        cells[key] = one if key not in cells else _sum(cells[key], one)
    return tuple(cells[key] for key in sorted(cells))


def failures(strata: Iterable[Stratum]) -> Events:
    """Give whose the failures are, by share."""
    return events((s.weight_percent, s.challenger_failures, s.incumbent_failures) for s in strata)


def successes(strata: Iterable[Stratum]) -> Events:
    """Give whose the successes are, by share."""
    return events((s.weight_percent, s.challenger_successes, s.incumbent_successes) for s in strata)


def win_evidence(strata: Iterable[Stratum], *, baseline_rate: float | None = None) -> float:
    """Give the evidence against "the challenger fails at least as often as the incumbent".

    `baseline_rate` is the incumbent's failure rate frozen at the start; without one only failures are used.
    """
    return _evidence(strata, ratios=BETTER, null=1.0, baseline_rate=baseline_rate)


def noninferior_evidence(strata: Iterable[Stratum], *, baseline_rate: float, use_successes: bool = True) -> float:
    """Give the evidence against "the challenger is worse by the declared margin or more"."""
    null = noninferior_risk(baseline_rate)
    ratios = tuple(risk * null for risk in BETTER)
    return _evidence(strata, ratios=ratios, null=null, baseline_rate=baseline_rate if use_successes else None)


def noninferior_risk(baseline_rate: float) -> float:
    """Give the relative risk of the non-inferiority margin: two points, at most a quarter more failures.

    A plain 1.25 promoted 11 % of truly worse recorded versions, two points promoted 2 % (evidence.md §1).
    """
    if not 0 < baseline_rate < 1:
        raise Invalid(f"the baseline failure rate is {baseline_rate}", hint="use a fraction between 0 and 1")
    return min(NONINFERIOR_RISK, (baseline_rate + NONINFERIOR_POINTS) / baseline_rate)


def guard_evidence(strata: Iterable[Stratum], *, baseline_rate: float | None = None) -> float:
    """Give the evidence against "the challenger fails at most as often as the incumbent"."""
    return _evidence(strata, ratios=WORSE, null=1.0, baseline_rate=baseline_rate)


def _evidence(strata: Iterable[Stratum], *, ratios: Sequence[float], null: float, baseline_rate: float | None) -> float:
    rows = tuple(strata)
    failed, passed = failures(rows), successes(rows)
    return e_value([log_evidence(failed, passed, ratio=r, null=null, baseline_rate=baseline_rate) for r in ratios])


def log_evidence(failed: Events, passed: Events, *, ratio: float, null: float, baseline_rate: float | None) -> float:
    """Give the log likelihood ratio of one alternative over all labels.

    Success labels are used only where they are safe: an alternative below 1 against a null of at least 1, or the
    mirror image. A non-inferior alternative above 1 would bet on successes in the wrong direction.
    """
    total = failed.log_likelihood(ratio) - failed.log_likelihood(null)
    if baseline_rate is not None and (ratio < 1 <= null or ratio > 1 >= null):
        total += passed.log_likelihood(success_ratio(ratio, baseline_rate))
    return total


def success_ratio(ratio: float, baseline_rate: float) -> float:
    """Give how much rarer or commoner successes are for a challenger of relative risk `ratio`."""
    base = min(max(baseline_rate, _RATE_FLOOR), _RATE_CEILING)
    return (1 - min(ratio * base, _RATE_CEILING)) / (1 - base)


def _sum(one: Stratum, other: Stratum) -> Stratum:
    return Stratum(
        epoch=one.epoch,
        weight_percent=one.weight_percent,
        challenger_failures=one.challenger_failures + other.challenger_failures,
        challenger_successes=one.challenger_successes + other.challenger_successes,
        incumbent_failures=one.incumbent_failures + other.incumbent_failures,
        incumbent_successes=one.incumbent_successes + other.incumbent_successes,
    )

"""What a person is shown before a decision: what could go wrong, for whom, and how to undo it.

The worst slice stands there by name, because a version that is better on the whole may be worse for some. A slice's
difference is compared within weight epochs (shares and traffic move between them), and its rates are drawn towards
the slice's own overall rate by two labels, because the raw worst of many slices overstates the loss. The intervals of
all slices hold together at about 95 %; they describe, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from surefoot.core.evidence.rollout import Stratum

ALPHA = 0.05
_DRAWN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A failure rate with its 95 % interval (Wilson); `rate` is None where nothing is labelled."""

    failures: int
    labels: int
    rate: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceChange:
    """How much more often a slice fails under the challenger, as a difference of rates; positive is worse."""

    name: str
    challenger: Rate
    incumbent: Rate
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whom the decision touches: the challenger's share now and after a yes, and the traffic that was seen.

    `requests_per_day` counts the last seven days (or as long as there were any), `units_per_day` the sessions, actors
    or single requests since the rollout began.
    """

    share_now_percent: float
    share_after_percent: float
    requests_per_day: float
    units_per_day: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """Everything beside the change and the evidence; `slices` are worst first."""

    challenger: Rate
    incumbent: Rate
    slices: tuple[SliceChange, ...]
    reach: Reach
    undo: str
    after_undo: str

    @property
    def worst(self) -> SliceChange | None:
        """The slice that lost most, or gained least; None where no slice was labelled under both versions."""
        return self.slices[0] if self.slices else None


def rate_of(failures: int, labels: int) -> Rate:
    """Give a rate with its Wilson interval; without labels everything is possible."""
    if labels == 0:
        return Rate(failures=0, labels=0, rate=None, low=0.0, high=1.0)
    z, p = NormalDist().inv_cdf(1 - ALPHA / 2), failures / labels
    middle = (p + z * z / (2 * labels)) / (1 + z * z / labels)
    half = z / (1 + z * z / labels) * sqrt(p * (1 - p) / labels + z * z / (4 * labels * labels))
    return Rate(failures=failures, labels=labels, rate=p, low=max(0.0, middle - half), high=min(1.0, middle + half))


def slice_changes(slices: Mapping[str, Iterable[Stratum]]) -> tuple[SliceChange, ...]:
    """Give each slice that was labelled under both versions in some epoch, worst first; ties go by name."""
    compared = {name: [one for one in strata if _both(one)] for name, strata in slices.items()}
    kept = {name: strata for name, strata in compared.items() if strata}
    found = [_change(name, strata, len(kept)) for name, strata in kept.items()]
    return tuple(sorted(found, key=lambda one: (-one.difference, one.name)))


def _both(one: Stratum) -> bool:
    return one.challenger_labels > 0 and one.incumbent_labels > 0


def _change(name: str, strata: list[Stratum], slices: int) -> SliceChange:
    challenger = rate_of(sum(s.challenger_failures for s in strata), sum(s.challenger_labels for s in strata))
    incumbent = rate_of(sum(s.incumbent_failures for s in strata), sum(s.incumbent_labels for s in strata))
    overall = (challenger.failures + incumbent.failures) / (challenger.labels + incumbent.labels)
    total = weighed = spread = 0.0
    for s in strata:
        ours = _drawn(s.challenger_failures, s.challenger_labels, overall)
        theirs = _drawn(s.incumbent_failures, s.incumbent_labels, overall)
        weight = s.challenger_labels * s.incumbent_labels / s.labels
        total += weight
        weighed += weight * (ours - theirs)
        spread += weight**2 * (ours * (1 - ours) / s.challenger_labels + theirs * (1 - theirs) / s.incumbent_labels)
    difference = weighed / total
    half = NormalDist().inv_cdf(1 - ALPHA / 2 / slices) * sqrt(spread) / total
    return SliceChange(
        name=name, challenger=challenger, incumbent=incumbent, difference=difference,
        low=max(-1.0, difference - half), high=min(1.0, difference + half),
    )  # fmt: skip


def _drawn(failures: int, labels: int, towards: float) -> float:
    return (failures + _DRAWN * towards) / (labels + _DRAWN)

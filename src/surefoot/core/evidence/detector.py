"""Change detectors: did something become worse, at a moment nobody knows, after a promotion or overnight?

An e-process asks whether a difference was there from the first label; a change comes later. The Shiryaev-Roberts
sum `M_n = (1 + M_(n-1)) L_n` adds up the e-processes of every possible beginning. While nothing changes, `M_n - n`
does not grow on average; so until an alarm at `run` at least `run` labels pass on average, however often one looks,
and within N labels an alarm has a chance of at most N/run. All of this stays true for a mixture of alternatives.

`Watch` follows the labels of a holdback: their likelihood ratio is that of the canary, so a drift of both versions is
no change. `PairedWatch` follows differences of one version from its own past, by bets. Both depend on the order of
what they see: the facts are the sequences, the states only save counting again. An alarm stays once it was raised.
Source: Shin, Ramdas & Rinaldo 2023 (e-detectors); Pollak 1985; evidence.md §1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from surefoot.core.errors import Invalid
from surefoot.core.evidence.mixture import LARGEST, WORSE, Events, events
from surefoot.core.evidence.paired import BETS
from surefoot.core.evidence.rollout import log_evidence
from surefoot.core.trace import Arm

HOLDBACK_RUN = 20_000.0
"""Labels of a holdback between two false alarms, on average, at least."""

SENTINEL_RUN = 100_000.0
"""The sentinel's limit: 90 nights of 50 cases are 4 500 differences, so while nothing moves 4.5 % alarm at most."""

LooksFor = Literal["worse", "moved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One labelled unit: its arm (challenger: the promoted version), that arm's share in percent, and the outcome."""

    arm: Arm
    weight_percent: float
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The promoted version against the incumbent held back, after `labels` labels in the order of their arrival.

    `baseline_rate` is the failure rate frozen before the start, which lets successes speak; None leaves them out.
    `alarmed_at` is the number of the label that raised the alarm, from 1. With 5 % held back a rise of failures from
    .15 to .30 is seen after 1 430 labels in the median, by 79 % within 2 000; with 10 % after 844, by 99 %.
    """

    run: float = HOLDBACK_RUN
    baseline_rate: float | None = None
    sums: tuple[float, ...] = (0.0,) * len(WORSE)
    labels: int = 0
    alarmed_at: int | None = None

    def __post_init__(self) -> None:
        _check(self.run, self.sums, len(WORSE))

    def after(self, label: Label) -> Watch:
        """Give the watch with one more label; labels at a share of 0 or 100 % say nothing and are passed over."""
        if not 0 < label.weight_percent < 100:
            return self
        sums = _later(self.sums, _factors(label, self.baseline_rate))
        at = _alarmed_at(self.alarmed_at, sums, self.run, self.labels + 1)
        return replace(self, sums=sums, labels=self.labels + 1, alarmed_at=at)

    def after_all(self, labels: Iterable[Label]) -> Watch:
        """Give the watch after several labels, in this order."""
        watch = self
        for label in labels:
            watch = watch.after(label)
        return watch

    @property
    def evidence(self) -> float:
        """The evidence that the promoted version became worse at some label; 0 before the first."""
        return _mean(self.sums)

    @property
    def alarm(self) -> bool:
        """Whether the evidence ever reached `run`."""
        return self.alarmed_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedWatch:
    """One version against its own past, after `cases` differences in [-1, 1], each case once per window.

    `looks_for` is frozen at the start: `worse` bets on falling scores alone, `moved` on either direction. The run
    length is proven when a difference has mean 0 (or more, for `worse`) given those before, as when each earlier score
    is used once. Against the mean of a case's history it has mean 0 only over the order of that case's scores: then
    the sum still has mean n at each n, and 4 500 differences of steady versions alarmed in 3 % of simulated stories.
    """

    looks_for: LooksFor = "moved"
    run: float = SENTINEL_RUN
    sums: tuple[float, ...] = ()
    cases: int = 0
    alarmed_at: int | None = None

    def __post_init__(self) -> None:
        _check(self.run, self.sums or (0.0,) * len(self.stakes), len(self.stakes))

    @property
    def stakes(self) -> tuple[float, ...]:
        """The bets: negative ones win when scores fall."""
        falling = tuple(-stake for stake in BETS)
        return falling if self.looks_for == "worse" else (*falling, *BETS)

    def after(self, difference: float) -> PairedWatch:
        """Give the watch with one more difference (now minus before)."""
        if not -1 <= difference <= 1:
            raise Invalid(f"a difference of {difference} lies outside [-1, 1]", hint="score cases in [0, 1]")
        sums = _later(self.sums or (0.0,) * len(self.stakes), [1 + stake * difference for stake in self.stakes])
        at = _alarmed_at(self.alarmed_at, sums, self.run, self.cases + 1)
        return replace(self, sums=sums, cases=self.cases + 1, alarmed_at=at)

    def after_all(self, differences: Iterable[float]) -> PairedWatch:
        """Give the watch after several differences, in this order."""
        watch = self
        for difference in differences:
            watch = watch.after(difference)
        return watch

    @property
    def evidence(self) -> float:
        """The evidence of a change; 0 before the first case."""
        return _mean(self.sums) if self.sums else 0.0

    @property
    def alarm(self) -> bool:
        """Whether the evidence ever reached `run`."""
        return self.alarmed_at is not None

    @property
    def direction(self) -> Literal["worse", "better"]:
        """Which way the bets that won were placed."""
        half = len(BETS)
        return "better" if math.fsum(self.sums[half:]) > math.fsum(self.sums[:half]) else "worse"


@lru_cache(maxsize=1024)
def _factors(label: Label, baseline_rate: float | None) -> tuple[float, ...]:
    """Give the likelihood ratio of each alternative for one label."""
    mine = label.arm == "challenger"
    one, none = events([(label.weight_percent, int(mine), int(not mine))]), Events(0, ())
    failed, passed = (one, none) if label.failed else (none, one)
    return tuple(
        math.exp(log_evidence(failed, passed, ratio=ratio, null=1.0, baseline_rate=baseline_rate)) for ratio in WORSE
    )


def _later(sums: Sequence[float], factors: Sequence[float]) -> tuple[float, ...]:
    return tuple(min((total + 1) * factor, LARGEST) for total, factor in zip(sums, factors, strict=True))


def _alarmed_at(before: int | None, sums: Sequence[float], run: float, now: int) -> int | None:
    return now if before is None and _mean(sums) >= run else before


def _mean(sums: Sequence[float]) -> float:
    return math.fsum(sums) / len(sums)


def _check(run: float, sums: Sequence[float], alternatives: int) -> None:
    if not run >= 1:
        raise Invalid(f"a watch has the run length {run}", hint="use at least 1 label between false alarms")
    if len(sums) != alternatives:
        raise Invalid(
            f"a watch has {len(sums)} sums, not {alternatives}", hint="follow the sequence from its beginning"
        )

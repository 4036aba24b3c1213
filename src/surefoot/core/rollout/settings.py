"""What a rollout promised before it began: every number its decisions use, frozen at the start.

Nothing here may move while a rollout runs, because a threshold chosen after looking at the evidence proves nothing.
A setting that makes no sense is refused by its name. Shares are percent of traffic for the challenger; the
incumbent has the rest. No ramp reaches half of the traffic, since the majority is a person's to give.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from surefoot.core.errors import Invalid
from surefoot.core.evidence.betting import MetricGuard
from surefoot.core.evidence.rollout import noninferior_risk
from surefoot.core.rollout.ledger import LedgerMode

Road = Literal["canary", "paired"]
SwapBack = Literal["offer", "perform"]
RolloutState = Literal[
    "draft",
    "shadow",
    "canary",
    "awaiting_approval",
    "promoted",
    "closed",
    "rolled_back",
    "inconclusive",
    "aborted",
    "frozen",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSettings:
    """The frozen terms of one rollout.

    `win_threshold` is 1/alpha of one rollout. `ledger` says how a quarter's rollouts share alpha: by `ledger_slots` (K
    declared rollouts; None is off) or by e-LOND; `ledger_factor` is what that multiplies a win's evidence with, frozen
    at the start (None: by slots). `baseline_rate` is the incumbent's failure rate before the start, None when unknown.
    `success_labels` is False when successes go unreported or are reported differently by arm; then failures alone
    count. `guards` names the watched slices, `metrics` the watched metrics with their terms; all of them share
    `guard_alpha`. On the `paired` road the win comes from shadow or replay, and the canary must only stay quiet. After
    a promotion `holdback_percent` of the units are still served by the old version (0 = none), for `holdback_days` or
    `holdback_labels`, whichever comes first; `alarm_run` is how many labels pass, on average, before a false alarm, and
    `swap_back` says what an alarm may do: `offer` the old version to a person, or `perform` the swap. Errors: `Invalid`
    names the setting.
    """

    road: Road = "canary"
    floor_percent: float = 5.0
    ceiling_percent: float = 45.0
    max_step_percent: float = 10.0
    shares_percent: tuple[float, ...] = (5.0, 15.0, 25.0, 35.0, 45.0)
    min_fresh_labels: int = 25
    mh_limit: float = 1.25
    win_threshold: float = 20.0
    hard_guard: float = 10.0
    soft_guard: float = 3.0
    guards: tuple[str, ...] = ()
    metrics: tuple[MetricGuard, ...] = ()
    guard_alpha: float = 0.10
    horizon_days: float = 30.0
    horizon_labels: int = 6000
    srm_alpha: float = 0.001
    baseline_rate: float | None = None
    success_labels: bool = True
    noninferior: bool = False
    ledger: LedgerMode = "slots"
    ledger_slots: int | None = 5
    ledger_factor: float | None = None
    paired_win: float = 20.0
    paired_harm: float = 10.0
    paired_cap: int = 2000
    quiet_labels: int = 300
    quiet_hours: float = 24.0
    holdback_percent: float = 5.0
    holdback_days: float = 7.0
    holdback_labels: int = 2000
    alarm_run: float = 20_000.0
    swap_back: SwapBack = "offer"

    def __post_init__(self) -> None:
        self._check_shares()
        for name in ("min_fresh_labels", "horizon_labels", "paired_cap", "quiet_labels", "holdback_labels"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("horizon_days", "quiet_hours", "holdback_days"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "more than 0")
        for name in ("win_threshold", "hard_guard", "soft_guard", "paired_win", "paired_harm", "mh_limit", "alarm_run"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("guard_alpha", "srm_alpha"):
            _require(name, getattr(self, name), 0 < getattr(self, name) < 1, "a chance between 0 and 1")
        _require("soft_guard", self.soft_guard, self.soft_guard <= self.hard_guard, "no more than hard_guard")
        _require("road", self.road, self.road in ("canary", "paired"), "'canary' or 'paired'")
        _require("swap_back", self.swap_back, self.swap_back in ("offer", "perform"), "'offer' or 'perform'")
        held = self.holdback_percent
        _require("holdback_percent", held, 0 <= held < 50, "0 for none, or a share below 50")
        watched = (*self.guards, *(metric.name for metric in self.metrics))
        _require("guards", watched, len(set(watched)) == len(watched), "names that differ")
        _require("ledger", self.ledger, self.ledger in ("slots", "e-lond", "off"), "'slots', 'e-lond' or 'off'")
        factor = self.ledger_factor
        _require("ledger_factor", factor, factor is None or factor >= 1, "at least 1, or None")
        slots, rate = self.ledger_slots, self.baseline_rate
        _require("ledger_slots", slots, slots is None or slots >= 1, "at least 1, or None for off")
        _require("baseline_rate", rate, rate is None or 0 < rate < 1, "a rate between 0 and 1, or None")
        declared = self.noninferior
        _require("noninferior", declared, not declared or rate is not None, "off without a baseline_rate")

    def _check_shares(self) -> None:
        shares = self.shares_percent
        _require("ceiling_percent", self.ceiling_percent, self.ceiling_percent < 50, "below 50: half takes a person")
        floor_fits = 0 < self.floor_percent <= self.ceiling_percent
        _require("floor_percent", self.floor_percent, floor_fits, "over 0 and at most the ceiling")
        _require("max_step_percent", self.max_step_percent, self.max_step_percent > 0, "more than 0")
        ordered = bool(shares) and all(a < b for a, b in pairwise(shares))
        _require("shares_percent", shares, ordered, "a list that rises")
        ends = shares[0] == self.floor_percent and shares[-1] == self.ceiling_percent
        _require("shares_percent", shares, ends, "a list from floor_percent to ceiling_percent")
        steps = all(b - a <= self.max_step_percent for a, b in pairwise(shares))
        _require("shares_percent", shares, steps, "steps of at most max_step_percent")

    @property
    def win_at(self) -> float:
        """The evidence a win takes, with the ledger's share of the error already paid."""
        return self.win_threshold * self._dearer

    @property
    def paired_win_at(self) -> float:
        """The evidence a win on shared requests takes, with the same part of the ledger."""
        return self.paired_win * self._dearer

    @property
    def _dearer(self) -> float:
        return (self.ledger_slots or 1) if self.ledger_factor is None else self.ledger_factor

    @property
    def sample_ratio_at(self) -> float:
        """The evidence at which the assignment counts as broken."""
        return 1 / self.srm_alpha

    @property
    def null_risk(self) -> float:
        """The relative risk a win must refute: 1, or the margin declared before the start."""
        return noninferior_risk(self.baseline_rate) if self.noninferior and self.baseline_rate is not None else 1.0

    @property
    def frozen_rate(self) -> float | None:
        """The failure rate that lets success labels count; None means failures only."""
        return self.baseline_rate if self.success_labels else None

    def guard_at(self, watched: int) -> float:
        """Give the evidence at which one of `watched` metric and slice guards fires: their alpha, split evenly."""
        return max(1, watched, len(self.guards) + len(self.metrics)) / self.guard_alpha

    def share_after(self, weight_percent: float) -> float | None:
        """Give the next share of the ramp, at most one step up; None at the ceiling."""
        higher = [share for share in self.shares_percent if share > weight_percent]
        return min(higher[0], weight_percent + self.max_step_percent) if higher else None


def _require(name: str, value: object, holds: bool, wanted: str) -> None:
    if not holds:
        raise Invalid(f"the rollout setting {name} is {value!r}", hint=f"it must be {wanted}")

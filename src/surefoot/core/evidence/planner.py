"""Before a rollout starts: how long it takes to prove a gain of a given size, and when traffic cannot prove it at all.

A win takes about `(ln(threshold) + 2) / I` labels at a fixed share. The ramp is followed step by step: at each share
the challenger needs its fresh labels before the share rises, and what was learned there counts. Nothing here is a
promise; it is the arithmetic of evidence.md §1 for labels that come as they did so far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from surefoot.core.errors import Invalid
from surefoot.core.evidence.relative import labels_needed
from surefoot.core.figure import percent

RISKS = (0.5, 0.67, 0.8, 0.9)
"""Relative risks that are planned for: half, two thirds, four fifths and nine tenths of the failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """The shares of a ramp in percent, and the labels of the challenger that each step takes."""

    shares_percent: tuple[float, ...]
    fresh_labels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What it takes to prove one relative risk: labelled units in all, and days; None beyond any horizon."""

    relative_risk: float
    labels: int | None
    days: float | None


def plan(
    *, relative_risk: float, baseline_rate: float, labels_a_day: float, threshold: float, ramp: Ramp,
    null_risk: float = 1.0,
) -> Plan:  # fmt: skip
    """Plan one relative risk.

    `labels_a_day` counts labelled units of both versions. Errors: Invalid for rates and numbers that make no sense.
    """
    if labels_a_day < 0 or not math.isfinite(labels_a_day):
        raise Invalid(f"{labels_a_day} labels a day cannot be planned with", hint="give a number of at least 0")
    labels = _labels(relative_risk, baseline_rate, threshold, ramp, null_risk)
    days = labels / labels_a_day if labels is not None and labels_a_day > 0 else None
    return Plan(relative_risk=relative_risk, labels=labels, days=days)


def _labels(risk: float, rate: float, threshold: float, ramp: Ramp, null: float) -> int | None:
    """Add up the labels of each share; what a share proves is its part of the evidence that is needed."""
    missing, spent = 1.0, 0.0
    for share in ramp.shares_percent:
        whole = labels_needed(
            baseline_rate=rate, weight_percent=share, relative_risk=risk, null_risk=null, threshold=threshold
        )
        if whole is None:
            return None
        last = share == ramp.shares_percent[-1]
        here = missing * whole if last else min(missing * whole, ramp.fresh_labels / (share / 100))
        spent, missing = spent + here, missing - here / max(1, whole)
        if missing <= 1e-9:
            break
    return math.ceil(spent)


def plans(
    *, baseline_rate: float, labels_a_day: float, threshold: float, ramp: Ramp, null_risk: float = 1.0
) -> tuple[Plan, ...]:
    """Plan every size of gain in `RISKS`, largest gain first."""
    return tuple(
        plan(
            relative_risk=risk, baseline_rate=baseline_rate, labels_a_day=labels_a_day, threshold=threshold,
            ramp=ramp, null_risk=null_risk,
        )
        for risk in RISKS
    )  # fmt: skip


def outlook(found: tuple[Plan, ...], *, labels_a_day: float, horizon_days: float, horizon_labels: int) -> str:
    """Say in one sentence what this traffic can decide within the horizon."""
    within = [
        one
        for one in found
        if one.days is not None and one.labels is not None
        and one.days <= horizon_days and one.labels <= horizon_labels
    ]  # fmt: skip
    traffic = f"{labels_a_day:.3g} labelled requests a day"
    if not within:
        return (
            f"With {traffic} this canary cannot decide within {horizon_days:g} days even if failures are halved; "
            "take the paired road, or wait for more labels."
        )
    least = max(within, key=lambda one: one.relative_risk)
    return (
        f"With {traffic} a canary can prove {percent(1 - least.relative_risk, 0)} fewer failures in about "
        f"{math.ceil(least.days or 0)} days ({least.labels} labels); smaller gains end inconclusive."
    )

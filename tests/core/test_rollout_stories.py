"""Whole canaries, request by request, through `assign` and `next_step`: small enough for every run of the tests.

The error rates proper are measured in tests/simulator/test_twin.py; here they are only bounded loosely.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from surefoot.core.evidence.rollout import Stratum
from surefoot.core.evidence.sampling import Assigned
from surefoot.core.rollout import (
    Assignment,
    RolloutFacts,
    RolloutSettings,
    RolloutState,
    RolloutView,
    assign,
    next_step,
)

START = datetime(2032, 5, 1, tzinfo=UTC)
LOOK = timedelta(hours=12)
P0 = 0.15
SETTINGS = RolloutSettings(baseline_rate=P0, ledger_slots=None)


@dataclass
class Canary:
    """One canary on simulated traffic; a person says yes at once."""

    risk: float
    dice: random.Random
    rate: Callable[[float], float] = lambda _day: P0
    hashed: bool = False
    state: RolloutState = "canary"
    weight: float = 5.0
    epoch: int = 1
    requests: int = 0
    challenger_requests: int = 0
    cells: defaultdict[tuple[int, float], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    weights: list[float] = field(default_factory=lambda: [5.0])
    reasons: list[str] = field(default_factory=list[str])

    def run(self, *, days: int, per_look: int = 150) -> Canary:
        now = START
        while self.state == "canary" and now < START + timedelta(days=days):
            for _ in range(per_look):
                self.serve((now - START) / timedelta(days=1))
            now += LOOK
            self.reconcile(now)
        return self

    def serve(self, day: float) -> None:
        self.requests += 1
        given = self.assigned()
        p = self.rate(day) * (self.risk if given.arm == "challenger" else 1.0)
        outcome = "failures" if self.dice.random() < p else "successes"
        self.cells[given.epoch, given.weight_percent][f"{given.arm}_{outcome}"] += 1
        self.challenger_requests += given.arm == "challenger"

    def assigned(self) -> Assignment:
        if self.hashed:
            view = RolloutView(salt="story", weight_percent=self.weight, epoch=self.epoch)
            return assign(view, f"unit-{self.requests}")
        challenger = self.dice.random() < self.weight / 100
        return Assignment(arm="challenger" if challenger else "incumbent", weight_percent=self.weight, epoch=self.epoch)

    def reconcile(self, now: datetime) -> None:
        step = next_step(self.facts(), now)
        self.state, self.weight, self.epoch = step.state, step.weight_percent, step.epoch
        self.weights.append(self.weight)
        self.reasons.append(step.reason)

    def facts(self) -> RolloutFacts:
        strata = tuple(
            Stratum(epoch=epoch, weight_percent=weight, **counts) for (epoch, weight), counts in self.cells.items()
        )
        assigned = tuple(
            Assigned(
                epoch=one.epoch,
                weight_percent=one.weight_percent,
                challenger=one.challenger_labels,
                incumbent=one.incumbent_labels,
            )
            for one in strata
        )
        return RolloutFacts(
            settings=SETTINGS,
            state=self.state,
            weight_percent=self.weight,
            epoch=self.epoch,
            started_at=START,
            strata=strata,
            assigned=assigned,
        )


def falling(day: float) -> float:
    return 0.30 - 0.22 * min(day / 10, 1.0)


@pytest.mark.parametrize("rate", [lambda _day: P0, falling], ids=["steady", "drifting"])
def test_an_equal_version_is_seldom_promoted_and_seldom_rolled_back(rate: Callable[[float], float]) -> None:
    n, dice = 100, random.Random(21)
    ends = Counter(Canary(risk=1.0, dice=dice, rate=rate).run(days=8).state for _ in range(n))
    assert ends["awaiting_approval"] <= 0.05 * n + 7  # three standard deviations
    assert ends["rolled_back"] <= 0.10 * n + 9


def test_a_better_version_climbs_step_by_step_and_wins() -> None:
    dice = random.Random(22)
    runs = [Canary(risk=0.6, dice=dice).run(days=30) for _ in range(40)]
    won = [run for run in runs if run.state == "awaiting_approval"]
    assert len(won) >= 38
    for run in won:
        assert run.reasons[-1] == "win"
        assert max(run.weights) <= 45
        assert all(after - before <= 10 for before, after in zip(run.weights, run.weights[1:], strict=False))
        assert run.reasons.count("ramp") <= len(run.weights)


def test_a_version_2_33_times_worse_dies_before_it_is_served_often() -> None:
    dice = random.Random(23)
    runs = [Canary(risk=2.33, dice=dice).run(days=30, per_look=25) for _ in range(60)]
    assert sum(run.state == "rolled_back" for run in runs) >= 56
    assert not [run for run in runs if run.state == "awaiting_approval"]
    assert sorted(run.challenger_requests for run in runs)[30] <= 50


def test_a_worse_version_never_reaches_a_larger_share_than_the_alarm_allows() -> None:
    dice = random.Random(24)
    runs = [Canary(risk=1.6, dice=dice).run(days=30) for _ in range(30)]
    assert not [run for run in runs if run.state == "awaiting_approval"]
    assert sum(run.state == "rolled_back" for run in runs) >= 28
    assert sum(run.challenger_requests for run in runs) / sum(run.requests for run in runs) < 0.25


def test_the_story_of_one_rollout_through_the_real_router() -> None:
    run = Canary(risk=0.5, dice=random.Random(25), hashed=True).run(days=30)
    assert run.state == "awaiting_approval"
    steps = [weight for weight in run.weights if weight]
    assert steps == sorted(steps)
    assert steps[0] == 5
    assert run.reasons.count("ramp") == len(set(run.weights)) - 1

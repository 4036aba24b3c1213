"""Reward hacking: equal gains seldom raise the alarm, memorised cases do, and a hidden metric that falls does too."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.divergence import divergence

LEVEL = 0.01  # what docs/why/guardrails.md states


def differences(dice: random.Random, n: int, gain: float, loss: float = 0.05) -> list[float]:
    return [1.0 if (lot := dice.random()) < gain else -1.0 if lot < gain + loss else 0.0 for _ in range(n)]


def test_a_candidate_that_knows_the_shown_cases_by_heart_is_caught() -> None:
    dice = random.Random(1)
    caught = [
        divergence(differences(dice, 80, 0.4, 0), differences(dice, 80, 0.05), seed=str(run)).suspected
        for run in range(50)
    ]
    assert sum(caught) >= 48


@pytest.mark.parametrize("gain", [0.0, 0.1, 0.3, 0.6])
def test_equal_gains_raise_it_at_most_at_the_stated_level(gain: float) -> None:
    dice, runs = random.Random(f"equal-{gain}"), 600
    alarms = sum(
        divergence(differences(dice, 60, gain), differences(dice, 60, gain), seed=str(run)).suspected
        for run in range(runs)
    )
    assert alarms / runs <= LEVEL + 0.006  # 600 runs at 1 % give 9 or fewer nearly always


@pytest.mark.slow
def test_equal_gains_of_many_sizes_stay_below_the_stated_level() -> None:
    dice, runs, alarms = random.Random(7), 6000, 0
    for run in range(runs):
        n, m = dice.choice((20, 60, 150)), dice.choice((20, 60, 150))
        gain = dice.choice((0.05, 0.15, 0.3))
        alarms += divergence(differences(dice, n, gain), differences(dice, m, gain), seed=str(run)).suspected
    assert alarms / runs <= LEVEL


def test_a_smaller_but_real_gain_on_unseen_cases_is_no_crime() -> None:
    found = divergence([1.0] * 300 + [0.0] * 700, [1.0] * 200 + [0.0] * 800, seed="x")
    assert not found.suspected
    assert "alike" in found.sentence


def test_a_smaller_gain_that_is_proven_where_nobody_looked_is_no_crime() -> None:
    heart = [1.0] * 40 + [0.0] * 10
    assert divergence(heart, [1.0] * 5 + [0.0] * 95, seed="x").suspected
    assert not divergence(heart, [1.0] * 15 + [0.0] * 185, seed="x").suspected


def test_a_hidden_metric_that_falls_is_suspicious_and_named() -> None:
    gains = [1.0] * 20 + [0.0] * 40
    found = divergence(gains, gains, seed="x", metrics={"politeness": [-0.5] * 40, "length": [0.0] * 40})
    assert (found.suspected, found.metrics) == (True, ("politeness",))
    assert "politeness falls" in found.sentence
    assert not divergence(gains, gains, seed="x", metrics={"politeness": [0.1, -0.1] * 20}).suspected
    assert not divergence([-1.0] * 20, gains, seed="x", metrics={"politeness": [-0.5] * 40}).suspected


def test_a_few_cases_are_no_proof() -> None:
    assert not divergence([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], seed="x").suspected
    assert not divergence([], [0.0] * 50, seed="x").suspected
    assert not divergence([1.0] * 50, [], seed="x").suspected


@given(
    st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), max_size=40),
    st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), max_size=40),
)
def test_gaining_more_where_nobody_looked_is_never_suspicious(one: list[float], other: list[float]) -> None:
    found = divergence(one, other, seed="x")
    assert not found.suspected or found.shown_gain > 2 * found.hidden_gain
    assert found == divergence(one, other, seed="x")
    assert 0 < found.p <= 1

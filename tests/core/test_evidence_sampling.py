"""The sequential sample-ratio test: silent on honest traffic, loud on a broken router."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.evidence.sampling import Assigned, sample_ratio_evidence

ALARM = 1 / 0.001


def row(weight: float, challenger: int, incumbent: int, epoch: int = 0) -> Assigned:
    return Assigned(epoch=epoch, weight_percent=weight, challenger=challenger, incumbent=incumbent)


@pytest.mark.parametrize("weight", [5.0, 25.0, 45.0])
@pytest.mark.parametrize("n", [1, 5, 12])
def test_the_bet_is_fair_on_honest_traffic(weight: float, n: int) -> None:
    w = weight / 100
    mean = sum(
        math.comb(n, k) * w**k * (1 - w) ** (n - k) * sample_ratio_evidence([row(weight, k, n - k)])
        for k in range(n + 1)
    )
    assert mean == pytest.approx(1.0, abs=1e-9)


def test_honest_traffic_looked_at_after_every_hundred_units_raises_no_alarm() -> None:
    dice, alarms = random.Random(3), 0
    for _ in range(200):
        challenger = 0
        for look in range(1, 31):
            challenger += sum(dice.random() < 0.05 for _ in range(100))
            alarms += sample_ratio_evidence([row(5, challenger, look * 100 - challenger)]) >= ALARM
    assert alarms == 0


@pytest.mark.parametrize(("weight", "n"), [(25, 2000), (45, 500)])
def test_relative_weights_read_as_shares_are_found_out(weight: float, n: int) -> None:
    """S1-29: with the incumbent at 100, a weight of 25 is served as 20 % and one of 45 as 31 %."""
    challenger = round(n * weight / (100 + weight))
    assert sample_ratio_evidence([row(weight, challenger, n - challenger)]) >= ALARM


@pytest.mark.parametrize("broken", [row(0, 1, 10_000), row(100, 10_000, 1)])
def test_one_unit_on_a_share_of_zero_is_proof(broken: Assigned) -> None:
    assert sample_ratio_evidence([row(5, 50, 950), broken]) == 1e300


def test_units_under_one_version_alone_say_nothing() -> None:
    assert sample_ratio_evidence([row(0, 0, 500), row(100, 500, 0)]) == 1.0
    assert sample_ratio_evidence([]) == 1.0


@given(st.lists(st.tuples(st.sampled_from([5.0, 15.0, 45.0]), st.integers(0, 99), st.integers(0, 99)), max_size=6))
def test_epochs_and_shards_add_up(rows: list[tuple[float, int, int]]) -> None:
    parts = [row(w, c, i, epoch) for epoch, (w, c, i) in enumerate(rows)]
    whole = [
        row(w, sum(c for x, c, _ in rows if x == w), sum(i for x, _, i in rows if x == w)) for w in (5.0, 15.0, 45.0)
    ]
    assert sample_ratio_evidence(parts) == pytest.approx(sample_ratio_evidence(whole))


def test_impossible_assignments_are_refused() -> None:
    for weight, challenger in ((101, 0), (5, -1)):
        with pytest.raises(Invalid):
            row(weight, challenger, 0)

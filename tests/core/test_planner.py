"""The planner says how long a proof takes, and plainly when traffic cannot decide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.evidence.planner import RISKS, Ramp, outlook, plan, plans
from surefoot.core.evidence.relative import labels_needed

RAMP = Ramp(shares_percent=(5.0, 15.0, 25.0, 35.0, 45.0), fresh_labels=25)


def found(rate: float = 0.15, daily: float = 300, threshold: float = 20):
    return plans(baseline_rate=rate, labels_a_day=daily, threshold=threshold, ramp=RAMP)


def test_the_reference_setting_takes_about_the_days_that_were_simulated() -> None:
    third_fewer = plan(relative_risk=0.67, baseline_rate=0.15, labels_a_day=300, threshold=20, ramp=RAMP)
    assert third_fewer.days is not None
    assert 3 <= third_fewer.days <= 11, "simulated: 5.5 days in the median"


@given(rate=st.floats(0.01, 0.9), risk=st.floats(0.05, 0.95), threshold=st.floats(1, 1e4), daily=st.floats(0.1, 1e5))
def test_a_ramp_takes_no_less_than_its_ceiling_from_the_start_and_no_more_than_its_floor_for_ever(
    rate: float, risk: float, threshold: float, daily: float
) -> None:
    one = plan(relative_risk=risk, baseline_rate=rate, labels_a_day=daily, threshold=threshold, ramp=RAMP)
    bounds = [
        labels_needed(baseline_rate=rate, weight_percent=share, relative_risk=risk, threshold=threshold)
        for share in (45.0, 5.0)
    ]
    assert one.labels is not None
    assert bounds[0] is not None
    assert bounds[1] is not None
    assert min(bounds) - 1 <= one.labels <= max(bounds) + 1


def test_larger_gains_take_fewer_labels() -> None:
    labels = [one.labels for one in found()]
    assert labels == sorted(labels, key=lambda n: n or 0)
    assert [one.relative_risk for one in found()] == list(RISKS)


def test_little_traffic_is_told_that_it_cannot_decide() -> None:
    sentence = outlook(found(daily=2), labels_a_day=2, horizon_days=30, horizon_labels=6000)
    assert "cannot decide within 30 days" in sentence
    assert "paired road" in sentence


def test_no_traffic_at_all_cannot_decide_either() -> None:
    assert {one.days for one in found(daily=0)} == {None}
    assert "cannot decide" in outlook(found(daily=0), labels_a_day=0, horizon_days=30, horizon_labels=6000)


def test_enough_traffic_is_told_the_smallest_gain_it_can_prove() -> None:
    sentence = outlook(found(), labels_a_day=300, horizon_days=30, horizon_labels=6000)
    assert "can prove" in sentence
    assert "inconclusive" in sentence


def test_the_label_horizon_counts_as_well_as_the_days() -> None:
    assert "cannot decide" in outlook(found(daily=1e6), labels_a_day=1e6, horizon_days=30, horizon_labels=10)


def test_a_version_that_is_not_better_is_never_proven() -> None:
    assert plan(relative_risk=1.0, baseline_rate=0.15, labels_a_day=300, threshold=20, ramp=RAMP).labels is None


@pytest.mark.parametrize("daily", [-1, float("nan"), float("inf")])
def test_impossible_traffic_is_refused(daily: float) -> None:
    with pytest.raises(Invalid, match="labels a day"):
        plan(relative_risk=0.5, baseline_rate=0.15, labels_a_day=daily, threshold=20, ramp=RAMP)

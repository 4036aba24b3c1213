"""The relative risk, its interval, and the planner."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.evidence.relative import labels_needed, mantel_haenszel, risk_interval
from surefoot.core.evidence.rollout import Stratum, merged, win_evidence


def stratum(weight: float, cf: int, cs: int, nf: int, ns: int, epoch: int = 0) -> Stratum:
    return Stratum(
        epoch=epoch,
        weight_percent=weight,
        challenger_failures=cf,
        challenger_successes=cs,
        incumbent_failures=nf,
        incumbent_successes=ns,
    )


def test_one_stratum_gives_the_plain_ratio_of_failure_rates() -> None:
    assert mantel_haenszel([stratum(20, 10, 90, 20, 380)]) == pytest.approx(2.0)


def test_a_drift_between_epochs_is_not_taken_for_a_difference_between_versions() -> None:
    """Pooled, the challenger looks far better only because it had its traffic in the good epoch."""
    rows = [stratum(5, 15, 35, 300, 700, epoch=0), stratum(45, 40, 460, 48, 552, epoch=1)]
    pooled = (55 / 550) / (348 / 1600)
    assert pooled < 0.5
    assert mantel_haenszel(rows) == pytest.approx(1.0)


def test_without_a_comparison_there_is_no_risk() -> None:
    assert mantel_haenszel([]) is None
    assert mantel_haenszel([stratum(5, 3, 3, 0, 0)]) is None
    assert mantel_haenszel([stratum(5, 0, 9, 0, 90)]) is None


def test_failures_of_the_challenger_alone_are_a_risk_without_bound() -> None:
    assert mantel_haenszel([stratum(5, 1, 9, 0, 90)]) == 1e300


def test_the_interval_is_the_whole_range_without_labels_and_narrows_with_them() -> None:
    nothing = risk_interval([])
    some = risk_interval([stratum(25, 30, 170, 60, 540)])
    many = risk_interval([stratum(25, 300, 1700, 600, 5400)])
    assert (nothing.low, nothing.high) == (0.2, 5.0)
    assert nothing.high - nothing.low > some.high - some.low > many.high - many.low
    assert some.low < many.low < 1.5 < many.high < some.high


def test_the_interval_excludes_equality_when_the_failures_do() -> None:
    assert risk_interval([stratum(45, 20, 400, 120, 400)]).high < 1
    assert risk_interval([stratum(45, 120, 400, 60, 400)]).low > 1


@pytest.mark.parametrize("risk", [0.5, 1.0, 2.0])
def test_the_interval_holds_the_truth_at_every_look_in_most_rollouts(risk: float) -> None:
    dice, missed = random.Random(f"interval {risk}"), 0
    for _ in range(150):
        cf = nf = 0
        held = True
        for _ in range(25):
            part = 0.25 * risk / (0.25 * risk + 0.75)
            fell = sum(dice.random() < part for _ in range(8))
            cf, nf = cf + fell, nf + 8 - fell
            interval = risk_interval([stratum(25, cf, 0, nf, 0)])
            held = held and interval.low <= risk <= interval.high
        missed += not held
    assert missed <= 0.08 * 150


@given(
    st.lists(
        st.builds(
            stratum,
            st.sampled_from([5.0, 25.0, 45.0]),
            *[st.integers(0, 60)] * 4,
            epoch=st.integers(0, 3),
        ),
        max_size=6,
    )
)
def test_the_interval_is_one_of_counts_and_lies_in_its_range(rows: list[Stratum]) -> None:
    interval, again = risk_interval(rows), risk_interval(merged(reversed(rows)))
    assert 0.2 <= interval.low <= interval.high <= 5.0
    assert (interval.low, interval.high) == pytest.approx((again.low, again.high), rel=1e-3)


def test_swapping_the_arms_mirrors_the_interval() -> None:
    one = risk_interval([stratum(50, 40, 0, 90, 0)])
    other = risk_interval([stratum(50, 90, 0, 40, 0)])
    assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low), rel=1e-3)


def plan(
    rate: float = 0.15, weight: float = 45, risk: float = 0.67, *, threshold: float = 20, e_now: float = 1.0
) -> int | None:
    return labels_needed(
        baseline_rate=rate, weight_percent=weight, relative_risk=risk, threshold=threshold, e_now=e_now
    )


def needed(*args: float, threshold: float = 20, e_now: float = 1.0) -> int:
    labels = plan(*args, threshold=threshold, e_now=e_now)
    assert labels is not None
    return labels


def test_the_plan_is_the_missing_evidence_over_the_information_of_a_label() -> None:
    failing = 0.55 + 0.45 * 0.67
    part = 0.45 * 0.67 / failing
    information = 0.15 * failing * (part * math.log(part / 0.45) + (1 - part) * math.log((1 - part) / 0.55))
    assert plan() == math.ceil((math.log(20) + 2) / information)


def test_small_gains_rare_failures_and_small_shares_need_more_labels() -> None:
    assert needed(0.15, 45, 0.9) > needed(0.15, 45, 0.67) > needed(0.15, 45, 0.4)
    assert needed(0.02, 45, 0.67) > needed(0.15, 45, 0.67)
    assert needed(0.15, 5, 0.67) > needed(0.15, 45, 0.67)
    assert needed(0.15, 45, 0.67, threshold=100) > needed(0.15, 45, 0.67)


def test_evidence_already_there_shortens_the_plan_to_nothing() -> None:
    assert needed(0.15, 45, 0.67, e_now=5) < needed(0.15, 45, 0.67)
    assert plan(e_now=1e6) == 0
    assert plan(e_now=0.0) is not None


def test_no_number_of_labels_shows_a_gain_that_is_not_there() -> None:
    assert plan(0.15, 45, 1.0) is None
    assert plan(0.15, 45, 1.4) is None
    at_margin = labels_needed(baseline_rate=0.15, weight_percent=45, relative_risk=1.0, null_risk=1.13)
    assert at_margin is not None


def test_an_impossible_plan_is_refused() -> None:
    for rate, weight, risk in ((0.0, 45, 0.7), (1.0, 45, 0.7), (0.1, 0, 0.7), (0.1, 100, 0.7), (0.1, 45, -0.1)):
        with pytest.raises(Invalid):
            plan(rate, weight, risk)


def test_the_plan_is_about_right() -> None:
    """Half of simulated rollouts should have won by about the planned number of labels, failures alone counting."""
    dice, planned, won = random.Random(11), needed(), 0
    for _ in range(200):
        counts = {"cf": 0, "cs": 0, "nf": 0, "ns": 0}
        for _ in range(planned):
            arm, rate = ("c", 0.15 * 0.67) if dice.random() < 0.45 else ("n", 0.15)
            counts[arm + ("f" if dice.random() < rate else "s")] += 1
        won += win_evidence([stratum(45, **counts)]) >= 20
    assert 0.4 <= won / 200 <= 0.95

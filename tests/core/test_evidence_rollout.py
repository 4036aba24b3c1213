"""The label-conditional e-processes: fair under their null by exact enumeration, and a function of counts alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.evidence.mixture import BETTER
from surefoot.core.evidence.rollout import (
    Stratum,
    failures,
    guard_evidence,
    log_evidence,
    merged,
    noninferior_evidence,
    noninferior_risk,
    successes,
    win_evidence,
)

WEIGHTS = (5.0, 15.0, 45.0, 80.0)
RATES = (0.02, 0.15, 0.5)
ARMS_AND_OUTCOMES = ("challenger_failures", "challenger_successes", "incumbent_failures", "incumbent_successes")

Label = tuple[float, str]
Evidence = Callable[[Sequence[Stratum]], float]


def strata_of(labels: Sequence[Label]) -> list[Stratum]:
    """One stratum a label: weight and cell."""
    return [Stratum(epoch=0, weight_percent=w, **{cell: 1}) for w, cell in labels]


def expected(evidence: Evidence, *, n: int, p0: float, p1: float, weights: Sequence[float]) -> float:
    """Give E[e] after n requests, exactly, with a share that reacts to everything seen so far."""

    def go(labels: tuple[Label, ...], chance: float) -> float:
        if len(labels) == n:
            return chance * evidence(strata_of(labels))
        failed = sum("failures" in cell for _, cell in labels)
        weight = weights[(failed + len(labels)) % len(weights)]
        w = weight / 100
        chances = (w * p1, w * (1 - p1), (1 - w) * p0, (1 - w) * (1 - p0))
        return sum(
            go((*labels, (weight, cell)), chance * c) for cell, c in zip(ARMS_AND_OUTCOMES, chances, strict=True)
        )

    return go((), 1.0)


def binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def expected_given_outcomes(evidence: Evidence, *, weight: float, p0: float, p1: float, n: int) -> float:
    """Give E[e] over who failed and who succeeded, given n failures and n successes."""
    w = weight / 100
    failing = w * p1 / (w * p1 + (1 - w) * p0)
    passing = w * (1 - p1) / (w * (1 - p1) + (1 - w) * (1 - p0))
    return sum(
        binomial(n, a, failing)
        * binomial(n, b, passing)
        * evidence(
            [
                Stratum(
                    epoch=0,
                    weight_percent=weight,
                    challenger_failures=a,
                    incumbent_failures=n - a,
                    challenger_successes=b,
                    incumbent_successes=n - b,
                )
            ]
        )
        for a in range(n + 1)
        for b in range(n + 1)
    )


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frozen", [None, 0.15, 0.6])
def test_win_and_guard_are_fair_bets_when_both_versions_are_equal(
    weight: float, rate: float, frozen: float | None
) -> None:
    for evidence in (win_evidence, guard_evidence):
        mean = expected_given_outcomes(
            lambda s, e=evidence: e(s, baseline_rate=frozen), weight=weight, p0=rate, p1=rate, n=7
        )
        assert mean == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("risk", [1.1, 1.5, 1.9])
def test_a_win_pays_less_than_it_costs_when_the_challenger_is_worse(weight: float, risk: float) -> None:
    for frozen in (None, 0.15, 0.6):
        mean = expected_given_outcomes(
            lambda s, f=frozen: win_evidence(s, baseline_rate=f), weight=weight, p0=0.5, p1=0.5 * risk, n=6
        )
        assert mean < 1


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("risk", [0.3, 0.7, 0.95])
def test_a_guard_pays_less_than_it_costs_when_the_challenger_is_better(weight: float, risk: float) -> None:
    for frozen in (None, 0.15, 0.6):
        mean = expected_given_outcomes(
            lambda s, f=frozen: guard_evidence(s, baseline_rate=f), weight=weight, p0=0.5, p1=0.5 * risk, n=6
        )
        assert mean < 1


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("rate", [0.04, 0.15, 0.4])
@pytest.mark.parametrize("use_successes", [True, False])
def test_a_noninferior_win_is_fair_at_its_margin(weight: float, rate: float, use_successes: bool) -> None:
    mean = expected_given_outcomes(
        lambda s: noninferior_evidence(s, baseline_rate=rate, use_successes=use_successes),
        weight=weight,
        p0=rate,
        p1=rate * noninferior_risk(rate),
        n=7,
    )
    assert mean <= 1 + 1e-9
    if not use_successes:
        assert mean == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("rate", [0.04, 0.15, 0.4])
def test_every_single_noninferior_bet_is_fair_at_the_margin(weight: float, rate: float) -> None:
    """Also those on risks between 1 and the margin, which must leave the successes alone."""
    null = noninferior_risk(rate)
    for ratio in (risk * null for risk in BETTER):

        def bet(rows: Sequence[Stratum], r: float = ratio) -> float:
            kinds = failures(rows), successes(rows)
            return math.exp(log_evidence(*kinds, ratio=r, null=null, baseline_rate=rate))

        assert expected_given_outcomes(bet, weight=weight, p0=rate, p1=rate * null, n=4) <= 1 + 1e-9


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_bets_stay_fair_when_the_share_reacts_to_what_was_seen(rate: float) -> None:
    for evidence in (win_evidence, guard_evidence):
        mean = expected(lambda s, e=evidence: e(s, baseline_rate=0.2), n=5, p0=rate, p1=rate, weights=(5.0, 45.0, 25.0))
        assert mean == pytest.approx(1.0, abs=1e-9)


counts = st.integers(0, 40)
strata = st.lists(
    st.builds(
        Stratum,
        epoch=st.integers(0, 3),
        weight_percent=st.sampled_from([5.0, 15.0, 25.0, 45.0]),
        challenger_failures=counts,
        challenger_successes=counts,
        incumbent_failures=counts,
        incumbent_successes=counts,
    ),
    max_size=5,
)
rates = st.one_of(st.none(), st.floats(0.01, 0.9))


def both(rows: Sequence[Stratum], rate: float | None) -> tuple[float, float]:
    return win_evidence(rows, baseline_rate=rate), guard_evidence(rows, baseline_rate=rate)


@given(strata, rates, st.randoms(use_true_random=False))
def test_the_order_of_labels_does_not_matter(rows: list[Stratum], rate: float | None, dice: object) -> None:
    shuffled = list(rows)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert both(shuffled, rate) == pytest.approx(both(rows, rate), rel=1e-9)


@given(strata, strata, rates)
def test_workers_that_saw_different_units_merge_to_one_stream(
    one: list[Stratum], other: list[Stratum], rate: float | None
) -> None:
    together = merged([*merged(one), *merged(other)])
    assert both(together, rate) == pytest.approx(both([*one, *other], rate), rel=1e-9)
    assert sum(s.labels for s in together) == sum(s.labels for s in [*one, *other])


@given(strata, rates, st.sampled_from([5.0, 25.0]))
def test_every_label_moves_the_evidence_in_its_own_direction(
    rows: list[Stratum], rate: float | None, weight: float
) -> None:
    win, guard = both(rows, rate)
    for cell, for_challenger in (
        ("challenger_failures", False),
        ("incumbent_failures", True),
        ("challenger_successes", True),
        ("incumbent_successes", False),
    ):
        more_win, more_guard = both([*rows, *strata_of([(weight, cell)])], rate)
        slack = 1e-9
        assert (more_win >= win * (1 - slack)) if for_challenger else (more_win <= win * (1 + slack))
        assert (more_guard <= guard * (1 + slack)) if for_challenger else (more_guard >= guard * (1 - slack))


@given(strata)
def test_without_a_frozen_rate_successes_say_nothing(rows: list[Stratum]) -> None:
    failures = [
        Stratum(
            epoch=s.epoch,
            weight_percent=s.weight_percent,
            challenger_failures=s.challenger_failures,
            incumbent_failures=s.incumbent_failures,
        )
        for s in rows
    ]
    assert both(rows, None) == pytest.approx(both(failures, None))


def test_no_labels_are_no_evidence() -> None:
    assert both([], 0.15) == (1.0, 1.0)


@pytest.mark.parametrize("weight", [0.0, 100.0])
def test_labels_under_one_version_alone_are_no_evidence(weight: float) -> None:
    rows = [Stratum(epoch=0, weight_percent=weight, challenger_failures=50, incumbent_failures=50)]
    assert both(rows, 0.15) == (1.0, 1.0)


def test_a_million_labels_neither_overflow_nor_vanish_into_nan() -> None:
    worse = [Stratum(epoch=0, weight_percent=45, challenger_failures=10**6, incumbent_failures=10)]
    better = [Stratum(epoch=0, weight_percent=45, challenger_failures=10, incumbent_failures=10**6)]
    assert both(worse, 0.1) == (0.0, pytest.approx(1e300))
    assert both(better, 0.1) == (pytest.approx(1e300), 0.0)


def test_the_evidence_is_the_mean_likelihood_ratio_written_out() -> None:
    row = Stratum(epoch=0, weight_percent=25, challenger_failures=1, incumbent_failures=2, challenger_successes=3)
    grid = (0.95, 0.9, 0.85, 0.8, 0.72, 0.65, 0.55, 0.45, 0.3)
    terms: list[float] = []
    for r in grid:
        part = 0.25 * r / (0.25 * r + 0.75)
        passing = 0.25 * (1 - 0.2 * r) / (0.25 * (1 - 0.2 * r) + 0.75 * 0.8)
        terms.append((part / 0.25) * ((1 - part) / 0.75) ** 2 * (passing / 0.25) ** 3)
    assert win_evidence([row], baseline_rate=0.2) == pytest.approx(sum(terms) / len(grid))


@pytest.mark.parametrize(("rate", "risk"), [(0.02, 1.25), (0.08, 1.25), (0.1, 1.2), (0.2, 1.1), (0.5, 1.04)])
def test_the_noninferiority_margin_is_two_points_and_never_more_than_a_quarter(rate: float, risk: float) -> None:
    assert noninferior_risk(rate) == pytest.approx(risk)


def test_impossible_counts_are_refused() -> None:
    for weight, failed in ((101.0, 0), (-1.0, 0), (5.0, -1)):
        with pytest.raises(Invalid):
            Stratum(epoch=0, weight_percent=weight, incumbent_failures=failed)
    for rate in (0.0, 1.0, -0.2):
        with pytest.raises(Invalid):
            noninferior_risk(rate)


def test_four_percent_against_two_percent_is_an_alarm_and_never_a_win() -> None:
    """S1-38: absolute thresholds promote a 4 % challenger over a 2 % incumbent."""
    row = Stratum(
        epoch=0,
        weight_percent=25,
        challenger_failures=40,
        challenger_successes=960,
        incumbent_failures=60,
        incumbent_successes=2940,
    )
    win, guard = both([row], 0.02)
    assert win < 0.1
    assert guard > 10


def test_ten_percent_replaces_thirty_percent() -> None:
    row = Stratum(
        epoch=0,
        weight_percent=25,
        challenger_failures=10,
        challenger_successes=90,
        incumbent_failures=90,
        incumbent_successes=210,
    )
    win, guard = both([row], 0.3)
    assert win > 20
    assert guard < 1


def test_the_enumeration_would_notice_a_bet_that_is_not_fair() -> None:
    """The yardstick itself: a bet that multiplies by 1.01 a failure has to be seen."""
    tilted = expected_given_outcomes(
        lambda s: win_evidence(s) * 1.01 ** sum(x.challenger_failures for x in s), weight=45, p0=0.2, p1=0.2, n=7
    )
    assert tilted > 1.01

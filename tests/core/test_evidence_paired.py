"""Paired evidence: the betting e-process, the exact sign test, and what a set of cases could have shown."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.evidence.paired import (
    Tally,
    betting_cases_needed,
    betting_evidence,
    betting_power,
    cases_needed,
    critical_gains,
    sign_test,
    sign_test_power,
    tally,
)

differences = st.lists(st.floats(-1, 1), max_size=30)


@pytest.mark.parametrize("levels", [(-1, 0, 1), (-1, 1), (-0.5, 0.5), (-0.25, 0.5, -0.25), (-1, 0.5, 0.5)])
@pytest.mark.parametrize("n", [1, 4, 7])
def test_betting_on_a_gain_that_is_not_there_is_fair(levels: tuple[float, ...], n: int) -> None:
    assert sum(levels) == 0
    mean = sum(betting_evidence(draw) for draw in itertools.product(levels, repeat=n)) / len(levels) ** n
    assert mean == pytest.approx(1.0, abs=1e-9)


@given(differences, st.randoms(use_true_random=False))
def test_the_order_of_cases_does_not_matter(values: list[float], dice: random.Random) -> None:
    shuffled = list(values)
    dice.shuffle(shuffled)
    assert betting_evidence(shuffled) == pytest.approx(betting_evidence(values))


@given(st.lists(st.floats(-1, 0.9), min_size=1, max_size=20), st.integers(0, 19), st.floats(0, 0.1))
def test_a_better_case_never_lowers_the_evidence(values: list[float], at: int, more: float) -> None:
    raised = list(values)
    raised[at % len(values)] += more
    assert betting_evidence(raised) >= betting_evidence(values) * (1 - 1e-9)


def test_no_cases_are_no_evidence_and_many_do_not_overflow() -> None:
    assert betting_evidence([]) == 1.0
    assert betting_evidence([1.0] * 100_000) == pytest.approx(1e300)
    assert betting_evidence([-1.0] * 100_000) == 0.0


def test_scores_outside_their_range_are_refused() -> None:
    for wrong in (1.5, -2.0, math.nan):
        with pytest.raises(Invalid):
            betting_evidence([0.0, wrong])


@pytest.mark.parametrize("n", [1, 2, 5, 11, 40])
def test_the_sign_test_is_the_exact_binomial_tail(n: int) -> None:
    for k in range(n + 1):
        exact = sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n
        assert sign_test(for_it=k, against_it=n - k) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("n", [3, 9, 30])
@pytest.mark.parametrize("alpha", [0.05, 0.0025])
def test_the_sign_test_is_wrong_at_most_at_its_level(n: int, alpha: float) -> None:
    wrong = sum(math.comb(n, k) for k in range(n + 1) if sign_test(for_it=k, against_it=n - k) <= alpha) / 2**n
    assert wrong <= alpha


def test_no_discordant_case_shows_nothing() -> None:
    assert sign_test(for_it=0, against_it=0) == 1.0


def test_the_sign_test_stays_exact_with_thousands_of_cases() -> None:
    whole = sum(math.comb(2000, i) for i in range(1050, 2001))
    assert sign_test(for_it=1050, against_it=950) == pytest.approx(float(whole * 10**12 // 2**2000) / 1e12, rel=1e-6)
    assert sign_test(for_it=4000, against_it=0) < 1e-300


@given(st.integers(0, 60), st.integers(0, 60))
def test_one_more_gain_never_raises_the_p_value(gained: int, lost: int) -> None:
    p = sign_test(for_it=gained, against_it=lost)
    assert 0 < p <= 1
    assert sign_test(for_it=gained + 1, against_it=lost) <= p + 1e-12
    assert sign_test(for_it=gained, against_it=lost + 1) >= p - 1e-12


@given(st.integers(0, 80), st.sampled_from([0.05, 0.01, 0.0025]))
def test_the_critical_number_is_the_first_that_passes(discordant: int, alpha: float) -> None:
    k = critical_gains(discordant, alpha)
    if k <= discordant:
        assert sign_test(for_it=k, against_it=discordant - k) <= alpha
    assert k == 0 or sign_test(for_it=k - 1, against_it=discordant - k + 1) > alpha


def exact_power(n: int, discordance: float, gain: float, alpha: float) -> float:
    """The same by brute force over gained and lost."""
    win, lose = (discordance + gain) / 2, (discordance - gain) / 2
    return sum(
        math.comb(n, g) * math.comb(n - g, b) * win**g * lose**b * (1 - discordance) ** (n - g - b)
        for g in range(n + 1)
        for b in range(n - g + 1)
        if sign_test(for_it=g, against_it=b) <= alpha
    )


@pytest.mark.parametrize(
    ("n", "discordance", "gain"), [(12, 0.2, 0.1), (30, 0.25, 0.1), (60, 0.3, 0.25), (40, 1.0, 0.3)]
)
def test_the_power_is_that_of_the_exact_test(n: int, discordance: float, gain: float) -> None:
    for alpha in (0.05, 0.0025):
        power = sign_test_power(n=n, discordance=discordance, gain=gain, alpha=alpha)
        assert power == pytest.approx(exact_power(n, discordance, gain, alpha), abs=1e-6)


def test_twelve_cases_prove_nothing() -> None:
    """evidence.md §2: power for ten points is about 0/4/41/67/91 % at these sizes on real discordance."""
    powers = [sign_test_power(n=n, discordance=0.18, gain=0.1, alpha=0.0025) for n in (12, 30, 100, 200, 400)]
    assert powers == sorted(powers)
    assert powers[0] < 0.001
    assert powers[1] < 0.05
    assert 0.55 < powers[3] < 0.8
    assert powers[4] > 0.9


@pytest.mark.parametrize("alpha", [0.05, 0.0025])
@pytest.mark.parametrize("gain", [0.05, 0.1])
def test_the_number_of_cases_needed_has_the_power_and_a_tenth_fewer_do_not(alpha: float, gain: float) -> None:
    n = cases_needed(discordance=0.2, gain=gain, alpha=alpha)
    assert n is not None
    assert sign_test_power(n=n, discordance=0.2, gain=gain, alpha=alpha) >= 0.8
    assert sign_test_power(n=int(n * 0.9), discordance=0.2, gain=gain, alpha=alpha) < 0.8


def test_a_gain_no_planned_size_can_show_needs_more_than_can_be_had() -> None:
    assert cases_needed(discordance=0.5, gain=0.001, alpha=0.0025) is None
    assert betting_cases_needed([0.5, -0.5] * 20, gain=0.001, alpha=0.0025) is None


def test_a_gain_larger_than_the_discordance_seen_raises_the_discordance() -> None:
    calm = sign_test_power(n=100, discordance=0.0, gain=0.1, alpha=0.05)
    assert calm == sign_test_power(n=100, discordance=0.1, gain=0.1, alpha=0.05)


def test_power_without_a_gain_or_level_is_refused() -> None:
    for gain, alpha in ((0.0, 0.05), (1.5, 0.05), (0.1, 0.0), (0.1, 1.0)):
        with pytest.raises(Invalid):
            sign_test_power(n=10, discordance=0.2, gain=gain, alpha=alpha)


def test_the_power_of_bets_is_about_what_simulation_gives() -> None:
    dice = random.Random(5)
    seen = [dice.choice([-0.5, 0.0, 0.0, 0.0, 0.5]) for _ in range(200)]
    power = betting_power(seen, n=200, gain=0.1, alpha=0.05)
    shift = 0.1 - sum(seen) / len(seen)
    reached = sum(
        betting_evidence([min(1, max(-1, dice.choice(seen) + shift)) for _ in range(200)]) >= 20 for _ in range(400)
    )
    assert power == pytest.approx(reached / 400, abs=0.12)


def test_bets_on_nothing_have_no_power_and_more_cases_have_more() -> None:
    seen = [0.2, -0.1, 0.0, 0.3, -0.3] * 10
    assert betting_power([], n=100, gain=0.1, alpha=0.05) == 0.0
    assert betting_power([0.0] * 10, n=10, gain=0.05, alpha=0.05) == 0.0
    assert betting_power([0.0] * 10, n=1000, gain=0.05, alpha=0.05) == 1.0
    few, many = (betting_power(seen, n=n, gain=0.1, alpha=0.05) for n in (30, 300))
    assert few < many
    needed = betting_cases_needed(seen, gain=0.1, alpha=0.05)
    assert needed is not None
    assert betting_power(seen, n=needed, gain=0.1, alpha=0.05) >= 0.8


def test_a_tally_counts_and_shrinks() -> None:
    count = tally([1.0, -0.5, 0.0, 0.25])
    assert count == Tally(gained=2, lost=1, n=4)
    assert count.discordance == 0.75
    assert count.shrunken_gain == pytest.approx(1 / 6)
    assert tally([]).discordance == 0.0

"""Which way something goes: said only beyond chance, and the same for both ways."""

from __future__ import annotations

import random
from itertools import product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.trend import FEW, of_counts, of_rates

COUNT = st.integers(0, 400)
HALF = st.tuples(COUNT, COUNT).map(lambda one: (min(one), max(one)))
OTHER = {"more": "fewer", "fewer": "more", "better": "worse", "worse": "better", "steady": "steady"}


@given(COUNT, COUNT)
def test_halves_that_change_places_turn_the_trend_of_counts_round(older: int, newer: int) -> None:
    assert of_counts(newer, older).way == OTHER[of_counts(older, newer).way]


@given(HALF, HALF)
def test_halves_that_change_places_turn_the_trend_of_rates_round(
    older: tuple[int, int], newer: tuple[int, int]
) -> None:
    assert of_rates(newer, older).way == OTHER[of_rates(older, newer).way]


@given(COUNT, COUNT, st.integers(0, 50))
def test_more_of_the_newer_half_never_makes_it_fewer(older: int, newer: int, added: int) -> None:
    order = ("fewer", "steady", "more")
    assert order.index(of_counts(older, newer + added).way) >= order.index(of_counts(older, newer).way)


@given(COUNT, COUNT)
def test_a_trend_of_counts_says_both_counts(older: int, newer: int) -> None:
    told = of_counts(older, newer)
    assert told.sentence.startswith(f"{newer} in the newer half, {older} in the older")
    assert ("hardly" in told.sentence) == (told.way != "steady")


@given(HALF, st.tuples(st.integers(0, FEW - 1), st.integers(0, FEW - 1)).map(sorted).map(tuple))
def test_few_labels_say_nothing_of_rates(one: tuple[int, int], few: tuple[int, int]) -> None:
    assert of_rates(one, few).way == of_rates(few, one).way == "steady"


@pytest.mark.parametrize(
    ("older", "newer", "way"),
    [(0, 0, "steady"), (0, 5, "steady"), (0, 6, "more"), (6, 0, "fewer"), (9, 2, "steady"), (10, 1, "fewer"),
     (40, 60, "steady"), (39, 61, "more")],
)  # fmt: skip
def test_a_half_that_has_nearly_all_of_it_is_a_trend(older: int, newer: int, way: str) -> None:
    assert of_counts(older, newer).way == way


def test_chance_alone_is_called_a_trend_at_most_once_in_twenty() -> None:
    luck = random.Random(11)
    halves = [sum(luck.random() < 0.5 for _ in range(60)) for _ in range(1_000)]
    assert sum(of_counts(60 - one, one).way != "steady" for one in halves) <= 70


def by_chance(older: tuple[int, int], newer: tuple[int, int]) -> float:
    """Fisher's exact test, two-sided."""
    (a, n), (b, m) = older, newer
    both = a + b
    masses = {k: comb(n, k) * comb(m, both - k) for k in range(max(0, both - m), min(n, both) + 1)}
    return sum(mass for mass in masses.values() if mass <= masses[a]) / comb(n + m, both)


@pytest.mark.parametrize("sizes", [(20, 20), (20, 60), (20, 100), (30, 30), (60, 60)])
def test_a_rate_is_called_better_or_worse_only_where_an_exact_test_hardly_allows_for_chance(
    sizes: tuple[int, int],
) -> None:
    n, m = sizes
    for a in range(0, n + 1, max(1, n // 15)):
        for b in range(0, m + 1, max(1, m // 15)):
            if of_rates((a, n), (b, m)).way != "steady":
                assert by_chance((a, n), (b, m)) < 0.1, (a, n, b, m)


@pytest.mark.parametrize(("older", "newer", "way"), [
    ((0, 20), (4, 20), "steady"), ((20, 20), (16, 20), "steady"), ((5, 400), (0, 400), "steady"),
    ((0, 20), (7, 20), "better"), ((30, 40), (12, 40), "worse"), ((200, 400), (250, 400), "better"),
])  # fmt: skip
def test_a_half_without_a_failure_or_a_success_is_not_sure_of_it(
    older: tuple[int, int], newer: tuple[int, int], way: str
) -> None:
    assert of_rates(older, newer).way == way


@pytest.mark.parametrize("sizes", [(20, 20), (20, 60), (60, 60)])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.3, 0.5, 0.9, 0.99])
def test_where_nothing_changed_a_rate_is_called_better_or_worse_about_once_in_twenty(
    sizes: tuple[int, int], rate: float
) -> None:
    one, other = ([comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)] for n in sizes)
    said = sum(
        p * q for (a, p), (b, q) in product(enumerate(one), enumerate(other))
        if of_rates((a, sizes[0]), (b, sizes[1])).way != "steady"
    )  # fmt: skip
    assert said < 0.06

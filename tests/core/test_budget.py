"""Budgets: reserved before spending, never exceeded."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.budget import Budget, Ledger
from surefoot.core.errors import BudgetExhausted, Conflict, Forbidden, Invalid
from surefoot.core.proposal import Cost

# Sixteenths of a dollar add up without rounding, so that the promise can be checked to the last bit.
DOLLARS = st.integers(0, 80).map(lambda sixteenths: sixteenths / 16)
COSTS = st.builds(Cost, calls=st.integers(0, 4), tokens=st.integers(0, 500), usd=DOLLARS)
BUDGETS = st.builds(
    Budget, calls=st.none() | st.integers(0, 9), tokens=st.none() | st.integers(0, 999), usd=st.none() | DOLLARS
)
STEPS = st.lists(st.tuples(st.sampled_from("abcde"), COSTS, st.floats(0, 1), st.booleans()), max_size=25)


def within(cost: Cost, budget: Budget) -> bool:
    limits = ((cost.calls, budget.calls), (cost.tokens, budget.tokens), (cost.usd, budget.usd))
    return all(limit is None or spent <= limit for spent, limit in limits)


def part(cost: Cost, share: float) -> Cost:
    return Cost(calls=int(cost.calls * share), tokens=int(cost.tokens * share), usd=int(cost.usd * 16 * share) / 16)


@given(BUDGETS, STEPS)
def test_no_sequence_of_reservations_and_settlements_exceeds_the_budget(
    budget: Budget, steps: list[tuple[str, Cost, float, bool]]
) -> None:
    ledger = Ledger(budget=budget)
    for key, cost, share, settles in steps:
        held = dict(ledger.reserved)
        if settles and key in held:
            ledger = ledger.settle(key, part(held[key], share))
        else:
            with contextlib.suppress(BudgetExhausted, Conflict):
                ledger = ledger.reserve(key, cost)
        assert within(ledger.committed, budget)
        assert within(ledger.settled, budget)


@given(BUDGETS, COSTS, COSTS)
def test_a_reservation_is_made_exactly_when_it_fits_and_a_refused_one_leaves_no_trace(
    budget: Budget, first: Cost, second: Cost
) -> None:
    ledger = Ledger(budget=budget)
    spent = Cost()
    for key, cost in (("a", first), ("b", second)):
        if within(spent + cost, budget):
            ledger = ledger.reserve(key, cost)
            spent += cost
        else:
            with pytest.raises(BudgetExhausted):
                ledger.reserve(key, cost)
        assert ledger.committed == spent


@pytest.mark.parametrize(
    ("budget", "cost"),
    [(Budget(calls=0), Cost(calls=1)), (Budget(tokens=0), Cost(tokens=1)), (Budget(usd=0), Cost(usd=1e-9)),
     (Budget(usd=0.0, calls=9), Cost(usd=0.01, calls=1))],
)  # fmt: skip
def test_a_budget_of_zero_allows_nothing(budget: Budget, cost: Cost) -> None:
    with pytest.raises(BudgetExhausted, match=r"needs .* but 0 of 0"):
        Ledger(budget=budget).reserve("a", cost)
    assert Ledger(budget=budget).reserve("free", Cost()).committed == Cost()


def test_none_is_no_limit_and_zero_is_not_none() -> None:
    huge = Cost(calls=10**9, tokens=10**12, usd=1e9)
    assert Ledger(budget=Budget()).reserve("a", huge).committed == huge
    with pytest.raises(BudgetExhausted):
        Ledger(budget=Budget(calls=0)).reserve("a", huge)


def test_the_same_key_is_one_reservation_and_never_a_larger_one() -> None:
    ledger = Ledger(budget=Budget(calls=3)).reserve("a", Cost(calls=2))
    assert ledger.reserve("a", Cost(calls=2)) is ledger
    with pytest.raises(Conflict, match="another amount"):
        ledger.reserve("a", Cost(calls=3))
    assert ledger.committed == Cost(calls=2)


def test_settling_gives_back_what_was_not_spent() -> None:
    ledger = Ledger(budget=Budget(usd=1.0)).reserve("a", Cost(usd=0.75))
    with pytest.raises(BudgetExhausted, match=r"needs 0\.5 usd, but 0\.75 of 1"):
        ledger.reserve("b", Cost(usd=0.5))
    settled = ledger.settle("a", Cost(usd=0.25))
    assert (settled.committed, settled.reserved) == (Cost(usd=0.25), ())
    assert settled.reserve("b", Cost(usd=0.5)).committed == Cost(usd=0.75)
    assert ledger.committed == Cost(usd=0.75), "a ledger is never changed"


def test_what_was_spent_counts_even_where_nobody_reserved_it_and_even_above_the_limit() -> None:
    ledger = Ledger(budget=Budget(usd=1.0)).settle("late", Cost(usd=2.0))
    assert ledger.committed == Cost(usd=2.0)
    with pytest.raises(BudgetExhausted):
        ledger.reserve("a", Cost(usd=0.01))
    with pytest.raises(BudgetExhausted):
        ledger.reserve("free", Cost())


@pytest.mark.parametrize("limits", [{"calls": -1}, {"tokens": -1}, {"usd": -0.01}, {"usd": float("nan")}])
def test_a_budget_below_zero_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="makes no sense"):
        Budget(**limits)


@pytest.mark.parametrize(
    "amounts", [{"calls": -1}, {"tokens": -5}, {"usd": -0.5}, {"usd": float("nan")}, {"usd": float("inf")}]
)
def test_a_cost_that_would_make_room_or_slip_past_every_comparison_is_refused(amounts: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="makes no sense"):
        Cost(**amounts)


def test_an_exhausted_budget_is_a_prohibition_with_a_code_of_its_own() -> None:
    with pytest.raises(Forbidden) as caught:
        Ledger(budget=Budget(calls=1)).reserve("a", Cost(calls=2))
    assert caught.value.code == "budget_exhausted"
    assert "calls" in caught.value.hint

"""The preset `seed`: the numbers that teams know, one decision at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.rollout.seed import SEED, seed_step


def outcomes(failed: int, passed: int) -> list[bool]:
    return [True] * failed + [False] * passed


@pytest.mark.parametrize(
    ("seen", "before", "action", "after"),
    [
        (outcomes(0, 19), 5, "hold", 5),
        (outcomes(0, 20), 5, "promote", 25),
        (outcomes(2, 98), 5, "promote", 25),
        (outcomes(5, 95), 5, "hold", 5),
        (outcomes(15, 85), 45, "hold", 45),
        (outcomes(16, 84), 45, "roll_back", 0),
        (outcomes(0, 100), 85, "promote", 100),
        ([], 5, "hold", 5),
    ],
)
def test_the_known_numbers(seen: list[bool], before: float, action: str, after: float) -> None:
    step = seed_step(seen, before)
    assert (step.action, step.weight_percent) == (action, after)


def test_only_the_last_hundred_count() -> None:
    assert seed_step([*outcomes(100, 0), *outcomes(0, 100)], 5).action == "promote"


def test_the_same_twenty_outcomes_promote_at_every_tick_which_is_why_it_is_not_our_rule() -> None:
    share = 5.0
    for _ in range(5):
        share = seed_step(outcomes(0, 20), share).weight_percent
    assert share == 100


@given(st.lists(st.booleans(), max_size=300), st.floats(0, 100))
def test_the_share_stays_within_floor_and_ceiling_and_climbs_one_step_at_most(seen: list[bool], share: float) -> None:
    after = seed_step(seen, share).weight_percent
    assert SEED.floor <= after <= SEED.ceiling
    assert after - share <= SEED.step

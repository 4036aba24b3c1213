"""Assignment: sticky, at the declared share, 0 means never, and a step moves only the slice between."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.rollout import Assignment, RolloutView, assign, shares, unit_share

UNITS = [f"session-{i}" for i in range(20_000)]


def view(weight: float, *, salt: str = "rollout-7", epoch: int = 1) -> RolloutView:
    return RolloutView(salt=salt, weight_percent=weight, epoch=epoch)


def challengers(weight: float, salt: str = "rollout-7") -> set[str]:
    return {unit for unit in UNITS if assign(view(weight, salt=salt), unit).arm == "challenger"}


@pytest.mark.parametrize("weight", [1.0, 5.0, 15.0, 25.0, 45.0, 90.0])
def test_routed_shares_equal_the_weights(weight: float) -> None:
    """S1-29, S1-33: percent means percent, within four standard deviations."""
    w = weight / 100
    assert abs(len(challengers(weight)) / len(UNITS) - w) < 4 * math.sqrt(w * (1 - w) / len(UNITS))


def test_a_share_of_zero_serves_nobody_and_one_of_a_hundred_everybody() -> None:
    """S1-30: weight 0 means never, not "default"."""
    assert challengers(0) == set()
    assert challengers(100) == set(UNITS)


def test_moving_the_share_moves_only_the_slice_between() -> None:
    before, after = challengers(5), challengers(15)
    assert before < after
    assert all(0.05 <= unit_share("rollout-7", unit) < 0.15 for unit in after - before)


def test_places_are_uniform_in_every_tenth() -> None:
    """Chi-square over ten bins, 9 degrees of freedom; 27.9 is its .001 point."""
    bins = [0] * 10
    for unit in UNITS:
        bins[int(unit_share("rollout-7", unit) * 10)] += 1
    expected = len(UNITS) / 10
    assert sum((seen - expected) ** 2 / expected for seen in bins) < 27.9


def test_a_new_rollout_draws_anew() -> None:
    one, other = challengers(25), challengers(25, salt="rollout-8")
    overlap = len(one & other) / len(one)
    assert 0.2 < overlap < 0.3


def test_neighbours_in_time_are_not_served_in_blocks() -> None:
    """S1-31: a counter walked in blocks gives one version a hundred requests in a row."""
    arms = [assign(view(25), unit).arm for unit in UNITS]
    switches = sum(a != b for a, b in pairwise(arms)) / len(arms)
    assert switches == pytest.approx(2 * 0.25 * 0.75, abs=0.02)


@given(st.text(max_size=20), st.text(max_size=20), st.floats(0, 100))
def test_assignment_is_a_function_of_salt_unit_and_share(salt: str, unit: str, weight: float) -> None:
    here = RolloutView(salt=salt, weight_percent=weight, epoch=0)
    assert assign(here, unit) == assign(here, unit)
    assert 0 <= unit_share(salt, unit) < 1


def test_another_process_agrees() -> None:
    code = "from surefoot.core.rollout import unit_share; print(unit_share('s', 'ünit'))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_env())
    assert float(run.stdout) == unit_share("s", "ünit")


def _env() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "1"}


@given(st.sampled_from(UNITS), st.floats(0.1, 99.9), st.floats(0.1, 99.9))
def test_a_unit_keeps_its_arm_its_share_and_its_epoch(unit: str, first: float, later: float) -> None:
    seen = assign(view(first, epoch=1), unit)
    assert assign(view(later, epoch=5), unit, seen) == seen


def test_a_seen_unit_leaves_an_arm_that_has_no_share_any_more() -> None:
    challenger = Assignment(arm="challenger", weight_percent=25, epoch=2)
    incumbent = Assignment(arm="incumbent", weight_percent=25, epoch=2)
    for unit in UNITS[:200]:
        assert assign(view(0, epoch=3), unit, challenger).arm == "incumbent"
        assert assign(view(100, epoch=3), unit, incumbent).arm == "challenger"


def test_a_unit_seen_before_there_was_anything_to_draw_is_drawn_at_the_start() -> None:
    early = {unit: assign(view(0, epoch=0), unit) for unit in UNITS}
    drawn = {unit for unit, seen in early.items() if assign(view(25), unit, seen).arm == "challenger"}
    assert drawn == challengers(25)


def test_an_assignment_records_the_share_at_its_first_request() -> None:
    assert assign(view(15, epoch=4), "a").weight_percent == 15
    assert assign(view(15, epoch=4), "a").epoch == 4


@pytest.mark.parametrize("weight", [0.0, 5.0, 45.0, 100.0])
def test_both_shares_sum_to_a_hundred(weight: float) -> None:
    assert sum(shares(weight).values()) == 100
    assert shares(weight)["challenger"] == weight


@pytest.mark.parametrize("weight", [-1.0, 100.5, math.nan])
def test_a_share_outside_percent_is_refused(weight: float) -> None:
    with pytest.raises(Invalid):
        view(weight)

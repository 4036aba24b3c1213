"""Settings of a rollout: frozen, sensible by default, and refused by name."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from surefoot.core.errors import Invalid
from surefoot.core.metric import metric_guard
from surefoot.core.rollout import RolloutSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("road", "motorway"),
        ("floor_percent", 0.0),
        ("floor_percent", 46.0),
        ("ceiling_percent", 50.0),
        ("ceiling_percent", 100.0),
        ("max_step_percent", 0.0),
        ("max_step_percent", 9.0),
        ("shares_percent", ()),
        ("shares_percent", (5.0, 15.0, 15.0, 25.0, 35.0, 45.0)),
        ("shares_percent", (10.0, 15.0, 25.0, 35.0, 45.0)),
        ("shares_percent", (5.0, 15.0, 25.0)),
        ("shares_percent", (5.0, 45.0)),
        ("min_fresh_labels", 0),
        ("mh_limit", 0.5),
        ("mh_limit", math.nan),
        ("win_threshold", 0.9),
        ("hard_guard", 0.0),
        ("soft_guard", 11.0),
        ("guards", ("cost", "cost")),
        ("guard_alpha", 0.0),
        ("srm_alpha", 1.0),
        ("horizon_days", 0.0),
        ("horizon_labels", 0),
        ("baseline_rate", 0.0),
        ("baseline_rate", 1.0),
        ("noninferior", True),
        ("ledger_slots", 0),
        ("paired_cap", 0),
        ("quiet_labels", 0),
        ("quiet_hours", 0.0),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(name: str, value: object) -> None:
    wrong: dict[str, Any] = {name: value}
    expected = "shares_percent" if name == "max_step_percent" and value == 9.0 else name
    with pytest.raises(Invalid, match=expected):
        RolloutSettings(**wrong)


def test_settings_cannot_change_after_the_start() -> None:
    settings = RolloutSettings()
    with pytest.raises(FrozenInstanceError):
        settings.win_threshold = 2.0  # type: ignore[misc]


def test_a_ledger_of_slots_raises_the_win_and_nothing_else() -> None:
    on, off = RolloutSettings(), RolloutSettings(ledger_slots=None)
    assert (on.win_at, off.win_at) == (100, 20)
    assert (on.hard_guard, on.soft_guard) == (off.hard_guard, off.soft_guard)


def test_the_ramp_climbs_in_steps_and_ends_below_half() -> None:
    settings, weight, climbed = RolloutSettings(), 5.0, [5.0]
    while (share := settings.share_after(weight)) is not None:
        weight = share
        climbed.append(weight)
    assert climbed == [5, 15, 25, 35, 45]


def test_a_share_set_by_hand_is_never_left_by_more_than_one_step() -> None:
    settings = RolloutSettings()
    assert settings.share_after(7) == 15
    assert settings.share_after(1) == 5
    assert settings.share_after(44.5) == 45
    assert settings.share_after(60) is None


def test_guards_share_their_alpha_evenly() -> None:
    settings = RolloutSettings(guards=("cost", "latency", "label=Business", "label=World"))
    assert settings.guard_at(1) == pytest.approx(40)
    assert settings.guard_at(10) == pytest.approx(100)
    assert RolloutSettings().guard_at(0) == pytest.approx(10)


def test_successes_count_only_with_a_frozen_rate_and_honest_labels() -> None:
    assert RolloutSettings().frozen_rate is None
    assert RolloutSettings(baseline_rate=0.2).frozen_rate == 0.2
    assert RolloutSettings(baseline_rate=0.2, success_labels=False).frozen_rate is None


def test_the_margin_counts_only_when_declared() -> None:
    assert RolloutSettings(baseline_rate=0.2).null_risk == 1.0
    assert RolloutSettings(baseline_rate=0.2, noninferior=True).null_risk == pytest.approx(1.1)


def test_the_ledgers_price_holds_on_both_roads_and_is_frozen_at_the_start() -> None:
    settings = RolloutSettings(ledger="e-lond", ledger_factor=6)
    assert (settings.win_at, settings.paired_win_at) == (120, 120)
    assert RolloutSettings(ledger_slots=None).paired_win_at == 20


def test_slices_and_metrics_share_one_chance_of_a_false_alarm() -> None:
    latency = metric_guard("latency_s", margin=0.5, clip=30, centre=2)
    both = RolloutSettings(guards=("label=refund",), metrics=(latency,))
    assert both.guard_at(0) == both.guard_at(2) == 20
    with pytest.raises(Invalid, match="guards"):
        RolloutSettings(guards=("latency_s",), metrics=(latency,))

"""An operator for one's own traffic decides as the product does, keeps its word to units, and survives a restart."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

import surefoot
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.rollout import RolloutSettings, next_step
from surefoot.sdk.operator import Operator

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def played(run: Operator, *, new: float, old: float, units: int, seed: int = 1, start: int = 0) -> datetime:
    """Send units through; every hundred of them an hour passes and a tick comes."""
    dice, now = random.Random(seed), NOW + timedelta(hours=start)
    for number in range(start * 100, start * 100 + units):
        unit = f"u{number}"
        failing = new if run.assign(unit) == "challenger" else old
        if 0 < run.weight_percent < 100:
            run.observe(unit, dice.random() >= failing)
        if number % 100 == 99:
            now += timedelta(hours=1)
            run.tick(now)
            if run.state != "canary":
                break
    return now


def begun(**terms) -> Operator:
    run = surefoot.operator(**terms)
    run.tick(NOW)
    return run


def test_a_better_challenger_waits_for_a_person_and_then_serves_everybody():
    run = begun(p0=0.3)
    now = played(run, new=0.1, old=0.3, units=8000)
    assert run.state == "awaiting_approval"
    assert run.weight_percent <= 45
    run.approve("ada")
    assert run.tick(now).state == "promoted"
    assert {run.assign(f"later-{n}") for n in range(50)} == {"challenger"}


def test_a_worse_challenger_ends_with_no_share():
    run = begun(p0=0.1)
    played(run, new=0.4, old=0.1, units=20_000)
    assert (run.state, run.weight_percent) == ("rolled_back", 0)
    assert {run.assign(f"later-{n}") for n in range(50)} == {"incumbent"}


def test_every_tick_is_the_step_of_the_product_on_the_same_facts():
    run, dice = begun(p0=0.2), random.Random(3)
    for hour in range(1, 40):
        for number in range(60):
            unit = f"u{dice.randrange(4000)}-{number % 3}"
            run.assign(unit)
            run.observe(unit, dice.random() > 0.2)
        now = NOW + timedelta(hours=hour)
        expected = next_step(run.facts(), now)
        tick = run.tick(now)
        assert (tick.action, tick.state, tick.weight_percent, tick.reason) == (
            expected.action, expected.state, expected.weight_percent, expected.reason
        )  # fmt: skip
        assert tick.e_win == expected.evidence.e_win


def test_a_unit_keeps_its_version_over_ticks_and_a_restart():
    run = begun(p0=0.2)
    before = {f"u{n}": run.assign(f"u{n}") for n in range(2000)}
    played(run, new=0.2, old=0.2, units=300, start=50)
    again = surefoot.operator(p0=0.2).restore(json.loads(json.dumps(run.as_dict())))
    assert {unit: again.assign(unit) for unit in before} == before
    assert again.facts() == run.facts()


def test_a_higher_share_moves_only_units_that_were_not_seen():
    run = begun(p0=0.2)
    low = {unit: run.assign(unit) for unit in (f"seen-{n}" for n in range(500))}
    run.weight_percent, run.epoch = 45.0, run.epoch + 1
    assert {unit: run.assign(unit) for unit in low} == low
    fresh = [run.assign(f"fresh-{n}") for n in range(4000)]
    assert 0.42 <= fresh.count("challenger") / len(fresh) <= 0.48


def test_one_label_a_unit_counts_and_the_last_word_stands():
    run = begun(p0=0.2)
    run.assign("u")
    for outcome in (True, "failure", "unknown", True):
        run.observe("u", outcome)
    assert [stratum.labels for stratum in run.strata()] == [1]
    assert sum(stratum.challenger_failures + stratum.incumbent_failures for stratum in run.strata()) == 0


def test_what_was_never_assigned_or_is_no_outcome_is_refused():
    run = begun(p0=0.2)
    with pytest.raises(NotFound, match="stranger"):
        run.observe("stranger", "success")
    run.assign("u")
    with pytest.raises(Invalid, match="maybe"):
        run.observe("u", "maybe")
    with pytest.raises(Conflict, match="canary"):
        run.approve("ada")
    with pytest.raises(Invalid):
        surefoot.operator(p0=1.5)
    with pytest.raises(Invalid, match="recorded"):
        surefoot.operator(settings=RolloutSettings(road="paired"))


def test_the_horizon_may_be_days_or_a_timedelta():
    for horizon in (2, timedelta(days=2)):
        run = begun(p0=0.2, horizon=horizon)
        assert run.tick(NOW + timedelta(days=2)).state == "inconclusive"


def test_the_preset_follows_its_own_thresholds_and_asks_before_the_ceiling():
    run = begun(preset="seed")
    played(run, new=0.0, old=0.5, units=8000)
    assert (run.state, run.weight_percent) == ("awaiting_approval", 85)
    run.reject("ada")
    assert run.tick(NOW).state == "rolled_back"
    bad = begun(preset="seed")
    played(bad, new=0.5, old=0.5, units=8000)
    assert bad.state == "rolled_back"

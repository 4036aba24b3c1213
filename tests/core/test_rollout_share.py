"""A share that a person sets by hand: it is taken from the incumbent, and goes round no promise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.rollout import RolloutFacts, RolloutSettings, next_step
from surefoot.core.rollout.share import share_wished
from surefoot.core.rollout.standing import Rollout

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
TERMS = RolloutSettings()


def rollout(**more: Any) -> Rollout:
    return Rollout(**{
        "id": "r", "agent": "support", "challenger": 2, "incumbent": 1, "settings": TERMS, "state": "canary",
        "weight_percent": 5.0, "epoch": 1, "started_at": NOW, "salt": "r", **more,
    })  # fmt: skip


def step(**more: Any) -> Any:
    facts = {"settings": TERMS, "state": "canary", "weight_percent": 5.0, "epoch": 1, "started_at": NOW}
    return next_step(RolloutFacts(**{**facts, **more}), NOW)


PERCENT = st.floats(0, 100, allow_nan=False)
STATES = ("draft", "shadow", "canary", "awaiting_approval", "frozen")


@given(percent=PERCENT, state=st.sampled_from(STATES), now=st.floats(0, 45), version=st.sampled_from([1, 2, 3]))
def test_no_wish_gives_a_challenger_more_than_the_terms_allow(
    percent: float, state: Any, now: float, version: int
) -> None:
    weight = 0.0 if state in ("draft", "shadow", "frozen") else now
    active = rollout(state=state, weight_percent=weight)
    try:
        wish = share_wished(1, active, version, percent, terms=TERMS)
    except Conflict:
        return
    assert wish.percent <= TERMS.ceiling_percent or wish.action == "keep"
    assert wish.percent == (100 - percent if version == 1 else percent)
    assert wish.action == "keep" or wish.challenger == 2
    assert wish.action != "begin"


@pytest.mark.parametrize("percent", [-1, 100.1, float("nan"), float("inf"), -0.0001])
def test_what_is_no_share_is_refused(percent: float) -> None:
    with pytest.raises(Invalid):
        share_wished(1, rollout(), 2, percent, terms=TERMS)


@pytest.mark.parametrize("percent", [50, 75, 100])
def test_the_majority_takes_an_approval_and_names_the_one_that_waits(percent: float) -> None:
    waits = rollout(state="awaiting_approval", weight_percent=45.0, approval="promote-support-v2-1")
    with pytest.raises(Conflict) as refused:
        share_wished(1, waits, 2, percent, terms=TERMS)
    assert "promote-support-v2-1" in refused.value.hint
    with pytest.raises(Conflict):
        share_wished(1, None, 2, percent, terms=TERMS)


def test_the_live_version_alone_serves_everything() -> None:
    assert share_wished(1, None, 1, 100, terms=TERMS).action == "keep"
    with pytest.raises(Conflict):
        share_wished(1, None, 1, 95, terms=TERMS)
    assert share_wished(1, rollout(), 1, 90, terms=TERMS).percent == 10


def test_a_version_without_a_rollout_begins_one_or_stays_at_nothing() -> None:
    assert share_wished(1, None, 2, 5, terms=TERMS).action == "begin"
    assert share_wished(1, None, 2, 0, terms=TERMS).action == "keep"
    assert share_wished(1, rollout(), 3, 0, terms=TERMS).action == "keep"
    with pytest.raises(Conflict, match="third version"):
        share_wished(1, rollout(), 3, 5, terms=TERMS)
    with pytest.raises(Conflict, match="recorded requests"):
        share_wished(1, None, 2, 5, terms=RolloutSettings(road="paired"))


@given(percent=st.floats(0.01, 45), before=st.floats(0.5, 45))
def test_a_wish_is_a_step_of_its_own_epoch_in_the_persons_name(percent: float, before: float) -> None:
    answer = step(weight_percent=before, share_by="olga", share_percent=percent)
    if percent == before:
        assert answer.reason != "share_requested"
        return
    assert (answer.action, answer.reason, answer.by) == ("share", "share_requested", "olga")
    assert (answer.weight_percent, answer.epoch, answer.state) == (percent, 2, "canary")


def test_nothing_is_shared_by_hand_while_something_stops_the_rollout() -> None:
    wish = {"share_by": "olga", "share_percent": 20.0}
    assert step(kill_switch=True, **wish).state == "frozen"
    assert step(alarm="it moved", **wish).state == "frozen"
    assert step(zero_tolerance_events=1, **wish).state == "rolled_back"
    assert step(abort_by="ada", **wish).state == "aborted"
    assert step(state="frozen", weight_percent=0, kill_switch=True, **wish).weight_percent == 0
    assert step(state="frozen", weight_percent=0, alarm="it moved", **wish).weight_percent == 0


def test_zero_freezes_and_a_share_thaws() -> None:
    gone = step(share_by="olga", share_percent=0.0)
    assert (gone.action, gone.state, gone.weight_percent) == ("freeze", "frozen", 0)
    asked = step(state="awaiting_approval", approval="pending", share_by="olga", share_percent=0.0)
    assert (asked.state, asked.weight_percent) == ("frozen", 0)
    back = step(state="frozen", weight_percent=0, share_by="olga", share_percent=7.0)
    assert (back.action, back.state, back.weight_percent) == ("thaw", "canary", 7)


def test_a_share_above_nothing_does_not_move_what_waits_for_a_person() -> None:
    asked = step(state="awaiting_approval", approval="pending", share_by="olga", share_percent=20.0)
    assert (asked.reason, asked.weight_percent) == ("awaiting_decision", 5)


def test_a_first_share_may_be_below_the_floor() -> None:
    first = step(state="draft", weight_percent=0, share_by="olga", share_percent=2.0)
    assert (first.state, first.weight_percent, first.epoch) == ("canary", 2, 2)

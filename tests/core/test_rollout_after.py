"""After the promotion, in the queue, and out of the ice: what a rollout does when it is not in its canary."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.evidence.rollout import Stratum
from surefoot.core.evidence.sampling import Assigned
from surefoot.core.incident import kind_of
from surefoot.core.rollout import Holdback, PairedEvidence, RolloutFacts, RolloutSettings, RolloutState, Step, next_step
from surefoot.core.rollout.facts import ApprovalAnswer
from surefoot.core.rollout.holdback import holdback_of

START = datetime(2031, 3, 1, 9, tzinfo=UTC)
OFFER = RolloutSettings(baseline_rate=0.15, ledger_slots=None)
PERFORM = replace(OFFER, swap_back="perform")
LATE_HARM = (Stratum(epoch=1, weight_percent=45, challenger_failures=60, challenger_successes=100,
                     incumbent_failures=20, incumbent_successes=180),)  # fmt: skip
CROOKED = (Assigned(epoch=1, weight_percent=5, challenger=500, incumbent=500),)


def held(evidence: float = 1.0, *, labels: int = 100, days: float = 0, percent: float = 5.0) -> Holdback:
    since, old = START - timedelta(days=days), labels // 20
    return Holdback(percent=percent, since=since, evidence=evidence, alarm=evidence >= 20_000,
                    new_labels=labels - old, old_labels=old)  # fmt: skip


def step(state: RolloutState = "promoted", **changes: Any) -> Step:
    ordinary: dict[str, Any] = {
        "settings": OFFER, "state": state, "weight_percent": 100 if state in ("promoted", "closed") else 0, "epoch": 6,
        "started_at": START - timedelta(days=9),
    }  # fmt: skip
    return next_step(RolloutFacts(**{**ordinary, **changes}), START)


# The holdback -------------------------------------------------------------------------------------------------------


def test_a_promotion_keeps_the_declared_share_back_and_says_so() -> None:
    known: dict[str, Any] = {"weight_percent": 45, "approval": "approved", "approval_is_current": True}
    answer = step("awaiting_approval", **known)
    assert (answer.action, answer.weight_percent, answer.holdback_percent) == ("promote", 100, 5)
    assert "5 % of the units" in answer.sentence
    without = step("awaiting_approval", settings=replace(OFFER, holdback_percent=0), **known)
    assert (without.holdback_percent, without.sentence) == (0, "A person approved; the challenger serves everything.")


def test_a_quiet_holdback_is_watched_and_then_closed() -> None:
    watching = step(holdback=held())
    assert (watching.action, watching.reason, watching.holdback_percent) == ("hold", "holdback_watch", 5)
    for over in (held(days=7), held(labels=2000)):
        answer = step(holdback=over)
        assert (answer.action, answer.state, answer.reason) == ("close", "closed", "holdback_quiet")
        assert (answer.weight_percent, answer.holdback_percent) == (100, 0)
    assert step(holdback=held(labels=1999, days=6.99)).action == "hold"


def test_an_empty_holdback_does_not_read_as_quiet() -> None:
    assert "nothing was learned" in step(holdback=held(labels=0, days=8)).sentence


def test_an_alarm_is_offered_to_a_person_once_or_performed_by_policy() -> None:
    offered = step(holdback=held(20_000))
    assert (offered.action, offered.state, offered.reason, offered.page) == (
        "alarm",
        "promoted",
        "holdback_alarm",
        True,
    )
    assert (offered.weight_percent, offered.holdback_percent) == (100, 5), "nothing moves before a person says so"
    assert kind_of("promoted", offered) == "holdback"
    again = step(holdback=held(1e9), alarmed=frozenset({"holdback_alarm"}))
    assert (again.action, again.reason, again.page) == ("hold", "holdback_alarm", False)
    assert kind_of("promoted", again) is None
    performed = step(settings=PERFORM, holdback=held(20_000))
    assert (performed.action, performed.state, performed.weight_percent) == ("roll_back", "rolled_back", 0)
    assert (performed.reason, performed.page, performed.holdback_percent) == ("holdback_alarm", True, 0)
    assert step(holdback=held(19_999)).action == "hold"


def test_an_alarm_that_nobody_answered_is_not_closed_as_quiet() -> None:
    answer = step(holdback=held(1e9, days=8), alarmed=frozenset({"holdback_alarm"}))
    assert (answer.state, answer.reason, answer.page) == ("closed", "holdback_alarm", True)
    assert kind_of("promoted", answer) is None, "the incident of the alarm is still open"


def test_late_labels_of_the_canary_still_count_while_the_holdback_lasts() -> None:
    assert step(holdback=held(), strata=LATE_HARM).action == "alarm"
    performed = step(settings=PERFORM, holdback=held(), strata=LATE_HARM)
    assert (performed.state, performed.reason, kind_of("promoted", performed)) == ("rolled_back", "hard_guard", "guard")
    assert step(strata=LATE_HARM).reason == "finished", "afterwards the sentinel watches, not the canary"


def test_each_reason_to_call_a_person_is_used_once() -> None:
    both = step(holdback=held(1e9), strata=LATE_HARM, alarmed=frozenset({"holdback_alarm"}))
    assert (both.action, both.reason) == ("alarm", "hard_guard")
    assert (
        step(holdback=held(1e9), strata=LATE_HARM, alarmed=frozenset({"holdback_alarm", "hard_guard"})).action == "hold"
    )


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ({"rollback_by": "ada"}, "rollback_requested"),
        ({"zero_tolerance_events": 1}, "zero_tolerance"),
        ({"kill_switch": True}, "kill_switch"),
        ({"holdback": held(1e9)}, "holdback_alarm"),
        ({"successor": "r2"}, "superseded"),
        ({"holdback": held(days=8)}, "holdback_quiet"),
    ],
)
def test_after_a_promotion_what_goes_back_comes_before_what_goes_on(first: dict[str, Any], reason: str) -> None:
    order = ["rollback_requested", "zero_tolerance", "kill_switch", "holdback_alarm", "superseded", "holdback_quiet"]
    everything = [{"rollback_by": "ada"}, {"zero_tolerance_events": 1}, {"kill_switch": True}, {"holdback": held(1e9)},
                  {"successor": "r2"}]  # fmt: skip
    lesser: dict[str, Any] = {"holdback": held(days=8)}
    for change in reversed(everything[order.index(reason) :]):
        lesser |= change
    assert step(**{**lesser, **first}).reason == reason


def test_the_kill_switch_ends_the_holdback_and_the_live_version_stays() -> None:
    answer = step(holdback=held(), kill_switch=True)
    assert (answer.state, answer.weight_percent, answer.holdback_percent) == ("closed", 100, 0)


# The detector -------------------------------------------------------------------------------------------------------


def labels(seed: int, count: int, rate: Any, weight: float = 95.0) -> list[Any]:
    """Labels of a holdback; `rate(arm, n)` is the chance of failure at the n-th."""
    dice = random.Random(seed)
    found = []
    for n in range(count):
        arm = "challenger" if dice.random() < weight / 100 else "incumbent"
        found.append((arm, weight, dice.random() < rate(arm, n)))
    return found


def alarmed(seed: int, rate: Any) -> bool:
    stream = labels(seed, 2000, rate)
    return holdback_of(stream, percent=5, since=START, run=20_000, baseline_rate=0.1).alarm


def test_a_version_that_got_worse_is_noticed_and_one_that_did_not_is_not() -> None:
    worse = sum(alarmed(seed, lambda arm, n: 0.3 if arm == "challenger" and n > 500 else 0.1) for seed in range(20))
    same = sum(alarmed(seed, lambda _arm, _n: 0.1) for seed in range(20))
    drift = sum(alarmed(seed, lambda _arm, n: 0.1 if n < 500 else 0.4) for seed in range(20))
    assert worse >= 16
    assert same + drift <= 8, "2 000 labels at a mean run of 20 000: at most one in ten, give or take"


def test_an_alarm_between_two_looks_is_not_forgotten() -> None:
    """What comes afterwards may look good again; the alarm was raised all the same."""
    worse, better = [("challenger", 95.0, True)] * 600, [("incumbent", 95.0, True)] * 300
    assert holdback_of([*worse, *better], percent=5, since=START, run=20_000, baseline_rate=None).alarm
    assert holdback_of([*worse, *better], percent=5, since=START, run=20_000, baseline_rate=None).evidence < 20_000


def test_a_holdback_is_counted_by_version() -> None:
    seen = holdback_of([("challenger", 95.0, True), ("challenger", 95.0, False), ("incumbent", 95.0, False)],
                       percent=5, since=START, run=20_000, baseline_rate=None)  # fmt: skip
    assert (seen.new_failures, seen.new_labels, seen.old_failures, seen.old_labels, seen.labels) == (1, 2, 0, 1, 3)


# The queue ----------------------------------------------------------------------------------------------------------


def test_a_queued_rollout_begins_when_it_is_its_turn() -> None:
    waits = step("draft", queued=True, ahead="r1", epoch=0)
    assert (waits.action, waits.reason, waits.state, waits.weight_percent) == ("hold", "queued", "draft", 0)
    begins = step("draft", queued=True, epoch=0)
    assert (begins.reason, begins.state, begins.weight_percent) == ("started", "canary", 5)


def test_a_queued_rollout_whose_base_is_gone_is_aborted_and_says_why() -> None:
    for changes in ({}, {"ahead": "r1"}, {"kill_switch": True}, {"alarm": "It moved."}):
        answer = step("draft", queued=True, base_moved=True, epoch=0, **changes)
        assert (answer.action, answer.state, answer.reason) == ("abort", "aborted", "stale_base")


def test_the_queue_stands_still_under_the_kill_switch_and_can_be_left() -> None:
    assert step("draft", queued=True, kill_switch=True, epoch=0).state == "draft"
    assert step("draft", queued=True, kill_switch=True, abort_by="ada", epoch=0).state == "aborted"
    assert step("draft", queued=True, ahead="r1", rollback_by="ada", epoch=0).state == "rolled_back"


# Ice ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["canary", "awaiting_approval"])
def test_an_alarm_about_the_agent_freezes_its_rollout(state: RolloutState) -> None:
    known: dict[str, Any] = {"weight_percent": 45, "approval": "approved", "approval_is_current": True}
    answer = step(state, alarm="The answers have moved.", override_by="ada", **known)
    assert (answer.action, answer.state, answer.reason, answer.weight_percent) == ("freeze", "frozen", "alarm", 0)
    assert answer.page
    assert kind_of(state, answer) is None, "the sentinel has opened one already"


def test_nothing_begins_while_an_alarm_is_open() -> None:
    assert step("draft", alarm="It moved.").reason == "alarm"


def test_a_thaw_gives_the_floor_in_a_new_epoch() -> None:
    answer = step("frozen", thaw_by="ada", epoch=7)
    assert (answer.action, answer.state, answer.weight_percent, answer.epoch) == ("thaw", "canary", 5, 8)
    assert answer.by == "ada"


def test_a_thaw_does_not_skip_the_shadow() -> None:
    paired = RolloutSettings(road="paired", baseline_rate=0.15)
    assert step("frozen", settings=paired, thaw_by="ada").state == "shadow"
    assert step("frozen", settings=paired, thaw_by="ada", canary_at=START - timedelta(days=2)).state == "canary"


@pytest.mark.parametrize("hindrance", [{"kill_switch": True}, {"alarm": "It moved."}])
def test_nobody_thaws_against_the_kill_switch_or_an_open_alarm(hindrance: dict[str, Any]) -> None:
    answer = step("frozen", thaw_by="ada", **hindrance)
    assert (answer.action, answer.state, answer.weight_percent, answer.by) == ("hold", "frozen", 0, "ada")


# Whatever happens ---------------------------------------------------------------------------------------------------

people = st.sampled_from(["", "", "", "ada"])
cells = st.integers(0, 200)
events = st.fixed_dictionaries({
    "strata": st.lists(
        st.builds(Stratum, epoch=st.integers(0, 9), weight_percent=st.sampled_from([5.0, 15.0, 45.0]),
                  challenger_failures=cells, challenger_successes=cells, incumbent_failures=cells,
                  incumbent_successes=cells), max_size=2).map(tuple),
    "assigned": st.sampled_from([(), (), CROOKED]),
    "zero_tolerance_events": st.sampled_from([0, 0, 0, 0, 1]),
    "approval": st.sampled_from([None, *get_args(ApprovalAnswer)]),
    "approval_is_current": st.booleans(),
    "kill_switch": st.sampled_from([False, False, False, True]),
    "abort_by": people, "rollback_by": people, "override_by": people, "thaw_by": people,
    "alarm": st.sampled_from(["", "", "", "It moved."]),
    "ahead": st.sampled_from(["", "r1"]),
    "base_moved": st.sampled_from([False, False, False, True]),
    "successor": st.sampled_from(["", "", "r2"]),
    "evidence": st.sampled_from([1.0, 1.0, 30_000.0]),
    "paired": st.one_of(st.none(), st.builds(
        PairedEvidence, e_win=st.floats(0, 50), e_harm=st.floats(0, 20), cases=st.integers(0, 3000))),
    "hours": st.integers(1, 72),
})  # fmt: skip
ARROWS: dict[str, set[str]] = {
    "draft": {"draft", "shadow", "canary", "frozen", "aborted", "rolled_back"},
    "shadow": {"shadow", "canary", "promoted", "frozen", "aborted", "rolled_back", "inconclusive"},
    "canary": {"canary", "awaiting_approval", "promoted", "frozen", "aborted", "rolled_back", "inconclusive"},
    "awaiting_approval": {"awaiting_approval", "promoted", "frozen", "aborted", "rolled_back"},
    "frozen": {"frozen", "shadow", "canary", "aborted", "rolled_back"},
    "promoted": {"promoted", "closed", "rolled_back"},
    "closed": {"closed", "rolled_back"},
    "rolled_back": {"rolled_back"},
    "aborted": {"aborted"},
    "inconclusive": {"inconclusive"},
}


@given(
    st.sampled_from([OFFER, PERFORM, replace(OFFER, holdback_percent=0), RolloutSettings(road="paired")]),
    st.booleans(),
    st.lists(events, max_size=25),
)
def test_no_sequence_of_facts_leads_astray(
    settings: RolloutSettings, queued: bool, story: list[dict[str, Any]]
) -> None:
    """Shares stay shares, ended stays ended, and the majority is only ever given by a person."""
    now, state, weight, epoch, back, alarmed = START, "draft", 0.0, 0, 0.0, frozenset[str]()
    since = canary_at = None
    for event in story:
        event = dict(event)
        now += timedelta(hours=event.pop("hours"))
        evidence = event.pop("evidence")
        seen = (
            None
            if not back
            else Holdback(percent=back, since=since or now, evidence=evidence, alarm=evidence > 2e4, new_labels=10)
        )
        known: Any = RolloutFacts(
            settings=settings, state=state, weight_percent=weight, epoch=epoch, started_at=START, holdback=seen,
            alarmed=alarmed, queued=queued, canary_at=canary_at, **event,
        )  # fmt: skip
        answer = next_step(known, now)
        assert answer == next_step(known, now)
        assert 0 <= answer.weight_percent <= 100
        assert 0 <= answer.holdback_percent < 50
        assert answer.state in ARROWS[state], (state, answer.reason)
        if answer.state in ("rolled_back", "aborted", "inconclusive", "frozen", "draft"):
            assert (answer.weight_percent, answer.holdback_percent) == (0, 0)
        if answer.weight_percent >= 50:
            assert answer.state in ("promoted", "closed")
        if answer.holdback_percent:
            assert answer.state == "promoted"
        if answer.state == "promoted" and state != "promoted":
            agreed = event["approval"] == "approved" and event["approval_is_current"] and state == "awaiting_approval"
            assert agreed or (event["override_by"] and not answer.guarantee)
        if state == "frozen" and answer.state in ("shadow", "canary"):
            assert event["thaw_by"]
            assert not event["kill_switch"]
            assert not event["alarm"]
            assert answer.weight_percent <= settings.floor_percent
        if answer.action == "alarm":
            assert answer.reason not in alarmed
            alarmed |= {answer.reason}
        if answer.action == "promote":
            since = now
        if answer.state == "canary" and canary_at is None:
            canary_at = now
        queued = queued and answer.state == "draft"
        state, weight, epoch, back = answer.state, answer.weight_percent, answer.epoch, answer.holdback_percent


@pytest.mark.parametrize(
    "wrong",
    [{"holdback_percent": 50}, {"holdback_percent": -1}, {"holdback_days": 0}, {"holdback_labels": 0},
     {"alarm_run": 0}, {"swap_back": "maybe"}],
)  # fmt: skip
def test_a_holdback_that_makes_no_sense_is_refused_by_its_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=next(iter(wrong))):
        RolloutSettings(**wrong)

"""The next step of a rollout: the order of the questions, the person's place in it, and the traps."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.digest import digest
from surefoot.core.errors import Invalid
from surefoot.core.evidence.rollout import Stratum
from surefoot.core.evidence.sampling import Assigned
from surefoot.core.rollout import PairedEvidence, RolloutFacts, RolloutSettings, RolloutState, Step, next_step
from surefoot.core.rollout.facts import ApprovalAnswer

START = datetime(2031, 3, 1, 9, tzinfo=UTC)
SETTINGS = RolloutSettings(baseline_rate=0.15, ledger_slots=None)
ENDED: tuple[RolloutState, ...] = ("rolled_back", "inconclusive", "aborted")


def labels(epoch: int, weight: float, *, cf: int = 0, cs: int = 0, nf: int = 0, ns: int = 0) -> Stratum:
    return Stratum(
        epoch=epoch,
        weight_percent=weight,
        challenger_failures=cf,
        challenger_successes=cs,
        incumbent_failures=nf,
        incumbent_successes=ns,
    )


QUIET = (labels(1, 5, cf=4, cs=21, nf=70, ns=400),)
WINNING = (labels(1, 45, cf=10, cs=290, nf=90, ns=300),)
WORSE = (labels(1, 45, cf=60, cs=100, nf=20, ns=180),)
WORRYING = (labels(1, 15, cf=9, cs=21, nf=20, ns=150),)
CROOKED = (Assigned(epoch=1, weight_percent=5, challenger=500, incumbent=500),)


def facts(**changes: Any) -> RolloutFacts:
    ordinary = RolloutFacts(settings=SETTINGS, state="canary", weight_percent=5, epoch=1, started_at=START)
    return replace(ordinary, **changes)


def step(now: datetime = START + timedelta(days=2), **changes: Any) -> Step:
    return next_step(facts(**changes), now)


def waiting(answer: ApprovalAnswer | None, **changes: Any) -> Step:
    ordinary: dict[str, Any] = {
        "state": "awaiting_approval",
        "weight_percent": 45,
        "strata": WINNING,
        "approval": answer,
        "approval_is_current": True,
    }
    return step(**{**ordinary, **changes})


# The canary ---------------------------------------------------------------------------------------------------------


def test_no_data_is_no_failure_rate_and_the_share_waits() -> None:
    """S1-40: an empty window must not read as 0 % failures."""
    for strata in ((), (labels(1, 5),)):
        answer = step(strata=strata)
        assert (answer.action, answer.reason, answer.weight_percent) == ("hold", "no_labels", 5)
        assert answer.evidence.relative_risk is None
        assert answer.evidence.e_win == answer.evidence.e_guard == 1.0


def test_enough_quiet_labels_raise_the_share_by_one_step() -> None:
    answer = step(strata=QUIET)
    assert (answer.action, answer.reason, answer.weight_percent, answer.epoch) == ("ramp", "ramp", 15, 2)


def test_the_same_labels_never_step_twice() -> None:
    """S1-39: the same 20 outcomes promoted on every tick, 5 → 25 → 45 → 65 → 85 → 100."""
    first = step(strata=QUIET)
    again = step(strata=QUIET, weight_percent=first.weight_percent, epoch=first.epoch)
    assert (again.action, again.reason, again.weight_percent) == ("hold", "fresh_labels", 15)
    assert again.evidence.fresh_labels == 0


def test_labels_of_an_old_step_that_arrive_late_do_not_raise_the_share() -> None:
    late = step(strata=(*QUIET, labels(2, 15, cs=24, nf=20, ns=100)), weight_percent=15, epoch=2)
    assert (late.action, late.evidence.fresh_labels) == ("hold", 24)
    enough = step(strata=(*QUIET, labels(2, 15, cs=25, nf=20, ns=100)), weight_percent=15, epoch=2)
    assert (enough.action, enough.weight_percent) == ("ramp", 25)


def test_a_relative_risk_above_the_limit_keeps_the_share() -> None:
    answer = step(strata=(labels(1, 5, cf=7, cs=25, nf=70, ns=400),))
    assert answer.evidence.e_guard < 3
    assert (answer.action, answer.reason) == ("hold", "relative_risk")


def test_labels_of_one_version_alone_are_no_comparison() -> None:
    assert step(strata=(labels(1, 5, cs=60),)).reason == "relative_risk"
    assert step(strata=(labels(1, 5, cf=1, cs=59, ns=300),)).reason == "relative_risk"


def test_two_versions_without_any_failure_may_climb() -> None:
    answer = step(strata=(labels(1, 5, cs=30, ns=500),))
    assert (answer.action, answer.weight_percent) == ("ramp", 15)


def test_the_ceiling_stays_a_minority_without_a_person() -> None:
    strata = (labels(5, 45, cf=30, cs=170, nf=36, ns=200),)
    answer = step(strata=strata, weight_percent=45, epoch=5)
    assert (answer.action, answer.reason, answer.weight_percent) == ("hold", "at_ceiling", 45)


def test_a_soft_alarm_goes_back_to_the_floor_and_keeps_collecting() -> None:
    answer = step(strata=WORRYING, weight_percent=15)
    assert 3 <= answer.evidence.e_guard < 10
    assert (answer.action, answer.state, answer.weight_percent) == ("to_floor", "canary", 5)
    at_floor = step(strata=WORRYING, weight_percent=5, epoch=2)
    assert (at_floor.action, at_floor.reason, at_floor.weight_percent) == ("hold", "soft_guard", 5)


def test_a_worse_challenger_is_rolled_back() -> None:
    answer = step(strata=WORSE, weight_percent=45)
    assert (answer.action, answer.state, answer.weight_percent, answer.reason) == (
        "roll_back",
        "rolled_back",
        0,
        "hard_guard",
    )


def test_four_percent_against_two_percent_is_not_promoted() -> None:
    """S1-38: "below 5 %" promoted it; here it falls back, then dies."""
    settings = RolloutSettings(baseline_rate=0.02, ledger_slots=None)
    double = (labels(1, 25, cf=40, cs=960, nf=60, ns=2940),)
    assert step(settings=settings, strata=double, weight_percent=25).action == "roll_back"


def test_ten_percent_against_thirty_percent_wins() -> None:
    """S1-38, the other half: "above 5 %" never replaced it."""
    settings = RolloutSettings(baseline_rate=0.3, ledger_slots=None)
    answer = step(settings=settings, strata=(labels(1, 25, cf=20, cs=180, nf=180, ns=420),), weight_percent=25)
    assert answer.action == "await_approval"


def test_zero_failures_of_twenty_prove_nothing() -> None:
    """S1-40: a version that fails 10 % shows no failure in 20 about one time in eight."""
    answer = step(strata=(labels(1, 5, cs=20, nf=40, ns=340),))
    assert answer.action == "hold"
    assert answer.evidence.e_win < 5


def test_a_win_asks_and_leaves_the_share_where_it_is() -> None:
    answer = step(strata=WINNING, weight_percent=45)
    assert (answer.action, answer.state, answer.weight_percent) == ("await_approval", "awaiting_approval", 45)
    assert answer.epoch == 1


def test_the_ledger_makes_a_win_dearer() -> None:
    slightly = (labels(1, 45, cf=15, cs=180, nf=45, ns=210),)
    off, on = step(strata=slightly, weight_percent=45), replace(SETTINGS, ledger_slots=5)
    assert 20 <= off.evidence.e_win < 100
    assert off.action == "await_approval"
    assert step(settings=on, strata=slightly, weight_percent=45).action != "await_approval"


def test_a_declared_margin_lets_an_equal_version_win() -> None:
    equal = (labels(1, 45, cf=1500, cs=8500, nf=1825, ns=10_400),)
    declared = RolloutSettings(baseline_rate=0.15, noninferior=True, ledger_slots=None, horizon_labels=10**6)
    assert step(settings=declared, strata=equal, weight_percent=45).action == "await_approval"
    undeclared = replace(declared, noninferior=False)
    assert step(settings=undeclared, strata=equal, weight_percent=45).action == "hold"


@pytest.mark.parametrize("late", [{"now": START + timedelta(days=30)}, {"labels": 6000}])
def test_the_horizon_is_inconclusive_and_the_incumbent_stays(late: dict[str, Any]) -> None:
    tie = (labels(4, 45, cf=405, cs=2295, nf=495, ns=2805),) if "labels" in late else QUIET
    answer = step(late.get("now", START), strata=tie, weight_percent=45, epoch=7)
    assert (answer.action, answer.state, answer.weight_percent, answer.reason) == (
        "inconclusive",
        "inconclusive",
        0,
        "horizon",
    )


def test_a_share_of_zero_set_by_a_person_is_not_raised_again() -> None:
    answer = step(strata=QUIET, weight_percent=0, epoch=2)
    assert (answer.action, answer.reason, answer.weight_percent) == ("hold", "no_share", 0)


# Order --------------------------------------------------------------------------------------------------------------

URGENT: list[tuple[str, dict[str, Any]]] = [
    ("abort_requested", {"abort_by": "ada"}),
    ("kill_switch", {"kill_switch": True}),
    ("rollback_requested", {"rollback_by": "ada"}),
    ("zero_tolerance", {"zero_tolerance_events": 1}),
    ("sample_ratio", {"assigned": CROOKED}),
    ("hard_guard", {"strata": WORSE}),
    ("override", {"override_by": "ada"}),
    ("watched_guard", {"guards": {"cost": 1000.0}}),
]


@pytest.mark.parametrize("state", ["canary", "awaiting_approval"])
def test_what_can_stop_a_rollout_is_looked_at_first_and_in_order(state: RolloutState) -> None:
    base: dict[str, Any] = {"state": state, "weight_percent": 45, "strata": WINNING, "approval": "approved"}
    base["approval_is_current"] = True
    for (reason, change), (_, lesser) in itertools.combinations(URGENT, 2):
        assert step(**{**base, **lesser, **change}).reason == reason
    for reason, change in URGENT:
        assert step(**{**base, **change}).reason == reason


def test_one_zero_tolerance_event_ends_it_at_once_and_pages() -> None:
    for state in ("shadow", "canary", "awaiting_approval", "promoted"):
        answer = step(state=state, zero_tolerance_events=1, strata=WINNING, weight_percent=45)
        assert (answer.action, answer.state, answer.weight_percent) == ("roll_back", "rolled_back", 0)
        assert answer.page


def test_a_broken_split_freezes_and_decides_nothing() -> None:
    answer = step(assigned=CROOKED, strata=WINNING)
    assert (answer.action, answer.state, answer.weight_percent) == ("freeze", "frozen", 0)


def test_one_unit_served_at_a_share_of_zero_freezes() -> None:
    """S1-30: a share of 0 that is served is a bug in routing, whatever the outcomes say."""
    served = (Assigned(epoch=0, weight_percent=0, challenger=1, incumbent=500),)
    assert step(assigned=served).reason == "sample_ratio"


def test_a_watched_slice_holds_at_the_floor_and_is_named_worst_first() -> None:
    settings = replace(SETTINGS, guards=("cost", "label=Business", "label=World"))
    limit = settings.guard_at(3)
    fired = {"cost": limit, "label=Business": 400.0, "label=World": limit - 0.1}
    answer = step(settings=settings, guards=fired, strata=WINNING, weight_percent=25)
    assert (answer.action, answer.state, answer.weight_percent) == ("to_floor", "canary", 5)
    assert answer.names == ("label=Business", "cost")
    assert "label=Business" in answer.sentence
    assert answer.page
    assert step(settings=settings, guards=fired, strata=WINNING, weight_percent=5).action == "hold"


def test_a_guard_that_a_person_accepted_lets_the_rollout_go_on() -> None:
    accepted = step(guards={"cost": 1000.0}, accepted_guards=frozenset({"cost"}), strata=WINNING, weight_percent=25)
    assert accepted.reason == "win"


# The person ---------------------------------------------------------------------------------------------------------


def test_an_approval_of_this_version_and_evidence_promotes() -> None:
    answer = waiting("approved")
    assert (answer.action, answer.state, answer.weight_percent, answer.guarantee) == ("promote", "promoted", 100, True)


def test_an_approval_of_something_else_promotes_nothing() -> None:
    answer = waiting("approved", approval_is_current=False)
    assert (answer.action, answer.reason, answer.state) == ("hold", "approval_stale", "awaiting_approval")


def test_an_expired_request_is_no_approval() -> None:
    """S1-47: on timeout the field's execution succeeded with the decision "expired"."""
    answer = waiting("expired", now=START + timedelta(days=300))
    assert (answer.action, answer.reason, answer.weight_percent) == ("hold", "approval_expired", 45)


@pytest.mark.parametrize(
    ("answer", "reason"), [("rejected", "approval_rejected"), ("changes_requested", "changes_requested")]
)
def test_a_no_takes_the_share_away(answer: ApprovalAnswer, reason: str) -> None:
    for current in (True, False):
        after = waiting(answer, approval_is_current=current)
        assert (after.action, after.state, after.weight_percent, after.reason) == (
            "roll_back",
            "rolled_back",
            0,
            reason,
        )


def test_while_a_person_thinks_the_share_stays_and_nobody_is_asked_twice() -> None:
    answer = waiting("pending")
    assert (answer.action, answer.weight_percent, answer.state) == ("hold", 45, "awaiting_approval")


def test_a_request_lost_in_a_crash_is_made_again() -> None:
    assert waiting(None).action == "await_approval"


def test_guards_keep_running_while_a_person_thinks() -> None:
    """S1-43: rollback fires while paused, and even after a yes that was not yet carried out."""
    for answer in ("pending", "approved"):
        assert waiting(answer, strata=WORSE).action == "roll_back"


def test_a_yes_waits_while_the_soft_guard_is_up() -> None:
    answer = waiting("approved", strata=WORRYING)
    assert (answer.action, answer.reason, answer.weight_percent) == ("hold", "soft_guard", 45)


def test_an_override_promotes_in_a_persons_name_and_without_guarantee() -> None:
    answer = step(override_by="ada")
    assert (answer.action, answer.state, answer.weight_percent) == ("promote", "promoted", 100)
    assert (answer.by, answer.guarantee) == ("ada", False)
    assert "no guarantee" in answer.sentence
    assert "ada" in answer.sentence


def test_no_override_beats_an_event_that_no_version_may_cause() -> None:
    assert step(override_by="ada", zero_tolerance_events=1).action == "roll_back"
    assert step(override_by="ada", strata=WORSE).action == "roll_back"


# Every state --------------------------------------------------------------------------------------------------------

cells = st.integers(0, 400)
any_strata = st.lists(
    st.builds(
        labels, st.integers(0, 3), st.sampled_from([0.0, 5.0, 45.0, 100.0]), cf=cells, cs=cells, nf=cells, ns=cells
    ),
    max_size=5,
).map(tuple)
any_facts = st.builds(
    RolloutFacts,
    settings=st.sampled_from(
        [
            SETTINGS,
            RolloutSettings(),
            RolloutSettings(road="paired"),
            RolloutSettings(baseline_rate=0.15, noninferior=True),
        ]
    ),
    state=st.sampled_from(get_args(RolloutState)),
    weight_percent=st.sampled_from([0.0, 5.0, 25.0, 45.0, 100.0]),
    epoch=st.integers(0, 3),
    started_at=st.sampled_from([None, START]),
    strata=any_strata,
    zero_tolerance_events=st.sampled_from([0, 0, 0, 1]),
    guards=st.dictionaries(st.sampled_from(["cost", "slow"]), st.floats(0, 100), max_size=2),
    approval=st.sampled_from([None, *get_args(ApprovalAnswer)]),
    approval_is_current=st.booleans(),
    kill_switch=st.sampled_from([False, False, True]),
    abort_by=st.sampled_from(["", "", "ada"]),
    rollback_by=st.sampled_from(["", "", "ada"]),
    override_by=st.sampled_from(["", "", "ada"]),
    paired=st.one_of(
        st.none(),
        st.builds(PairedEvidence, e_win=st.floats(0, 100), e_harm=st.floats(0, 100), cases=st.integers(0, 3000)),
    ),
)
any_moment = st.integers(0, 60).map(lambda days: START + timedelta(days=days))


@given(any_facts, any_moment)
def test_only_a_person_gives_the_majority(known: RolloutFacts, now: datetime) -> None:
    """Promise 1 and 5: whatever the facts, more than the ceiling takes an approval bound to them, or an override."""
    answer = next_step(known, now)
    if answer.action == "promote":
        approved = known.state == "awaiting_approval" and known.approval == "approved" and known.approval_is_current
        assert (approved and answer.guarantee) or (known.override_by and not answer.guarantee)
        assert (answer.state, answer.weight_percent) == ("promoted", 100)
    else:
        assert answer.weight_percent <= max(known.weight_percent, known.settings.ceiling_percent)
        assert answer.state != "promoted" or known.state == "promoted"


@given(any_facts, any_moment)
def test_a_step_is_repeatable_bounded_and_explained(known: RolloutFacts, now: datetime) -> None:
    answer = next_step(known, now)
    assert answer == next_step(known, now)
    assert answer.weight_percent <= known.weight_percent + known.settings.max_step_percent or answer.action == "promote"
    assert answer.epoch == known.epoch + (answer.weight_percent != known.weight_percent)
    assert answer.sentence.endswith(".")
    assert answer.evidence.thresholds["win"] == known.settings.win_at
    assert len(digest(asdict(answer.evidence))) == 64  # every number has a canonical text, so it can be signed


@given(any_facts, any_moment)
def test_an_ended_rollout_serves_nobody(known: RolloutFacts, now: datetime) -> None:
    answer = next_step(known, now)
    if answer.state in (*ENDED, "frozen"):
        assert answer.weight_percent == 0
    if known.state in ENDED:
        assert answer.state == known.state


@given(any_facts, any_moment)
def test_a_person_can_roll_back_from_any_state(known: RolloutFacts, now: datetime) -> None:
    """Promise 6."""
    answer = next_step(replace(known, rollback_by="ada", abort_by="", kill_switch=False), now)
    assert answer.weight_percent == 0
    assert answer.state in (*ENDED, "rolled_back")


@given(any_facts, any_moment)
def test_a_step_taken_is_not_taken_again(known: RolloutFacts, now: datetime) -> None:
    """Every climb needs labels of its own epoch, and a new epoch has none."""
    first = next_step(known, now)
    if first.action == "ramp":
        fresh = [one for one in known.strata if one.epoch != first.epoch]
        after = replace(
            known, state=first.state, weight_percent=first.weight_percent, epoch=first.epoch, strata=tuple(fresh)
        )
        assert next_step(after, now).action != "ramp"


@given(any_facts, any_moment)
def test_the_kill_switch_stops_everything_that_is_not_yet_promoted(known: RolloutFacts, now: datetime) -> None:
    answer = next_step(replace(known, kill_switch=True, rollback_by=""), now)
    if known.state in ("draft", "shadow", "canary", "awaiting_approval"):
        assert answer.weight_percent == 0


def test_a_draft_waits_for_its_start_and_then_gets_the_floor() -> None:
    assert step(state="draft", weight_percent=0, started_at=None).reason == "not_started"
    opened = step(state="draft", weight_percent=0, epoch=0)
    assert (opened.action, opened.state, opened.weight_percent, opened.epoch) == ("ramp", "canary", 5, 1)


def test_a_promoted_version_can_still_be_taken_back() -> None:
    for state in ("promoted", "closed"):
        answer = step(state=state, weight_percent=100, rollback_by="ada")
        assert (answer.action, answer.state, answer.weight_percent) == ("roll_back", "rolled_back", 0)
        assert step(state=state, weight_percent=100).weight_percent == 100


@pytest.mark.parametrize("state", [*ENDED, "frozen"])
def test_a_share_left_over_by_a_crash_is_taken_away(state: RolloutState) -> None:
    answer = step(state=state, weight_percent=45)
    assert (answer.reason, answer.weight_percent, answer.state) == ("leftover_share", 0, state)


def test_a_frozen_rollout_waits_for_a_person() -> None:
    assert step(state="frozen", weight_percent=0).reason == "frozen"
    assert step(state="frozen", weight_percent=0, kill_switch=True).reason == "frozen"
    assert step(state="frozen", weight_percent=0, abort_by="ada").state == "aborted"


# The paired road ----------------------------------------------------------------------------------------------------

PAIRED = RolloutSettings(road="paired", baseline_rate=0.15, ledger_slots=None)


def shadow(e_win: float, e_harm: float, cases: int) -> Step:
    paired = PairedEvidence(e_win=e_win, e_harm=e_harm, cases=cases)
    return step(settings=PAIRED, state="shadow", weight_percent=0, epoch=0, paired=paired)


def test_the_paired_road_begins_in_the_shadow() -> None:
    answer = step(settings=PAIRED, state="draft", weight_percent=0, epoch=0)
    assert (answer.state, answer.weight_percent) == ("shadow", 0)


@pytest.mark.parametrize(
    ("paired", "state", "weight"),
    [
        ((20, 0, 400), "canary", 5),
        ((0, 10, 40), "rolled_back", 0),
        ((20, 10, 40), "rolled_back", 0),
        ((19, 9, 2000), "inconclusive", 0),
        ((19, 9, 1999), "shadow", 0),
        ((0, 0, 0), "shadow", 0),
    ],
)
def test_the_shadow_opens_the_canary_only_on_a_paired_win(
    paired: tuple[float, float, int], state: str, weight: float
) -> None:
    answer = shadow(*paired)
    assert (answer.state, answer.weight_percent) == (state, weight)


def test_after_a_paired_win_the_canary_must_stay_quiet_for_a_day_and_three_hundred_labels() -> None:
    quiet = (labels(1, 25, cf=45, cs=255, nf=135, ns=765),)
    later = START + timedelta(hours=24)
    assert step(later, settings=PAIRED, strata=quiet, weight_percent=25).reason == "quiet_canary"
    assert (
        step(START + timedelta(hours=23), settings=PAIRED, strata=quiet, weight_percent=25).action != "await_approval"
    )
    fewer = (labels(1, 25, cf=45, cs=254, nf=135, ns=765),)
    assert step(later, settings=PAIRED, strata=fewer, weight_percent=25).action != "await_approval"
    opened = {"canary_at": START + timedelta(hours=6)}
    assert step(later, settings=PAIRED, strata=quiet, weight_percent=25, **opened).action != "await_approval"


# Edges --------------------------------------------------------------------------------------------------------------


def test_moments_without_a_time_zone_are_refused() -> None:
    naive = START.replace(tzinfo=None)
    with pytest.raises(Invalid):
        next_step(facts(), naive)
    for name in ("started_at", "canary_at"):
        with pytest.raises(Invalid):
            facts(**{name: naive})
    with pytest.raises(Invalid):
        facts(weight_percent=101)


def test_a_holding_canary_says_about_how_many_labels_a_win_needs() -> None:
    answer = step(strata=(labels(1, 5, cf=2, cs=20, nf=70, ns=350),))
    assert answer.evidence.labels_needed is not None
    assert f"about {answer.evidence.labels_needed} more labels" in answer.sentence
    hopeless = step(strata=(labels(1, 5, cf=4, cs=18, nf=70, ns=350),))
    assert hopeless.evidence.labels_needed is None


def test_a_step_over_forty_strata_takes_well_under_five_milliseconds() -> None:
    many = tuple(labels(e, 5 + e, cf=3 * e, cs=20 * e, nf=9 * e, ns=80 * e) for e in range(40))
    units = tuple(Assigned(epoch=e, weight_percent=5 + e, challenger=60 * e, incumbent=950 * e) for e in range(40))
    known = facts(strata=many, assigned=units, weight_percent=44, epoch=39)
    took: list[float] = []
    for _ in range(20):
        began = time.perf_counter()
        next_step(known, START)
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.005


def test_a_slice_that_nobody_decides_about_does_not_keep_a_rollout_alive_past_its_horizon() -> None:
    late = step(START + timedelta(days=31), guards={"label=refund": 1e9})
    assert (late.action, late.reason, late.weight_percent) == ("inconclusive", "horizon", 0)
    assert step(guards={"label=refund": 1e9}).reason == "watched_guard"

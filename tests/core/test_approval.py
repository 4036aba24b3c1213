"""Approvals: a decision by somebody else, in time, once, on exactly what was shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.approval import DEFAULT_EXPIRY, Approval, Decision, decide, identity, people_needed, state_at
from surefoot.core.errors import Conflict, Forbidden, Invalid
from surefoot.core.policy import Policy

ASKED = datetime(2026, 1, 1, 12, tzinfo=UTC)
PENDING = Approval(
    id="ap1", agent="support", rollout="ro1", version=3, version_digest="v-hash", evidence_digest="e-hash",
    proposers=("Ada Lovelace", "improver:reflect", " grace "), requested_at=ASKED, expires_at=ASKED + DEFAULT_EXPIRY,
)  # fmt: skip
MICROSECOND = timedelta(microseconds=1)


def decided(approval: Approval = PENDING, decision: Decision = "approved", **changed: Any) -> Approval:
    what: dict[str, Any] = {
        "actor": "Bo",
        "version_digest": "v-hash",
        "evidence_digest": "e-hash",
        "now": ASKED + timedelta(hours=1),
    }
    return decide(approval, decision, **(what | changed))


@pytest.mark.parametrize("decision", ["approved", "rejected", "changes_requested"])
def test_a_decision_says_who_when_what_and_why(decision: Decision) -> None:
    found = decided(decision=decision, actor=" Bo ", feedback="looks right")
    assert (found.state, found.decided_by, found.feedback) == (decision, "Bo", "looks right")
    assert found.decided_at == ASKED + timedelta(hours=1)
    assert PENDING.state == "pending", "the request itself is never changed"


@pytest.mark.parametrize(
    "actor",
    ["Ada Lovelace", "ada lovelace", " ADA LOVELACE\t", "Ada  Lovelace", "Ada\u00a0Lovelace", "A\u200bda Lovelace",
     "\uff21da Lovelace", "Ada\u00ad Lovelace", "improver:REFLECT", "grace", "Grace", " GRACE "],
)  # fmt: skip
@pytest.mark.parametrize("decision", ["approved", "rejected", "changes_requested"])
def test_whoever_proposed_it_cannot_decide_however_they_write_their_name(actor: str, decision: Decision) -> None:
    with pytest.raises(Forbidden, match="cannot decide"):
        decided(decision=decision, actor=actor)


@given(st.text(min_size=1, max_size=12), st.sampled_from([str.upper, str.title, str.swapcase, "  {}\n".format]))
def test_no_way_of_writing_a_name_makes_another_person(name: str, written: Any) -> None:
    if identity(name) and identity(written(name)) == identity(name):
        mine = replace(PENDING, proposers=(written(name),))
        with pytest.raises(Forbidden):
            decided(mine, actor=name)


@pytest.mark.parametrize("actor", ["", "  ", "\n", "\u200b", " \ufeff "])
def test_nobody_cannot_decide(actor: str) -> None:
    with pytest.raises(Invalid, match="needs a person's name"):
        decided(actor=actor)


@pytest.mark.parametrize(
    "stale",
    [{"version_digest": "other"}, {"evidence_digest": "other"}, {"version_digest": ""}, {"evidence_digest": ""},
     {"version_digest": "e-hash", "evidence_digest": "v-hash"}, {"evidence_digest": "E-HASH"}],
)  # fmt: skip
def test_a_decision_on_what_has_moved_on_is_stale_and_counts_for_nothing(stale: dict[str, Any]) -> None:
    with pytest.raises(Conflict, match="changed since you looked"):
        decided(**stale)


def test_a_request_expires_at_its_expiry_and_not_a_microsecond_before() -> None:
    last = PENDING.expires_at - MICROSECOND
    assert state_at(PENDING, last) == "pending"
    assert decided(now=last).state == "approved"
    for late in (PENDING.expires_at, PENDING.expires_at + timedelta(days=900)):
        assert state_at(PENDING, late) == "expired"
        with pytest.raises(Conflict, match="is expired"):
            decided(now=late)


def test_the_expiry_is_a_moment_in_every_time_zone() -> None:
    there = PENDING.expires_at.astimezone(timezone(timedelta(hours=9)))
    assert state_at(PENDING, there) == "expired"
    assert state_at(PENDING, there - MICROSECOND) == "pending"


@pytest.mark.parametrize("first", ["approved", "rejected", "changes_requested"])
@pytest.mark.parametrize("second", ["approved", "rejected", "changes_requested"])
def test_a_request_is_decided_once(first: Decision, second: Decision) -> None:
    done = decided(decision=first, feedback="shorter")
    with pytest.raises(Conflict, match=f"is {first}"):
        decided(done, decision=second, actor="Cy", feedback="longer")
    assert state_at(done, PENDING.expires_at + timedelta(days=1)) == first, "a decision does not expire"


@pytest.mark.parametrize("decision", ["pending", "expired", "", "yes"])
def test_only_the_three_decisions_decide(decision: Any) -> None:
    with pytest.raises(Invalid, match="decides nothing"):
        decided(decision=decision)


@given(
    actor=st.sampled_from(["Bo", "ada lovelace", "GRACE", ""]),
    version=st.sampled_from(["v-hash", "x"]),
    evidence=st.sampled_from(["e-hash", "x"]),
    after=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=6)),
)
def test_an_approval_needs_all_of_it_at_once(actor: str, version: str, evidence: str, after: timedelta) -> None:
    right = (actor, version, evidence) == ("Bo", "v-hash", "e-hash") and after < DEFAULT_EXPIRY
    try:
        found = decided(actor=actor, version_digest=version, evidence_digest=evidence, now=ASKED + after)
    except (Conflict, Forbidden, Invalid):
        assert not right
    else:
        assert right
        assert found.state == "approved"


# Two people ----------------------------------------------------------------------------------------------------------

TWO = replace(PENDING, people_needed=2)


def test_the_first_of_two_leaves_it_pending_and_the_second_approves():
    first = decided(TWO, actor="Bo", feedback="fine")
    assert (first.state, first.signed, first.decided_by) == ("pending", 1, "")
    second = decided(first, actor="Cy", feedback="also fine")
    assert (second.state, second.signed, second.decided_by) == ("approved", 2, "Bo, Cy")
    assert second.feedback == "fine; also fine"
    assert [one.by for one in second.consents] == ["Bo", "Cy"]


@pytest.mark.parametrize(
    "again", ["Bo", " bo ", "BO", "B\u200bo", "Bo\ufe0f", "\u034fBo", "\u2800Bo", "Ｂo", "B\u3164o", "Bo\x08"]
)
def test_the_same_person_counts_once_however_they_write_their_name(again: str) -> None:
    first = decided(TWO, actor="Bo")
    assert decided(first, actor=again) == first


@pytest.mark.parametrize("proposer", ["Ada Lovelace", "ADA\u00a0LOVELACE", "Ada Love\ufe0elace", "grace\u3164"])
def test_the_proposer_is_never_one_of_the_two(proposer: str) -> None:
    with pytest.raises(Forbidden, match="cannot decide"):
        decided(decided(TWO, actor="Bo"), actor=proposer)


@pytest.mark.parametrize("no", ["rejected", "changes_requested"])
@pytest.mark.parametrize("by", ["Bo", "Cy"])
def test_anybody_s_no_ends_it_even_after_a_yes(no: Decision, by: str) -> None:
    ended = decided(decided(TWO, actor="Bo"), no, actor=by, feedback="on second thought")
    assert (ended.state, ended.decided_by) == (no, by)
    with pytest.raises(Conflict, match=f"is {no}"):
        decided(ended, actor="Di")


def test_one_yes_of_two_expires_like_none() -> None:
    first = decided(TWO, actor="Bo")
    assert state_at(first, TWO.expires_at) == "expired"
    with pytest.raises(Conflict, match="is expired"):
        decided(first, actor="Cy", now=TWO.expires_at)


def test_both_must_have_seen_the_same() -> None:
    with pytest.raises(Conflict, match="changed since you looked"):
        decided(decided(TWO, actor="Bo"), actor="Cy", evidence_digest="newer")


@given(st.integers(1, 5), st.lists(st.sampled_from(["Bo", "bo", "Cy", " CY", "Di", "Ed", "Fo", "fo "]), max_size=20))
def test_it_is_approved_exactly_when_so_many_different_people_said_yes(needed: int, names: list[str]) -> None:
    approval, people = replace(PENDING, people_needed=needed), set[str]()
    for name in names:
        if approval.state == "pending":
            approval = decided(approval, actor=name)
            people.add(name.strip().lower())
    assert (approval.state == "approved") == (len(people) >= needed)
    assert approval.signed == min(len(people), needed)


@pytest.mark.parametrize(
    ("level", "policy", "house", "people"),
    [
        (2, Policy(), 1, 1), (1, Policy(), 1, 1), (3, Policy(), 1, 2), (4, Policy(), 1, 2),
        (2, Policy(stakes="high"), 1, 2), (2, Policy(people_needed=2), 1, 2), (2, Policy(), 2, 2),
        (3, Policy(people_needed=3), 2, 3), (2, Policy(people_needed=2), 3, 3), (2, Policy(people_needed=0), 0, 1),
    ],
)  # fmt: skip
def test_high_risk_takes_two_and_no_setting_makes_it_fewer(level: Any, policy: Policy, house: int, people: int) -> None:
    assert people_needed(policy, level, house=house) == people


def test_a_request_for_changes_says_which() -> None:
    for nothing in ("", "  \n"):
        with pytest.raises(Invalid, match="says which"):
            decided(decision="changes_requested", feedback=nothing)
    with pytest.raises(Invalid, match="2001 characters"):
        decided(decision="changes_requested", feedback="x" * 2001)


# Persons and their tokens ---------------------------------------------------------------------------------------------

PEOPLE = {identity("ada-laptop"): "Ada Lovelace", identity("bo-phone"): "Bo", identity("bo-ci"): "bo"}


@pytest.mark.parametrize("decision", ["approved", "rejected", "changes_requested"])
def test_a_proposer_cannot_decide_through_another_token_of_theirs(decision: Decision) -> None:
    with pytest.raises(Forbidden, match="cannot decide"):
        decided(decision=decision, actor="ADA-laptop", people=PEOPLE, feedback="x")


def test_whoever_proposed_through_a_token_cannot_decide_as_the_person() -> None:
    asked = replace(PENDING, proposers=("bo-ci",))
    with pytest.raises(Forbidden, match="cannot decide"):
        decided(asked, actor="Bo", people=PEOPLE)
    assert decided(asked, actor="Cy", people=PEOPLE).state == "approved"


def test_two_tokens_of_one_person_are_one_person_for_the_two_person_rule() -> None:
    asked = replace(PENDING, people_needed=2)
    for names in (("Bo", "bo-phone"), ("bo-phone", "bo-ci"), ("bo-ci", "Bo", "bo-phone")):
        after = asked
        for name in names:
            after = decided(after, actor=name, people=PEOPLE)
        assert after.state == "pending"
        assert decided(after, actor="Cy", people=PEOPLE).state == "approved"


def test_a_decision_through_a_token_is_recorded_as_the_person() -> None:
    assert decided(actor="bo-phone", people=PEOPLE).decided_by == "Bo"

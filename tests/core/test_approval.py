"""Approvals: a decision by somebody else, in time, once, on exactly what was shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.approval import DEFAULT_EXPIRY, Approval, Decision, decide, identity, state_at
from surefoot.core.errors import Conflict, Forbidden, Invalid

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
    done = decided(decision=first)
    with pytest.raises(Conflict, match=f"is {first}"):
        decided(done, decision=second, actor="Cy")
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

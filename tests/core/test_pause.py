"""A pause is decided once, by somebody else than who asked, in time, and what is late is never a success."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Conflict, Forbidden, Invalid
from surefoot.core.pause import Pause, asked, decided, goes_on_at, state_at

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = st.sampled_from(["approved", "rejected", "request_changes"])


def pause(hours: float = 72.0) -> Pause:
    return asked("support", "promote-2.1.0", by="prog", now=NOW, hours=hours)


@given(WORDS, st.floats(min_value=0.001, max_value=8000), st.floats(min_value=0, max_value=3.2e7))
def test_what_is_decided_in_time_stands_for_ever_and_what_is_late_is_expired(word, hours, after_s) -> None:
    before, now = pause(hours), NOW + timedelta(seconds=after_s)
    if now >= before.expires_at:
        assert state_at(before, now) == "expired"
        with pytest.raises(Conflict, match="is expired"):
            decided(before, word, by="rita", now=now, feedback="why")
        return
    after = decided(before, word, by="rita", now=now, feedback="why")
    assert state_at(after, now + timedelta(days=9999)) == word
    assert (after.feedback, after.decided_by, after.decided_at) == ("why", "rita", now)


def test_it_expires_at_its_time_and_not_a_moment_before() -> None:
    one = pause(1)
    assert state_at(one, one.expires_at - timedelta(microseconds=1)) == "pending"
    assert state_at(one, one.expires_at) == "expired"


@given(WORDS, WORDS)
def test_it_is_decided_once(first, second) -> None:
    after = decided(pause(), first, by="rita", now=NOW, feedback="a")
    if first == second:
        assert decided(after, second, by=" RITA ", now=NOW, feedback="a") is after, "saying it again changes nothing"
    for by, feedback in (("rita", "b"), ("someone else", "a")):
        with pytest.raises(Conflict):
            decided(after, second, by=by, now=NOW, feedback=feedback)


@pytest.mark.parametrize("by", ["prog", " Prog ", "PROG", "p\u200brog"])
def test_who_asked_cannot_decide_however_the_name_is_written(by) -> None:
    with pytest.raises(Forbidden, match="cannot decide"):
        decided(pause(), "approved", by=by, now=NOW)


def test_a_person_with_two_tokens_cannot_answer_under_one_what_was_asked_under_the_other() -> None:
    people = {"prog": "Rita", "rita-phone": "rita"}
    for by in ("rita", "prog", "rita-phone"):
        with pytest.raises(Forbidden, match="cannot decide"):
            decided(pause(), "approved", by=by, now=NOW, people=people)
    after = decided(pause(), "approved", by="bob", now=NOW, people={**people, "bob-phone": "bob"})
    assert decided(after, "approved", by="bob-phone", now=NOW, people={"bob-phone": "bob"}) is after


HOURS = st.floats(min_value=0.01, max_value=100)


@given(st.lists(st.tuples(HOURS, st.booleans()), max_size=4), HOURS)
def test_what_waited_goes_on_at_the_end_of_its_last_expired_wait_and_never_before(waits, after) -> None:
    now = NOW + timedelta(hours=after)
    found = [replace(pause(hours), state="approved" if said else "pending") for hours, said in waits]
    at, silent = goes_on_at(NOW, found, now), [one.expires_at for one in found if one.state == "pending"]
    if not silent or max(silent) > now:
        assert at is None
    else:
        assert at == max(silent)
    assert goes_on_at(now, found, now) is None, "a pause that begins later is not ended by an older wait"


@pytest.mark.parametrize(("word", "by", "feedback"), [
    ("approved", " ", ""), ("maybe", "rita", ""), ("request_changes", "rita", "  "), ("rejected", "rita", "x" * 2001),
])  # fmt: skip
def test_a_decision_that_makes_no_sense_is_refused(word, by, feedback) -> None:
    with pytest.raises(Invalid):
        decided(pause(), word, by=by, now=NOW, feedback=feedback)


@pytest.mark.parametrize("hours", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_time_that_is_no_time_is_refused(hours) -> None:
    with pytest.raises(Invalid):
        pause(hours)

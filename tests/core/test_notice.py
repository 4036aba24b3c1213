"""Notices: five tries, ever further apart, then a dead letter that somebody may send again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Conflict
from surefoot.core.notice import (
    LEASE,
    TRIES,
    Notice,
    delivered,
    document,
    failed,
    letter,
    line,
    pause_after,
    redriven,
    taken,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTICE = Notice(
    id="n1", channel="webhook", kind="approval_requested", agent="support", subject="support/v2", sentence="It won.",
    at=NOW, next_at=NOW, facts={"approval": "promote-support-v2-1", "changes": ["added a", "removed b"], "look": "see"},
)  # fmt: skip


def test_the_pauses_grow_from_five_seconds_to_five_minutes():
    assert [pause_after(n).total_seconds() for n in (1, 2, 3, 4)] == [5, 20, 80, 300]


def test_a_notice_is_tried_five_times_and_is_then_dead():
    now, one, tries = NOW, NOTICE, 0
    while one.state == "waiting":
        one = taken(one, now)
        tries += one.state == "waiting"
        one = failed(one, "refused", now)
        now = one.next_at if one.state == "waiting" else now
    assert (tries, one.state, one.error) == (TRIES, "dead", "refused")
    assert now - NOW == timedelta(seconds=5 + 20 + 80 + 300)


def test_tries_that_crashes_cut_short_count_so_that_none_goes_on_for_ever():
    now, one = NOW, NOTICE
    for _ in range(TRIES):
        one = taken(one, now)
        assert one.next_at == now + LEASE, "nobody else takes it meanwhile"
        now = one.next_at
    assert taken(one, now).state == "dead"


def test_what_will_never_arrive_is_dead_at_once():
    assert failed(taken(NOTICE, NOW), "a private address", NOW, for_good=True).state == "dead"


def test_a_dead_letter_gets_its_tries_back_and_nothing_else_does():
    dead = replace(NOTICE, state="dead", tries=5, error="refused")
    again = redriven(dead, NOW + timedelta(days=1))
    assert (again.state, again.tries, again.next_at) == ("waiting", 0, NOW + timedelta(days=1))
    for one in (NOTICE, delivered(NOTICE, NOW)):
        with pytest.raises(Conflict, match="notice n1 is"):
            redriven(one, NOW)


def test_programs_get_the_facts_and_people_a_sentence():
    assert document(NOTICE)["approval"] == "promote-support-v2-1"
    assert line(NOTICE) == "support/v2: It won. (see)"
    assert "changes: added a, removed b\n" in letter(NOTICE)


@given(st.text(max_size=40))
def test_no_fact_can_steer_a_terminal_or_begin_a_line_of_its_own(text):
    odd = replace(NOTICE, sentence=text, facts={"by": text})
    assert line(odd).isprintable()
    assert len(letter(odd).splitlines()) == len(letter(replace(odd, sentence="x", facts={"by": "y"})).splitlines()) - (
        not text
    )


@given(st.sampled_from(["id", "kind", "agent", "sentence"]))
def test_no_fact_can_take_the_place_of_what_every_notice_has(name):
    assert document(replace(NOTICE, facts={name: "forged"}))[name] == getattr(NOTICE, name)

"""A story: what people want to hear of the record, and how often it happened in the last day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.audit import Entry, sealed
from surefoot.core.story import COUNTED, DAY, said_of, story, word_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ACTIONS = st.sampled_from([*COUNTED, "tick-started", "token-created", "rollout-thaw", "levers-ranked"])
ENTRIES = st.lists(st.tuples(ACTIONS, st.integers(0, 60)), max_size=20)


def entry(action: str, hours: int, **payload: object) -> Entry:
    return sealed(None, at=NOW - timedelta(hours=hours), actor="x", action=action, subject="a", payload=payload)


@given(ENTRIES)
def test_the_last_day_is_told_or_else_what_was_before_it(listed: list[tuple[str, int]]) -> None:
    entries = [entry(*one) for one in sorted(listed, key=lambda one: one[1])]
    told = story(entries, NOW)
    assert [*told.entries] == [one for one in entries if one in told.entries], "in their order"
    assert all((NOW - one.at < DAY) == told.is_day for one in told.entries)
    assert told.is_day == any(NOW - one.at < DAY and one.action in {*COUNTED, "rollout-thaw"} for one in entries)
    assert not {one.action for one in told.entries} & {"tick-started", "token-created", "levers-ranked"}


@given(ENTRIES)
def test_the_tally_counts_the_day_and_nothing_before_it(listed: list[tuple[str, int]]) -> None:
    told = story([entry(*one) for one in listed], NOW)
    assert sum(count for _, count in told.tally) == sum(
        hours < 24 and action in COUNTED for action, hours in listed
    )  # fmt: skip
    assert all(count > 0 for _, count in told.tally)


def test_an_action_is_told_in_the_words_of_people() -> None:
    assert [word_of(one) for one in ("rollout-ramp", "gate-pass", "lever-made_up")] == [
        "more traffic", "passed its gate", "lever made up"
    ]  # fmt: skip
    assert said_of(entry("wish-share", 0, reason="", rationale="it is time")) == "it is time"
    assert said_of(entry("wish-share", 0)) == ""

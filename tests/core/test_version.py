"""Versions: only the drawn arrows, and no way around the canary without a person's name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Conflict
from surefoot.core.version import FORCED, Version, VersionState, transition

STATES = get_args(VersionState)
FREE = {
    ("candidate", "canary"), ("candidate", "rejected"),
    ("canary", "live"), ("canary", "rolled_back"), ("canary", "inconclusive"), ("canary", "rejected"),
    ("live", "retired"), ("live", "rolled_back"),
    ("retired", "live"),
}  # fmt: skip
BY_A_PERSON = {("rolled_back", "live"), ("rolled_back", "canary"), ("rejected", "canary"), ("inconclusive", "canary")}


def version(state: VersionState) -> Version:
    return Version(
        agent="support", number=3, genome="g" * 64, parent=2, author="lexical", rationale="more words", state=state,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize("start", STATES)
@pytest.mark.parametrize("to", STATES)
def test_a_version_follows_the_drawn_arrows_and_no_others(start: VersionState, to: VersionState) -> None:
    for forced_by in ("", "  ", "Ada"):
        if (start, to) in FREE or ((start, to) in BY_A_PERSON and forced_by == "Ada"):
            assert transition(version(start), to, forced_by=forced_by) == to
            continue
        with pytest.raises(Conflict, match="support v3") as caught:
            transition(version(start), to, forced_by=forced_by)
        assert caught.value.hint


def test_the_refusal_names_what_is_possible() -> None:
    with pytest.raises(Conflict, match="is candidate and cannot become live") as skipped:
        transition(version("candidate"), "live", forced_by="Ada")
    assert skipped.value.hint == "from candidate it can become canary, rejected"
    with pytest.raises(Conflict, match="only a person") as lost:
        transition(version("rolled_back"), "live")
    assert "--by NAME" in lost.value.hint


@given(st.lists(st.sampled_from(STATES), max_size=20))
def test_no_way_leads_to_live_past_the_canary_and_none_back_from_a_defeat_without_a_person(
    way: list[VersionState],
) -> None:
    state: VersionState = "candidate"
    been = [state]
    for to in way:
        try:
            state = transition(version(state), to)
        except Conflict:
            continue
        been.append(state)
    assert "live" not in been or "canary" in been[: been.index("live")]
    defeats = [at for at, one in enumerate(been) if one in FORCED]
    assert all(at == len(been) - 1 for at in defeats), "a defeated version stays where it is"


def test_people_see_a_short_name() -> None:
    assert version("live").label == "v3"

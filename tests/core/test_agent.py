"""An asker is told of the agents that it sees, and of no other, however near a name comes to one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.agent import Agent, among
from surefoot.core.errors import NotFound

NAMES = st.from_regex(r"q[a-z0-9]{3,8}", fullmatch=True)


def named(name: str) -> Agent:
    return Agent(name=name, base="g", live=1, created_at=datetime(2026, 1, 5, tzinfo=UTC))


@given(st.sets(NAMES, min_size=2, max_size=6), st.data())
def test_no_name_is_told_to_whom_it_is_not_to_be_seen_by(names: set[str], data: st.DataObject) -> None:
    mine = data.draw(st.sets(st.sampled_from(sorted(names))))
    asked = data.draw(st.one_of(NAMES, st.sampled_from(sorted(names))))
    known = [named(name) for name in sorted(names)]
    if asked in mine:
        assert among(known, asked, sees=mine.__contains__).name == asked
        return
    with pytest.raises(NotFound) as told:
        among(known, asked, sees=mine.__contains__)
    words = f"{told.value.message} {told.value.hint}".replace(repr(asked), "").replace("'", " ").replace(",", " ")
    assert not (names - mine) & set(words.replace("?", " ").split())


def test_an_agent_of_others_is_answered_like_one_that_is_not_there() -> None:
    known, said = [named("mine"), named("theirs")], []
    for asked in ("theirs", "thezrs"):
        with pytest.raises(NotFound) as told:
            among(known, asked, sees=lambda name: name == "mine")
        said.append((told.value.message.replace(asked, "?"), told.value.hint))
    assert said[0] == said[1]


def test_whoever_sees_all_is_told_the_nearest_first() -> None:
    with pytest.raises(NotFound) as told:
        among([named("support"), named("sales")], "suport", sees=lambda _: True)
    assert told.value.hint == "did you mean 'support'? agents: support, sales"
    with pytest.raises(NotFound) as empty:
        among([], "x", sees=lambda _: True)
    assert "surefoot init" in empty.value.hint

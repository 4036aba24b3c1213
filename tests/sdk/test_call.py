"""What a call says of itself: whose it is, what it was asked and what it answered, whatever the program gives."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from surefoot.core.errors import Invalid
from surefoot.sdk.call import LONGEST_TEXT, Whose, asked_with, cut, named_in, spelled, text_in, text_out

NAMES = st.text(st.characters(), max_size=300)


@given(NAMES, NAMES)
def test_no_two_names_are_spelled_alike_and_each_fits_into_a_header(one: str, other: str) -> None:
    assert (spelled(one) == spelled(other)) == (one.strip() == other.strip())
    assert spelled(one).isascii()
    assert spelled(one).isprintable()
    assert len(spelled(one)) <= 180


def test_a_version_sticks_to_the_session_else_to_the_actor_else_to_the_request() -> None:
    assert Whose(session="s", actor="a").unit("t") == "session:s"
    assert Whose(actor="a").unit("t") == "actor:a"
    assert Whose(session="  ").unit("t") == "session:t"
    assert Whose(session="%C3%A9").unit("t") != Whose(session="é").unit("t")


class Label(BaseModel):
    label: str


@pytest.mark.parametrize(("answer", "key", "text"), [
    ("yes", "", "yes"), ({"label": "billing", "version": 1}, "", "billing"), ({"kind": "x", "label": "y"}, "kind", "x"),
    ({"n": 1}, "", '{"n": 1}'), (None, "", ""), ([1, "é"], "", '[1, "é"]'), (Label(label="a"), "", '{"label": "a"}'),
    ({"label": 3}, "", '{"label": 3}'),
])  # fmt: skip
def test_an_answer_is_its_text_or_its_usual_key_or_all_of_it(answer: Any, key: str, text: str) -> None:
    assert text_out(answer, key) == text


def test_a_question_is_the_only_text_among_the_arguments_else_all_of_them() -> None:
    def entry(self: Any, text: str, limit: int = 3) -> None: ...

    def two(a: str, b: str = "x", *rest: int, **more: Any) -> None: ...

    assert text_in(asked_with(entry, (object(), "hi"), {})) == "hi"
    assert text_in(asked_with(two, ("a",), {})) == '{"a": "a", "b": "x", "rest": [], "more": {}}'
    assert "datetime" in text_in({"at": datetime(2026, 1, 1, tzinfo=UTC), "what": object()})
    with pytest.raises(TypeError):
        asked_with(two, (), {})


@given(st.text(st.characters(), max_size=50), st.integers(min_value=1, max_value=2000))
def test_what_is_told_can_be_sent_and_is_not_endless(text: str, times: int) -> None:
    told = cut(text * times)
    told.encode("utf-8")
    assert len(told) <= LONGEST_TEXT + 60
    if len(text * times) > LONGEST_TEXT:
        assert f"[cut: {len(text * times)} characters]" in told


def test_an_argument_that_is_not_there_is_named() -> None:
    assert named_in({"customer": 17}, "customer") == "17"
    assert named_in({"customer": None}, "customer") == ""
    with pytest.raises(Invalid, match="has no argument 'user'"):
        named_in({"text": "x"}, "user")


def test_whose_cannot_be_changed_behind_a_calls_back() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Whose().session = "x"  # pyright: ignore[reportAttributeAccessIssue]

"""Two texts word by word: both can be read from the pieces, nothing that differs is hidden, long texts stay quick."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.word_diff import word_pieces

words = st.lists(st.sampled_from(["if", "the", "order", "is", "late", "\n", "answer", "refund", "  ", "é"])).map(
    " ".join
)


@given(words, words)
def test_both_texts_can_be_read_from_the_pieces(before: str, after: str) -> None:
    pieces = word_pieces(before, after)
    assert "".join(one.text for one in pieces if one.kind != "added") == before
    assert "".join(one.text for one in pieces if one.kind != "removed") == after


@given(words)
def test_the_same_text_has_no_change(text: str) -> None:
    assert {one.kind for one in word_pieces(text, text)} <= {"same"}


def test_a_changed_word_changes_nothing_beside_it() -> None:
    pieces = word_pieces("answer billing when charged twice", "answer refund when charged twice")
    assert [(one.kind, one.text) for one in pieces] == [
        ("same", "answer "), ("removed", "billing "), ("added", "refund "), ("same", "when charged twice"),
    ]  # fmt: skip


def test_a_character_that_shows_nothing_is_a_change_that_is_written_out() -> None:
    pieces = word_pieces("pay the customer", "pay the\u200b customer\u202e")
    assert [one.text for one in pieces if one.kind == "added"] == ["the<U+200B> customer<U+202E>"]


def test_very_long_texts_are_compared_in_a_moment() -> None:
    before = "\n".join(f"line {at} says the same as the others do" for at in range(3000))
    began = time.perf_counter()
    pieces = word_pieces(before, before.replace("line 1500 says", "line 1500 swears"))
    assert time.perf_counter() - began < 2
    assert [one.kind for one in pieces if one.kind != "same"] == ["removed", "added"]

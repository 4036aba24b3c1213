"""Visits and the words of their forms; which names a machine has for itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.host import is_here
from surefoot.core.visit import Visit, fits, form_word

masks = st.binary(min_size=16, max_size=16)


@given(st.text(min_size=1), masks)
def test_a_form_of_a_visit_fits_it_under_any_mask(cookie: str, mask: bytes) -> None:
    assert fits(cookie, form_word(cookie, mask))


@given(st.text(min_size=1), st.text(min_size=1), masks)
def test_a_form_of_another_visit_does_not_fit(one: str, other: str, mask: bytes) -> None:
    assert fits(one, form_word(other, mask)) == (one == other)


@given(st.text(min_size=1), masks, st.integers(0, 63), st.sampled_from("0123456789abcdef"))
def test_a_changed_word_does_not_fit(cookie: str, mask: bytes, at: int, digit: str) -> None:
    word = form_word(cookie, mask)
    changed = word[:at] + digit + word[at + 1 :]
    assert fits(cookie, changed) == (changed == word)


@given(st.one_of(st.text(), st.binary().map(bytes.hex)))
def test_no_word_fits_a_browser_without_a_cookie_and_no_text_fits_by_chance(word: str) -> None:
    assert not fits("", word)
    assert not fits("sv_cookie", word)


def test_a_visit_holds_until_its_end() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    visit = Visit(sha256="a", token_sha256="b", name="bob", at=at, until=at + timedelta(days=7))
    assert visit.holds(at + timedelta(days=7, seconds=-1))
    assert not visit.holds(at + timedelta(days=7))


@pytest.mark.parametrize(("host", "here"), [
    ("localhost", True), ("LOCALHOST:8420", True), ("127.0.0.1:1", True), ("[::1]", True), ("[::1]:8420", True),
    ("", False), ("localhost.evil.example", False), ("evil.example:127", False), ("127.0.0.1.evil.example", False),
    ("[::2]:1", False), ("0.0.0.0", False), ("localhost:80:80", False),
])  # fmt: skip
def test_only_the_names_that_every_machine_has_for_itself_are_here(host: str, here: bool) -> None:
    assert is_here(host) == here

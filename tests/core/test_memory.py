"""Memory, as arithmetic: scopes, bounds, expiry, patterns."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.digest import canonical
from surefoot.core.errors import Conflict, Invalid
from surefoot.core.memory import (
    LARGEST_VALUE,
    MOST_ITEMS,
    Entry,
    Place,
    Where,
    appended,
    checked_key,
    checked_value,
    expiry,
    matches,
    text_of,
)

NOW = datetime(2033, 1, 1, tzinfo=UTC)
FULL = Where(agent="support", workflow="w", session="s", actor="a")


def test_a_read_walks_from_the_most_specific_scope_to_everybody():
    assert [place.scope for place in FULL.places()] == ["workflow", "session", "actor", "agent", "global"]
    assert [place.scope for place in Where(agent="support", actor="a").places()] == ["actor", "agent", "global"]


def test_a_write_lands_in_the_most_specific_scope_unless_one_is_named():
    assert FULL.place() == Place("workflow", "w")
    assert FULL.place("agent") == Place("agent", "support")
    assert Where(agent="support").place() == Place("agent", "support")


@pytest.mark.parametrize(("scope", "what"), [("team", "no scope 'team'"), ("session", "not whose")])
def test_a_scope_that_means_nothing_here_is_refused(scope, what):
    with pytest.raises(Invalid, match=what):
        Where(agent="support").place(scope)


@pytest.mark.parametrize("key", ["", " a", "a*", "a\n", "x" * 201, "\ud800"])
def test_a_key_that_could_not_be_found_again_is_refused(key):
    with pytest.raises(Invalid):
        checked_key(key)


@pytest.mark.parametrize("value", [float("nan"), object(), "x" * LARGEST_VALUE, {1, 2}])
def test_what_is_no_json_or_too_large_is_refused(value):
    with pytest.raises(Invalid):
        checked_value(value, "k")


@given(st.lists(st.text(max_size=40), max_size=40), st.integers(1, 10))
def test_a_list_keeps_its_newest_items_in_their_order(items, keep):
    current: object = None
    for item in items:
        current = appended(current, item, "k", keep)
    assert (current or []) == items[-keep:]


def test_a_list_never_outgrows_a_value():
    current = [""]
    for number in range(40):
        current = appended(current, f"{number} " + "x" * 5000, "k")
        assert len(canonical(current)) <= LARGEST_VALUE
    assert [text.split()[0] for text in current][-1] == "39"


def test_nothing_is_appended_to_what_is_no_list():
    with pytest.raises(Conflict, match="holds no list"):
        appended({"a": 1}, 2, "k")
    with pytest.raises(Invalid, match="cannot keep"):
        appended(None, 1, "k", MOST_ITEMS + 1)


def test_what_expired_is_not_alive():
    entry = Entry(place=Place("agent", "x"), key="k", value=1, written_at=NOW, expires_at=expiry(NOW, 5))
    assert entry.alive(NOW + timedelta(seconds=4.9))
    assert not entry.alive(NOW + timedelta(seconds=5))
    assert expiry(NOW, None) is None
    for nonsense in (0, -1, float("nan"), float("inf")):
        with pytest.raises(Invalid):
            expiry(NOW, nonsense)


@pytest.mark.parametrize(("pattern", "key", "fits"), [
    ("*", "anything.at/all", True), ("failures.*", "failures.1", True), ("failures.*", "failuresx1", False),
    ("a.c", "abc", False), ("*.x", "a.b.x", True), ("a[b", "a[b", True),
])  # fmt: skip
def test_a_star_stands_for_anything_and_nothing_else_does(pattern, key, fits):
    assert matches(pattern, key) == fits


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_a_pattern_fits_what_the_same_regular_expression_fits(pattern, key):
    assert matches(pattern, key) == bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), key, re.DOTALL))


def test_no_pattern_takes_long():
    began = time.perf_counter()
    assert not matches("*a" * 99 + "*b", "a" * 200)
    assert time.perf_counter() - began < 0.1


def test_the_words_of_a_value_are_all_its_texts():
    assert text_of({"a": ["x", 1, None], "b": "y"}).split() == ["a", "x", "1", "b", "y"]

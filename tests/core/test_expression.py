"""Expressions that become huge when they are compiled are known beforehand, from their text alone."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.exam.check import Check, usable
from surefoot.core.exam.expression import _of_all, _of_groups, too_large

BOMBS = [
    "(?:(?:(?:a?){200}){200}){200}",
    "(?:(?:(?:(?:a|b?){100}){100}){100}){100}",
    "a{99999999999}",
    "(?x)(?:(?:a?){200} # (\n){200} {200}",
    "(?:(?:a?){200}(?#c)){200}",
    "(?i:(?:(?:[(]){200}){200})",
    r"(?:(?:\({200}){200}){200}",
    "(?:(?:(?:a?){2,200}){,200}){200}",
    "(?:(?:(?:a?){0000000000200}){0000000000200}){0000000000200}",
    "(?:(?:(?:a?){1,0000000000200}){000,0000000000200}){200}",
    "(?V1x)(?:(?:a?){200} # (\n){200} {200}",
    "(?V0x)(?:(?:a?){200} # (\n){200} {200}",
]
HARMLESS = [
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}",
    "(a|aa)+$",
    "{}",
    "x{",
    "[{200}{200}{200}]",
    r"\{200\}{200}",
    r"(?x) \d{4} - \d{2}  # a month",
    "(?:[a-z]{2,63}\\.){1,10}[a-z]+",
]


@pytest.mark.parametrize("pattern", BOMBS)
def test_what_grows_while_it_is_compiled_is_refused_before(pattern):
    began = time.monotonic()
    assert too_large(pattern)
    with pytest.raises(Invalid, match=r"no regular expression|repeats too much"):
        usable(Check(kind="regex", value=pattern), "case a")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("pattern", HARMLESS)
def test_what_people_write_is_not(pattern):
    assert not too_large(pattern)


ATOMS = st.sampled_from(["a", r"\(", r"\d", "[ab]", "[)(]", "[^]x]", ".", r"\{"]).map(lambda one: (one, 1))


def repeated(inner):
    """A group of some, perhaps repeated, with its size when it is written out."""
    counts = st.one_of(
        st.just(("", 1)),
        st.integers(0, 30).map(lambda n: (f"{{{n}}}", n)),
        st.integers(1, 30).map(lambda n: (f"{{1,{n}}}", n)),
        st.sampled_from([("?", 1), ("(?#x)", 1)]),
    )
    groups = st.lists(inner, min_size=1, max_size=4).map(
        lambda all_: ("(?:" + "".join(text for text, _ in all_) + ")", sum(size for _, size in all_))
    )
    return st.tuples(groups, counts).map(lambda one: (one[0][0] + one[1][0], one[0][1] * one[1][1]))


@given(st.recursive(ATOMS, repeated, max_leaves=12))
def test_the_size_is_never_counted_too_low(one):
    pattern, size = one
    assert _of_groups(pattern) >= size
    assert _of_all(pattern) >= size

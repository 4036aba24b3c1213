"""What became of a cause of failures: fixed only where the mending serves, and back as soon as it failed again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.backlog import Lever
from surefoot.core.recurrence import carriers, recurrence

LEVER = Lever(id="L-1", agent="a", gap="missed:refund", title="refund", impact=0.1, failures=9)
LINE = {1: None, 2: 1, 3: 2, 4: 1, 5: 3}  # 3 mends; 5 is made from it, 4 is not
SHIPPED = replace(LEVER, state="shipped", shipped_in=3)


@pytest.mark.parametrize(
    ("state", "word"),
    [("open", "known"), ("doing", "being mended"), ("drafted", "being mended"), ("failed", "known"),
     ("closed", "left alone")],
)  # fmt: skip
def test_a_lever_that_has_not_shipped_says_what_is_known(state: str, word: str) -> None:
    found = recurrence(replace(LEVER, state=state), failing=[1], live=1, parents=LINE)
    assert (found.words, found.fixed_in) == (word, 0)
    assert found.sentence


def test_a_cause_without_a_lever_is_new() -> None:
    assert recurrence(None, failing=[1], live=1, parents=LINE).words == "new"


def test_a_mended_cause_is_fixed_in_its_version_as_long_as_older_ones_failed() -> None:
    assert recurrence(SHIPPED, failing=[1, 2, 4], live=5, parents=LINE).words == "fixed in v3"


@pytest.mark.parametrize("failing", [[3], [1, 5], [3, 5]])
def test_a_failure_of_a_version_that_carries_the_mending_is_a_regression(failing: list[int]) -> None:
    found = recurrence(SHIPPED, failing=failing, live=5, parents=LINE)
    assert (found.words, found.fixed_in) == ("regressed", 3)


def test_where_the_mending_was_rolled_back_the_cause_is_known_again_and_says_why() -> None:
    found = recurrence(SHIPPED, failing=[1], live=2, parents=LINE)
    assert (found.words, "v3" in found.sentence, "v2" in found.sentence) == ("known", True, True)


def test_a_version_on_its_way_mends_what_is_not_fixed_yet() -> None:
    assert recurrence(SHIPPED, failing=[1], live=2, parents=LINE, coming=[3]).words == "being mended"


def test_what_shipped_before_versions_were_noted_is_judged_by_what_serves_now() -> None:
    old = replace(SHIPPED, shipped_in=0)
    assert recurrence(old, failing=[1], live=2, parents=LINE).words == "fixed"
    assert recurrence(old, failing=[2], live=2, parents=LINE).words == "regressed"


@st.composite
def trees(draw: st.DrawFn) -> dict[int, int | None]:
    count = draw(st.integers(1, 12))
    return {n: draw(st.integers(1, n - 1)) if n > 1 else None for n in range(1, count + 1)}


@given(trees(), st.data())
def test_fixed_is_said_only_where_the_live_version_comes_from_the_mending_and_no_carrier_failed(
    parents: dict[int, int | None], data: st.DataObject
) -> None:
    number, live = data.draw(st.sampled_from(sorted(parents))), data.draw(st.sampled_from(sorted(parents)))
    failing = data.draw(st.sets(st.sampled_from(sorted(parents))))
    found = recurrence(replace(SHIPPED, shipped_in=number), failing=failing, live=live, parents=parents)

    def comes_from(one: int | None) -> bool:
        while one is not None and one != number:
            one = parents[one]
        return one == number

    carrying = {one for one in parents if comes_from(one)}
    assert carriers(number, parents) == carrying
    assert (found.fate == "fixed") == (live in carrying and not failing & carrying)
    assert (found.fate == "regressed") == bool(failing & carrying)

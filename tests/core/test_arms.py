"""Arms compete for a lever: which kinds are drawn, and which arm is left."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.arms import LEVER_KINDS, drawn, kind_of, rungs, survivors
from surefoot.core.edit import Edit
from surefoot.core.genome import Block, Genome

GENOME = Genome((Block(id="task", kind="section", text="Help."), Block(id="r", kind="rule", text="Be kind."),
                 Block(id="e", kind="example", text="hi", answer="yes"),
                 Block(id="t", kind="tool", text="finds")))  # fmt: skip


@pytest.mark.parametrize(("edit", "kind"), [
    (Edit(kind="add", target="x", text="x"), "rule_add"),
    (Edit(kind="add", target="x", text="x", block_kind="section"), "section_edit"),
    (Edit(kind="replace", target="r", text="x"), "rule_edit"),
    (Edit(kind="retire", target="task"), "section_edit"),
    (Edit(kind="retire", target="e"), "example"),
    (Edit(kind="move", target="r"), "rule_edit"),
    (Edit(kind="add_example", target="x", text="x", answer="y"), "example"),
    (Edit(kind="edit_tool", target="t", text="x"), "tool_text"),
    (Edit(kind="set_param", target="temperature", text="0"), "param"),
])  # fmt: skip
def test_every_edit_is_of_one_kind(edit, kind):
    assert kind_of(edit, GENOME) == kind


def test_what_was_accepted_often_is_drawn_often_and_what_nobody_tried_is_still_drawn():
    draw = random.Random(1).betavariate
    first = [drawn({"example": (30, 2), "rule_edit": (1, 30)}, LEVER_KINDS, 1, draw)[0] for _ in range(2000)]
    assert first.count("example") > 800
    assert first.count("rule_edit") < 20
    assert min(first.count(kind) for kind in ("rule_add", "section_edit", "param", "tool_text")) > 100


@given(st.integers(-1, 9))
def test_no_kind_is_drawn_twice_and_no_more_than_asked_for(count):
    kinds = drawn({}, LEVER_KINDS, count, random.Random(2).betavariate)
    assert len(kinds) == len(set(kinds)) == min(max(0, count), len(LEVER_KINDS))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_one_arm_is_left_at_the_last_rung_and_none_better_was_dropped_there(means):
    left = list(range(len(means)))
    for runs in rungs(len(means)):
        assert 1 <= runs <= 8
        left = [left[at] for at in survivors([means[at] for at in left])]
    assert len(left) == 1
    assert means[left[0]] == max(means)


def test_the_last_choice_is_made_on_the_most_cases():
    assert [rungs(n) for n in (1, 2, 3, 4, 5, 8)] == [(), (8,), (4, 8), (4, 8), (2, 4, 8), (2, 4, 8)]


def test_a_tie_goes_to_the_earlier_arm():
    assert survivors([0.5, 0.5, 0.5, 0.5]) == (0, 1)

"""The improver's wire: what goes out comes back equal, and of what comes in one wrong thing refuses the whole."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.budget import Budget
from surefoot.core.edit import EDIT_KINDS, Edit
from surefoot.core.errors import Invalid
from surefoot.core.genome import BLOCK_KINDS, Block, Genome
from surefoot.core.improver_wire import (
    LONGEST_PROPOSAL,
    PROTOCOL,
    brief_document,
    proposal_document,
    read_brief,
    read_proposal,
)
from surefoot.core.proposal import Brief, Cost, Example, Proposal

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple)
MONEY = st.floats(0, 1e9)
EXAMPLES = st.builds(
    Example, case_id=TEXT, input=TEXT, expected=TEXT, predicted=st.none() | TEXT, feedback=TEXT,
    slices=st.dictionaries(TEXT, TEXT, max_size=2),
)  # fmt: skip
BLOCKS = st.builds(
    Block, id=st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True), kind=st.sampled_from(BLOCK_KINDS), text=TEXT,
    answer=TEXT, locked=st.booleans(), pinned=st.booleans(), applies_to=PAIRS, worth=st.none() | MONEY,
)  # fmt: skip
TEXTS = st.lists(TEXT, max_size=3)
BRIEFS = st.builds(
    Brief, agent=TEXT, genome=st.lists(BLOCKS, max_size=3, unique_by=lambda block: block.id).map(
        lambda blocks: Genome(tuple(blocks))
    ), gap=TEXT, title=TEXT, failures=st.lists(EXAMPLES, max_size=2).map(tuple), tried=TEXTS.map(frozenset),
    others=st.lists(EXAMPLES, max_size=2).map(tuple), labels=TEXTS.map(tuple), lessons=TEXTS.map(tuple), model=TEXT,
    kinds=TEXTS.map(tuple), max_edits=st.integers(0, 9), rule_chars=st.integers(0, 5000),
)  # fmt: skip
BUDGETS = st.builds(
    Budget, calls=st.none() | st.integers(0, 99), tokens=st.none() | st.integers(0, 10**9), usd=st.none() | MONEY
)
BRIEF = Brief(agent="bank", genome=Genome(), gap="g", title="t",
              failures=(Example(case_id="c1", input="hi", expected="card"),))  # fmt: skip
EDIT = {"kind": "add", "target": "rule-new", "text": "If the message mentions plastic, answer card."}


def read(**fields: Any) -> Proposal:
    return read_proposal(json.dumps({"protocol": PROTOCOL, "edits": [EDIT], **fields}), improver="me", brief=BRIEF)


@given(BRIEFS, BUDGETS)
def test_a_brief_comes_back_equal(brief: Brief, budget: Budget) -> None:
    assert read_brief(json.dumps(brief_document(brief, budget))) == (brief, budget)


@given(st.lists(st.builds(Edit, kind=st.sampled_from(EDIT_KINDS), target=TEXT, text=TEXT, answer=TEXT,
                          applies_to=PAIRS, after=TEXT, block_kind=st.sampled_from(["rule", "section"])), max_size=5),
       st.builds(Cost, calls=st.integers(0, 99), tokens=st.integers(0, 10**9), usd=MONEY))  # fmt: skip
def test_a_proposal_comes_back_with_its_edits_its_cost_and_the_gap_that_was_asked_about(
    edits: list[Edit], cost: Cost
) -> None:
    sent = Proposal(improver="somebody else", edits=tuple(edits), rationale="why\nnot", cost=cost)
    got = read_proposal(json.dumps(proposal_document(sent)), improver="me", brief=BRIEF)
    assert (got.improver, got.rationale, got.cost) == ("me", "why not", cost)
    assert [edit.fingerprint for edit in got.edits] == [edit.fingerprint for edit in edits]
    assert {edit.gap for edit in got.edits} <= {"g"}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an edit of no kind": ({"edits": [EDIT, {**EDIT, "kind": "erase"}]}, "no edit 'erase'"),
    "an unknown field": ({"live": 2}, "unknown field 'live'"),
    "an unknown field of an edit": ({"edits": [{**EDIT, "force": True}]}, "unknown field 'force'"),
    "an unknown field of the cost": ({"cost": {"eur": 1}}, "unknown field 'eur'"),
    "a number for a text": ({"edits": [EDIT, {**EDIT, "text": 7}]}, "'text' must be text"),
    "a text for a list": ({"edits": [{**EDIT, "evidence": "c1"}]}, "'evidence' must be a list"),
    "a text for a pair": ({"edits": [{**EDIT, "applies_to": ["ab"]}]}, "'applies_to' must be a list"),
    "half a pair": ({"edits": [{**EDIT, "applies_to": [["a"]]}]}, "pairs"),
    "a list for an edit": ({"edits": [["add"]]}, "must be an object"),
    "no target": ({"edits": [{"kind": "add"}]}, "lacks the field 'target'"),
    "another protocol": ({"protocol": 2}, "protocol 2"),
    "a truth for a number": ({"protocol": True}, "whole number"),
    "too many edits": ({"edits": [EDIT] * 6}, "6 edits, 5 were asked for"),
    "a text that is too long": ({"edits": [EDIT, {**EDIT, "text": "x" * 2001}]}, "2001 characters"),
    "a target that is too long": ({"edits": [{**EDIT, "target": "x" * 2001}]}, "2001 characters"),
    "a case that was not shown": ({"edits": [{**EDIT, "evidence": ["c1", "sealed-1"]}]}, "not shown"),
    "a case cited for ever": ({"edits": [{**EDIT, "evidence": ["c1"] * 101}]}, "more than 100"),
    "another gap": ({"edits": [{**EDIT, "gap": "other"}]}, "not asked about"),
    "half a character": ({"edits": [{**EDIT, "text": "\ud800"}]}, "not valid Unicode"),
    "half a character as a field": ({"\ud800": 1}, "not valid Unicode"),
    "a negative cost": ({"cost": {"usd": -1}}, "not negative"),
    "an endless cost": ({"cost": {"usd": 1e308}}, "not negative"),
    "a cost that is no number": ({"cost": {"calls": 1.5}}, "whole number"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_one_wrong_thing_refuses_the_whole_proposal(what: str) -> None:
    fields, sentence = WRONG[what]
    assert len(read().edits) == 1
    with pytest.raises(Invalid, match=sentence):
        read(**fields)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no JSON"),
        ("null", "must be an object"),
        ("[]", "must be an object"),
        ('{"protocol": 1}', "lacks the field 'edits'"),
        ('{"protocol": 1, "edits": []} {}', "no JSON"),
        ('```json\n{"protocol": 1, "edits": []}\n```', "no JSON"),
        ('{"protocol": 1, "edits": [], "edits": []}', "given twice"),
        ('{"protocol": 1, "edits": [], "cost": {"usd": NaN}}', "no number"),
        ('{"protocol": 1, "edits": [], "cost": {"usd": 1e999}}', "not negative"),
        ('{"protocol": 1, "edits": [], "cost": {"calls": ' + "9" * 5000 + "}}", "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('"' + "x" * LONGEST_PROPOSAL + '"', "characters, 1000000 are allowed"),
    ],
)
def test_what_is_no_proposal_is_refused_with_the_reason(text: str, sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        read_proposal(text, improver="me", brief=BRIEF)


@given(st.text(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["protocol", "edits", "cost", "rationale", "kind", "target", "text"]), inner, max_size=4
    ), max_leaves=12,
).map(json.dumps))  # fmt: skip
def test_whatever_comes_is_a_proposal_or_a_clear_refusal(text: str) -> None:
    with contextlib.suppress(Invalid):
        assert len(read_proposal(text, improver="me", brief=BRIEF).edits) <= BRIEF.max_edits

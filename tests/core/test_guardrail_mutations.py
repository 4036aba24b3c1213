"""Edits mutated at random, typed and as a stranger's JSON: none reaches a locked block or a sealed case."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.case import words
from surefoot.core.edit import EDIT_KINDS, Edit
from surefoot.core.errors import Invalid
from surefoot.core.genome import Block, Genome, render
from surefoot.core.guardrail import NGRAM_WORDS, Bounds, Judgement, judge, ngrams
from surefoot.core.improver_wire import PROTOCOL, read_proposal
from surefoot.core.proposal import Brief, Example

BASE = Genome((
    Block(id="guard", kind="section", text="Never reveal credentials.\nStay within the label set.", locked=True),
    Block(id="guidance", kind="section", text="Read the message twice. Then choose the label that fits it best."),
    Block(id="law", kind="rule", text="Treat threats as complaint.", locked=True),
    Block(id="r1", kind="rule", text="Treat lost parcels as delivery.", worth=0.4),
    Block(id="r2", kind="rule", text="Treat stolen cards as fraud.", worth=0.1),
    Block(id="e1", kind="example", text="where is my parcel", answer="delivery", locked=True),
    Block(id="e2", kind="example", text="the box is wet", answer="delivery"),
    Block(id="lookup", kind="tool", text="Find an order by its number.", locked=True),
    Block(id="search", kind="tool", text="Find a page of the manual."),
    Block(id="temperature", kind="param", text="0.0", locked=True),
    Block(id="top_p", kind="param", text="1.0"),
))  # fmt: skip
LOCKED = tuple(block for block in BASE.blocks if block.locked)
SEALED = (
    "the courier left my birthday parcel in the rain behind the wrong garden shed",
    "why was I charged twice for one pair of blue running shoes last Tuesday",
    "drone refund please",
)
HELD_OUT = frozenset(gram for text in SEALED for gram in ngrams(text))
SHOWN = tuple(Example(case_id=f"c{n}", input="x", expected="y") for n in range(3))
BRIEF = Brief(agent="a", genome=BASE, gap="g", title="t", failures=SHOWN, max_edits=8)

TARGETS = st.sampled_from(
    [*(block.id for block in BASE.blocks), "new", "new-2", "GUARD", "guard ", "", "../guard", "law\n"]
)
PLAIN = st.sampled_from(["Treat late mail as delivery.", "0.5", "{}", "", " ", "Treat", "answer delivery"])


def disguised(text: str, how: int) -> str:
    """The same words, so that a person would still read the case."""
    match how % 6:
        case 0:
            return text.upper()
        case 1:
            return ", ".join(text.split())
        case 2:
            return "\n- ".join(text.split())
        case 3:
            return f'"{text.title()}"'
        case 4:
            return text.replace(" ", " \u00a0 ")
        case _:
            return f"Treat {text} as delivery."


QUOTES = st.builds(disguised, st.sampled_from(SEALED), st.integers(0, 5))
PIECES = st.builds(
    lambda text, start, end: " ".join(text.split()[min(start, end) : max(start, end) + 1]),
    st.sampled_from(SEALED), st.integers(0, 14), st.integers(0, 14),
)  # fmt: skip
TEXTS = st.lists(PLAIN | QUOTES | PIECES, min_size=1, max_size=3).map(" ".join)
EDITS = st.builds(
    Edit, kind=st.sampled_from(EDIT_KINDS), target=TARGETS, text=TEXTS, answer=PLAIN | QUOTES | PIECES, after=TARGETS,
    block_kind=st.sampled_from(["rule", "section"]),
    applies_to=st.lists(st.tuples(TARGETS, PLAIN), max_size=1).map(tuple),
)  # fmt: skip
MUTATIONS = st.lists(
    st.tuples(st.sampled_from(["kind", "target", "text", "answer", "after", "block_kind", "applies_to", "evidence",
                               "gap", "locked", "pinned"]),
              st.one_of(st.sampled_from([*EDIT_KINDS, "rule", "section", "example", "unlock", "g"]), TARGETS, TEXTS,
                        st.none(), st.booleans(), st.integers(), st.lists(TARGETS, max_size=2))),
    max_size=4,
)  # fmt: skip
SOME_BOUNDS = st.builds(
    Bounds, active_rules=st.integers(0, 6), examples=st.integers(0, 4), tools=st.integers(1, 4),
    edits=st.integers(0, 9), drift=st.floats(0, 1),
)  # fmt: skip


def unreached(found: Judgement) -> None:
    """Every locked block is there, byte for byte and in its order; no block says what a sealed case says."""
    assert tuple(block for block in found.genome.blocks if block.locked) == LOCKED
    assert found.genome.locked_digest == BASE.locked_digest
    assert render(found.genome).startswith("Never reveal credentials.\nStay within the label set.")
    for block in found.genome.blocks:
        assert not ngrams(block.text) & HELD_OUT
        for beside in (block.answer, block.id, *(part for pair in block.applies_to for part in pair)):
            assert len(words(beside)) < NGRAM_WORDS or not ngrams(beside) & HELD_OUT
    assert {edit.target for edit in found.allowed}.isdisjoint(block.id for block in LOCKED)


@given(st.lists(EDITS, max_size=8), SOME_BOUNDS)
def test_no_mutation_of_any_edit_reaches_a_locked_block_or_a_sealed_case(edits: list[Edit], bounds: Bounds) -> None:
    found = judge(BASE, BASE, edits, bounds, held_out=HELD_OUT)
    unreached(found)
    assert len(found.allowed) + len(found.refusals) == len(edits)


@given(st.lists(st.lists(EDITS, max_size=4), max_size=4), SOME_BOUNDS)
def test_no_sequence_of_proposals_reaches_them_either(proposals: list[list[Edit]], bounds: Bounds) -> None:
    current = BASE
    for edits in proposals:
        found = judge(BASE, current, edits, bounds, held_out=HELD_OUT)
        unreached(found)
        current = found.genome


@given(st.lists(st.tuples(EDITS, MUTATIONS), max_size=6), SOME_BOUNDS)
def test_no_mutation_of_a_stranger_s_json_reaches_them_either(
    mutated: list[tuple[Edit, list[tuple[str, object]]]], bounds: Bounds
) -> None:
    documents = [edit.document() | dict(changes) for edit, changes in mutated]
    text = json.dumps({"protocol": PROTOCOL, "edits": documents})
    try:
        edits = read_proposal(text, improver="stranger", brief=BRIEF).edits
    except Invalid:
        return
    unreached(judge(BASE, BASE, edits, bounds, held_out=HELD_OUT))


@given(st.sampled_from(SEALED), st.integers(0, 5), st.sampled_from(["add", "replace", "add_example", "edit_tool"]))
def test_a_whole_sealed_case_is_refused_in_every_disguise(text: str, how: int, kind: str) -> None:
    target = {"add": "new", "replace": "r1", "add_example": "new", "edit_tool": "search"}[kind]
    quoted = disguised(text, how)
    edit = replace(Edit(kind="add", target=target), kind=kind, text=quoted, answer="delivery")
    found = judge(BASE, BASE, [edit], Bounds(drift=1.0), held_out=HELD_OUT)
    # A short case is only recognised as a whole: "Treat drone refund please as delivery." says more than the case.
    if len(text.split()) >= NGRAM_WORDS or how != 5:
        assert [refusal.edit for refusal in found.refusals] == [edit]


def test_a_sealed_case_cannot_hide_in_a_name_or_a_slice() -> None:
    name = "-".join(SEALED[0].split()[2:11])
    edits = [
        Edit(kind="add", target=name, text="Treat late mail as delivery."),
        Edit(kind="add_tool", target=name, text="Find a letter."),
        Edit(kind="add", target="new", text="Treat late mail as delivery.", applies_to=(("said", SEALED[1]),)),
        Edit(kind="add_example", target="new", text="hello there", answer=SEALED[1]),
    ]
    found = judge(BASE, BASE, edits, Bounds(), held_out=HELD_OUT)
    assert [refusal.code for refusal in found.refusals] == ["leaks-held-out"] * 4

"""Edits: each kind does what it says or is refused, and nothing under lock ever moves."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surefoot.core.edit import EDIT_KINDS, Edit, apply_edits, edits_between
from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound, SurefootError
from surefoot.core.genome import BLOCK_KINDS, Block, Genome

BASE = Genome(
    (
        Block(id="base", kind="section", text="Never reveal credentials.", locked=True),
        Block(id="style", kind="section", text="Be kind."),
        Block(
            id="r1", kind="rule", text="Treat a as x.", evidence=("c1",), learned_at="v2", worth=0.5, pinned=True,
            applies_to=(("tenant", "a"),),
        ),
        Block(id="r2", kind="rule", text="Treat b as y.", locked=True),
        Block(id="e1", kind="example", text="hi", answer="hello"),
        Block(id="t1", kind="tool", text="Adds."),
        Block(id="temperature", kind="param", text="0.2"),
        Block(id="keep", kind="memory", text="a week"),
    )
)  # fmt: skip


def applied(*edits: Edit, learned_at: str = "") -> Genome:
    return apply_edits(BASE, edits, learned_at=learned_at)


def ids(genome: Genome) -> list[str]:
    return [block.id for block in genome.blocks]


# What each kind does


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        (Edit(kind="add", target="new", text="x", applies_to=(("a", "b"),), evidence=("c9",)), "rule"),
        (Edit(kind="add", target="new", text="x", block_kind="section", evidence=("c9",)), "section"),
        (Edit(kind="add_example", target="new", text="x", answer="y", evidence=("c9",)), "example"),
        (Edit(kind="add_tool", target="new", text="x", evidence=("c9",)), "tool"),
        (Edit(kind="set_param", target="new", text="x", evidence=("c9",)), "param"),
    ],
)
def test_an_addition_comes_last_unlocked_unpinned_and_knows_why_and_when(edit: Edit, kind: Any) -> None:
    genome = applied(edit, learned_at="v7")
    assert genome.blocks[:-1] == BASE.blocks
    assert genome.blocks[-1] == Block(
        id="new", kind=kind, text="x", answer=edit.answer, applies_to=edit.applies_to, evidence=("c9",), learned_at="v7"
    )


@pytest.mark.parametrize(("kind", "target"), [("replace", "r1"), ("edit_tool", "t1"), ("set_param", "temperature")])
def test_a_replacement_changes_the_text_and_forgets_what_the_old_one_was_worth(kind: Any, target: str) -> None:
    was = BASE.block(target)
    now = applied(Edit(kind=kind, target=target, text="1", evidence=("c2",)), learned_at="v9").block(target)
    assert (now.text, now.evidence, now.worth, now.learned_at) == ("1", ("c2",), None, "v9")
    assert (now.kind, now.pinned, now.applies_to, now.answer) == (was.kind, was.pinned, was.applies_to, was.answer)


def test_a_replacement_may_bring_another_answer_and_predicate_but_keeps_those_it_leaves_out() -> None:
    assert applied(Edit(kind="replace", target="e1", text="hi", answer="good day")).block("e1").answer == "good day"
    assert applied(Edit(kind="replace", target="e1", text="hey")).block("e1").answer == "hello"
    scoped = applied(Edit(kind="replace", target="r1", text="x", applies_to=(("tenant", "b"),)))
    assert scoped.block("r1").applies_to == (("tenant", "b"),)
    assert applied(Edit(kind="replace", target="r1", text="x")).block("r1").applies_to == (("tenant", "a"),)


def test_retire_removes_one_block_and_keeps_the_others_in_order() -> None:
    assert ids(applied(Edit(kind="retire", target="style"))) == [name for name in ids(BASE) if name != "style"]


@pytest.mark.parametrize(
    ("target", "after", "order"),
    [
        ("style", "", "style base r1 r2 e1 t1 temperature keep"),
        ("style", "e1", "base r1 r2 e1 style t1 temperature keep"),
        ("keep", "base", "base keep style r1 r2 e1 t1 temperature"),
        ("style", "keep", "base r1 r2 e1 t1 temperature keep style"),
        ("r1", "r1", "base style r1 r2 e1 t1 temperature keep"),
    ],
)
def test_move_puts_a_block_after_another_or_first(target: str, after: str, order: str) -> None:
    assert ids(applied(Edit(kind="move", target=target, after=after))) == order.split()


def test_edits_apply_in_order() -> None:
    genome = applied(
        Edit(kind="add", target="a", text="one"),
        Edit(kind="replace", target="a", text="two"),
        Edit(kind="move", target="a"),
        Edit(kind="retire", target="style"),
        Edit(kind="add", target="style", text="again"),
    )
    assert ids(genome)[0] == "a"
    assert genome.block("a").text == "two"
    assert ids(genome)[-1] == "style"


# What is refused


@pytest.mark.parametrize("kind", ["replace", "retire", "move", "set_param", "edit_tool"])
@pytest.mark.parametrize("target", ["base", "r2"])
def test_a_locked_block_is_forbidden_to_every_edit(kind: Any, target: str) -> None:
    with pytest.raises(Forbidden, match=f"{target}.*locked"):
        applied(Edit(kind=kind, target=target, text="x"))


@pytest.mark.parametrize("kind", ["replace", "retire", "move", "edit_tool"])
def test_a_missing_target_is_not_found(kind: Any) -> None:
    with pytest.raises(NotFound, match="no block 'gone'"):
        applied(Edit(kind=kind, target="gone", text="x"))
    with pytest.raises(NotFound, match="no block 'gone'"):
        applied(Edit(kind="move", target="style", after="gone"))


@pytest.mark.parametrize("kind", ["add", "add_example", "add_tool"])
@pytest.mark.parametrize("target", ["style", "base"])
def test_an_id_that_is_taken_is_a_conflict(kind: Any, target: str) -> None:
    with pytest.raises(Conflict, match="already has"):
        applied(Edit(kind=kind, target=target, text="x"))


@pytest.mark.parametrize(
    ("kind", "target"),
    [("add", "n"), ("add_example", "n"), ("add_tool", "n"), ("set_param", "n"), ("set_param", "temperature"),
     ("replace", "style"), ("edit_tool", "t1")],
)  # fmt: skip
@pytest.mark.parametrize("text", ["", " \n\t\u00a0"])
def test_an_edit_that_says_nothing_is_invalid(kind: Any, target: str, text: str) -> None:
    with pytest.raises(Invalid, match="no text"):
        applied(Edit(kind=kind, target=target, text=text))


@pytest.mark.parametrize(
    ("kind", "target"),
    [("replace", "t1"), ("set_param", "t1"), ("edit_tool", "style"), ("set_param", "style"), ("replace", "temperature"),
     ("edit_tool", "temperature"), ("set_param", "e1")],
)  # fmt: skip
def test_a_tool_or_a_parameter_cannot_be_changed_under_another_name(kind: Any, target: str) -> None:
    with pytest.raises(Invalid, match="cannot rewrite it"):
        applied(Edit(kind=kind, target=target, text="x"))


@pytest.mark.parametrize("target", ["", "A", "a/b", "a b"])
def test_an_unusable_id_is_invalid(target: str) -> None:
    with pytest.raises(Invalid, match="not usable"):
        applied(Edit(kind="add", target=target, text="x"))


def test_edits_nobody_knows_are_invalid() -> None:
    with pytest.raises(Invalid, match="no edit 'unlock'"):
        Edit.from_document({"kind": "unlock", "target": "base"})
    with pytest.raises(Invalid, match="cannot add a 'tool'"):
        Edit.from_document({"kind": "add", "target": "x", "block_kind": "tool"})
    with pytest.raises(Invalid, match="unknown field 'locked'"):
        Edit.from_document({"kind": "add", "target": "x", "locked": False})


@pytest.mark.parametrize(
    "document",
    [{}, {"kind": "add"}, {"kind": "add", "target": 5}, {"kind": "add", "target": "x", "applies_to": 3},
     {"kind": "add", "target": "x", "applies_to": [["a"]]}, {"kind": "add", "target": "x", "evidence": [1]},
     {"kind": "add", "target": "x", "text": None}],
)  # fmt: skip
def test_a_malformed_edit_is_invalid_and_never_crashes_the_reader(document: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        Edit.from_document(document)


# Documents and fingerprints

TEXT = st.text(max_size=10)
TARGETS = st.sampled_from([*ids(BASE), "new", "other", "x1"])
EDITS = st.builds(
    Edit,
    kind=st.sampled_from(EDIT_KINDS), target=TARGETS, text=TEXT | st.just("words"), answer=TEXT,
    block_kind=st.sampled_from(("rule", "section")), after=st.just("") | TARGETS, gap=TEXT,
    applies_to=st.lists(st.tuples(TEXT, TEXT), max_size=1).map(tuple), evidence=st.lists(TEXT, max_size=2).map(tuple),
)  # fmt: skip


@given(EDITS)
def test_an_edit_survives_json(edit: Edit) -> None:
    assert Edit.from_document(json.loads(json.dumps(edit.document()))) == edit


@given(EDITS, TEXT, st.lists(TEXT, max_size=2))
def test_a_fingerprint_says_what_and_not_why(edit: Edit, gap: str, evidence: list[str]) -> None:
    why = Edit.from_document(edit.document() | {"gap": gap, "evidence": evidence})
    assert why.fingerprint == edit.fingerprint
    what = Edit.from_document(edit.document() | {"text": edit.text + "!"})
    assert what.fingerprint != edit.fingerprint


@pytest.mark.parametrize(
    ("kind", "same"),
    [("add", True), ("add_example", True), ("add_tool", False), ("replace", False), ("retire", False), ("move", False)],
)
def test_the_id_of_an_addition_is_only_a_name(kind: Any, same: bool) -> None:
    one, other = (Edit(kind=kind, target=target, text="x", answer="y") for target in ("a", "b"))
    assert (one.fingerprint == other.fingerprint) == same
    section = Edit(kind=kind, target="a", text="x", answer="y", block_kind="section")
    assert (one.fingerprint == section.fingerprint) == (kind != "add"), "a rule and a section are different things"


# Under any sequence of edits


@settings(max_examples=150)
@given(st.lists(EDITS, max_size=8))
def test_nothing_under_lock_moves_whatever_edits_come(edits: list[Edit]) -> None:
    genome, before = BASE, BASE.document()
    for edit in edits:
        with contextlib.suppress(SurefootError):
            genome = apply_edits(genome, [edit], learned_at="v9")
        assert genome.locked_digest == BASE.locked_digest
        assert all(genome.block(name) == BASE.block(name) for name in ("base", "r2"))
    assert BASE.document() == before, "the input is never changed"
    assert sum(block.locked for block in genome.blocks) == 2, "no edit locks or unlocks"


# A free rewrite, turned into edits

WORDS = st.text(max_size=10).map(lambda text: f"w{text}")
WRITTEN = st.builds(
    Block,
    id=st.sampled_from(["a", "b", "c", "d", "e"]), kind=st.sampled_from(BLOCK_KINDS), text=WORDS, answer=TEXT,
    pinned=st.booleans(), evidence=st.lists(TEXT, max_size=1).map(tuple),
    applies_to=st.lists(st.tuples(TEXT, TEXT), max_size=1).map(tuple),
)  # fmt: skip


def genome_of(blocks: list[Block]) -> Genome:
    return Genome(tuple(blocks))


GENOMES = st.lists(WRITTEN, max_size=5, unique_by=lambda block: block.id).map(genome_of)


def kept(was: Block | None, now: Block) -> tuple[object, ...]:
    """What a block must be after a rewrite to `now`: what `now` says, and what it leaves out as it was."""
    answer, applies_to = (was.answer, was.applies_to) if was else ("", ())
    return now.text, now.answer or answer, now.applies_to or applies_to


@given(GENOMES, GENOMES, st.sets(st.sampled_from(["a", "b", "c", "d", "e"])))
def test_a_rewrite_becomes_edits_that_add_and_change_as_it_says_and_drop_only_what_was_named(
    before: Genome, after: Genome, may_retire: set[str]
) -> None:
    edits = edits_between(before, after, may_retire=may_retire)
    result = apply_edits(before, edits)
    for block in after.blocks:
        was = before.block(block.id) if before.has(block.id) else None
        if was is None and block.kind == "memory":
            assert not result.has(block.id)
            continue
        now = result.block(block.id)
        assert (now.text, now.answer, now.applies_to) == kept(was, block)
        assert now.kind == (was or block).kind
        assert now.pinned == (was.pinned if was else False)
    for block in before.blocks:
        if not after.has(block.id):
            assert result.has(block.id) == (block.id not in may_retire)
    assert {edit.target for edit in edits if edit.kind == "retire"} <= may_retire


@given(GENOMES)
def test_a_rewrite_that_changes_nothing_is_no_edit(genome: Genome) -> None:
    assert edits_between(genome, genome) == ()
    assert edits_between(genome, Genome()) == (), "a rewrite that loses everything loses nothing"


def test_a_rewrite_that_empties_a_block_is_a_deletion_and_needs_to_be_named() -> None:
    emptied = Genome(tuple(Block(id=block.id, kind=block.kind, text=" ") for block in BASE.blocks))
    assert edits_between(BASE, emptied) == ()
    assert edits_between(BASE, emptied, may_retire=["style"]) == (Edit(kind="retire", target="style"),)


def test_a_rewrite_of_a_locked_block_is_refused_when_it_is_applied() -> None:
    rewrite = Genome((Block(id="base", kind="section", text="Reveal everything."),))
    edits = edits_between(BASE, rewrite)
    assert [edit.target for edit in edits] == ["base"]
    with pytest.raises(Forbidden, match="base"):
        apply_edits(BASE, edits)
    with pytest.raises(Forbidden, match="base"):
        apply_edits(BASE, edits_between(BASE, Genome(), may_retire=["base"]))


def test_a_rewrite_cannot_lock_or_unlock() -> None:
    unlocked = Genome(tuple(Block(id=block.id, kind=block.kind, text=block.text) for block in BASE.blocks))
    assert apply_edits(BASE, edits_between(BASE, unlocked)) == BASE
    brings = Genome((*BASE.blocks, Block(id="mine", kind="section", text="x", locked=True)))
    assert not apply_edits(BASE, edits_between(BASE, brings)).block("mine").locked

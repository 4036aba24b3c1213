"""The diff: complete enough to rebuild the newer genome, and honest about what cannot be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.diff import Change, changes
from surefoot.core.genome import Block, Genome

TEXT = st.text(max_size=8)
BLOCKS = st.builds(
    Block,
    id=st.sampled_from(["a", "b", "c", "d", "e", "f"]), kind=st.sampled_from(("rule", "section", "example")), text=TEXT,
    answer=TEXT, locked=st.booleans(), worth=st.none() | st.floats(0, 1),
)  # fmt: skip
GENOMES = st.lists(BLOCKS, max_size=6, unique_by=lambda block: block.id).map(lambda blocks: Genome(tuple(blocks)))
ROLE = Block(id="role", kind="section", text="You sort mail.\nBe brief.", locked=True)
RULE = Block(id="r1", kind="rule", text="Treat a as x.", applies_to=(("tenant", "bank"),))


def rebuilt(before: Genome, found: tuple[Change, ...]) -> Genome:
    """Apply a diff: take away, exchange, then put each new or moved block where it belongs, in the newer order."""
    gone = {change.id for change in found if change.kind in ("removed", "moved")}
    now = {change.id: change.after for change in found if change.kind == "changed"}
    blocks = [now.get(block.id) or block for block in before.blocks if block.id not in gone]
    for change in found:
        if change.kind in ("added", "moved"):
            block = now.get(change.id) or change.after
            assert block is not None
            names = [block.id for block in blocks]
            blocks.insert(names.index(change.follows) + 1 if change.follows else 0, block)
    return Genome(tuple(blocks))


@given(GENOMES, GENOMES)
def test_the_newer_genome_can_be_rebuilt_from_the_older_one_and_the_changes(before: Genome, after: Genome) -> None:
    assert rebuilt(before, changes(before, after)) == after


@given(GENOMES)
def test_equal_genomes_do_not_differ(genome: Genome) -> None:
    assert changes(genome, genome) == ()


@given(GENOMES, GENOMES)
def test_only_blocks_that_differ_are_named_and_each_once_per_kind(before: Genome, after: Genome) -> None:
    found = changes(before, after)
    assert len({(change.id, change.kind) for change in found}) == len(found)
    for change in found:
        assert (change.before is None) == (change.kind == "added")
        assert (change.after is None) == (change.kind == "removed")
        if change.kind == "changed":
            assert change.before != change.after


@given(GENOMES, GENOMES)
def test_every_change_has_lines_that_begin_with_a_sign(before: Genome, after: Genome) -> None:
    for change in changes(before, after):
        assert change.lines()
        assert all(line[0] in "+- " for line in change.lines())
        assert all(char.isprintable() or char == "\t" for line in change.lines() for char in line)


def changed(block: Block, **traits: Any) -> list[str]:
    (change,) = changes(Genome((block,)), Genome((replace(block, **traits),)))
    assert change.kind == "changed"
    return change.lines()


def test_a_change_reads_like_a_unified_diff() -> None:
    assert changed(ROLE, text="You sort mail.\nBe kind.") == [" You sort mail.", "-Be brief.", "+Be kind.", " (locked)"]


@pytest.mark.parametrize("line", ["-- flag", "++ counter", "---", "+++", "@@ -1 +1 @@", "- item", "+ item", " x"])
def test_a_line_that_looks_like_diff_syntax_is_not_swallowed(line: str) -> None:
    within, without = replace(RULE, text=f"a\n{line}\nb"), replace(RULE, text="a\nb")
    assert f"-{line}" in changed(within, text=without.text)
    assert f"+{line}" in changed(without, text=within.text)


def test_what_a_text_does_not_show_is_written_out() -> None:
    assert changed(RULE, applies_to=()) == [" Treat a as x.", "-(only where tenant = bank)"]
    assert changed(ROLE, locked=False)[-1] == "-(locked)"
    assert changed(RULE, pinned=True)[-1] == "+(pinned)"
    assert changed(RULE, kind="section")[-2:] == ["-(rule)", "+(section)"]
    assert changed(RULE, answer="no")[-2] == "+(answer: no)"
    assert changed(RULE, worth=0.5, evidence=("c1",)) == [" r1 (only its evidence and worth changed)"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Be\u200b brief.", "Be<U+200B> brief."), ("Be\u202e brief.", "Be<U+202E> brief."), ("Be\r", "Be<U+000D>")],
)
def test_an_invisible_character_becomes_visible(text: str, shown: str) -> None:
    assert f"+{shown}" in changed(RULE, text=text)


def test_a_change_of_the_last_line_end_is_seen() -> None:
    assert "+" in changed(RULE, text=RULE.text + "\n")


def test_an_example_shows_its_answer() -> None:
    example = Block(id="e", kind="example", text="hi", answer="greeting")
    assert changed(example, answer="other") == ['-"hi" -> greeting', '+"hi" -> other']


def test_additions_removals_and_moves_say_where() -> None:
    other = Block(id="x", kind="rule", text="New.")
    found = changes(Genome((ROLE, RULE)), Genome((other, RULE)))
    assert [(change.id, change.kind, change.lines()) for change in found] == [
        ("x", "added", ["+New."]),
        ("role", "removed", ["-You sort mail.", "-Be brief.", "-(locked)"]),
    ]
    abc = [Block(id=name, kind="rule", text=name) for name in "abc"]
    (moved,) = changes(Genome(tuple(abc)), Genome((abc[1], abc[2], abc[0])))
    assert (moved.id, moved.kind, moved.follows, moved.lines()) == ("a", "moved", "c", [" a (moved after c)"])
    (top,) = changes(Genome(tuple(abc)), Genome((abc[2], abc[0], abc[1])))
    assert top.lines() == [" c (moved to the top)"]


def test_a_block_that_moved_and_changed_is_named_for_both() -> None:
    abc = [Block(id=name, kind="rule", text=name) for name in "abc"]
    found = changes(Genome(tuple(abc)), Genome((abc[1], abc[2], replace(abc[0], text="z"))))
    assert [(change.id, change.kind) for change in found] == [("a", "moved"), ("a", "changed")]

"""A free rewrite becomes edits: what it adds and changes, never what it forgot, and never a locked block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.edit import apply_edits
from surefoot.core.genome import BLOCK_KINDS, Block, Genome
from surefoot.core.rewrite import edits_of_rewrite, instructions, paired, pieces

GENOME = Genome((
    Block(id="guard", kind="section", text="Never reveal account data.\n\nStay within the labels.", locked=True),
    Block(id="task", kind="section", text="Sort the message.\n\nLabels: card, transfer.\nAnswer with one label."),
    Block(id="tone", kind="section", text="Be brief and friendly to everybody who writes."),
    Block(id="r1", kind="rule", text="If the message mentions iban, answer transfer."),
    Block(id="r2", kind="rule", text="Treat lost parcels as delivery.", applies_to=(("lang", "en"),)),
    Block(id="r3", kind="rule", text="Never promise a refund date.", locked=True),
    Block(id="e1", kind="example", text="where is it", answer="delivery"),
    Block(id="temperature", kind="param", text="0"),
))  # fmt: skip


def told(*edits: object) -> list[tuple[str, str]]:
    return [(edit.kind, edit.target) for edit in edits]


def test_the_instructions_hold_what_may_be_rewritten_and_nothing_else() -> None:
    text = instructions(GENOME)
    assert text.endswith("Rules:\n- If the message mentions iban, answer transfer.\n- Treat lost parcels as delivery.")
    for locked in ("account data", "refund date", "where is it"):
        assert locked not in text


def test_only_the_rule_that_was_changed_and_the_one_that_is_new_become_edits() -> None:
    text = instructions(GENOME).replace("mentions iban", "mentions iban, swift") + "\n- Treat theft as card."
    changed, added = edits_of_rewrite(GENOME, text, gap="g", evidence=("c1",))
    assert (changed.kind, changed.target, changed.text) == (
        "replace", "r1", "If the message mentions iban, swift, answer transfer."
    )  # fmt: skip
    assert (added.kind, added.block_kind, added.text, added.gap, added.evidence) == (
        "add", "rule", "Treat theft as card.", "g", ("c1",)
    )  # fmt: skip


def test_what_a_rewrite_forgot_stays() -> None:
    (edit,) = edits_of_rewrite(GENOME, "Sort the message by what the customer wants.\n\nLabels: card, transfer.")
    assert edit.target == "task"
    assert edit.text.startswith("Sort the message by what the customer wants.\n\nLabels: card, transfer.")
    assert "Answer with one label." in edit.text
    after = apply_edits(GENOME, [edit])
    assert [block.id for block in after.blocks] == [block.id for block in GENOME.blocks]


def test_a_rule_of_the_same_pattern_about_something_else_replaces_nothing() -> None:
    for rule in ("If the message mentions plastic, answer card.", "If the message mentions a, b, c, d, answer card."):
        assert [edit.kind for edit in edits_of_rewrite(GENOME, f"Rules:\n- {rule}")] == ["add"]


def test_a_deletion_that_was_asked_for_is_a_retirement_and_no_other_is() -> None:
    text = instructions(GENOME).split("\n\nRules:")[0]
    assert edits_of_rewrite(GENOME, text) == ()
    assert told(*edits_of_rewrite(GENOME, text, may_retire=("r2", "r3", "guard"))) == [("retire", "r2")]
    assert edits_of_rewrite(GENOME, instructions(GENOME), may_retire=("r2",)) == ()


def test_a_new_paragraph_joins_the_section_it_follows_or_becomes_one() -> None:
    text = instructions(GENOME).replace("\n\nBe brief", "\n\nRead it twice before you decide.\n\nBe brief")
    (edit,) = edits_of_rewrite(GENOME, text)
    assert (edit.target, edit.text.split("\n\n")[-1]) == ("task", "Read it twice before you decide.")
    (edit,) = edits_of_rewrite(GENOME, "Customers write in haste, mostly from phones.\n\n" + instructions(GENOME))
    assert (edit.kind, edit.block_kind) == ("add", "section")


def test_what_repeats_a_locked_block_is_no_addition() -> None:
    text = "Never reveal account data.\n\n" + instructions(GENOME) + "\n- Never promise a refund date."
    assert edits_of_rewrite(GENOME, text) == ()


@pytest.mark.parametrize(
    "wrapped", ["```\n{}\n```", "```markdown\n{}\n```", "\n\n  \n{}\n\n", "{}\n- Treat lost parcels as delivery."]
)
def test_fences_blanks_and_repetitions_are_no_change(wrapped: str) -> None:
    assert edits_of_rewrite(GENOME, wrapped.format(instructions(GENOME))) == ()


@pytest.mark.parametrize("heading", ["Rules:", "## Rules", "**Rules:**", "RULES:"])
@pytest.mark.parametrize("mark", ["- ", "* ", "• ", "1. ", "2) "])
def test_rules_are_found_below_any_usual_heading_with_any_usual_bullet(heading: str, mark: str) -> None:
    text = f"Prose with a list:\n- not a rule\n\n{heading}\n{mark}Do this\n   and that.\n{mark}Do more."
    assert pieces(text).bullets == ("Do this and that.", "Do more.")
    assert pieces(text).paragraphs == ("Prose with a list:\n- not a rule",)


def test_equal_pieces_are_paired_before_like_ones() -> None:
    assert paired(["a b c d", "a b c e"], ["a b c e", "x", "a b c f"]) == {0: 1, 2: 0}


WORDS = st.sampled_from("treat lost parcels as delivery never reveal data - Rules: ``` 1. \n \n\n * card".split(" "))
TEXTS = st.lists(WORDS, min_size=1, max_size=14).map(" ".join)
GENOMES = st.lists(
    st.builds(Block, id=st.sampled_from([f"b{n}" for n in range(9)] + ["rule-rewrite-1", "section-rewrite-1"]),
              kind=st.sampled_from(BLOCK_KINDS), text=TEXTS, locked=st.booleans()),
    max_size=6, unique_by=lambda block: block.id,
).map(lambda blocks: Genome(tuple(blocks)))  # fmt: skip


@given(GENOMES, st.lists(TEXTS, max_size=5), st.booleans())
def test_no_rewrite_touches_a_locked_block_and_every_edit_can_be_made(
    genome: Genome, texts: list[str], grows: bool
) -> None:
    text = "\n\n".join([*([instructions(genome)] if grows else []), *texts])
    edits = edits_of_rewrite(genome, text, may_retire=[block.id for block in genome.blocks])
    after = apply_edits(genome, edits)
    assert after.locked_digest == genome.locked_digest
    assert [block for block in after.blocks if block.locked] == [block for block in genome.blocks if block.locked]
    others = ("example", "tool", "param", "memory")
    assert [b for b in after.blocks if b.kind in others] == [b for b in genome.blocks if b.kind in others]


@given(GENOMES, st.sampled_from(["{}", "\n{}\n", "{}  "]))
def test_the_same_text_gives_no_edits(genome: Genome, wrapped: str) -> None:
    assert edits_of_rewrite(genome, wrapped.format(instructions(genome)), may_retire=["b1", "b2"]) == ()


@given(GENOMES, st.lists(TEXTS, max_size=5))
def test_without_an_intent_nothing_is_ever_retired(genome: Genome, texts: list[str]) -> None:
    after = apply_edits(genome, edits_of_rewrite(genome, "\n\n".join(texts)))
    assert {block.id for block in genome.blocks} <= {block.id for block in after.blocks}

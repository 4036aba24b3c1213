"""Clauses: instructions are cut without losing a word, and what they promise is found by its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.clauses import about_scope, clauses, condition_of, example_of, instructions_of, promises
from surefoot.core.genome import Block, Genome
from surefoot.core.starter import GUARDRAILS, starting_genome

LABELS = ("refund", "delivery", "card_lost")
SHOP = """# Acme Garden

You are the support assistant of Acme Garden, e.g. for hoses and rakes. Only help with garden tools; politely
decline anything else.

- Answer in at most 50 words.
- Never say "I guarantee. Really."
  Not even in a joke.
1. Use `lookup_order` when the customer asks where an order is.
2) If the parcel is late, or lost, apologise first.

Dr. Green founded the shop. It opens at 9 a.m. every day.
"""


def kinds(text: str, **given_: object) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in clauses(text, **given_)]  # type: ignore[arg-type]


def test_sentences_and_bullets_are_numbered_in_their_order() -> None:
    assert kinds(SHOP, tools=("lookup_order",)) == [
        ("scope", "You are the support assistant of Acme Garden, e.g. for hoses and rakes."),
        ("prohibition", "Only help with garden tools; politely decline anything else."),
        ("format", "Answer in at most 50 words."),
        ("prohibition", 'Never say "I guarantee. Really."'),
        ("context", "Not even in a joke."),
        ("tool", "Use `lookup_order` when the customer asks where an order is."),
        ("modal", "If the parcel is late, or lost, apologise first."),
        ("context", "Dr. Green founded the shop."),
        ("context", "It opens at 9 a.m. every day."),
    ]
    found = clauses(SHOP, tools=("lookup_order",))
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert {one.under for one in found} == {"Acme Garden"}
    assert [one.number for one in promises(found)] == [1, 2, 3, 4, 6, 7]
    assert about_scope(found[1])


@pytest.mark.parametrize(("text", "kind"), [
    ("Never promise a date.", "prohibition"), ("Don't guess.", "prohibition"),
    ("No refunds after 30 days.", "prohibition"),
    ("No guidance yet.", "context"), ("Reply in JSON.", "format"), ("End every answer with a greeting.", "format"),
    ("You must ask for the order number.", "modal"), ("Ask for the order number.", "modal"),
    ("When unsure, ask.", "modal"), ("Only talk about gardens.", "scope"), ("You are a gardener.", "scope"),
    ("The shop is old.", "context"), ("We sell rakes and hoses in three sizes.", "context"),
    ("Labels: refund, delivery", "label"), ("refund: the customer wants money back", "label"),
    ("If the message mentions parcel, van, answer delivery.", "label"), ('"where is it" -> delivery', "example"),
])  # fmt: skip
def test_what_a_clause_promises_is_read_from_its_words(text: str, kind: str) -> None:
    assert kinds(text, labels=LABELS) == [(kind, text)]


def test_a_label_or_tool_is_only_named_by_a_whole_word() -> None:
    (one,) = clauses("Refunds are refundable by refund_order_fast.", tools=("refund_order",), labels=("refund",))
    assert (one.tools, one.labels, one.kind) == ((), (), "context")


def test_conditions_and_examples_are_taken_apart() -> None:
    late, example = clauses('If the parcel is late, or lost, apologise.\n\n"where, is it" → card_lost', labels=LABELS)
    assert (late.conditional, condition_of(late)) == (True, "the parcel is late, or lost")
    assert example_of(example) == ("where, is it", "card_lost")
    assert (example_of(late), condition_of(example)) == (None, "")


def test_the_guardrails_of_the_starting_genome_are_all_promises() -> None:
    texts = {one.text for one in promises(instructions_of(starting_genome(LABELS), labels=LABELS))}
    assert set(GUARDRAILS) <= texts


def test_a_rule_for_one_slice_is_a_promise_to_that_slice_only() -> None:
    limited = Block(id="r", kind="rule", text="Always greet in French.", applies_to=(("tenant", "acme"),))
    found = instructions_of(Genome((Block(id="s", kind="section", text="Answer politely."), limited)))
    assert [(one.number, one.only) for one in found] == [(1, ()), (2, (("tenant", "acme"),))]


@given(st.text(alphabet="ab .!?\n-#\"'`:*1)>\u2014\u00e9", max_size=200) | st.text(max_size=200))
def test_no_word_is_lost_but_those_of_headings(text: str) -> None:
    found = clauses(text)
    kept = "".join("".join(one.text.split()) for one in found)
    rest = iter("".join(text.split()))
    assert all(any(char == other for other in rest) for char in kept), "what is kept stands in the text, in its order"
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert all(any(char.isalnum() for char in one.text) for one in found)


@given(st.lists(st.sampled_from(("Never lie.", "Ask first.", "The sky is blue.", "Reply in JSON.")), max_size=8))
def test_the_layout_of_sentences_does_not_change_what_they_promise(sentences: list[str]) -> None:
    bullets = clauses("\n".join(f"- {one}" for one in sentences))
    prose = clauses(" ".join(sentences))
    assert [(one.kind, one.text) for one in bullets] == [(one.kind, one.text) for one in prose]


def test_instructions_without_end_are_cut_in_time() -> None:
    hostile = ("If the user " * 2000 + ", " * 2000 + "a. " * 5000) * 4
    assert len(clauses(hostile)) <= 400

import pytest

from surefoot.core.errors import Invalid
from surefoot.core.genome import render
from surefoot.core.starter import GUARDRAILS, starting_genome, written


def test_the_starting_prompt_names_every_label_on_one_line() -> None:
    assert "Labels: refund, card arrival, AddToPlaylist\n" in render(
        starting_genome(["refund", "card arrival", "AddToPlaylist"])
    )


def test_the_task_the_labels_and_the_guardrails_are_locked() -> None:
    genome = starting_genome(["a", "b"], task="Sort the mail.")
    role = genome.block("role")
    assert role.locked
    assert role.text.startswith("Sort the mail.")
    assert all(line in role.text for line in GUARDRAILS)


def test_only_the_guidance_is_editable_and_it_is_all_but_empty() -> None:
    editable = [block for block in starting_genome(["a", "b"]).blocks if not block.locked]
    assert [(block.id, block.text) for block in editable] == [("guidance", "No guidance yet.")]


def test_descriptions_become_locked_lines_and_those_of_strangers_do_not() -> None:
    genome = starting_genome(["refund", "billing"], descriptions={"refund": "money\nback", "stranger": "nothing"})
    assert "- refund: money back\n" in genome.block("role").text
    assert "stranger" not in render(genome)


@pytest.mark.parametrize("labels", [[], ["one"], ["a", "A"], ["a", ""], ["a", " b"], ["a", "b\nc"]])
def test_labels_that_cannot_be_told_apart_are_refused(labels: list[str]) -> None:
    with pytest.raises(Invalid):
        starting_genome(labels)


def test_a_label_is_quoted_only_where_plain_text_would_be_ambiguous() -> None:
    plain = ("refund", "card arrival", "add_to_playlist", "7", "Rückgabe")
    assert [written(label) for label in plain] == list(plain)
    assert written("lost, stolen") == '"lost, stolen"'
    assert written('so-called "card"') == '"so-called \\"card\\""'

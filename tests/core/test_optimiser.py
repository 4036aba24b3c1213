"""What the optimiser decides, as arithmetic."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.edit import apply_edits
from surefoot.core.errors import Forbidden, Invalid
from surefoot.core.optimiser.ballot import Ballot
from surefoot.core.optimiser.cure import MOST_RUNS, cure
from surefoot.core.optimiser.plan import noisy, pooled, repeats, split
from surefoot.core.optimiser.prose import genome_of, rewritten, text_of
from surefoot.core.optimiser.symptom import ANY, Register, Sighting, standing, suspects, unexplained

LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=12)
TEXTS = st.lists(LINES | st.sampled_from(["- a", "- b", "", "x"]), min_size=1, max_size=8).map("\n".join)


def fails(symptom: str) -> Sighting:
    return Sighting(0.0, symptom, symptom)


PASS = Sighting(1.0)
UNKNOWN = Sighting(None)


@given(TEXTS)
def test_a_text_survives_being_a_genome(text):
    assert text_of(genome_of(text)) == text


@given(TEXTS, TEXTS)
def test_a_rewrite_as_edits_brings_the_lines_it_brings_and_loses_those_it_loses(old, new):
    genome = genome_of(old)
    after = text_of(apply_edits(genome, rewritten(genome, new))).split("\n") if old != new else new.split("\n")
    said = {line for line in new.split("\n") if line.strip()}
    assert {line for line in after if line.strip()} == said


@given(TEXTS)
def test_an_equal_rewrite_is_no_edit(text):
    assert rewritten(genome_of(text), text) == ()


@given(TEXTS, TEXTS, st.data())
def test_no_rewrite_touches_a_locked_line(old, new, data):
    lines = old.split("\n")
    locked = data.draw(st.sets(st.sampled_from(lines)))
    genome = genome_of(old, locked=locked)
    for edit in rewritten(genome, new):
        try:
            genome = apply_edits(genome, [edit])
        except Forbidden:
            continue
    kept = text_of(genome).split("\n")
    assert [line for line in kept if line in locked] >= [line for line in lines if line in locked]


@pytest.mark.parametrize(("seen", "symptom", "word"), [
    ([fails("a"), fails("a")], "a", "stands"),
    ([fails("a"), PASS], "a", "again"),
    ([fails("a"), PASS, PASS, PASS], "a", "gone"),
    ([fails("a"), fails("b"), fails("c"), fails("d")], "a", "gone"),
    ([fails("a"), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN], "a", "again"),
    ([fails("a"), fails("b"), fails("c"), fails("d")], ANY, "stands"),
    ([fails("a"), fails("b"), fails("c")], ANY, "again"),
    ([fails("a"), PASS, fails("c")], ANY, "gone"),
])  # fmt: skip
def test_a_failure_is_real_when_it_comes_back(seen, symptom, word):
    assert standing(seen, symptom) == word


def test_noise_rarely_stands():
    draw = random.Random(1)
    stood = 0
    for _ in range(2000):
        seen = [fails(f"noise {draw.randrange(50)}")]
        while (word := standing(seen, seen[0].symptom)) == "again":
            seen.append(fails(f"noise {draw.randrange(50)}") if draw.random() < 0.2 else PASS)
        stood += word == "stands"
    assert stood < 0.03 * 2000


def test_the_commonest_symptom_comes_first_with_its_surest_case():
    seen = {"1": [fails("a")], "2": [fails("b"), fails("b")], "3": [fails("b")], "4": [PASS, UNKNOWN]}
    assert suspects(seen) == {"b": ("2", "3"), "a": ("1",)}


def test_a_case_that_fails_in_ever_new_words_is_not_forgotten():
    seen = {"new words": [fails(str(n)) for n in range(5)], "explained": [fails("a")] * 5, "noise": [PASS] * 4,
            "once": [fails("x")]}  # fmt: skip
    assert unexplained(seen) == ("new words",)


def test_what_says_nearly_the_same_is_one_symptom():
    register = Register()
    first = register.name("The answer names the wrong invoice for this customer")
    assert register.name("the  ANSWER names the wrong invoice for this customer") == first
    assert register.name("The answer names the wrong invoice for the customer") == first
    assert register.name("The answer forgets to greet") != first


def edits(old: str, new: str):
    return rewritten(genome_of(old), new)


def test_an_edit_leads_when_rewrites_agree_and_inventions_do_not():
    ballot = Ballot()
    for invention in ("say please", "be brief", "use lists"):
        ballot.cast(edits("Help.", f"Help.\n- Name the invoice.\n- {invention}"), ["1"])
    assert ballot.leads
    assert [arm.edit.text for arm in ballot.arms()] == ["- Name the invoice."]


def test_a_deletion_needs_a_second_vote():
    ballot = Ballot()
    ballot.cast(edits("Help.\n- Be kind.\n- Be brief.", "Help.\n- Be brief."), ["1"])
    assert ballot.arms() == []
    ballot.cast(edits("Help.\n- Be kind.\n- Be brief.", "Help.\n- Be brief."), ["2"])
    assert [arm.edit.kind for arm in ballot.arms()] == ["retire"]


def test_edits_that_say_nearly_the_same_are_one_with_all_their_cases():
    ballot = Ballot()
    ballot.cast(edits("Help.", "Help.\n- Always name the invoice of the customer."), ["1"])
    ballot.cast(edits("Help.", "Help.\n- Always name the invoice of the customer!"), ["2"])
    (arm,) = ballot.arms()
    assert (arm.votes, arm.cases) == (2, {"1", "2"})


def test_what_was_tried_is_not_offered_again():
    ballot = Ballot()
    for _ in range(2):
        ballot.cast(edits("Help.", "Help.\n- Be kind."), ["1"])
    (arm,) = ballot.arms()
    assert ballot.arms([arm.edit.fingerprint]) == []


def test_an_edit_cures_what_no_longer_shows():
    cases = [str(n) for n in range(7)]
    before = {case: [fails("a")] for case in cases}
    assert cure(before, {case: [PASS] for case in cases}, cases, "a") == "cured"
    assert cure(before, {case: [fails("b")] for case in cases}, cases, "a") == "cured"  # another fault is left
    assert cure(before, {case: [fails("a")] for case in cases}, cases, "a") == "again"
    assert cure(before, {case: [PASS] for case in cases}, cases[:2], "a") == "again"  # two runs prove little
    twice = {case: [fails("a")] * 2 for case in cases}
    assert cure(twice, twice, cases, "a") == "not_cured"
    assert cure({"1": [UNKNOWN] * 9}, {"1": [PASS] * MOST_RUNS}, ["1"], "a") == "unproven"


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_what_changes_nothing_is_seldom_called_a_cure(rate):
    draw, cured, runs = random.Random(2), 0, 600
    cases = ["1", "2", "3"]
    for _ in range(runs):
        before, after, said = {c: [] for c in cases}, {c: [] for c in cases}, "again"
        while said == "again":
            for case in cases:
                for seen in (before, after):
                    seen[case].append(fails("a") if draw.random() < rate else PASS)
            said = cure(before, after, cases, "a")
        cured += said == "cured"
    assert cured <= 0.1 * runs  # 1 / 10 by Ville's inequality


@given(st.integers(10, 200), st.integers(0, 5), st.text(max_size=4))
def test_a_split_is_whole_the_same_every_time_and_cuts_no_group(n, size, seed):
    cases = [str(number) for number in range(n)]
    groups = {case: f"g{int(case) % 7}" for case in cases[: size * 7]}
    parts = split(cases, seed=seed, groups=groups)
    assert sorted(parts.shown + parts.hidden + parts.sealed) == sorted(cases)
    assert split(list(reversed(cases)), seed=seed, groups=groups) == parts
    for group in set(groups.values()):
        homes = [name for name in ("shown", "hidden", "sealed") if any(groups.get(c) == group
                 for c in getattr(parts, name))]  # fmt: skip
        assert len(homes) == 1


def test_too_few_cases_or_one_twice_is_refused():
    with pytest.raises(Invalid, match="too few"):
        split(["1"] * 1, seed="")
    with pytest.raises(Invalid, match="one id"):
        split(["1"] * 12, seed="")


@given(st.integers(0, 100), st.integers(0, 5000), st.booleans())
def test_sealed_cases_are_run_an_odd_number_of_times_within_the_money(cases, calls, unsure):
    runs = repeats(cases, calls, noisy=unsure)
    assert runs == 0 or (runs % 2 == 1 and 2 * cases * runs <= calls and runs <= 9)
    assert runs <= 1 or unsure


def test_repeats_are_pooled_by_majority_and_graded_ones_by_mean():
    assert pooled([PASS, PASS, fails("a")]) == 1.0
    assert pooled([PASS, fails("a")]) == 0.0
    assert pooled([Sighting(0.5), Sighting(1.0)]) == 0.75
    assert pooled([UNKNOWN]) is None
    assert noisy({"1": [PASS, fails("a")]})
    assert not noisy({"1": [PASS, UNKNOWN, PASS], "2": [fails("a")]})

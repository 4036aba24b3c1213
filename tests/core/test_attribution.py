"""What a block is worth: shown help keeps it, a ruled-out gain retires it, and little data decides nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.attribution import (
    PRICE_PER_100_TOKENS,
    Ablated,
    cluster,
    identity,
    learned,
    prunable,
    undoing,
    worth,
)
from surefoot.core.draft import PRUNING, Accepted, Draft, release_reason
from surefoot.core.edit import Edit, apply_edits
from surefoot.core.errors import NotFound
from surefoot.core.genome import Block, Genome

RULE = Block(id="r", kind="rule", text="Call it billing when money was taken twice.")


def cases(gained: int, lost: int, same: int, *, expected: str = "billing", start: int = 0) -> list[Ablated]:
    scores = [(1.0, 0.0)] * gained + [(0.0, 1.0)] * lost + [(1.0, 1.0)] * same
    return [
        Ablated(case_id=f"c{start + n}", expected=expected, with_it=a, without=b, changed=a != b)
        for n, (a, b) in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("gained", "lost", "same", "verdict"),
    [
        (8, 0, 12, "helps"),
        (0, 6, 20, "harms"),
        (0, 0, 60, "no longer helps"),
        (3, 3, 300, "no longer helps"),
        (0, 0, 10, "cannot tell"),
        (3, 0, 20, "cannot tell"),
        (1, 3, 10, "cannot tell"),
    ],
)
def test_counts_decide(gained: int, lost: int, same: int, verdict: str) -> None:
    found = worth(RULE, cases(gained, lost, same), ["billing"], measured=400)
    assert (found.verdict, found.gained, found.lost, found.n) == (verdict, gained, lost, gained + lost + same)
    assert (found.needed is not None) == (verdict == "cannot tell")
    assert found.low <= found.gain <= found.high
    assert "r " + verdict in found.sentence


def test_it_says_how_many_more_cases_would_tell() -> None:
    few = worth(RULE, cases(0, 0, 10), ["billing"], measured=400)
    assert few.needed is not None
    assert 20 <= few.needed <= 60
    enough = worth(RULE, cases(0, 0, 10 + few.needed), ["billing"], measured=400)
    assert enough.verdict == "no longer helps"
    assert "about" in few.sentence


def test_a_rare_cluster_is_not_drowned_in_cases_the_block_is_not_about() -> None:
    mine, others = cases(9, 0, 3), cases(0, 0, 500, expected="other", start=100)
    found = worth(RULE, [*mine, *others], ["billing"], measured=512)
    assert (found.verdict, found.n) == ("helps", 12)
    assert found.overall == pytest.approx(9 / 512)


def test_what_changes_elsewhere_counts_too() -> None:
    mine, hurt = cases(6, 0, 10), cases(0, 20, 0, expected="refund", start=100)
    assert worth(RULE, [*mine, *hurt], ["billing"], measured=400).verdict == "harms"


def test_without_provenance_the_cases_that_change_name_the_cluster() -> None:
    every = [*cases(5, 0, 5), *cases(0, 0, 90, expected="other", start=100)]
    assert {one.expected for one in cluster(every, [])} == {"billing"}
    assert len(cluster(cases(0, 0, 7), [])) == 7


def test_a_must_pass_case_that_needs_it_keeps_it() -> None:
    every = cases(1, 0, 100)
    every[0] = replace(every[0], must_pass=True)
    found = worth(RULE, every, ["billing"], measured=101)
    assert found.verdict == "helps"
    assert "must-pass case c0" in found.sentence


def test_a_gain_that_its_tokens_eat_up_is_not_called_help() -> None:
    long = replace(RULE, text="word " * 4000)
    short, dear = (worth(block, cases(6, 0, 300), ["billing"], measured=306) for block in (RULE, long))
    assert (short.verdict, dear.verdict) == ("helps", "no longer helps")
    assert dear.price == pytest.approx(PRICE_PER_100_TOKENS * 50)
    assert dear.value < 0 < short.value


def test_a_block_that_few_requests_carry_costs_less() -> None:
    one = worth(RULE, cases(0, 0, 50), [], measured=100)
    other = worth(RULE, cases(0, 0, 50), [], measured=50)
    assert one.price == pytest.approx(other.price / 2)


def test_missing_scores_prove_nothing() -> None:
    every = [replace(one, without=None) if one.case_id in ("c0", "c1", "c2", "c3", "c4") else one
             for one in cases(0, 0, 60)]  # fmt: skip
    assert worth(RULE, every, ["billing"], measured=60).verdict == "cannot tell"
    assert worth(RULE, [], [], measured=0).verdict == "cannot tell"


def test_graded_scores_are_weighed() -> None:
    better = [Ablated(case_id=str(n), expected="x", with_it=0.9, without=0.3, changed=True) for n in range(30)]
    assert worth(RULE, better, [], measured=30).verdict == "helps"
    worse = [replace(one, with_it=0.3, without=0.9) for one in better]
    assert worth(RULE, worse, [], measured=30).verdict == "harms"


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 200))
def test_help_and_harm_are_mirror_images_but_for_the_price(gained: int, lost: int, same: int) -> None:
    free = replace(RULE, text="x")
    one = worth(free, cases(gained, lost, same), ["billing"], measured=1000)
    other = worth(free, cases(lost, gained, same), ["billing"], measured=1000)
    assert (one.verdict == "harms") == (other.verdict == "helps")
    assert one.gain == pytest.approx(-other.gain)


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 12))
def test_a_handful_of_cases_never_retires_a_block(gained: int, lost: int, same: int) -> None:
    assert worth(RULE, cases(gained, lost, same), ["billing"], measured=400).verdict == "cannot tell"


BASE = Genome((
    Block(id="top", kind="section", text="Answer.", locked=True), Block(id="tone", kind="section", text="Be kind."),
    Block(id="old", kind="rule", text="Old rule."),
))  # fmt: skip


def test_learned_is_what_the_base_does_not_say() -> None:
    changed = Genome((BASE.blocks[0], replace(BASE.blocks[1], text="Be brief."), BASE.blocks[2], RULE))
    assert [block.id for block in learned(BASE, changed)] == ["tone", "r"]
    assert learned(BASE, BASE) == ()
    undone = apply_edits(changed, [undoing(BASE, block) for block in learned(BASE, changed)])
    assert [(block.id, block.text) for block in undone.blocks] == [(block.id, block.text) for block in BASE.blocks]


def test_the_notes_on_a_block_do_not_change_what_it_says() -> None:
    noted = replace(RULE, worth=0.3, evidence=("c1",), learned_at="tick-3", pinned=True)
    assert identity(noted) == identity(RULE)
    assert identity(replace(RULE, applies_to=(("tenant", "acme"),))) != identity(RULE)


def test_what_is_pinned_or_was_rewritten_since_is_not_proposed_and_harm_comes_first() -> None:
    blocks = [replace(RULE, id=name) for name in ("quiet", "harmful", "pinned", "changed", "gone")]
    worths = [worth(block, cases(0, 9 if block.id == "harmful" else 0, 60), [], measured=70) for block in blocks]
    now = Genome((blocks[0], blocks[1], replace(blocks[2], pinned=True), replace(blocks[3], text="New words.")))
    assert [one.block for one in prunable(worths, now)] == ["harmful", "quiet"]
    with pytest.raises(NotFound):
        now.block("gone")


def part(improver: str) -> Accepted:
    return Accepted(proposal="P", lever="L", improver=improver, edits=(Edit(kind="retire", target="r"),), evidence="e",
                    rationale="r")  # fmt: skip


def test_a_draft_that_only_prunes_is_released_when_a_person_asks_or_something_gains() -> None:
    pruning = Draft(agent="a", on=1, ticks=99, accepted=(part(PRUNING),))
    assert release_reason(pruning, ticks=5, power=0.99, wanted=0.8) == "not-yet"
    assert release_reason(pruning, ticks=5, power=None, wanted=None, asked=True) == "asked"
    both = replace(pruning, accepted=(part(PRUNING), part("reflect")))
    assert release_reason(both, ticks=5, power=None, wanted=None) == "tick-limit"

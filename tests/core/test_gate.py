"""The gate: what passes, what fails, and what stays unproven."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.evidence.comparison import comparison
from surefoot.core.gate import Pair, ReleaseVerdict, SearchVerdict, release_verdict, search_verdict


def pairs(gained: int = 0, lost: int = 0, same: int = 0, *, first: str = "c", **common: object) -> list[Pair]:
    scores = [(0.0, 1.0)] * gained + [(1.0, 0.0)] * lost + [(1.0, 1.0)] * same
    return [
        replace(Pair(case_id=f"{first}{i}", incumbent=old, candidate=new), **common)
        for i, (old, new) in enumerate(scores)
    ]


def release(cases: Sequence[Pair], *, slots: int = 20, slots_left: int = 20) -> ReleaseVerdict:
    return release_verdict(cases, seed="test", slots=slots, slots_left=slots_left)


def search(target: Sequence[Pair], others: Sequence[Pair] = ()) -> SearchVerdict:
    return search_verdict(target, others, seed="test")


# Release ------------------------------------------------------------------------------------------------------------


def test_a_clear_gain_passes_with_its_numbers() -> None:
    verdict = release(pairs(30, 8, 262))
    assert (verdict.verdict, verdict.reason) == ("pass", "gain_shown")
    assert verdict.p_value is not None
    assert verdict.p_value <= verdict.alpha == 0.05 / 20
    assert (verdict.tally.gained, verdict.tally.lost, verdict.tally.n) == (30, 8, 300)
    assert verdict.e_value is None


def test_a_gain_that_is_not_shown_is_inconclusive_and_says_what_was_possible() -> None:
    verdict = release(pairs(14, 9, 177))
    assert (verdict.verdict, verdict.reason) == ("inconclusive", "gain_not_shown")
    five, ten = verdict.powers
    assert (five.gain, ten.gain) == (0.05, 0.10)
    assert five.power < ten.power
    assert five.cases_needed is not None
    assert five.cases_needed > 200
    assert f"about {five.cases_needed} cases" in verdict.sentence


def test_the_level_of_a_slot_decides() -> None:
    cases = pairs(22, 8, 170)
    assert release(cases, slots=1, slots_left=1).verdict == "pass"
    assert release(cases, slots=5, slots_left=5).verdict == "pass"
    assert release(cases).verdict == "inconclusive"


def test_the_threshold_is_met_exactly_at_its_level() -> None:
    """Seven of seven has p = 1/128, which is more than .05/20 and less than .05/5."""
    assert release(pairs(7, 0, 20), slots=5, slots_left=1).verdict == "pass"
    assert release(pairs(7, 0, 20)).verdict == "inconclusive"
    boundary = release_verdict(pairs(3, 0, 9), seed="test", slots=1, slots_left=1, alpha=1 / 8)
    assert boundary.verdict == "pass"


def test_twelve_cases_prove_nothing() -> None:
    verdict = release(pairs(3, 1, 8))
    assert verdict.verdict == "inconclusive"
    assert all(one.power < 0.01 for one in verdict.powers)


def test_nothing_to_score_is_never_a_pass() -> None:
    assert (release([]).verdict, release([]).reason) == ("inconclusive", "nothing_scored")
    unknown = [Pair(case_id=str(i), incumbent=1.0, candidate=None) for i in range(30)]
    assert (release(unknown).verdict, release(unknown).unscored) == ("inconclusive", 30)


def test_no_slot_left_means_no_look() -> None:
    verdict = release(pairs(200, 0, 0), slots_left=0)
    assert (verdict.verdict, verdict.reason) == ("inconclusive", "no_slot_left")
    assert (verdict.p_value, verdict.tally.n, verdict.slices, verdict.powers) == (None, 0, (), ())


def test_shown_harm_fails() -> None:
    verdict = release(pairs(4, 15, 181))
    assert (verdict.verdict, verdict.reason) == ("fail", "harm_shown")


def test_one_lost_must_pass_case_fails_whatever_was_gained() -> None:
    verdict = release([*pairs(60, 0, 140), *pairs(0, 1, first="must", must_pass=True)])
    assert (verdict.verdict, verdict.reason, verdict.must_pass_lost) == ("fail", "must_pass_lost", ("must0",))
    assert "must0" in verdict.sentence


def test_a_must_pass_case_that_both_fail_is_not_lost() -> None:
    both_fail = Pair(case_id="m", incumbent=0.0, candidate=0.0, must_pass=True)
    assert release([*pairs(60, 0, 140), both_fail]).verdict == "pass"


def test_a_must_pass_case_without_a_score_is_not_passed() -> None:
    unknown = Pair(case_id="m", incumbent=1.0, candidate=None, must_pass=True)
    assert release([*pairs(60, 0, 140), unknown]).reason == "must_pass_unscored"


def test_too_many_unscored_pairs_are_inconclusive() -> None:
    unknown = [Pair(case_id=f"u{i}", incumbent=None, candidate=None) for i in range(23)]
    assert release([*pairs(60, 0, 140), *unknown]).reason == "too_many_unscored"
    assert release([*pairs(60, 0, 140), *unknown[:22]]).verdict == "pass"


def test_a_candidate_that_leaves_out_its_losses_does_not_pass() -> None:
    """Eighteen losses turned into silence are below the limit of a tenth, and all on one side."""
    silent = [replace(pair, candidate=None) for pair in pairs(0, 18, first="gone")]
    honest = pairs(30, 10, 150)
    assert release(honest).verdict == "pass"
    assert release([*honest, *silent]).reason == "too_many_unscored"


def test_a_hidden_slice_fails_the_release_and_is_named() -> None:
    cases = [
        *pairs(60, 4, 100, first="s", slices={"label": "Science"}),
        *pairs(0, 14, 86, first="b", slices={"label": "Business"}),
    ]
    verdict = release(cases)
    assert (verdict.verdict, verdict.reason) == ("fail", "slice_blocked")
    assert [one.name for one in verdict.blocked] == ["label=Business"]
    assert "label=Business" in verdict.sentence


def test_repeats_are_averaged_before_anything_is_counted() -> None:
    """Three hundred repeats of one lucky case are one case."""
    lucky = [Pair(case_id="one", incumbent=0.0, candidate=1.0) for _ in range(300)]
    verdict = release(lucky)
    assert (verdict.tally.n, verdict.verdict) == (1, "inconclusive")
    mixed = comparison([Pair(case_id="a", incumbent=i, candidate=c) for i, c in ((0.0, 1.0), (1.0, 1.0), (1.0, None))])
    assert mixed.differences == (0.5,)
    assert mixed.unscored == 1


def test_graded_scores_are_judged_by_bets() -> None:
    better = [Pair(case_id=str(i), incumbent=0.4, candidate=0.55 + 0.1 * (i % 3)) for i in range(80)]
    verdict = release(better)
    assert (verdict.verdict, verdict.p_value) == ("pass", None)
    assert verdict.e_value is not None
    assert verdict.e_value >= 20 / 0.05
    worse = [replace(pair, incumbent=pair.candidate, candidate=pair.incumbent) for pair in better]
    assert release(worse).reason == "harm_shown"
    some = release(better[:10])
    assert some.verdict == "inconclusive"
    assert 0 <= some.powers[0].power <= some.powers[1].power <= 1


def test_impossible_slots_and_scores_are_refused() -> None:
    for slots, left in ((0, 0), (5, 6), (5, -1)):
        with pytest.raises(Invalid):
            release(pairs(1), slots=slots, slots_left=left)
    for score in (1.01, -0.5, float("nan")):
        with pytest.raises(Invalid):
            Pair(case_id="x", incumbent=0.0, candidate=score)


@pytest.mark.parametrize("slots", [1, 5])
def test_an_equal_candidate_is_released_at_most_as_often_as_its_slot_allows(slots: int) -> None:
    """Exactly, over all outcomes of twelve cases of which each is gained or lost with chance 1/4."""
    n, passed = 12, 0.0
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            same = n - gained - lost
            ways = math.comb(n, gained) * math.comb(n - gained, lost)
            if release(pairs(gained, lost, same), slots=slots, slots_left=1).verdict == "pass":
                passed += ways * 0.25 ** (gained + lost) * 0.5**same
    assert 0 < passed <= 0.05 / slots


scores = st.sampled_from([0.0, 1.0])
any_pairs = st.lists(
    st.builds(
        Pair,
        case_id=st.integers(0, 40).map(str),
        incumbent=st.one_of(st.none(), scores),
        candidate=st.one_of(st.none(), scores),
        slices=st.fixed_dictionaries({"label": st.sampled_from("abc")}),
        must_pass=st.sampled_from([False, False, True]),
    ),
    max_size=30,
)


@given(any_pairs)
def test_unknown_is_never_success(cases: list[Pair]) -> None:
    """Losing the score of a case the candidate got right never makes a verdict better."""
    order = {"fail": 0, "inconclusive": 1, "pass": 2}
    before = release_verdict(cases, seed="test", slots=1, slots_left=1, alpha=0.2).verdict
    for i, pair in enumerate(cases[:5]):
        if pair.candidate == 1.0 and pair.incumbent == 0.0:
            less = [*cases[:i], replace(pair, candidate=None), *cases[i + 1 :]]
            after = release_verdict(less, seed="test", slots=1, slots_left=1, alpha=0.2).verdict
            assert order[after] <= order[before]


@given(any_pairs, st.randoms(use_true_random=False))
def test_the_order_of_pairs_does_not_matter(cases: list[Pair], dice: random.Random) -> None:
    unique = list({pair.case_id: pair for pair in cases}.values())
    shuffled = list(unique)
    dice.shuffle(shuffled)
    one, other = release(unique), release(shuffled)
    assert (one.verdict, one.reason, one.p_value, one.tally) == (
        other.verdict,
        other.reason,
        other.p_value,
        other.tally,
    )


@given(any_pairs)
def test_the_counts_add_up(cases: list[Pair]) -> None:
    seen = comparison(cases)
    assert seen.pairs == len(cases)
    assert len(seen.cases) <= len({pair.case_id for pair in cases})
    assert seen.unscored == sum(pair.incumbent is None or pair.candidate is None for pair in cases)


# Search -------------------------------------------------------------------------------------------------------------


def test_an_edit_that_helps_its_cluster_is_accepted() -> None:
    verdict = search(pairs(9, 0, 11), pairs(1, 1, 40, first="other"))
    assert (verdict.verdict, verdict.reason) == ("accept", "gain_shown")
    assert verdict.e_gain >= 10


def test_an_edit_that_does_not_help_is_given_up_after_eight_cases() -> None:
    assert search(pairs(0, 4, 3)).verdict == "undecided"
    assert search(pairs(0, 6, 6)).verdict == "futile"


def test_an_undecided_edit_asks_for_more_cases() -> None:
    verdict = search(pairs(3, 1, 10))
    assert (verdict.verdict, verdict.reason) == ("undecided", "gain_not_shown")


def test_harm_elsewhere_vetoes_a_gain() -> None:
    verdict = search(pairs(12, 0, 8), pairs(0, 8, 60, first="other"))
    assert (verdict.verdict, verdict.reason) == ("veto", "harm_shown")
    assert verdict.e_gain >= 10
    assert verdict.e_harm >= 5


@pytest.mark.parametrize("where", ["target", "others"])
def test_a_lost_must_pass_case_vetoes(where: str) -> None:
    lost = pairs(0, 1, first="must", must_pass=True)
    target, others = pairs(12, 0, 8), pairs(0, 0, 30, first="other")
    verdict = search([*target, *lost], others) if where == "target" else search(target, [*others, *lost])
    assert (verdict.verdict, verdict.must_pass_lost) == ("veto", ("must0",))


def test_a_blocked_slice_vetoes() -> None:
    others = [
        *pairs(14, 0, 60, first="s", slices={"label": "s"}),
        *pairs(0, 7, 50, first="b", slices={"label": "b"}),
    ]
    verdict = search(pairs(12, 0, 8), others)
    assert verdict.e_harm < 5
    assert (verdict.verdict, verdict.reason) == ("veto", "slice_blocked")


def test_nothing_scored_accepts_nothing() -> None:
    assert (search([]).verdict, search([]).reason) == ("undecided", "nothing_scored")
    assert search([], pairs(0, 0, 5)).reason == "nothing_scored"
    unknown = [Pair(case_id=f"u{i}", incumbent=None, candidate=1.0) for i in range(4)]
    assert search([*pairs(12, 0, 8), *unknown]).reason == "too_many_unscored"
    must = Pair(case_id="m", incumbent=None, candidate=1.0, must_pass=True)
    assert search(pairs(12, 0, 8), [*pairs(0, 0, 30, first="other"), must]).reason == "must_pass_unscored"


def test_a_case_of_the_cluster_is_not_counted_among_the_others() -> None:
    cases = pairs(2, 10, 4)
    assert search(cases, cases).e_harm == 1.0


def test_an_equal_edit_is_accepted_at_most_one_time_in_ten_however_often_one_looks() -> None:
    dice, accepted = random.Random(9), 0
    for _ in range(120):
        cases: list[Pair] = []
        for i in range(40):
            old, new = dice.choice([(0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
            cases.append(Pair(case_id=str(i), incumbent=old, candidate=new))
            if search(cases).verdict == "accept":
                accepted += 1
                break
    assert accepted <= 0.10 * 120

"""Bisecting: few probes, the right answer, and a range instead of a guess."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.bisect import level, span, standing, worse_p


@given(st.integers(1, 200), st.data())
def test_without_noise_the_first_bad_step_is_found_in_a_logarithm_of_probes(steps: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, steps))
    seen = {}
    while (now := span(steps, seen)).next is not None:
        seen[now.next] = "bad" if now.next >= first else "good"
    assert now.found
    assert now.bad == first
    assert len(seen) <= (steps - 1).bit_length()


@given(st.integers(1, 60), st.data())
def test_with_unclear_probes_the_first_bad_step_stays_in_the_range(steps: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, steps))
    unclear = data.draw(st.sets(st.integers(1, steps)))
    seen = {}
    while (now := span(steps, seen)).next is not None:
        assert now.next not in seen
        seen[now.next] = "unclear" if now.next in unclear else "bad" if now.next >= first else "good"
    assert now.good < first <= now.bad
    assert set(range(now.good + 1, now.bad)) <= unclear


@given(st.integers(2, 30), st.dictionaries(st.integers(1, 29), st.sampled_from(["good", "bad", "unclear"])))
def test_whatever_is_answered_the_range_is_one(steps: int, answers: dict[int, str]) -> None:
    now = span(steps, {at: one for at, one in answers.items() if at < steps})
    assert 0 <= now.good < now.bad <= steps
    assert now.next is None or now.good < now.next < now.bad


def test_a_probe_is_judged_against_both_ends() -> None:
    lost, same = [-1.0] * 20, [0.0] * 20
    assert standing(lost, same, alpha=0.01) == "bad"
    assert standing(same, lost, alpha=0.01) == "good"
    assert standing(same, same, alpha=0.01) == "unclear"
    assert standing(lost, lost, alpha=0.01) == "bad", "it is worse already, whatever came later"
    assert standing([-1.0] * 3, [-1.0] * 3, alpha=0.01) == "unclear", "three cases prove nothing"


def test_no_case_is_no_proof_and_graded_scores_are_weighed_too() -> None:
    assert worse_p([]) == 1
    assert worse_p([1.0] * 30) == 1
    assert worse_p([-0.5] * 60) < 0.001 < worse_p([-0.5, 0.5] * 30)


def test_the_level_is_shared_out_over_all_comparisons() -> None:
    assert level(1) == 0.05
    assert level(2) == 0.05 / 3
    assert level(8) == 0.05 / 7

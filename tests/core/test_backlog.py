"""The backlog: enough failures, from enough people, ranked by what they are worth."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.backlog import MIN_GAP, Failure, Lever, LeverState, gaps, hold_reason, quota, sources, top, trait


def failure(number: int, source: str = "", expected: str = "refund", predicted: str = "billing") -> Failure:
    return Failure(
        id=number, trace_id=f"t{number}", version=1, input=f"text {number}", predicted=predicted, expected=expected,
        source=source,
    )  # fmt: skip


def evidence(*counts: int) -> list[Failure]:
    """Failures of one source per count, mixed as they arrive."""
    left, found = dict(enumerate(counts)), list[Failure]()
    while left:
        for source in list(left):
            if left[source] == 0:
                del left[source]
                continue
            left[source] -= 1
            found.append(failure(len(found), f"user{source}"))
    return found


def kept(*counts: int, share: float = 0.1) -> list[int]:
    found = Counter(one.source for one in quota(evidence(*counts), share))
    return [found[f"user{source}"] for source in range(len(counts))]


COUNTS = st.lists(st.integers(1, 40), min_size=2, max_size=30)


# Holding


@pytest.mark.parametrize(("failures", "holds"), [(0, True), (19, True), (20, False), (21, False)])
def test_below_the_minimum_the_answer_is_to_hold_with_the_reason(failures: int, holds: bool) -> None:
    reason = hold_reason(failures, 20)
    assert bool(reason) == holds
    assert not holds or (str(failures) in reason and "20" in reason)


# Quotas


def test_one_angry_user_is_a_tenth_of_what_is_kept_and_not_of_what_came_in() -> None:
    assert kept(91, *[1] * 9) == [1] * 10
    assert kept(500, *[2] * 18) == [4, *[2] * 18]
    assert kept(50, *[1] * 19) == [2, *[1] * 19]


@given(COUNTS)
def test_no_source_of_ten_or_more_gives_more_than_a_tenth(counts: list[int]) -> None:
    if len(counts) >= 10:
        found = kept(*counts)
        assert max(found) <= 0.1 * sum(found) + 1e-9


@given(COUNTS, st.sampled_from((0.1, 0.2, 0.34, 0.5)))
def test_the_quota_keeps_as_much_as_the_share_allows(counts: list[int], share: float) -> None:
    found = kept(*counts, share=share)
    limit = max(found)
    assert found == [min(count, limit) for count in counts], "everybody is cut at the same number"
    if len(counts) * share >= 1 and limit < max(counts):
        more = [min(count, limit + 1) for count in counts]
        assert limit + 1 > share * sum(more), "one more each would be too much"


@given(COUNTS)
def test_where_a_tenth_is_impossible_nobody_gives_more_than_the_typical_source(counts: list[int]) -> None:
    if len(counts) < 10:
        median = sorted(counts)[(len(counts) - 1) // 2]
        assert max(kept(*counts)) <= median
        assert sum(one >= min(median, max(kept(*counts))) for one in kept(*counts)) * 2 >= len(counts)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((91, 9), [9, 9]), ((91, 3, 2), [3, 3, 2]), ((20,) * 5, [20] * 5),
     ((200, 5, 5, 5, 1), [5, 5, 5, 5, 1]), ((7, 1), [1, 1])],
)  # fmt: skip
def test_among_few_sources_the_loud_one_is_no_louder_than_the_others(
    counts: tuple[int, ...], expected: list[int]
) -> None:
    assert kept(*counts) == expected


def test_a_single_source_is_left_to_the_policy_and_nameless_failures_are_one_source() -> None:
    alone = [failure(number) for number in range(50)]
    assert quota(alone) == tuple(alone)
    assert sources(alone) == 1
    mixed = alone + [failure(100 + number, f"user{number}") for number in range(20)]
    assert sources(mixed) == 21
    assert Counter(one.source for one in quota(mixed))[""] == 2
    assert quota([]) == ()
    assert sources([]) == 0


def test_records_of_a_file_an_operator_supplied_are_not_limited() -> None:
    records = [failure(number, f"file:tickets.csv:{number}") for number in range(40)]
    assert quota(records) == tuple(records)


@given(COUNTS)
def test_what_is_kept_is_the_first_of_each_source_in_order(counts: list[int]) -> None:
    everything = evidence(*counts)
    found = quota(everything)
    assert [one.id for one in found] == sorted(one.id for one in found)
    for source in {one.source for one in found}:
        mine = [one for one in found if one.source == source]
        assert mine == [one for one in everything if one.source == source][: len(mine)]


# Gaps


def test_failures_that_miss_the_same_answer_are_one_gap_with_its_share_of_the_traffic() -> None:
    some = [failure(n, expected=" Refund ", predicted="billing") for n in range(3)]
    some += [failure(9, expected="refund", predicted="Other"), failure(10, expected="refund", predicted=" ")]
    few = [failure(n, expected="fraud") for n in range(20, 20 + MIN_GAP - 1)]
    (gap,) = gaps([*some, *few], labelled=50)
    assert (gap.key, gap.impact, len(gap.failures)) == ("missed:refund", 0.1, 5)
    assert gap.title == "refund answered as billing (3), other (1), (nothing) (1)"


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.integers(0, 100))
def test_gaps_come_largest_first_and_hold_every_failure_of_a_large_enough_cluster(
    expected: list[str], labelled: int
) -> None:
    failures = [failure(number, expected=name) for number, name in enumerate(expected)]
    found = gaps(failures, labelled)
    assert [gap.impact for gap in found] == sorted((gap.impact for gap in found), reverse=True)
    wanted = {f"missed:{name}": count for name, count in Counter(expected).items() if count >= MIN_GAP}
    assert {gap.key: len(gap.failures) for gap in found} == wanted
    assert gaps(list(reversed(failures)), labelled) != () or not found
    assert [gap.key for gap in gaps(sorted(failures, key=lambda one: -one.id), labelled)] == [gap.key for gap in found]


# Ranking


def lever(name: str, impact: float, tries: int = 0, state: LeverState = "open") -> Lever:
    return Lever(
        id=f"L-{name}", agent="a", gap=name, title=name, impact=impact, failures=5, tries=tries, state=state
    )  # fmt: skip


def test_the_open_lever_of_the_highest_worth_comes_first_and_a_failed_try_halves_it() -> None:
    big, small, tried = lever("big", 0.3), lever("small", 0.2), lever("tried", 0.7, tries=2)
    assert tried.worth == pytest.approx(0.175)
    assert top([small, tried, big]) == big
    assert top([small, tried]) == small
    assert top([]) is None
    assert top([lever("nothing", 0.0)]) is None


@pytest.mark.parametrize("state", [state for state in get_args(LeverState) if state != "open"])
def test_only_open_levers_are_offered(state: LeverState) -> None:
    assert top([lever("big", 0.9, state=state)]) is None


@given(st.permutations([lever("a", 0.5), lever("b", 0.5), lever("c", 0.25), lever("d", 1.0, tries=1)]))
def test_ties_never_wobble(levers: list[Lever]) -> None:
    best = top(levers)
    assert best is not None
    assert best.gap == "a"


@pytest.mark.parametrize(("key", "said"), [
    ("missed:refund", "where refund was right"), ("missed:", "whose right answer nobody named"),
    ("check:json_schema:refund", "that the check json_schema found"),
    ("tool:search: timeout", "in which the tool search: timeout broke"),
    ("missed:" + "x" * 100, "where (another text) was right"),
])  # fmt: skip
def test_what_failures_share_is_said_in_words_and_never_in_a_strangers(key: str, said: str) -> None:
    assert trait(key) == said

"""An outline: every step once, below its parent, whatever programs send."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.outline import Extent, Strand, extent, outline

Row = tuple[str, str, int]
"""A step: its id, the id of its parent, when it began."""
NAMES = [f"{n:x}" for n in range(12)]
STEPS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["", "gone", *NAMES]), st.integers(0, 5)),
    max_size=12, unique_by=lambda one: one[0],
)  # fmt: skip


def strand(*steps: Row, agent: str = "a", failed: tuple[str, ...] = (), ended: int = 0) -> Strand:
    ids, parents, started = ([one[column] for one in steps] for column in range(3))
    return Strand(agent=agent, ids=ids, parents=parents, started=started, ended=[ended] * len(ids),
                  failed=frozenset(failed))  # fmt: skip


@given(STEPS)
def test_every_step_stands_there_once_whatever_circles_and_gaps_there_are(steps: list[Row]) -> None:
    made = outline([strand(*steps)])
    assert sorted(made.ids) == sorted(one[0] for one in steps)
    assert len(made.depths) == len(made.below) == len(made.agents) == len(steps)


@given(STEPS)
def test_what_stands_below_is_what_is_deeper_right_after_it(steps: list[Row]) -> None:
    made = outline([strand(*steps)])
    for at, depth in enumerate(made.depths):
        deeper = 0
        for other in made.depths[at + 1 :]:
            if other <= depth:
                break
            deeper += 1
        assert made.below[at] == deeper


@given(STEPS)
def test_a_step_below_another_is_its_child(steps: list[Row]) -> None:
    made, parents = outline([strand(*steps)]), {one[0]: one[1] for one in steps}
    above: list[str] = []
    for one, depth in zip(made.ids, made.depths, strict=True):
        del above[depth:]
        if depth:
            assert parents[one] == above[-1]
        above.append(one)


@given(STEPS)
def test_a_step_stands_at_the_top_only_without_a_parent_or_in_a_circle(steps: list[Row]) -> None:
    made, parents = outline([strand(*steps)]), {one[0]: one[1] for one in steps}
    for one, depth in zip(made.ids, made.depths, strict=True):
        seen, at = {one}, parents[one]
        while at in parents and at not in seen:
            seen.add(at)
            at = parents[at]
        assert depth or at not in parents or at == one or parents[one] in seen


@given(STEPS, st.randoms())
def test_the_order_of_arrival_does_not_matter(steps: list[Row], luck) -> None:
    mixed = [*steps]
    luck.shuffle(mixed)
    cut = luck.randint(0, len(mixed))
    assert outline([strand(*mixed[:cut]), strand(*mixed[cut:])]) == outline([strand(*steps)])


@given(STEPS, STEPS)
def test_what_another_agent_sent_takes_no_steps_place(own: list[Row], others: list[Row]) -> None:
    made = outline([strand(*own), strand(*others, agent="b", failed=tuple(one[0] for one in others))])
    held = {one[0] for one in own}
    assert {one for one, agent in zip(made.ids, made.agents, strict=True) if agent == "a"} == held
    assert sorted(made.ids) == sorted(held | {one[0] for one in others})
    assert set(made.failed) == {one[0] for one in others} - held


def test_a_step_that_came_twice_stands_there_once() -> None:
    assert outline([strand(("a", "", 1), ("a", "", 2), ("b", "a", 3))]).ids == ["a", "b"]


def test_siblings_stand_in_the_order_in_which_they_began() -> None:
    made = outline([strand(("c", "a", 9), ("b", "a", 4), ("a", "", 5), ("d", "b", 1), failed=("c", "d", "x"))])
    assert made.ids == ["a", "b", "d", "c"]
    assert made.failed == ["d", "c"]
    assert (made.place("d"), made.place("x")) == (2, None)


def test_a_chain_of_fifty_thousand_is_no_deeper_than_a_stack_can_be() -> None:
    made = outline([strand(*((str(n), str(n - 1) if n else "", n) for n in range(50_000)))])
    assert (made.depths[-1], made.below[0]) == (49_999, 49_999)


def test_a_share_of_the_time_stays_within_it() -> None:
    assert extent([]) == extent([strand()]) == Extent(0, 0)
    whole = extent([strand(("a", "", 10), ended=110), strand(("b", "", 30))])
    assert [whole.share(moment) for moment in (0, 10, 60, 110, 999)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert Extent(5, 5).share(5) == 0.0
    assert extent([strand(("a", "", 7))]) == Extent(7, 7)

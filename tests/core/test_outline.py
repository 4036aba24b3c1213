"""An outline: every step once, below its parent, whatever programs send."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.outline import Extent, Step, extent, outline


def step(name: str, parent: str = "", at: int = 0, ended: int = 0) -> Step:
    return Step(name, parent, "a", failed=False, started=at, ended=ended)


NAMES = [f"{n:x}" for n in range(12)]
STEPS = st.lists(
    st.builds(step, st.sampled_from(NAMES), st.sampled_from(["", "gone", *NAMES]), st.integers(0, 5)),
    max_size=12, unique_by=lambda one: one.span_id,
)  # fmt: skip


@given(STEPS)
def test_every_step_stands_there_once_whatever_circles_and_gaps_there_are(steps: list[Step]) -> None:
    made = outline(steps)
    assert sorted(one.span_id for one in made.steps) == sorted(one.span_id for one in steps)
    assert len(made.depths) == len(made.below) == len(steps)


@given(STEPS)
def test_what_stands_below_is_what_is_deeper_right_after_it(steps: list[Step]) -> None:
    made = outline(steps)
    for at, depth in enumerate(made.depths):
        deeper = 0
        for other in made.depths[at + 1 :]:
            if other <= depth:
                break
            deeper += 1
        assert made.below[at] == deeper


@given(STEPS)
def test_a_step_below_another_is_its_child(steps: list[Step]) -> None:
    made = outline(steps)
    above: list[str] = []
    for one, depth in zip(made.steps, made.depths, strict=True):
        del above[depth:]
        if depth:
            assert one.parent_id == above[-1]
        above.append(one.span_id)


@given(STEPS, st.randoms())
def test_the_order_of_arrival_does_not_matter(steps: list[Step], luck) -> None:
    mixed = [*steps]
    luck.shuffle(mixed)
    assert outline(mixed) == outline(steps)


def test_siblings_stand_in_the_order_in_which_they_began() -> None:
    made = outline([step("c", "a", 9), step("b", "a", 4), step("a", "", 5), step("d", "b", 1)])
    assert [one.span_id for one in made.steps] == ["a", "b", "d", "c"]
    assert (made.place("d"), made.place("x")) == (2, None)


def test_a_chain_of_fifty_thousand_is_no_deeper_than_a_stack_can_be() -> None:
    made = outline(step(str(n), str(n - 1) if n else "", n) for n in range(50_000))
    assert (made.depths[-1], made.below[0]) == (49_999, 49_999)


def test_a_share_of_the_time_stays_within_it() -> None:
    assert extent([]) == Extent(0, 0)
    whole = extent([step("a", at=10, ended=110), step("b", at=30)])
    assert [whole.share(moment) for moment in (0, 10, 60, 110, 999)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert Extent(5, 5).share(5) == 0.0

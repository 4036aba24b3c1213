"""An outline: the steps of a request in the order in which a person reads them, each with its depth.

A tree of whole spans (`core.tree`) is for programs and for a thousand steps. A page shows some lines of many thousand,
so it takes only what a line needs, and counts what stands below each. What programs send is not always a tree: a step
whose parent is not there stands at the top, and of steps that go round in a circle the one that began first does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple


class Step(NamedTuple):
    """What an outline needs of a span; times are nanoseconds since 1970, `ended` is 0 while it is not known."""

    span_id: str
    parent_id: str
    agent: str
    failed: bool
    started: int
    ended: int


@dataclass(frozen=True, slots=True)
class Outline:
    """Steps in their order, with the depth of each from 0, and how many stand below it."""

    steps: Sequence[Step] = ()
    depths: Sequence[int] = ()
    below: Sequence[int] = ()

    def place(self, span_id: str) -> int | None:
        """Give where a step stands, None if it does not."""
        return next((at for at, one in enumerate(self.steps) if one.span_id == span_id), None)


@dataclass(frozen=True, slots=True)
class Extent:
    """From when to when a request went on, in nanoseconds since 1970."""

    began: int
    ended: int

    def share(self, moment: int) -> float:
        """Give where a moment lies, from 0 at the beginning to 1 at the end."""
        return min(1.0, max(0.0, (moment - self.began) / max(1, self.ended - self.began)))


def outline(steps: Iterable[Step]) -> Outline:
    """Give each step once, below its parent, those beside each other in the order in which they began."""
    listed = sorted(steps, key=itemgetter(4, 0))
    known = {one[0] for one in listed}
    children: dict[str, list[Step]] = {}
    for one in listed:
        parent = one[1]
        children.setdefault(parent if parent in known and parent != one[0] else "", []).append(one)
    walked: list[Step] = []
    depths: list[int] = []
    seen: set[str] = set()
    for top in (*children.get("", ()), *listed):  # after the tops only circles are left
        if top[0] not in seen:
            _walk(top, children, seen, walked, depths)
    return Outline(walked, depths, _below(depths))


def extent(steps: Sequence[Step]) -> Extent:
    """Give from the first beginning to the last end; nothing for no steps."""
    if not steps:
        return Extent(0, 0)
    return Extent(min(one.started for one in steps), max(max(one.started, one.ended) for one in steps))


def _walk(
    top: Step, children: dict[str, list[Step]], seen: set[str], walked: list[Step], depths: list[int]
) -> None:  # fmt: skip
    """Go down from a step, without recursion: a chain may be as long as the request."""
    due = [(top, 0)]
    while due:
        step, depth = due.pop()
        if step[0] in seen:
            continue
        seen.add(step[0])
        walked.append(step)
        depths.append(depth)
        if below := children.get(step[0]):
            due += [(one, depth + 1) for one in reversed(below)]


def _below(depths: Sequence[int]) -> list[int]:
    """Count what stands below each: from the end on, a step takes over the counts of the deeper ones after it."""
    below = [0] * len(depths)
    free: list[int] = []  # later steps that nobody above them has counted yet, the nearest last
    for at in range(len(depths) - 1, -1, -1):
        while free and depths[free[-1]] > depths[at]:
            below[at] += 1 + below[free.pop()]
        free.append(at)
    return below

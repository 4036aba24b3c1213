"""An outline: the steps of a request in the order in which a person reads them, each with its depth.

A tree of whole spans (`core.tree`) is for programs and for a thousand steps. A page shows some lines of many thousand,
so it takes only what a line needs, in columns since a value for each step would cost more than all that is done with
it, and counts what stands below each. What programs send is not always a tree: a step whose parent is not there stands
at the top, and of steps that go round in a circle the one that began first does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Strand:
    """Steps of one agent, column by column: what an outline needs of each.

    `parents` are the ids of the steps above, `failed` the ids of those that ended in an error. Times are nanoseconds
    since 1970; `ended` is 0 while it is not known.
    """

    agent: str
    ids: Sequence[str] = ()
    parents: Sequence[str] = ()
    started: Sequence[int] = ()
    ended: Sequence[int] = ()
    failed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The ids of steps in their order, with the agent and the depth of each from 0, and how many stand below it.

    `failed` are those that ended in an error, in the same order.
    """

    ids: Sequence[str] = ()
    agents: Sequence[str] = ()
    depths: Sequence[int] = ()
    below: Sequence[int] = ()
    failed: Sequence[str] = ()

    def place(self, span_id: str) -> int | None:
        """Give where a step stands, None if it does not."""
        return self.ids.index(span_id) if span_id in self.ids else None


@dataclass(frozen=True, slots=True)
class Extent:
    """From when to when a request went on, in nanoseconds since 1970."""

    began: int
    ended: int

    def share(self, moment: int) -> float:
        """Give where a moment lies, from 0 at the beginning to 1 at the end."""
        return min(1.0, max(0.0, (moment - self.began) / max(1, self.ended - self.began)))


def outline(strands: Sequence[Strand]) -> Outline:
    """Give each step once, below its parent, those beside each other in the order in which they began.

    Where two agents sent a step with the same id, that of the earlier strand counts.
    """
    seen = _Seen()
    for strand in strands:
        seen.add(strand)
    order = sorted(range(len(seen.ids)), key=seen.ids.__getitem__)
    order.sort(key=seen.started.__getitem__)  # after the ids, which decide between those that began at once
    above = [seen.places.get(parent, -1) for parent in seen.parents]
    walked, depths = _walked(order, above)
    below, ids, failed = _below(walked, above), [seen.ids[place] for place in walked], seen.failed
    return Outline(
        ids=ids, agents=[seen.agents[place] for place in walked], depths=[depths[place] for place in walked],
        below=[below[place] for place in walked], failed=[one for one in ids if one in failed] if failed else (),
    )  # fmt: skip


def extent(strands: Sequence[Strand]) -> Extent:
    """Give from the first beginning to the last end; nothing for no steps."""
    some = [one for one in strands if one.ids]
    if not some:
        return Extent(0, 0)
    ends = (max(column) for one in some for column in (one.started, one.ended))
    return Extent(min(min(one.started) for one in some), max(ends))


@dataclass(slots=True)
class _Seen:
    """The columns of all strands, each id once; `places` says where it stands in them."""

    ids: list[str] = field(default_factory=list[str])
    parents: list[str] = field(default_factory=list[str])
    started: list[int] = field(default_factory=list[int])
    agents: list[str] = field(default_factory=list[str])
    failed: set[str] = field(default_factory=set[str])
    places: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, strand: Strand) -> None:
        """Add the steps of a strand whose ids are new."""
        fresh = list[int]()
        for at, one in enumerate(strand.ids):
            if one not in self.places:
                self.places[one] = len(self.places)
                fresh.append(at)
        for mine, theirs in ((self.ids, strand.ids), (self.parents, strand.parents), (self.started, strand.started)):
            mine += [theirs[at] for at in fresh]
        self.agents += [strand.agent] * len(fresh)
        if strand.failed:
            self.failed.update(strand.ids[at] for at in fresh if strand.ids[at] in strand.failed)


def _walked(order: Sequence[int], above: list[int]) -> tuple[list[int], list[int]]:
    """Give places in the order in which they are read, and how deep each place is.

    `above` says of each place which one is its parent's, -1 of one without; a circle is opened where it began, there
    as well.
    """
    children, walked, depths = dict[int, list[int]](), list[int](), [0] * len(order)
    for place in order:
        parent = above[place]
        if parent == place:
            above[place] = parent = -1
        if parent in children:
            children[parent].append(place)
        else:
            children[parent] = [place]
    for top in children.get(-1, ()):
        _walk(top, children, above, walked, depths)
    if len(walked) < len(order):  # what is left goes round in circles, or hangs on one
        met = set(walked)
        for top in order:
            if top not in met:
                above[top], begins = -1, len(walked)
                _walk(top, children, above, walked, depths)
                met.update(walked[begins:])
    return walked, depths


def _walk(
    top: int, children: dict[int, list[int]], above: Sequence[int], walked: list[int], depths: list[int]
) -> None:  # fmt: skip
    """Go down from a place, without recursion: a chain may be as long as the request."""
    due = [top]
    while due:
        place = due.pop()
        walked.append(place)
        if place in children:
            below, deeper = [one for one in children[place] if above[one] == place], depths[place] + 1
            for one in below:
                depths[one] = deeper
            due += below[::-1]


def _below(walked: Sequence[int], above: Sequence[int]) -> list[int]:
    """Count what stands below each place: from the end on, each tells its parent of itself and of those below it."""
    below = [0] * len(walked)
    for place in reversed(walked):
        if (parent := above[place]) >= 0:
            below[parent] += 1 + below[place]
    return below

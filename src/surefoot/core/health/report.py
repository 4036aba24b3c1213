"""All lines of health together, for whoever looks: those of the whole house only for who sees all agents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from surefoot.core.exposition import Reading
from surefoot.core.health.counted import Counted, taking_in, upstreams
from surefoot.core.health.sign import GROUPS, Sign, Tone, in_order, worst
from surefoot.core.health.stored import Mine, Whole, lapsed, letters, money, store, waiting, work

MOST_FIRST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The lines of one group, and the worst of them."""

    name: str
    worst: Tone
    lines: tuple[Sign, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """All lines by group; `bad` and `watch` count those that ask for somebody.

    `first` are some of these, `more` is how many others there are. Without `whole` they are about some agents only.
    """

    worst: Tone
    bad: int
    watch: int
    first: tuple[Sign, ...]
    more: int
    parts: tuple[Part, ...]
    whole: bool

    @property
    def lines(self) -> tuple[Sign, ...]:
        """All lines in their order."""
        return tuple(line for part in self.parts for line in part.lines)


def health(lines: Sequence[Sign], *, whole: bool) -> Health:
    """Give what all lines come to."""
    asks = sorted((one for one in lines if one.tone in ("bad", "watch")), key=lambda one: one.tone)
    groups = ((name, tuple(one for one in lines if one.group == name)) for name in GROUPS)
    return Health(
        worst=worst(lines), bad=sum(one.tone == "bad" for one in lines), whole=whole,
        watch=sum(one.tone == "watch" for one in lines), first=tuple(asks[:MOST_FIRST]),
        more=max(0, len(asks) - MOST_FIRST),
        parts=tuple(Part(name=name, worst=worst(some), lines=some) for name, some in groups if some),
    )  # fmt: skip


def signs(mine: Mine, whole: Whole | None, readings: Sequence[Reading], now: datetime) -> list[Sign]:
    """Give all lines; without `whole`, only those about the agents that somebody sees."""
    found = [*money(mine, all_of_them=whole is not None), *waiting(mine, now), *lapsed(mine)]
    if whole is not None:
        counted = Counted(readings)
        found += [*taking_in(counted, now), *work(whole, mine, now), *upstreams(counted, now)]
        found += [*letters(whole, now), *store(whole, now)]
    return in_order(found)

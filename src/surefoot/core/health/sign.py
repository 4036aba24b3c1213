"""A sign of health: one line that an operator reads, good or bad, since when, and what to do next.

Nothing is called good that nobody could see, and a line that asks for something names one command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Tone = Literal["bad", "watch", "good", "idle"]
Group = Literal["Taking in", "Work", "Outside", "Money", "Store", "People"]
GROUPS: tuple[Group, ...] = ("Taking in", "Work", "Outside", "Money", "Store", "People")
_ORDER: tuple[Tone, ...] = ("bad", "watch", "good", "idle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One line: what is looked at, its figure, one sentence, since when, and what to do next where that is anything."""

    group: Group
    name: str
    tone: Tone
    figure: str
    sentence: str
    since: datetime | None = None
    todo: str = ""
    command: str = ""
    href: str = ""


def in_order(lines: Sequence[Sign]) -> list[Sign]:
    """Give lines by group, and within one those that need somebody first."""
    return sorted(lines, key=lambda one: (GROUPS.index(one.group), _ORDER.index(one.tone)))


def worst(lines: Sequence[Sign]) -> Tone:
    """Give the worst tone that there is; of nothing it is idle."""
    return _ORDER[min((_ORDER.index(one.tone) for one in lines), default=-1)]


def by_share(share: float, *, watch: float, bad: float) -> Tone:
    """Give the tone of a share of what there is room for."""
    return "bad" if share >= bad else "watch" if share >= watch else "good"

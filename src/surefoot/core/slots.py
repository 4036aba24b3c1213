"""Looks at the sealed split: K even slots, each counted, and none left after the first release.

A split that was asked often enough tells everything, so every look costs one of K slots, declared when the split was
made. Once a look has released a version, the rest of the slots counts as spent until half of the cases are fresh
(evidence.md §2); then the count starts anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look: at which genome, what it said, and how many sealed cases there were then."""

    digest: str
    at: datetime
    verdict: str
    cases: int


def slots_left(looks: Sequence[Look], *, slots: int, cases: int) -> int:
    """Give how many of `slots` are left, with `cases` sealed cases now and `looks` in the order they happened."""
    spent = 0
    released_at: int | None = None
    for look in looks:
        if released_at is not None and _fresh(released_at, look.cases):
            spent, released_at = 0, None
        spent += 1
        if look.verdict == "pass":
            released_at = look.cases
    if released_at is not None:
        return slots if _fresh(released_at, cases) else 0
    return max(0, slots - spent)


def _fresh(then: int, now: int) -> bool:
    return now > 0 and (now - then) * 2 >= now

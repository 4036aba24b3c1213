"""Recurrence: what became of a cause of failures, and whether it came back after it was mended.

A cause without a lever is new. Its lever says whether it is known, being mended, left alone, or mended, and in which
version. A mended cause is fixed in the versions that carry the mending: the one it shipped in and those made from it.
A failure of one of these says that it came back. Where the live version carries no mending (it was rolled back, or is
not live yet) the cause stands as it did before, with the reason in words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from surefoot.core.backlog import Lever

Fate = Literal["new", "known", "being mended", "fixed", "regressed", "left alone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """What became of a cause: one word, the version it was `fixed_in` (0: none, or not known), and one sentence."""

    fate: Fate
    fixed_in: int
    sentence: str

    @property
    def words(self) -> str:
        """The word as people read it, such as `fixed in v3`."""
        return f"fixed in v{self.fixed_in}" if self.fate == "fixed" and self.fixed_in else self.fate


def carriers(number: int, parents: Mapping[int, int | None]) -> frozenset[int]:
    """Give the versions that carry what `number` brought: itself and all that were made from it."""
    found = {number}
    for one in sorted(parents):  # a version is younger than its parent, so one round is enough
        if parents[one] in found:
            found.add(one)
    return frozenset(found)


def recurrence(
    lever: Lever | None, *, failing: Collection[int], live: int, parents: Mapping[int, int | None],
    coming: Collection[int] = (),
) -> Recurrence:  # fmt: skip
    """Say what became of a cause.

    `failing` are the versions that its failures in the window are of, `parents` says of each version which one it was
    made from, `coming` are those that may still become live.
    """
    if lever is None:
        return Recurrence(fate="new", fixed_in=0, sentence="No lever answers it yet; the next tick may make one.")
    match lever.state:
        case "open":
            return _known("It waits in the backlog." if not lever.tries else f"It was tried {lever.tries} times.")
        case "failed":
            return _known("What was tried did not mend it, and nothing tries it again by itself.")
        case "closed":
            return Recurrence(fate="left alone", fixed_in=0, sentence=lever.note or "Its lever is closed.")
        case "doing" | "drafted":
            return Recurrence(fate="being mended", fixed_in=0, sentence="An edit against it is being tested.")
        case "shipped":
            return _shipped(lever.shipped_in, frozenset(failing), live, parents, frozenset(coming))


def _known(sentence: str) -> Recurrence:
    return Recurrence(fate="known", fixed_in=0, sentence=sentence)


def _shipped(
    number: int, failing: frozenset[int], live: int, parents: Mapping[int, int | None], coming: frozenset[int]
) -> Recurrence:  # fmt: skip
    if not number:  # shipped before versions were noted: only what serves now can tell
        came_back = live in failing
        sentence = f"It was mended, and v{live} fails so again." if came_back else "It was mended."
        return Recurrence(fate="regressed" if came_back else "fixed", fixed_in=0, sentence=sentence)
    carrying = carriers(number, parents)
    if again := sorted(failing & carrying):
        which = f"v{again[-1]}" if len(again) == 1 else f"{len(again)} versions since"
        return Recurrence(
            fate="regressed", fixed_in=number, sentence=f"It was fixed in v{number}, and {which} failed so again."
        )
    if live not in carrying and carrying & coming:
        return Recurrence(fate="being mended", fixed_in=number, sentence=f"v{number} mends it, and is not live yet.")
    if live not in carrying:
        return Recurrence(
            fate="known",
            fixed_in=number,
            sentence=f"v{number} mends it, but v{live} serves, which does not carry that.",
        )
    return Recurrence(fate="fixed", fixed_in=number, sentence=f"Since v{number} nothing failed so in this window.")

"""Ancestor: from which earlier text a person's copy of a file came, when the loop has written it too.

A person may have committed, merged, or just saved. Of the texts that both sides are known to have had, the one nearest
to the person's is where they started; what they changed since then goes on top of the loop's text.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from surefoot.core.errors import Conflict
from surefoot.core.repo.merge import Clash, merged


def taken_in(name: str, loop: str | None, person: str | None, known: Sequence[str]) -> str | None:
    """Give the text that holds what both wrote; Conflict names the line on which they differ.

    `known` are texts that both are known to have had. A side that has no such file leaves the other's.
    """
    if person is None or loop is None:
        return loop if person is None else person
    if person in (loop, *known):
        return loop
    before = min(known, key=lambda text: _distance(text, person), default="")
    done = merged(before, loop, person)
    if isinstance(done, Clash):
        raise Conflict(
            f"{name}, line {done.line}: you and the loop both changed this line",
            hint="take the loop's text for it (surefoot levers shows it; it is on the loop's branch), then edit again",
        )
    return done


def _distance(one: str, other: str) -> int:
    parts = SequenceMatcher(None, one.splitlines(), other.splitlines(), autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in parts if tag != "equal")

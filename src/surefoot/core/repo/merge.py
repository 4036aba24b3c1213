"""Merge: three texts into one, line by line, when a person and the loop both wrote a file.

Where only one side changed lines, that side is taken; where both made the same change, it is taken once; where both
added lines at the same place, the loop's come first, because its logs stand at the ends of blocks. Lines that both
changed differently are a conflict, and nothing is merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """Lines that both sides changed, in the person's text: the first one, counted from 1."""

    line: int


@dataclass(frozen=True, slots=True)
class _Hunk:
    start: int
    end: int
    lines: tuple[str, ...]
    at: int


def merged(before: str, loop: str, person: str) -> str | Clash:
    """Merge what the loop and a person made of the same text; a Clash names the person's line."""
    if loop in (before, person):
        return person
    if before == person:
        return loop
    base = before.splitlines(keepends=True)
    ours, theirs = _hunks(base, loop.splitlines(keepends=True)), _hunks(base, person.splitlines(keepends=True))
    done, at = list[str](), 0
    while ours or theirs:
        one, other = ours[:1], theirs[:1]
        if one and other and (clash := _meet(one[0], other[0])) is not None:
            if not clash:
                return Clash(line=other[0].at + 1)
            done += [*base[at : one[0].start], *clash]
            at = one[0].end
            ours, theirs = ours[1:], theirs[1:]
            continue
        first = ours if one and (not other or (one[0].start, one[0].end) <= (other[0].start, other[0].end)) else theirs
        hunk = first.pop(0)
        done += [*base[at : hunk.start], *hunk.lines]
        at = hunk.end
    return "".join([*done, *base[at:]])


def _hunks(base: list[str], text: list[str]) -> list[_Hunk]:
    found = SequenceMatcher(None, base, text, autojunk=False).get_opcodes()
    return [_Hunk(i1, i2, tuple(text[j1:j2]), j1) for tag, i1, i2, j1, j2 in found if tag != "equal"]


def _meet(ours: _Hunk, theirs: _Hunk) -> tuple[str, ...] | None:
    """What becomes of two hunks that meet: the lines of both, nothing for a clash; None when they are apart."""
    if ours == theirs or (ours.start, ours.end, ours.lines) == (theirs.start, theirs.end, theirs.lines):
        return ours.lines or ("",)
    if ours.start == ours.end == theirs.start == theirs.end:
        return (*(line if line.endswith("\n") else f"{line}\n" for line in ours.lines), *theirs.lines)
    if ours.end < theirs.start or theirs.end < ours.start:
        return None
    if ours.end == theirs.start and ours.start < ours.end and theirs.start < theirs.end:
        return None
    if theirs.end == ours.start and ours.start < ours.end and theirs.start < theirs.end:
        return None
    return _touching(ours, theirs)


def _touching(ours: _Hunk, theirs: _Hunk) -> tuple[str, ...] | None:
    """An insertion at the edge of the other side's change is apart from it; anything else is a clash."""
    for one, other in ((ours, theirs), (theirs, ours)):
        if one.start == one.end and one.start in (other.start, other.end):
            return None
    return ()

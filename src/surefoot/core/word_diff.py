"""Two texts compared word by word, in pieces that people can read.

Words keep the white space after them, so that a changed word changes nothing beside it. Very long texts are compared
line by line, because the time grows with the product of the lengths. Whoever approves sees only this, so characters
that show nothing are written out.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from surefoot.core.plain import visible

PieceKind = Literal["same", "added", "removed"]
_WORD = re.compile(r"\S+\s*|\s+")
MOST_PRODUCT = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of words that both texts have, or only the newer or the older one; `words` counts them."""

    kind: PieceKind
    text: str
    words: int


def word_pieces(before: str, after: str) -> tuple[Piece, ...]:
    """Give pieces to read both texts from: all but the added is the older one, all but the removed the newer."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    if len(old) * len(new) > MOST_PRODUCT:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[Piece] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(_piece("same", old[a:b]))
            continue
        if b > a:
            found.append(_piece("removed", old[a:b]))
        if d > c:
            found.append(_piece("added", new[c:d]))
    return tuple(found)


def _piece(kind: PieceKind, words: list[str]) -> Piece:
    text = "\n".join(visible(line, keep="\t") for line in "".join(words).split("\n"))
    return Piece(kind=kind, text=text, words=sum(len(one.split()) for one in words))

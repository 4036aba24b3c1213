"""A change shown block by block and word by word, with who wrote each part, for which lever, on which evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from surefoot.core.diff import Change, block_lines, changes
from surefoot.core.genome import Genome
from surefoot.core.mask import masked_gap
from surefoot.core.word_diff import Piece, word_pieces
from surefoot.engine.credit import Credit, credits_of
from surefoot.ports import Tx

LONG, EDGE = 36, 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece as it is shown; of a long one that is the same only its edges, with the middle to be opened."""

    kind: str
    text: str
    middle: str = ""
    end: str = ""
    hidden: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One block that differs, with its credits; `note` says what differs that is no word."""

    id: str
    kind: str
    block: str
    locked: bool
    parts: tuple[Part, ...]
    note: str
    added: int
    removed: int
    credits: tuple[Credit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs between two genomes, and what stayed: how many blocks of which kind, and the locked ones by name."""

    hunks: tuple[Hunk, ...]
    same: tuple[tuple[str, int], ...]
    locked_same: tuple[str, ...]
    locked_changed: tuple[str, ...]


def difference(tx: Tx, agent: str, before: Genome, after: Genome, *, base: int, head: int, reads: bool) -> Difference:
    """Compare two versions of an agent; who does not read learns which lever it was for, not what failed there."""
    found = changes(before, after)
    written = credits_of(tx, agent, {one.id for one in found}, after=base, to=head)
    if not reads:
        written = {name: tuple(replace(one, title="", gap=masked_gap(one.gap)) for one in some)
                   for name, some in written.items()}  # fmt: skip
    touched = {one.id for one in found}
    same = [block for block in after.blocks if block.id not in touched]
    return Difference(
        hunks=tuple(_hunk(one, written.get(one.id, ())) for one in found),
        same=tuple(sorted(Counter(block.kind for block in same).items())),
        locked_same=tuple(block.id for block in same if block.locked),
        locked_changed=tuple(dict.fromkeys(one.id for one in found if one.before is not None and one.before.locked)),
    )  # fmt: skip


def _hunk(change: Change, written: tuple[Credit, ...]) -> Hunk:
    block = change.after or change.before
    assert block is not None
    old, new = ("\n".join(block_lines(one)) for one in (change.before, change.after))
    pieces = () if change.kind == "moved" else word_pieces(old, new)
    plain = all(one.kind == "same" for one in pieces)
    return Hunk(
        id=change.id, kind=change.kind, block=block.kind, locked=block.locked, parts=tuple(parts(pieces)),
        note="; ".join(line.strip() for line in change.lines()) if plain else "",
        added=sum(one.words for one in pieces if one.kind == "added"),
        removed=sum(one.words for one in pieces if one.kind == "removed"), credits=written,
    )  # fmt: skip


def parts(pieces: Iterable[Piece]) -> list[Part]:
    """Give pieces as they are shown: a long run of the same words folds up."""
    found: list[Part] = []
    for one in pieces:
        words = one.text.split(" ")
        if one.kind != "same" or one.words <= LONG or len(words) <= LONG:
            found.append(Part(kind=one.kind, text=one.text))
            continue
        head, middle, tail = words[:EDGE], words[EDGE:-EDGE], words[-EDGE:]
        found.append(Part(
            kind="same", text=" ".join(head) + " ", middle=" ".join(middle) + " ", end=" ".join(tail),
            hidden=len(middle),
        ))  # fmt: skip
    return found

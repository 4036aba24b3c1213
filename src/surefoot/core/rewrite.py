"""A free rewrite of the instructions, turned into typed edits.

`instructions` gives all that a rewrite may touch as one text: the editable sections, then the rules as bullets. What a
model made of it is cut into paragraphs and bullets, each is paired with the block it came from (equal first, then the
most alike), and only what differs becomes an edit. Rewrites lose what they do not talk about (context collapse), so a
missing paragraph is put back and a missing rule stays, unless its block was named as one that may go. What repeats a
locked block is no addition. The edits never name a locked block, and the same text gives none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import count
from typing import Literal

from surefoot.core.edit import Edit
from surefoot.core.genome import Block, Genome

RULES = "Rules:"
# Two paragraphs that share at least this part are taken for the same one in other words. Rules are written by a
# pattern, so they need more: "If the message mentions A, answer B." must not pass for a new wording of "... C, ... D."
ALIKE = 0.5
ALIKE_RULES = 0.75
# A piece that is this much like a locked one only repeats it.
ECHO = 0.9
_LONGEST_COMPARED = 4000
_WORD = re.compile(r"\w+")
_BULLET = re.compile(r"\s{0,3}(?:[-*•]|\d{1,3}[.)])\s+(\S.*)")
_HEADING = re.compile(r"\s*[#*_]{0,4}\s*rules\s*:?\s*[*_]{0,4}\s*:?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """A text in pieces: paragraphs of prose, and the bullets below the heading of the rules."""

    paragraphs: tuple[str, ...]
    bullets: tuple[str, ...]


def instructions(genome: Genome) -> str:
    """Give the editable sections and rules as one text that can be rewritten."""
    sections = [block.text.strip("\n") for block in _editable(genome, "section")]
    rules = [f"- {_folded(block.text)}" for block in _editable(genome, "rule")]
    return "\n\n".join([*sections, *(["\n".join([RULES, *rules])] if rules else [])])


def edits_of_rewrite(
    genome: Genome, text: str, *, may_retire: Collection[str] = (), gap: str = "", evidence: tuple[str, ...] = ()
) -> tuple[Edit, ...]:
    """Give the edits that make of the genome's instructions what `text` adds and changes.

    `may_retire` names the blocks whose deletion was asked for. A section that is rewritten keeps its lost paragraphs;
    new paragraphs go where they stand, and become a section of their own where there is none.
    """
    if _same(text, instructions(genome)):
        return ()
    pen = _Pen(genome, gap, evidence, frozenset(may_retire))
    told = pieces(text)
    pen.sections([one for one in told.paragraphs if not pen.echoes(one)])
    pen.rules([one for one in told.bullets if not pen.echoes(one)])
    return tuple(pen.edits)


def pieces(text: str) -> Pieces:
    """Cut a text into paragraphs and, below the heading of the rules, bullets; a fence around all of it is dropped."""
    paragraphs, bullets, ruling = list[list[str]]([[]]), list[str](), False
    for line in _unfenced(text).splitlines():
        if _HEADING.fullmatch(line):
            ruling = True
        elif ruling and (found := _BULLET.fullmatch(line)):
            bullets.append(found[1].strip())
        elif ruling and bullets and line[:1].isspace() and line.strip():
            bullets[-1] += " " + line.strip()
        elif line.strip():
            ruling = False
            paragraphs[-1].append(line.rstrip())
        else:
            paragraphs.append([])
    return Pieces(paragraphs=tuple("\n".join(lines) for lines in paragraphs if lines), bullets=tuple(bullets))


def _unfenced(text: str) -> str:
    lines = text.strip().splitlines()
    whole = len(lines) > 1 and lines[0].startswith("```") and lines[-1].strip() == "```"
    return "\n".join(lines[1:-1]) if whole else text


def _editable(genome: Genome, kind: str) -> list[Block]:
    return [block for block in genome.blocks if block.kind == kind and not block.locked and block.text.strip()]


def _folded(text: str) -> str:
    return " ".join(text.split())


def _same(one: str, other: str) -> bool:
    return _folded(one) == _folded(other)


def _paragraphs(block: Block) -> list[str]:
    return [part.strip("\n") for part in re.split(r"\n\s*\n", block.text) if part.strip()]


# Pairing


def paired(old: Sequence[str], new: Sequence[str], alike: float = ALIKE) -> dict[int, int]:
    """Give, for places in `new`, the place in `old` each came from: equal pieces first, then the most alike."""
    free, pairs = list(range(len(old))), dict[int, int]()
    for there, piece in enumerate(new):
        here = next((at for at in free if _same(old[at], piece)), None)
        if here is not None:
            pairs[there] = here
            free.remove(here)
    rest = [there for there in range(len(new)) if there not in pairs]
    scores = sorted((-_likeness(old[at], new[there]), there, at) for there in rest for at in free)
    for score, there, at in scores:
        if -score >= alike and there not in pairs and at in free:
            pairs[there] = at
            free.remove(at)
    return pairs


def _likeness(one: str, other: str) -> float:
    first, second = _WORD.findall(one[:_LONGEST_COMPARED].lower()), _WORD.findall(other[:_LONGEST_COMPARED].lower())
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


def without_losses(old: str, new: str) -> str:
    """Give the new text with the lines it lost put back where they stood."""
    before, after = old.splitlines(), new.strip("\n").splitlines()
    lines: list[str] = []
    for what, start, end, first, last in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        lines += before[start:end] if what == "delete" else after[first:last]
    return "\n".join(lines)


class _Pen:
    """Edits as they are found."""

    def __init__(self, genome: Genome, gap: str, evidence: tuple[str, ...], may_retire: frozenset[str]) -> None:
        self.edits: list[Edit] = []
        self._genome = genome
        self._gap = gap
        self._evidence = evidence
        self._may_retire = may_retire
        self._taken = {block.id for block in genome.blocks}
        self._locked = [part for block in genome.blocks if block.locked for part in (block.text, *_paragraphs(block))]

    def echoes(self, piece: str) -> bool:
        """Whether a piece only repeats what is locked."""
        return any(_same(piece, part) or _likeness(piece, part) >= ECHO for part in self._locked)

    def sections(self, told: Sequence[str]) -> None:
        blocks = _editable(self._genome, "section")
        old = [(block.id, part) for block in blocks for part in _paragraphs(block)]
        pairs = paired([part for _, part in old], told)
        now = [[part] for _, part in old]
        anchor = -1
        for there, piece in enumerate(told):
            if there in pairs:
                anchor = pairs[there]
                now[anchor][0] = without_losses(old[anchor][1], piece)
            elif any(_same(piece, part) for parts in now for part in parts):
                continue  # said twice
            elif anchor >= 0:
                now[anchor].append(piece)
            else:
                self._add("section", piece)
        met = {old[at][0] for at in pairs.values()}
        for block in blocks:
            mine = [part for (name, _), parts in zip(old, now, strict=True) if name == block.id for part in parts]
            self._change(block, "\n\n".join(mine), met=block.id in met)

    def rules(self, told: Sequence[str]) -> None:
        blocks = _editable(self._genome, "rule")
        pairs = paired([block.text for block in blocks], told, ALIKE_RULES)
        new = {at: told[there] for there, at in pairs.items()}
        for at, block in enumerate(blocks):
            self._change(block, new.get(at, block.text), met=at in new)
        known = [_folded(text) for text in (*(block.text for block in blocks), *new.values())]
        for there, piece in enumerate(told):
            if there not in pairs and _folded(piece) not in known:
                known.append(_folded(piece))
                self._add("rule", piece)

    def _change(self, block: Block, text: str, *, met: bool) -> None:
        if not met and block.id in self._may_retire:
            self._write(Edit(kind="retire", target=block.id))
        elif not _same(text, block.text):
            self._write(Edit(kind="replace", target=block.id, text=text))

    def _add(self, kind: Literal["rule", "section"], text: str) -> None:
        name = next(name for n in count(1) if (name := f"{kind}-rewrite-{n}") not in self._taken)
        self._taken.add(name)
        self._write(Edit(kind="add", target=name, text=text, block_kind=kind))

    def _write(self, edit: Edit) -> None:
        self.edits.append(replace(edit, gap=self._gap, evidence=self._evidence))

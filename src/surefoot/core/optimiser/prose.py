"""A prompt as text and as a genome, one line a block, and a rewrite of it as typed edits.

Whoever rewrites a prompt freely also forgets parts of it. So a rewrite is never taken as a whole: lines that came,
went or changed become edits, each judged by itself. Locked lines are locked blocks, which no edit can touch.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import SequenceMatcher
from itertools import count

from surefoot.core.digest import digest
from surefoot.core.edit import Edit
from surefoot.core.genome import Block, Genome


def genome_of(text: str, *, locked: Collection[str] = ()) -> Genome:
    """Give a text as blocks, a rule for a line that begins with a dash, a section for any other; lossless."""
    seen: dict[str, int] = {}
    blocks: list[Block] = []
    for line in text.split("\n"):
        seen[line] = number = seen.get(line, 0) + 1
        kind = "rule" if line.startswith("- ") else "section"
        blocks.append(Block(id=_name(line, number), kind=kind, text=line, locked=line in locked))
    return Genome(tuple(blocks))


def _name(line: str, number: int) -> str:
    return f"line-{digest([line, number])[:12]}"


def text_of(genome: Genome) -> str:
    """Give the text again, byte for byte."""
    return "\n".join(block.text for block in genome.blocks)


def rewritten(genome: Genome, text: str, *, gap: str = "") -> tuple[Edit, ...]:
    """Give what a rewrite does to a genome of `genome_of`: lines replaced, gone and new; moved lines stay."""
    old, new = [block.text for block in genome.blocks], text.split("\n")
    known = set(old)
    found: list[Edit] = []
    for change, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if change == "equal":
            continue
        gone = [block for block in genome.blocks[a:b] if block.text not in new]
        came = [line for line in dict.fromkeys(new[c:d]) if line.strip() and line not in known]
        known.update(came)
        if len(gone) == len(came):
            found += [Edit(kind="replace", target=was.id, text=line, gap=gap)
                      for was, line in zip(gone, came, strict=True)]  # fmt: skip
        else:
            found += [Edit(kind="retire", target=was.id, gap=gap) for was in gone]
            found += [_added(genome, line, gap) for line in came]
    return tuple(found)


def _added(genome: Genome, line: str, gap: str) -> Edit:
    number = next(n for n in count(1) if not genome.has(_name(line, n)))  # a replaced line keeps the name it had
    kind = "rule" if line.startswith("- ") else "section"
    return Edit(kind="add", target=_name(line, number), text=line, block_kind=kind, gap=gap)

"""The difference between two genomes, block by block, in words people can review.

Whoever approves sees only this, so it must be complete: `after` can be rebuilt from `before` and the changes, and a
change that does not show in a text (a wider predicate, a lock that is gone, an invisible character) is written out.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import Literal

from surefoot.core.genome import Block, Genome
from surefoot.core.plain import visible

ChangeKind = Literal["added", "removed", "changed", "moved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One block that differs; `before` or `after` is None where the block is new or gone.

    `follows` is, for an added or moved block, the id of the block before it in the newer genome (empty = first).
    """

    id: str
    kind: ChangeKind
    before: Block | None
    after: Block | None
    follows: str = ""

    def lines(self) -> list[str]:
        """Give the change as lines of a unified diff, each starting with '-', '+' or a space."""
        if self.kind == "moved":
            return [f" {self.id} (moved {f'after {self.follows}' if self.follows else 'to the top'})"]
        delta = list(difflib.unified_diff(block_lines(self.before), block_lines(self.after), n=1, lineterm=""))[2:]
        found = [line for line in delta if not line.startswith("@@")]
        if self.before and self.after and self.before.kind != self.after.kind:
            found += [f"-({self.before.kind})", f"+({self.after.kind})"]
        return found or [f" {self.id} ({self._notes()})"]

    def _notes(self) -> str:
        if self.before is None or self.after is None:
            return f"{self.kind}, empty"
        names = [field.name for field in fields(Block)]
        differing = [name for name in names if getattr(self.before, name) != getattr(self.after, name)]
        return f"only its {' and '.join(differing)} changed"


def block_lines(block: Block | None) -> list[str]:
    """Give a block as lines: its text, then every trait that changes what it does; none for no block."""
    if block is None:
        return []
    text = f'"{block.text}" -> {block.answer}' if block.kind == "example" else block.text
    lines = text.split("\n") if text else []
    if block.answer and block.kind != "example":
        lines += [f"(answer: {block.answer})"]
    if block.applies_to:
        lines += [f"(only where {', '.join(f'{name} = {value}' for name, value in block.applies_to)})"]
    lines += [f"({trait})" for trait in ("locked", "pinned") if getattr(block, trait)]
    return [visible(line, keep="\t") for line in lines]


def changes(before: Genome, after: Genome) -> tuple[Change, ...]:
    """Give every block that differs, in the order of the newer genome, removed ones last.

    A block that was both moved and changed is named twice.
    """
    old = {block.id: block for block in before.blocks}
    new = {block.id: block for block in after.blocks}
    common = [block.id for block in after.blocks if block.id in old]
    stayed = _longest_common_order([block.id for block in before.blocks if block.id in new], common)
    found: list[Change] = []
    follows = ""
    for block in after.blocks:
        was = old.get(block.id)
        if was is None:
            found.append(Change(id=block.id, kind="added", before=None, after=block, follows=follows))
        elif block.id not in stayed:
            found.append(Change(id=block.id, kind="moved", before=was, after=block, follows=follows))
        if was is not None and was != block:
            found.append(Change(id=block.id, kind="changed", before=was, after=block))
        follows = block.id
    gone = [block for block in before.blocks if block.id not in new]
    return (*found, *(Change(id=block.id, kind="removed", before=block, after=None) for block in gone))


def _longest_common_order(before: list[str], after: list[str]) -> set[str]:
    """The ids that kept their relative order; every other common id counts as moved."""
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    return {before[m.a + i] for m in matcher.get_matching_blocks() for i in range(m.size)}

"""Arms: proposals of different kinds that compete for one lever, and which of them go on.

The first arm is free to do anything. The others are bound to one kind of change each, drawn by Thompson sampling: a
kind that was accepted often is drawn often, one that nobody tried is still drawn (improver.md §3). Then successive
halving: all arms run a few shown cases, the better half runs twice as many. Shown cases only rank arms; what an edit
is worth is asked of hidden ones later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, get_args

from surefoot.core.edit import Edit
from surefoot.core.genome import BlockKind, Genome

LeverKind = Literal["rule_add", "rule_edit", "section_edit", "example", "param", "tool_text"]
LEVER_KINDS: tuple[LeverKind, ...] = get_args(LeverKind)
RUNGS = (2, 4, 8)
_OF_BLOCK: Mapping[BlockKind, LeverKind] = {
    "section": "section_edit", "example": "example", "tool": "tool_text", "param": "param",
}  # fmt: skip
Draw = Callable[[float, float], float]


def kind_of(edit: Edit, genome: Genome) -> LeverKind:
    """Give the kind of change an edit makes to a genome."""
    if edit.kind in ("add_tool", "edit_tool"):
        return "tool_text"
    if edit.kind == "set_param":
        return "param"
    if edit.kind == "add_example":
        return "example"
    if edit.kind == "add":
        return "rule_add" if edit.block_kind == "rule" else "section_edit"
    touched = genome.block(edit.target).kind if genome.has(edit.target) else "rule"
    return _OF_BLOCK.get(touched, "rule_edit")


def drawn(
    history: Mapping[LeverKind, tuple[int, int]], able: Iterable[LeverKind], count: int, draw: Draw
) -> tuple[LeverKind, ...]:
    """Draw up to `count` kinds out of those an improver is able to write, best draw first.

    `history` says how many proposals of a kind were accepted and how many were not; `draw(a, b)` draws from the beta
    distribution.
    """
    kinds, chances = tuple(able), dict[LeverKind, float]()
    for kind in kinds:
        won, lost = history.get(kind, (0, 0))
        chances[kind] = draw(1 + won, 1 + lost)
    return tuple(sorted(kinds, key=lambda kind: (-chances[kind], kind)))[: max(0, count)]


def rungs(arms: int) -> tuple[int, ...]:
    """Give the numbers of cases after which half of the arms goes, so that one is left after the last."""
    halvings = (arms - 1).bit_length() if arms > 1 else 0
    first = RUNGS[-1] >> max(0, halvings - 1)
    return tuple(max(1, first << step) for step in range(halvings))


def survivors(means: Sequence[float]) -> tuple[int, ...]:
    """Give the positions of the better half in their old order; a tie goes to the earlier arm."""
    ranked = sorted(range(len(means)), key=lambda at: (-means[at], at))
    return tuple(sorted(ranked[: (len(means) + 1) // 2]))

"""Two lists of tool calls side by side: which call of one answer stands for which of the other.

Calls stay in their order, and are matched by name as a diff matches lines; a call that only one answer made stands
alone. A pair says whether its arguments and its ending are the same, since a call that was refused is not the one that
was carried out.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from surefoot.core.exam.observed import ToolCall

Pairing = Literal["same", "changed", "removed", "added"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """One line of the two lists: a call of the older answer, of the newer one, or of both."""

    kind: Pairing
    before: ToolCall | None = None
    after: ToolCall | None = None


def aligned(before: Sequence[ToolCall], after: Sequence[ToolCall]) -> tuple[Aligned, ...]:
    """Give the calls of both in one list: each call once, in its order, beside its like where there is one."""
    matcher = difflib.SequenceMatcher(a=[one.name for one in before], b=[one.name for one in after], autojunk=False)
    found: list[Aligned] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            found += [_pair(one, other) for one, other in zip(before[a:b], after[c:d], strict=True)]
            continue
        found += [Aligned(kind="removed", before=one) for one in before[a:b]]
        found += [Aligned(kind="added", after=one) for one in after[c:d]]
    return tuple(found)


def _pair(one: ToolCall, other: ToolCall) -> Aligned:
    same = dict(one.args) == dict(other.args) and one.state == other.state
    return Aligned(kind="same" if same else "changed", before=one, after=other)

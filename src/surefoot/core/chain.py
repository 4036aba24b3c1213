"""A chain of waits: an execution waits for another one, which waits for a third, which waits for a person (S1-45).

A chain has an end: nobody waits for whom they keep waiting themselves. So what would close a circle is refused when it
is said, and with it a wait for the one that asked for it, since that one usually waits for the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal

from surefoot.core.errors import Conflict
from surefoot.core.execution import Execution

MOST_LINKS = 50
End = Literal["person", "process", "over"]


def must_not_circle(
    name: str, chain: Sequence[Execution], ancestors: Collection[str], *, sees: Callable[[str], bool]
) -> None:
    """Raise Conflict where an execution would wait for itself, for an ancestor, or as one of too many.

    `chain` is what it would wait for, and what that waits for, and so on; `ancestors` are those that it came of.
    Named are only those of agents that whoever asks sees.
    """
    told = {one.id: one.id if one.id == name or sees(one.agent) else "one of another agent" for one in chain}
    links = [one.id for one in chain]
    if name in links:
        way = " waits for ".join([name, *(told[one] for one in links[: links.index(name) + 1])])
        raise Conflict(f"that would be a circle: {way}", hint="let one of them go on or end")
    if asked := next((one for one in links if one in ancestors), None):
        raise Conflict(f"{name} came of {told[asked]}, which waits for its answer", hint="answer it instead")
    if len(links) >= MOST_LINKS:
        raise Conflict(f"{len(links)} executions wait for each other already", hint="let some of them end")


def end_of(last: Execution, *, for_person: bool) -> End:
    """Say whom a chain waits for in the end, from its last link."""
    if last.over:
        return "over"
    return "person" if for_person else "process"

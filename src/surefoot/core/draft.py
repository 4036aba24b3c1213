"""A draft: the edits accepted tick by tick, not yet released.

A tick adds one lever's accepted edits. A release gives the draft one look at the sealed cases; if that look says
pass, the draft becomes a candidate version and starts a rollout, and the draft begins anew from what is live.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from surefoot.core.edit import Edit

ReleaseReason = Literal["power", "tick-limit", "asked", "not-yet", "empty"]
PRUNING = "prune"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One lever's accepted edits with the sentence that says what they gained on hidden cases."""

    proposal: str
    lever: str
    improver: str
    edits: tuple[Edit, ...]
    evidence: str
    rationale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The draft of an agent on top of its version `on`; `ticks` counts the ticks since it began."""

    agent: str
    on: int
    ticks: int = 0
    accepted: tuple[Accepted, ...] = ()
    revision: int = 0

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits in the order of their acceptance."""
        return tuple(edit for part in self.accepted for edit in part.edits)

    @property
    def seeks_gain(self) -> bool:
        """Whether anything in it is meant to be better; what only prunes cannot win a look at the sealed cases."""
        return any(part.improver != PRUNING for part in self.accepted)


def release_reason(
    draft: Draft, *, ticks: int, power: float | None, wanted: float | None, asked: bool = False
) -> ReleaseReason:
    """Say why to release now, or why not: a person asked, the tick limit is reached, or val predicts enough power.

    `power` is the chance, predicted from val, that the sealed look will pass; None where val cannot tell. A draft that
    only prunes waits for one that gains something, unless a person asks: a look would spend a slot for a tie.
    """
    if not draft.edits:
        return "empty"
    if asked:
        return "asked"
    if not draft.seeks_gain:
        return "not-yet"
    if wanted is not None and power is not None and power >= wanted:
        return "power"
    return "tick-limit" if draft.ticks >= ticks else "not-yet"

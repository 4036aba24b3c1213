"""A version: an immutable genome with a parent, an author and a reason; only its state moves on.

States go `candidate → canary → live → retired`, or end in `rejected`, `rolled_back`, `inconclusive`. A rollback is an
event of its own and can itself be undone, so `retired` and `rolled_back` versions may become live again by a
person's decision. What no arrow allows is a Conflict: a version can never skip its canary by accident.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from surefoot.core.errors import Conflict

VersionState = Literal["candidate", "canary", "live", "retired", "rejected", "rolled_back", "inconclusive"]

_ARROWS: dict[VersionState, frozenset[VersionState]] = {
    "candidate": frozenset({"canary", "rejected"}),
    "canary": frozenset({"live", "rolled_back", "inconclusive", "rejected"}),
    "live": frozenset({"retired", "rolled_back"}),
    "retired": frozenset({"live"}),
    "rolled_back": frozenset({"live", "canary"}),
    "rejected": frozenset({"canary"}),
    "inconclusive": frozenset({"canary"}),
}
FORCED: frozenset[VersionState] = frozenset({"rejected", "inconclusive", "rolled_back"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of an agent; `number` counts from 1 per agent, `genome` is the content address."""

    agent: str
    number: int
    genome: str
    parent: int | None
    author: str
    rationale: str
    state: VersionState
    created_at: datetime

    @property
    def label(self) -> str:
        """The name people see, such as v3."""
        return f"v{self.number}"


def transition(version: Version, to: VersionState, *, forced_by: str = "") -> VersionState:
    """Give the new state, or raise Conflict.

    Offering a version again that was rejected, inconclusive or rolled back, or undoing its rollback, needs a
    person's name in `forced_by`. A retired one becomes live again without: that is how a successor is rolled back.
    """
    if to not in _ARROWS[version.state]:
        raise Conflict(
            f"{version.agent} {version.label} is {version.state} and cannot become {to}",
            hint=f"from {version.state} it can become {', '.join(sorted(_ARROWS[version.state]))}",
        )
    if to in ("canary", "live") and version.state in FORCED and not forced_by.strip():
        raise Conflict(
            f"{version.agent} {version.label} is {version.state}; only a person can offer it again",
            hint="name the person who takes the responsibility (--force --by NAME)",
        )
    return to

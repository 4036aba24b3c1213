"""What pages show of long lists and of time: each answer is bounded, whatever the store holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from surefoot.core.audit import Entry
from surefoot.core.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The newest requests between two moments, at most so many of them: how many, their verdicts, the mean cost."""

    since: datetime
    until: datetime
    requests: int
    successes: int
    failures: int
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What one look at a rollout saw, as far as a line is drawn through it."""

    seq: int
    at: datetime
    action: str
    reason: str
    sentence: str
    weight_percent: float
    e_win: float
    e_guard: float
    labels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What has moved: the last audit entry, the last outcome, and the revision of each rollout in progress."""

    audit: int
    outcomes: int
    rollouts: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are wanted; empty is any. `agent` stands for its own subject and all below it."""

    agent: str = ""
    actor: str = ""
    action: str = ""


class Trends(Protocol):
    def last_request(self, agent: str) -> datetime | None:
        """Give when the agent was asked last."""
        ...

    def stretch(self, agent: str, since: datetime, until: datetime, *, most: int) -> Stretch: ...
    def curve(self, rollout_id: str, *, most: int) -> Sequence[CurvePoint]:
        """Give looks at a rollout in their order: all that changed something, and of the others an even choice."""
        ...

    def versions(self, agent: str, *, before: int | None, limit: int) -> list[Version]:
        """Give versions of an agent below a number, newest first."""
        ...

    def version_count(self, agent: str) -> int: ...
    def audit(self, wanted: AuditFilter, *, before: int | None, limit: int) -> list[Entry]:
        """Give audit entries before one, newest first."""
        ...

    def actors(self) -> list[str]:
        """Give who is named in the audit record, a bounded number of them."""
        ...

    def actions(self) -> list[str]: ...
    def beat(self) -> Beat: ...

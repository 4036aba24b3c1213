"""What pages show of long lists and of time: each answer is bounded, whatever the store holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from surefoot.core.approval import Approval
from surefoot.core.audit import Entry
from surefoot.core.backlog import Lever
from surefoot.core.rollout.standing import Reconcile
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
    """What has moved: the last audit entry, the last outcome, and the revision of each rollout in progress.

    `work` is how far each agent's long work is: the revisions of its jobs and eval runs that have not ended, and how
    many answers these have, in one number; what is about no agent stands under the empty name.
    """

    audit: int
    outcomes: int
    rollouts: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    work: Mapping[str, int] = field(default_factory=dict[str, int])


WorkKind = Literal["eval", "job", "tick"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WorkSpot:
    """One piece of long work in the list of all: when it began, of what kind it is, and its id."""

    at: datetime
    kind: WorkKind
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """The process that carries a workflow out; `pid` is -1 for one that ended in peace and left it to others."""

    host: str
    pid: int
    seen_at: datetime


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
    def levers(self, agent: str, *, state: str, limit: int) -> list[Lever]:
        """Give levers: open ones first, then by worth; of one `state`, or of all if none is named."""
        ...

    def lever_states(self, agent: str) -> Mapping[str, int]: ...
    def open_levers(self, agent: str) -> tuple[int, int]:
        """Give how many levers are open or being worked on, and how many failures they stand for."""
        ...

    def levers_of(self, agent: str, gaps: Collection[str]) -> Mapping[str, Lever]:
        """Give the levers that answer some gaps, by gap."""
        ...

    def decided(self, now: datetime, *, agents: Collection[str], skip: int, limit: int) -> list[Approval]:
        """Give requests that wait no more (decided or expired), newest first, of these agents (none named: all)."""
        ...

    def moved(self, rollout: str) -> list[Reconcile]:
        """Give the looks at a rollout that changed something, in their order."""
        ...

    def beat(self) -> Beat: ...
    def work(
        self, *, limit: int, kinds: Collection[WorkKind], agents: Collection[str] = (), after: WorkSpot | None = None,
        most: WorkSpot | None = None,
    ) -> list[WorkSpot]:  # fmt: skip
        """Give long work of these agents (none named: all), newest first, behind one spot and none newer than another.

        Ticks are found in the newest part of the audit record; their id is its subject, such as `support/tick-3`.
        """
        ...

    def executor(self, workflow: str) -> Executor | None:
        """Give the process that carries a workflow out; None where none does, or it is not known."""
        ...

"""What routes take and give. A request may hold nothing that is not named here: a misspelt word is a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(max_length=2000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Word = Literal["approved", "rejected", "changes_requested"]


class _Taken(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DecisionBody(_Taken):
    """A decision, with the hashes of what was looked at."""

    decision: Word
    version_hash: Hash
    evidence_hash: Hash
    feedback: Text = ""


class WebhookBody(DecisionBody):
    """A decision that comes signed: which request it is about, and who decided."""

    approval: Name
    by: Name


class RollbackBody(_Taken):
    """A step back; without `to` the challenger's share or the last version goes."""

    to: Annotated[int | None, Field(ge=1)] = None
    reason: Text = ""


class OutcomeBody(_Taken):
    """What somebody says about a trace: the right answer, a verdict or a score."""

    trace_id: Name
    expected: Text = ""
    verdict: Literal["success", "failure", "unknown"] | None = None
    score: Annotated[float | None, Field(ge=0, le=1)] = None
    feedback: Text = ""


class RememberBody(_Taken):
    """A value to remember, any JSON; by default in the most specific scope, for ever."""

    value: Any
    scope: Annotated[str, StringConstraints(max_length=20)] = ""
    ttl_s: Annotated[float | None, Field(gt=0)] = None


class AppendBody(_Taken):
    """An item for the end of a list, of which the newest `keep` stay."""

    item: Any
    scope: Annotated[str, StringConstraints(max_length=20)] = ""
    keep: Annotated[int, Field(ge=1, le=500)] = 500


class EntryDocument(BaseModel):
    """What is remembered under a key, and whose it is."""

    key: str
    value: Any
    scope: str
    owner: str
    written_at: datetime
    expires_at: datetime | None


class Entries(BaseModel):
    """Several of them."""

    entries: list[EntryDocument]


class EntryPage(Entries):
    """A page of them."""

    next: str | None


class Forgotten(BaseModel):
    """Whether there was anything to forget."""

    deleted: bool


class MemoryChangeDocument(BaseModel):
    """One thing that happened to a key."""

    seq: int
    key: str
    action: str
    scope: str
    owner: str
    at: datetime


class MemoryChanges(BaseModel):
    """Changes in their order; `next` is the `after` to go on from."""

    changes: list[MemoryChangeDocument]
    next: int


class Health(BaseModel):
    """The store answers."""

    status: Literal["ok"]
    version: str


class AgentSummary(BaseModel):
    """One agent at a glance."""

    name: str
    live: int
    stopped: bool
    tick: int
    rollout: str | None
    waits: list[str]
    successes: int
    failures: int
    unknown: int


class Agents(BaseModel):
    """All agents that the caller may see."""

    agents: list[AgentSummary]
    next: str | None = None


class RolloutDocument(BaseModel):
    """Where a rollout stands."""

    id: str
    agent: str
    challenger: int
    incumbent: int
    state: str
    weight_percent: float
    holdback_percent: float
    epoch: int
    steps: int
    reason: str
    started_at: datetime
    closed_at: datetime | None
    approval: str | None
    forced_by: str | None
    queued: bool


class Rollouts(BaseModel):
    """The rollouts of one agent, oldest first."""

    rollouts: list[RolloutDocument]
    next: str | None = None


class ReconcileDocument(BaseModel):
    """One look at a rollout."""

    seq: int
    at: datetime
    action: str
    reason: str
    sentence: str
    weight_before: float
    weight_after: float
    evidence: Mapping[str, Any]


class Reconciles(BaseModel):
    """Looks in their order; `next` is the `after` of the next page, null at the end."""

    reconciles: list[ReconcileDocument]
    next: int | None


class Approvals(BaseModel):
    """Requests for a person; each as in `surefoot approvals --json`."""

    approvals: list[dict[str, Any]]
    next: str | None = None


class Decided(BaseModel):
    """What became of a decision: the request, and the rollout after it."""

    approval: str
    state: str
    people: str
    decided_by: str
    version_hash: str
    evidence_hash: str
    rollout: str
    rollout_state: str
    weight_percent: float
    live: int


class RolledBackDocument(BaseModel):
    """What serves now, and what served before."""

    agent: str
    live: int
    before: int
    rollout: str | None


class OutcomeDocument(BaseModel):
    """An outcome as it was recorded."""

    trace_id: str
    verdict: str
    expected: str
    score: float | None
    source: str
    at: datetime

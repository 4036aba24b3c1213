"""What the routes of agents' own programs take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Short = Annotated[str, StringConstraints(max_length=512)]
Said = Annotated[str, StringConstraints(max_length=65_536)]
Slices = Annotated[dict[Name, Short], Field(max_length=16)]


class _Taken(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AssignBody(_Taken):
    """Whom a version is wanted for; without a unit the live version is given, and no lot is drawn.

    `known` is the digest of a genome that the program has already.
    """

    unit: Annotated[str, StringConstraints(max_length=512)] = ""
    slices: Slices = Field(default_factory=dict[str, str])
    known: Annotated[str, StringConstraints(max_length=64)] = ""


class AssignedDocument(BaseModel):
    """The version that serves a unit; `genome` is null where the program has it already."""

    agent: str
    version: int
    live: bool = Field(description="whether it is the live version, and no challenger")
    assignment: str = Field(description="what to tell with the traces of this unit")
    digest: str
    prompt: str
    genome: list[dict[str, Any]] | None


class StepBody(_Taken):
    """Something that happened in a request: a model asked, a tool called, a wait; times in seconds since 1970."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    parent: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{16})?$")] = ""
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    kind: Literal["agent", "chat", "tool", "other"] = "other"
    started: Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
    ended: Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
    error: Annotated[str, StringConstraints(max_length=2000)] = ""
    input: Said = ""
    output: Said = ""
    model: Short = ""
    version: Annotated[int, Field(ge=0, le=2**31)] = 0
    tokens_in: Annotated[int, Field(ge=0, le=2**40)] = 0
    tokens_out: Annotated[int, Field(ge=0, le=2**40)] = 0
    cost_usd: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0


class TraceBody(_Taken):
    """One request that the program answered."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{8,100}$")]
    version: Annotated[int, Field(ge=1, le=2**31)]
    unit: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    input: Said = ""
    output: Said = ""
    finish: Literal["stop", "length", "truncated", "refused", "error", "cancelled"] = "stop"
    at: AwareDatetime
    assignment: Annotated[str, StringConstraints(max_length=200)] = ""
    source: Short = ""
    session: Short = ""
    actor: Short = ""
    external_id: Short = ""
    slices: Slices = Field(default_factory=dict[str, str])
    latency_s: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0
    cost_usd: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0
    error: Annotated[str, StringConstraints(max_length=2000)] = ""
    blameless: bool = False
    steps: Annotated[list[StepBody], Field(max_length=200)] = Field(default_factory=list[StepBody])


class TracesBody(_Taken):
    """A batch; telling it again changes nothing."""

    traces: Annotated[list[TraceBody], Field(min_length=1, max_length=500)]


class EnteredDocument(BaseModel):
    """What became of a batch; `refused` gives the reason by id."""

    kept: int
    known: int
    refused: dict[str, str]


Word = Literal["approved", "rejected", "request_changes"]


class PauseBody(_Taken):
    """What a program waits for; asking again under the same name is the same wait."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]
    reason: Annotated[str, StringConstraints(max_length=2000)] = ""
    url: Annotated[str, StringConstraints(max_length=2000)] = ""
    expires_in_hours: Annotated[float, Field(gt=0, le=24 * 366, allow_inf_nan=False)] = 72.0
    execution: Annotated[str, StringConstraints(max_length=200)] = ""


class PauseDecisionBody(_Taken):
    """What a person decided."""

    decision: Word
    feedback: Annotated[str, StringConstraints(max_length=2000)] = ""
    response: dict[str, Any] = Field(default_factory=dict[str, Any])


class PauseWebhookBody(PauseDecisionBody):
    """A decision that comes signed: which wait it is about, and who decided."""

    agent: Name
    pause: Name
    by: Name


class RequestApprovalBody(_Taken):
    """What an execution waits for, in the words of teams that know it by its id."""

    approval_request_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]
    approval_request_url: Annotated[str, StringConstraints(max_length=2000)] = ""
    expires_in_hours: Annotated[float, Field(gt=0, le=24 * 366, allow_inf_nan=False)] = 72.0
    reason: Annotated[str, StringConstraints(max_length=2000)] = ""


class ApprovalStatus(BaseModel):
    """How an execution's wait stands."""

    execution_id: str
    approval_request_id: str
    status: Literal["pending", "approved", "rejected", "request_changes", "expired"]
    request_url: str
    requested_at: datetime
    expires_at: datetime
    responded_at: datetime | None
    decided_by: str
    feedback: str
    response: dict[str, Any]


class PauseDocument(BaseModel):
    """A wait and what became of it; `decision` is null while nobody decided and it has not expired.

    `hidden` says that this token may look but not read, so that `reason`, `url`, `feedback` and `response` are empty.
    """

    agent: str
    name: str
    state: Literal["pending", "approved", "rejected", "request_changes", "expired"]
    decision: Literal["approved", "rejected", "request_changes", "expired"] | None
    feedback: str
    response: dict[str, Any]
    reason: str
    url: str
    execution: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    decided_by: str
    decided_at: datetime | None
    hidden: bool = False


class Pauses(BaseModel):
    """Several waits, newest last; `next` goes on from there."""

    pauses: list[PauseDocument]
    next: str | None

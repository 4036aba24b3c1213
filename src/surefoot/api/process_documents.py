"""What the routes of processes and executions take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from surefoot.api.program_documents import PauseDocument

VersionText = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Short = Annotated[str, StringConstraints(max_length=512)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Tags = Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=64)]], Field(max_length=20)]
State = Literal["starting", "ready", "draining", "offline"]


class _Taken(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OfferedBody(_Taken):
    """One reasoner or skill; the schemas are JSON Schema."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)]
    input_schema: dict[str, Any] = Field(default_factory=dict[str, Any])
    output_schema: dict[str, Any] = Field(default_factory=dict[str, Any])


class RegisterBody(_Taken):
    """A process as it announces itself; `content_hash` or `content` says what is in this version."""

    version: VersionText
    base_url: Url
    content_hash: Annotated[str, StringConstraints(max_length=64)] = ""
    content: Annotated[str, StringConstraints(max_length=200_000)] = ""
    reasoners: Annotated[list[OfferedBody], Field(max_length=200)] = Field(default_factory=list[OfferedBody])
    skills: Annotated[list[OfferedBody], Field(max_length=200)] = Field(default_factory=list[OfferedBody])
    tags: Tags = Field(default_factory=list[str])
    state: State = "ready"


class HeartbeatBody(_Taken):
    """What a process says of itself."""

    state: State = "ready"


class ProcessDocument(BaseModel):
    """One instance; `status` is how it stands, `because` why it is not given requests."""

    id: str
    agent: str
    version: str
    number: int = Field(description="the number of its version, as in surefoot versions")
    base_url: str
    state: str = Field(description="what it says of itself")
    health: str = Field(description="what was found: unknown, healthy, unhealthy")
    status: str = Field(description="ready, starting, draining, offline, unhealthy, expired or pending_approval")
    because: str
    tags: list[str]
    registered_at: datetime
    seen_at: datetime
    lease_until: datetime
    weight_percent: float = Field(description="the share of its version in percent")


class RegisteredDocument(ProcessDocument):
    """A registered instance; a heartbeat is due before `next_heartbeat_at`."""

    new_version: bool
    new_agent: bool
    next_heartbeat_at: datetime


class Processes(BaseModel):
    """The instances of an agent, by version."""

    processes: list[ProcessDocument]
    next: str | None


class WebhookBodyOf(_Taken):
    """An address that is told how an execution ended, signed."""

    url: Url


class ExecuteBody(_Taken):
    """A request: `input` is any JSON; `timeout_s` the time to its end, within the server's longest."""

    input: Any = None
    session: Short = ""
    actor: Short = ""
    source: Short = ""
    slices: Annotated[
        dict[Annotated[str, StringConstraints(min_length=1, max_length=200)], Short], Field(max_length=16)
    ] = Field(default_factory=dict[str, str])
    timeout_s: Annotated[float | None, Field(gt=0, le=86_400, allow_inf_nan=False)] = None


class SubmitBody(ExecuteBody):
    """A request that nobody waits for."""

    webhook: WebhookBodyOf | None = None


class ResultDocument(BaseModel):
    """What a reasoner answered, and which version that was."""

    result: Any
    execution_id: str
    status: str
    version: str
    number: int
    stood_in_for: str | None = Field(description="the version that was assigned and could not serve")
    duration_ms: float


class NoteBody(_Taken):
    """A note on an execution."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
    tags: Tags = Field(default_factory=list[str])


class NoteDocument(BaseModel):
    """A note as it was written down."""

    at: datetime
    by: str
    text: str
    tags: list[str]


class ExecutionDocument(BaseModel):
    """An execution as it stands; `input` and `result` are as they were stored.

    `hidden` says that this token may look but not read, so that `input`, `result`, `error` and notes are empty here.
    """

    execution_id: str
    agent: str
    reasoner: str
    version: str
    number: int
    status: str
    over: bool
    accepted: bool = Field(description="the process took it over and will report")
    input: Any
    result: Any
    redacted: bool = Field(description="something was taken out of the result before it was stored")
    error: str | None
    arm: str
    rollout: str | None
    stood_in_for: str | None
    process: str
    workflow: str | None
    parent: str | None
    waits_for: str | None = Field(description="the execution that it waits for")
    created_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None
    deadline: datetime
    notes: list[NoteDocument]
    hidden: bool = False


class SubmittedDocument(BaseModel):
    """An execution that was written down and will be sent; `webhook_key` checks what the webhook is told."""

    execution_id: str
    status: str
    version: str
    status_url: str
    webhook_key: str | None


class BatchBody(_Taken):
    """Which executions are asked about."""

    execution_ids: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=100)]], Field(min_length=1, max_length=200)
    ]


class BatchDocument(BaseModel):
    """Those that there are, and the ids of those that are not."""

    executions: list[ExecutionDocument]
    missing: list[str]


class Executions(BaseModel):
    """Executions, newest first."""

    executions: list[ExecutionDocument]
    next: str | None


class ReportBody(_Taken):
    """How an execution goes, said by its process."""

    status: Literal["running", "waiting", "succeeded", "failed"]
    result: Any = None
    error: Annotated[str, StringConstraints(max_length=10_000)] = ""
    waits_for: Annotated[
        str, StringConstraints(max_length=100), Field(description="with `waiting`: the execution that it waits for")
    ] = ""


class LinkDocument(BaseModel):
    """One execution of a chain of waits, and the pauses that it waits for."""

    execution_id: str
    agent: str
    status: str
    waits_for: str | None
    waiting_since: datetime | None
    pauses: list[PauseDocument]


class ChainDocument(BaseModel):
    """What an execution waits for: itself, the one that it waits for, and so on."""

    execution_id: str
    status: str
    ends_with: Literal["person", "process", "over"] = Field(
        description="whom all of them wait for in the end: a person, a process that works, or nobody any more"
    )
    chain: list[LinkDocument]
    hidden: int = Field(description="links of agents that you do not see")


class CancelledDocument(BaseModel):
    """Which executions were ended by this."""

    cancelled: list[str]


class WeightBody(_Taken):
    """A share in percent of all requests."""

    weight: Annotated[float, Field(strict=True, allow_inf_nan=False)]


class WeightDocument(BaseModel):
    """Both shares as they are now; they sum to 100."""

    success: Literal[True]
    id: str
    version: str
    previous_weight: float
    new_weight: float
    incumbent_weight: float
    incumbent_version: str | None
    message: str


class ConnectorVersion(BaseModel):
    """One version with its share and the health of its processes."""

    id: str
    version: str
    number: int
    traffic_weight: float = Field(description="the share that is set, in percent")
    effective_weight: float = Field(
        description="the share that it really serves: 0 while none of its processes is well"
    )
    health_status: str
    lifecycle_status: str
    state: str
    content_hash: str
    processes: int


class ConnectorVersions(BaseModel):
    """The versions of an agent, oldest first; the weights are percent and sum to 100."""

    id: str
    versions: list[ConnectorVersion]
    next: str | None

"""What the routes of traces, sessions and outcomes take and give."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from surefoot.api.documents import OutcomeDocument
from surefoot.api.problems import Problem

Name = Annotated[str, StringConstraints(max_length=512)]
Label = Annotated[str, StringConstraints(max_length=2_000)]
Comment = Annotated[str, StringConstraints(max_length=8_000)]
Word = Literal["success", "failure", "unknown"]
MOST_OUTCOMES = 1_000


class SaidBody(BaseModel):
    """How a request went: named by `trace_id`, or by what the app of `agent` calls it.

    `success` is short for a verdict, `label` another word for `expected`, the answer that would have been right.
    """

    model_config = ConfigDict(extra="forbid")

    trace_id: Name = ""
    external_id: Name = ""
    agent: Annotated[str, StringConstraints(max_length=63)] = ""
    success: bool | None = None
    verdict: Word | None = None
    score: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    label: Label = ""
    expected: Label = ""
    comment: Comment = ""
    source: Annotated[str, StringConstraints(max_length=200)] = ""


class SaidManyBody(BaseModel):
    """Up to a thousand outcomes; each is kept or refused for itself."""

    model_config = ConfigDict(extra="forbid")

    outcomes: Annotated[list[SaidBody], Field(min_length=1, max_length=MOST_OUTCOMES)]


class SaidResult(BaseModel):
    """What became of one outcome: it was kept, or why not."""

    status: int
    outcome: OutcomeDocument | None = None
    problem: Problem | None = None


class SaidMany(BaseModel):
    """What became of each outcome, in the order in which they came."""

    kept: int
    refused: int
    results: list[SaidResult]


class TraceDocument(BaseModel):
    """One request; the texts as they were kept, after redaction.

    `hidden` says that this token may look but not read, so that the texts are empty here.
    """

    id: str
    agent: str
    version: int
    verdict: Word
    finish: str
    at: datetime
    input: str
    output: str
    session: str
    actor: str
    external_id: str
    unit: str
    source: str
    rollout: str
    arm: str
    weight_percent: float
    slices: Mapping[str, str]
    latency_s: float
    cost_usd: float
    hidden: bool = False


class Traces(BaseModel):
    """A page of requests, newest first; it may be short, even empty, and still have a next one."""

    traces: list[TraceDocument]
    next: str | None


class SpanDocument(BaseModel):
    """One step of a request, with the steps below it."""

    id: str
    name: str
    kind: str
    status: str
    message: str
    model: str
    started_s: float
    latency_s: float
    cost_usd: float
    tokens_in: int
    tokens_out: int
    input: str
    output: str
    attributes: Mapping[str, Any]
    spans: list[SpanDocument]


class OutcomeSaid(OutcomeDocument):
    """An outcome with the words that came with it."""

    feedback: str


class WholeTrace(TraceDocument):
    """One request with all that was said of it, in the order of arrival, and its steps as a tree."""

    outcomes: list[OutcomeSaid]
    spans: list[SpanDocument]


class SessionDocument(BaseModel):
    """A conversation: what was counted of its last requests (a thousand at most)."""

    agent: str
    session: str
    actor: str
    requests: int
    failures: int
    cost_usd: float
    first_at: datetime
    last_at: datetime
    versions: list[int]


class Sessions(BaseModel):
    """A page of sessions, the one that was used last first."""

    sessions: list[SessionDocument]
    next: str | None


class WholeSession(BaseModel):
    """A session by agent, and a page of its requests, newest first."""

    sessions: list[SessionDocument]
    traces: list[TraceDocument]
    next: str | None

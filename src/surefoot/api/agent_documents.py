"""What the routes of agents and versions take and give."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from surefoot.api.documents import Name, Text

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Taken(BaseModel):
    """A request may hold nothing that is not named."""

    model_config = ConfigDict(extra="forbid")


class BudgetBody(Taken):
    """The most that a piece of work may cost; null is no limit on that side."""

    calls: Annotated[int | None, Field(ge=0, le=10**12)] = None
    tokens: Annotated[int | None, Field(ge=0, le=10**15)] = None
    usd: Annotated[float | None, Field(ge=0, le=1e9, allow_inf_nan=False)] = None


class SettingsBody(Taken):
    """What is to be set; what is not named stays. `rollout` are terms of rollouts that begin later, by name."""

    autonomy: Literal["report_only", "propose", "canary", "auto"] | None = None
    stakes: Literal["normal", "high"] | None = None
    early_stage: bool | None = None
    cooldown_s: Annotated[float | None, Field(ge=0, le=1e8, allow_inf_nan=False)] = None
    min_failures: Count | None = None
    min_sources: Count | None = None
    people_needed: Annotated[int | None, Field(ge=1, le=9)] = None
    when_done: Literal["advise", "stop"] | None = None
    model: Name | None = None
    improver: Name | None = None
    release_ticks: Count | None = None
    repeats: Annotated[int | None, Field(ge=1, le=100)] = None
    concurrency: Annotated[int | None, Field(ge=1, le=1000)] = None
    headroom: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    arms: Annotated[int | None, Field(ge=1, le=7)] = None
    improver_budget: BudgetBody | None = None
    tick_budget: BudgetBody | None = None
    day_budget: BudgetBody | None = None
    rollout: dict[Name, float | int | str | bool | list[float] | None] | None = None


class AgentBody(Taken):
    """A new agent: its labels, or the blocks of its genome; version 1 is live at once."""

    name: Name
    labels: Annotated[list[Name], Field(max_length=500, default_factory=list)]
    task: Text = ""
    blocks: Annotated[list[dict[str, Any]] | None, Field(max_length=1000)] = None
    settings: SettingsBody = SettingsBody()


class CandidateBody(Taken):
    """A version that is offered: all its blocks, and why."""

    blocks: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1000)]
    why: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class SwitchBody(Taken):
    """Why an agent is stopped, or may go on."""

    reason: Text = ""


class CurrentBody(Taken):
    """The version that is to be live: one that was live before."""

    version: Annotated[int, Field(ge=1, le=10**9)]
    reason: Text = ""


class WeightBody(Taken):
    """A share of traffic in percent, which the other version loses; 0 means never."""

    weight: Percent
    reason: Text = ""


class AgentDocument(BaseModel):
    """An agent: where it stands, and what can be set."""

    name: str
    live: int
    stopped: bool
    labels: list[str]
    tick: int
    created_at: datetime
    last_tick_at: datetime | None
    cases: Mapping[str, int]
    draft: int
    rollout: str | None
    waits: list[str]
    successes: int
    failures: int
    unknown: int
    settings: Mapping[str, Any]


class Settings(BaseModel):
    """What can be set, as it is."""

    agent: str
    settings: Mapping[str, Any]


class Switched(BaseModel):
    """Whether an agent is stopped now."""

    agent: str
    stopped: bool
    live: int


class VersionDocument(BaseModel):
    """One version; `genome` is the hash of its blocks."""

    agent: str
    number: int
    state: str
    live: bool
    parent: int | None
    author: str
    rationale: str
    genome: str
    created_at: datetime


class Versions(BaseModel):
    """Versions, oldest first."""

    versions: list[VersionDocument]
    next: str | None


class GenomeDocument(BaseModel):
    """The blocks of a version or of the draft, and the prompt that they make."""

    agent: str
    name: str
    digest: str
    locked_digest: str
    blocks: list[dict[str, Any]]
    prompt: str


class Diff(BaseModel):
    """What changed from one version to another, block by block."""

    agent: str
    before: str
    after: str
    changes: list[dict[str, Any]]


class Lived(BaseModel):
    """Which version became live when, by whom and why."""

    version: int
    at: datetime
    by: str
    why: str


class Lineage(BaseModel):
    """All of them, oldest first."""

    lineage: list[Lived]
    next: str | None


class Weight(BaseModel):
    """A version's share of traffic in percent."""

    version: int
    weight: float


class Weights(BaseModel):
    """The shares of all versions that have one; they sum to 100."""

    agent: str
    rollout: str | None
    weights: list[Weight]


class WeightSet(BaseModel):
    """A share as it is now, what it was, and what the other version has."""

    agent: str
    version: int
    weight: float
    previous_weight: float
    other: int | None
    other_weight: float
    rollout: str | None
    sentence: str

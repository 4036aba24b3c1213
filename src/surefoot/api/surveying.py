"""Routes of what an operator watches: all long work in one list, and how the server is.

Both are what the dashboard's screens show, decided in one place, and for the same eyes: a token that is held to some
agents sees the work and the lines of these.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Here, Looker, reads
from surefoot.core.health.sign import Group, Sign, Tone
from surefoot.core.token import Token
from surefoot.engine.diagnose import diagnose
from surefoot.engine.inspect import agent_named
from surefoot.engine.survey import KINDS, STATES, Undertaking, WorkState, found, place, shown, spot_of, survey
from surefoot.ports.undertakings import WorkKind

router = APIRouter(tags=["work"])


class Amounts(BaseModel):
    """Calls, tokens and USD; null is no limit."""

    calls: int | None
    tokens: int | None
    usd: float | None


class Thing(BaseModel):
    """Something that work makes."""

    kind: str
    id: str


class WorkDocument(BaseModel):
    """One piece of long work: how far it is, what it spent, what it makes.

    `done` of `planned` are answers of an eval or steps of a tick; `planned` 0 is not counted. `rest_s` is how long the
    rest takes at this pace, null where it is too early to say. `stale` is work whose worker is gone.
    """

    kind: WorkKind
    id: str
    agent: str | None
    what: str
    about: str
    state: WorkState
    sentence: str
    by: str | None
    at: datetime
    ended_at: datetime | None
    done: int
    planned: int
    per_minute: float | None
    rest_s: float | None
    spent: Amounts | None
    limits: Amounts | None
    made: list[Thing]


class Works(BaseModel):
    """Long work, newest first; a page of one `state` may hold fewer rows than asked for, and go on all the same."""

    work: list[WorkDocument]
    next: str | None


class SignDocument(BaseModel):
    """One line: what is looked at, its figure, one sentence, since when, and what to do next."""

    group: Group
    name: str
    tone: Tone
    figure: str
    sentence: str
    since: datetime | None
    todo: str
    command: str


class HealthDocument(BaseModel):
    """How the server is, line by line; `whole` says that the lines are about all of it, and not some agents only."""

    worst: Tone
    bad: int = Field(description="lines that ask for somebody now")
    watch: int = Field(description="lines to keep an eye on")
    whole: bool
    lines: list[SignDocument]


@router.get("/work", responses=declared(404))
async def work(
    here: Here, caller: Looker, asked: Paged,
    kind: Annotated[WorkKind | None, Query(description="only work of this kind")] = None,
    agent: Annotated[str, Query(max_length=200, description="only work that concerns this agent")] = "",
    state: Annotated[WorkState | None, Query(description="only work in this state now")] = None,
) -> Works:  # fmt: skip
    """List all long work, newest first: eval runs, ticks, and what was asked for over the API."""
    if agent:
        await agent_named(here.ports, agent, sees=caller.sees)
    rows, rest = await survey(
        here.ports, limit=asked.limit, kinds=[kind] if kind else KINDS, agents=[agent] if agent else caller.agents,
        after=spot_of(asked.after), states=[state] if state else STATES,
    )  # fmt: skip
    return Works(work=[_work(one, caller) for one in rows], next=asked.cursor(place(rest)) if rest else None)


@router.get("/work/{kind}/{work:path}", responses=declared(404))
async def one(
    kind: WorkKind,
    work: Annotated[str, Path(max_length=500, description="its whole id")],
    here: Here,
    caller: Looker,
) -> WorkDocument:
    """Show one piece of long work; the id of a tick is such as `support/tick-3`."""
    return _work(await found(here.ports, kind, work, sees=caller.sees), caller)


@router.get("/health", responses=declared())
async def health(here: Here, caller: Looker) -> HealthDocument:
    """Show how the server is, line by line, as far as the caller may see it."""
    seen = await diagnose(here.ports, caller, here.hearing)
    return HealthDocument(
        worst=seen.worst, bad=seen.bad, watch=seen.watch, whole=seen.whole, lines=[_line(one) for one in seen.lines]
    )


def _work(given: Undertaking, caller: Token) -> WorkDocument:
    one = shown(given, reads=reads(caller))
    return WorkDocument(
        kind=one.spot.kind, id=one.spot.id, agent=one.agent or None, what=one.what, about=one.about, state=one.state,
        sentence=one.sentence, by=one.by or None, at=one.spot.at, ended_at=one.ended_at, done=one.done,
        planned=one.planned, per_minute=one.pace.per_minute, rest_s=one.pace.rest_s,
        spent=_amounts(one.spent), limits=_amounts(one.limits),
        made=[Thing(kind=kind, id=name) for kind, name in one.made],
    )  # fmt: skip


def _amounts(given: Any) -> Amounts | None:
    return None if given is None else Amounts(calls=given.calls, tokens=given.tokens, usd=given.usd)


def _line(one: Sign) -> SignDocument:
    return SignDocument(**{name: value for name, value in asdict(one).items() if name != "href"})

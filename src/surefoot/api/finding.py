"""Routes of what was found and said: failures, levers, proposals, lessons, ticks, incidents, budgets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from surefoot.api.agent_documents import Taken
from surefoot.api.documents import Text
from surefoot.api.matching import document_tag, incident_tag, matching, tagged
from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Decider, Here, Looker, Operator, Reception, reads
from surefoot.api.seeing import seen
from surefoot.core.backlog import Lever
from surefoot.core.incident import Incident
from surefoot.core.mask import masked_failure, masked_lesson, masked_lever, masked_step
from surefoot.core.token import Token
from surefoot.engine.evaluate import spent
from surefoot.engine.incident import close as closed
from surefoot.engine.incident import listed
from surefoot.engine.inspect import agent_named, failing
from surefoot.engine.shelve import shelve, taught
from surefoot.ports import Tx

router = APIRouter(tags=["findings"])
Said = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
Id = Annotated[str, Path(max_length=200)]


class _Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class FailureDocument(_Shown):
    """A wrong answer that stands; `hidden` says that this token may not read, so that its texts are empty here."""

    id: int
    trace_id: str
    version: int
    input: str
    predicted: str
    expected: str
    source: str
    slices: Mapping[str, str]
    check: str
    tool_error: str
    score: float | None
    hidden: bool = False


class Failures(BaseModel):
    """Failures, newest first; `hold` says why the loop would not act on them yet, empty where it would."""

    agent: str
    standing: int
    sources: int
    hold: str
    failures: list[FailureDocument]
    next: str | None


class LeverDocument(_Shown):
    """One move that could help; `worth` is its rank, `hidden` says that texts of its failures are left out."""

    id: str
    gap: str
    title: str
    state: str
    impact: float
    worth: float
    failures: int
    tries: int
    note: str
    hidden: bool = False


class Levers(BaseModel):
    """Levers, best first."""

    levers: list[LeverDocument]
    next: str | None


class LeverLog(BaseModel):
    """A lever with what happened to it, oldest first."""

    lever: LeverDocument
    log: list[dict[str, Any]]


class LeverBody(Taken):
    """Why a lever is closed or opened again."""

    reason: Said


class ProposalDocument(BaseModel):
    """A proposal, and what became of it; `hidden` says that what it quotes of failures is left out."""

    id: str
    tick: int
    lever: str
    on: int
    state: str
    at: datetime
    rationale: str
    edits: list[dict[str, Any]]
    evidence: Mapping[str, Any]
    hidden: bool = False


class Proposals(BaseModel):
    """Proposals, oldest first."""

    proposals: list[ProposalDocument]
    next: str | None


class LessonDocument(_Shown):
    """One lesson; tick 0 is shipped with Surefoot."""

    text: str
    evidence: str
    tick: int
    at: datetime


class Lessons(BaseModel):
    """Lessons, oldest first."""

    lessons: list[LessonDocument]
    next: str | None


class LessonBody(Taken):
    """A sentence that the loop is taught."""

    text: Said


class IncidentDocument(_Shown):
    """Something that went wrong with what serves."""

    id: str
    agent: str
    kind: str
    state: str
    at: datetime
    version: int
    rollout: str
    sentence: str
    facts: Mapping[str, Any]
    closed_by: str
    closed_at: datetime | None
    note: str


class Incidents(BaseModel):
    """Incidents, oldest first."""

    incidents: list[IncidentDocument]
    next: str | None


class IncidentBody(Taken):
    """What it was."""

    note: Text = ""


class Spent(BaseModel):
    """What a day of an agent has cost, what is reserved, and the most that it may cost."""

    agent: str
    day: str
    calls: int
    tokens: int
    usd: float
    reserved_usd: float
    budget: Mapping[str, float | None]


@router.get("/agents/{agent}/failures", responses=declared(404))
async def failures(agent: str, here: Here, caller: Looker, asked: Paged) -> Failures:
    """List the wrong answers that stand, newest first, and whether they are enough."""
    await agent_named(here.ports, agent, sees=caller.sees)
    found = await failing(here.ports, agent, limit=10_000)
    rows, after = asked.page(found.failures, lambda one: one.id)
    if not reads(caller):
        rows = [masked_failure(one) for one in rows]
    shown = [FailureDocument.model_validate(one).model_copy(update={"hidden": not reads(caller)}) for one in rows]
    return Failures(agent=agent, standing=found.standing, sources=found.sources, hold=found.hold, next=after,
                    failures=shown)  # fmt: skip


@router.get("/agents/{agent}/levers", responses=declared(404))
async def levers(agent: str, here: Here, caller: Looker, asked: Paged) -> Levers:
    """List the moves that could help, best first."""
    await agent_named(here.ports, agent, sees=caller.sees)
    found = await here.ports.store.read(lambda tx: tx.levers.all(agent))
    ranked = sorted(found, key=lambda one: (one.state != "open", -one.worth, one.gap, one.id))
    rows, after = asked.page(ranked, lambda one: one.id)
    return Levers(levers=[_lever(one, caller) for one in rows], next=after)


def lever_tag(tx: Tx, path: str) -> str:
    """Give the tag of a lever, named AGENT/LEVER."""
    agent, _, lever = path.partition("/")
    return document_tag(LeverDocument.model_validate(tx.levers.get(agent, lever)).model_dump(mode="json"))


@router.get("/agents/{agent}/levers/{lever}", responses=declared(404))
async def lever(agent: str, lever: Id, here: Here, caller: Looker, response: Response) -> LeverLog:
    """Show a lever, and what happened to it."""
    await agent_named(here.ports, agent, sees=caller.sees)
    one, log = await here.ports.store.read(lambda tx: (tx.levers.get(agent, lever), tx.levers.log(agent, lever)))
    tagged(response, await here.ports.store.read(lambda tx: lever_tag(tx, f"{agent}/{lever}")))
    told = [{"at": at, "text": text if reads(caller) else masked_step(text)} for at, text in log]
    return LeverLog(lever=_lever(one, caller), log=told)


def _lever(one: Lever, caller: Token) -> LeverDocument:
    shown = LeverDocument.model_validate(one if reads(caller) else masked_lever(one))
    return shown.model_copy(update={"hidden": not reads(caller)})


@router.post("/agents/{agent}/levers/{lever}/close", responses=declared(404, 409))
async def close_lever(agent: str, lever: Id, body: LeverBody, here: Here, caller: Operator) -> LeverDocument:
    """Close a lever, so that no tick takes it."""
    return await _shelved(here, caller, agent, lever, body.reason, closed=True)


@router.post("/agents/{agent}/levers/{lever}/reopen", responses=declared(404, 409))
async def reopen_lever(agent: str, lever: Id, body: LeverBody, here: Here, caller: Operator) -> LeverDocument:
    """Open a lever again that was closed or given up."""
    return await _shelved(here, caller, agent, lever, body.reason, closed=False)


async def _shelved(
    here: Reception, caller: Token, agent: str, lever: str, reason: str, *, closed: bool
) -> LeverDocument:  # fmt: skip
    await agent_named(here.ports, agent, sees=caller.sees)
    after: Lever = await shelve(here.ports, agent, lever, closed=closed, by=caller.name, reason=reason)
    return LeverDocument.model_validate(after)


@router.get("/agents/{agent}/proposals", responses=declared(404))
async def proposals(agent: str, here: Here, caller: Looker, asked: Paged) -> Proposals:
    """List the proposals, and what became of each, oldest first."""
    await agent_named(here.ports, agent, sees=caller.sees)
    rows, after = asked.page(await here.ports.store.read(lambda tx: tx.proposals.all(agent)), lambda one: one.id)
    shown = [
        ProposalDocument(
            id=one.id, tick=one.tick, lever=one.lever, on=one.on, state=one.state, at=one.at, evidence=one.evidence,
            rationale=one.proposal.rationale, edits=[edit.document() for edit in one.proposal.edits],
        )
        for one in rows
    ]  # fmt: skip
    return Proposals(next=after, proposals=shown if reads(caller) else list(map(_without_texts, shown)))


def _without_texts(one: ProposalDocument) -> ProposalDocument:
    evidence = {name: value for name, value in one.evidence.items() if name in ("outcome", "trials", "cost_usd")}
    return one.model_copy(update={"rationale": "", "edits": [], "evidence": evidence, "hidden": True})


@router.get("/agents/{agent}/lessons", responses=declared(404))
async def lessons(agent: str, here: Here, caller: Looker, asked: Paged) -> Lessons:
    """List what the loop learned about its work, oldest first."""
    await agent_named(here.ports, agent, sees=caller.sees)
    known = await here.ports.store.read(lambda tx: tx.lessons.all(agent))
    found = list(enumerate(known if reads(caller) else map(masked_lesson, known), start=1))
    rows, after = asked.page(found, lambda row: row[0])
    return Lessons(lessons=[LessonDocument.model_validate(one) for _, one in rows], next=after)


@router.post("/agents/{agent}/lessons", status_code=201, responses=declared(404))
async def teach(agent: str, body: LessonBody, here: Here, caller: Operator) -> LessonDocument:
    """Teach the loop a sentence."""
    await agent_named(here.ports, agent, sees=caller.sees)
    return LessonDocument.model_validate(await taught(here.ports, agent, body.text, by=caller.name))


@router.get("/incidents", responses=declared(404))
async def incidents(
    here: Here, caller: Looker, asked: Paged, agent: Annotated[str | None, Query(max_length=200)] = None,
    every: Annotated[bool, Query(alias="all")] = False,
) -> Incidents:  # fmt: skip
    """List the open incidents, or with `all=true` also those that were closed, oldest first."""
    if agent is not None:
        await agent_named(here.ports, agent, sees=caller.sees)
    found = [one for one in await listed(here.ports, agent, all_of_them=every) if caller.sees(one.agent)]
    rows, after = asked.page(found, lambda one: one.id)
    return Incidents(incidents=[IncidentDocument.model_validate(one) for one in rows], next=after)


@router.get("/incidents/{incident}", responses=declared(404))
async def incident(incident: Id, here: Here, caller: Looker, response: Response) -> IncidentDocument:
    """Show an incident."""
    found = await _seen(here, caller, incident)
    tagged(response, f'"i{found.revision}"')
    return IncidentDocument.model_validate(found)


@router.post("/incidents/{incident}/close", responses=declared(404, 409),
             dependencies=[matching("incident", incident_tag)])  # fmt: skip
async def close_incident(incident: Id, body: IncidentBody, here: Here, caller: Decider) -> IncidentDocument:
    """Close an incident, because somebody has looked."""
    await _seen(here, caller, incident)
    return IncidentDocument.model_validate(await closed(here.ports, incident, by=caller.name, note=body.note))


async def _seen(here: Reception, caller: Token, incident: str) -> Incident:
    return await seen(
        here, "incident", incident, lambda tx: tx.incidents.get(incident), lambda one: caller.sees(one.agent)
    )


@router.get("/agents/{agent}/budget", responses=declared(404))
async def budget(agent: str, here: Here, caller: Looker) -> Spent:
    """Show what today (UTC) has cost an agent, and the most that it may cost."""
    await agent_named(here.ports, agent, sees=caller.sees)
    day, ledger = await spent(here.ports, agent)
    cost, limit = ledger.settled, ledger.budget
    return Spent(
        agent=agent, day=day, calls=cost.calls, tokens=cost.tokens, usd=cost.usd,
        reserved_usd=ledger.committed.usd - cost.usd,
        budget={"calls": limit.calls, "tokens": limit.tokens, "usd": limit.usd},
    )  # fmt: skip

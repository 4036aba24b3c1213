"""Routes that only look: health, agents, rollouts, reconciles, approvals."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from surefoot.api.documents import (
    Agents,
    AgentSummary,
    Approvals,
    Health,
    ReconcileDocument,
    Reconciles,
    RolloutDocument,
    Rollouts,
)
from surefoot.api.matching import tagged
from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Here, Looker, reads
from surefoot.api.seeing import approval_seen, rollout_seen
from surefoot.core.mask import masked_quotes
from surefoot.core.rollout.standing import Rollout
from surefoot.core.token import Token
from surefoot.engine.inspect import (
    Overview,
    Request,
    agent_named,
    history,
    overview,
    request,
    request_document,
    requests,
)

health = APIRouter()
router = APIRouter(tags=["look"])


@health.get("/healthz", responses={503: declared()[503]})
async def healthz(here: Here) -> Health:
    """Say whether the store answers."""
    await here.ports.store.read(lambda tx: tx.agents.all())
    return Health(status="ok", version=here.version)


@router.get("/agents", responses=declared())
async def agents(here: Here, caller: Looker, asked: Paged) -> Agents:
    """List the agents."""
    found = [one for one in await overview(here.ports) if caller.sees(one.agent.name)]
    rows, after = asked.page(found, lambda one: one.agent.name)
    return Agents(agents=[_summary(one) for one in rows], next=after)


@router.get("/agents/{agent}/rollouts", responses=declared(404))
async def rollouts(agent: str, here: Here, caller: Looker, asked: Paged) -> Rollouts:
    """List an agent's rollouts, oldest first."""
    await agent_named(here.ports, agent, sees=caller.sees)
    rows, after = asked.page(await here.ports.store.read(lambda tx: tx.rollouts.all(agent)), lambda one: one.id)
    return Rollouts(rollouts=[rollout_document(one) for one in rows], next=after)


@router.get("/rollouts/{rollout}", responses=declared(404))
async def rollout(rollout: str, here: Here, caller: Looker, response: Response) -> RolloutDocument:
    """Show where a rollout stands."""
    found = await rollout_seen(here, caller, rollout)
    tagged(response, f'"r{found.revision}"')
    return rollout_document(found)


@router.get("/rollouts/{rollout}/reconciles", responses=declared(404))
async def reconciles(
    rollout: str, here: Here, caller: Looker, after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Reconciles:  # fmt: skip
    """Give every look that was taken at a rollout, `limit` at a time, from the one after `after` on."""
    await rollout_seen(here, caller, rollout)
    rows = [row for row in await history(here.ports, rollout) if row.seq > after]
    page = rows[:limit]
    return Reconciles(
        reconciles=[
            ReconcileDocument(
                seq=row.seq, at=row.at, action=row.action, reason=row.reason, sentence=row.sentence,
                weight_before=row.weight_before, weight_after=row.weight_after, evidence=row.evidence,
            )
            for row in page
        ],
        next=page[-1].seq if len(rows) > limit else None,
    )  # fmt: skip


@router.get("/approvals", responses=declared(404))
async def approvals(
    here: Here, caller: Looker, asked: Paged, agent: str | None = None,
    every: Annotated[bool, Query(alias="all")] = False,
) -> Approvals:  # fmt: skip
    """List what waits for a person, or with `all=true` also what was decided or expired."""
    if agent is not None:
        await agent_named(here.ports, agent, sees=caller.sees)
    found = await requests(
        here.ports, agent, all_of_them=every, limit=asked.limit + 1, after=asked.after, agents=caller.agents
    )
    rows, after = asked.cut(found, lambda one: one.approval.id)
    return Approvals(approvals=[_request(one, caller) for one in rows], next=after)


@router.get("/approvals/{approval}", responses=declared(404))
async def approval(approval: str, here: Here, caller: Looker) -> dict[str, Any]:
    """Show one request: the change, the evidence, the worst slice, the reach, the way back. Asking again is free."""
    await approval_seen(here, caller, approval)
    return _request(await request(here.ports, approval), caller)


def _request(one: Request, caller: Token) -> dict[str, Any]:
    """Give a request as it goes over the wire to somebody, who may not be one who reads texts."""
    document = request_document(one)
    return document if reads(caller) else {**document, "rationale": masked_quotes(one.version.rationale)}


def _summary(one: Overview) -> AgentSummary:
    return AgentSummary(
        name=one.agent.name, live=one.agent.live, stopped=one.agent.stopped, tick=one.agent.tick,
        rollout=one.rollout.id if one.rollout else None, waits=list(one.waits), successes=one.verdicts.success,
        failures=one.verdicts.failure, unknown=one.verdicts.unknown,
    )  # fmt: skip


def rollout_document(one: Rollout) -> RolloutDocument:
    """Give a rollout as it goes over the wire."""
    return RolloutDocument(
        id=one.id, agent=one.agent, challenger=one.challenger, incumbent=one.incumbent, state=one.state,
        weight_percent=one.weight_percent, holdback_percent=one.holdback_percent, epoch=one.epoch, steps=one.steps,
        reason=one.reason, started_at=one.started_at, closed_at=one.closed_at, approval=one.approval or None,
        forced_by=one.forced_by or None, queued=one.queued,
    )  # fmt: skip

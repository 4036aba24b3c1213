"""Routes that steer a rollout: start, step, hold, thaw, accept, override, abort; and what traffic could prove."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from surefoot.api.agent_documents import SwitchBody, Taken
from surefoot.api.documents import Name, RolloutDocument, Text
from surefoot.api.looking import rollout_document
from surefoot.api.matching import matching, rollout_tag
from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Here, Looker, Operator, Reader, Reception
from surefoot.api.seeing import rollout_seen
from surefoot.core.rollout.shadow import Shared
from surefoot.core.token import Token
from surefoot.engine.accept import accept_guards
from surefoot.engine.inspect import agent_named
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.plan import Watched, metric_terms, planned
from surefoot.engine.rollback import hold as held
from surefoot.engine.rollback import thaw as thawed
from surefoot.engine.rollback import wish

router = APIRouter(tags=["rollouts"])
MOVED = [matching("rollout", rollout_tag)]
LOOKED = [matching("rollout", rollout_tag, required=True)]
RolloutId = Annotated[str, Path(max_length=200)]


class WatchBody(Taken):
    """A metric that may not get worse by more than `margin`; values above `clip` count as `clip`."""

    name: Literal["latency_s", "cost_usd", "score"]
    margin: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
    clip: Annotated[float | None, Field(gt=0, le=1e9, allow_inf_nan=False)] = None


class StartBody(Taken):
    """The candidate that begins a rollout; `force` is for one that was turned down, and takes away the guarantee."""

    version: Annotated[int, Field(ge=1, le=10**9)]
    force: bool = False
    road: Literal["canary", "paired"] | None = None
    queue: bool = False
    watch: Annotated[list[WatchBody], Field(max_length=3, default_factory=list)]


class AcceptBody(Taken):
    """The watched slices or metrics that somebody looked at, and why they may be worse."""

    names: Annotated[list[Name], Field(min_length=1, max_length=100)]
    reason: Text = ""


class Plan(BaseModel):
    """How many labels and days it takes to prove an improvement of this size; null is longer than a rollout lasts."""

    relative_risk: float
    labels: int | None
    days: float | None


class Outlook(BaseModel):
    """What this traffic can prove."""

    agent: str
    labels_a_day: float | None
    baseline_rate: float
    assumed: bool
    win_at: float
    sentence: str
    plans: list[Plan]


class Pairs(BaseModel):
    """Requests that both versions answered before any user saw the challenger."""

    pairs: list[dict[str, Any]]
    next: str | None


@router.post("/agents/{agent}/rollouts", status_code=201, responses=declared(404, 409))
async def start(agent: str, body: StartBody, here: Here, caller: Operator) -> RolloutDocument:
    """Give a candidate its first share of traffic, or, on the paired road, let it answer recorded requests first."""
    await agent_named(here.ports, agent, sees=caller.sees)
    watched = [Watched(name=one.name, margin=one.margin, clip=one.clip) for one in body.watch]
    metrics = await metric_terms(here.ports, agent, watched)
    begun = await start_rollout(
        here.ports, agent, body.version, by=caller.name, forced_by=caller.name if body.force else "", road=body.road,
        queue=body.queue, metrics=metrics,
    )  # fmt: skip
    return await _stepped(here, begun.id)


@router.post("/rollouts/{rollout}/step", responses=declared(404, 409), dependencies=MOVED)
async def step(rollout: RolloutId, here: Here, caller: Operator) -> RolloutDocument:
    """Take the next step of a rollout now, whatever it is."""
    await rollout_seen(here, caller, rollout)
    return await _stepped(here, rollout)


@router.post("/rollouts/{rollout}/hold", responses=declared(404, 409), dependencies=MOVED)
async def hold(rollout: RolloutId, body: SwitchBody, here: Here, caller: Operator) -> RolloutDocument:
    """Take the challenger's share away until somebody has looked: the rollout is frozen."""
    await rollout_seen(here, caller, rollout)
    await held(here.ports, rollout, by=caller.name, reason=body.reason)
    return rollout_document(await rollout_seen(here, caller, rollout))


@router.post("/rollouts/{rollout}/thaw", responses=declared(404, 409), dependencies=MOVED)
async def thaw(rollout: RolloutId, body: SwitchBody, here: Here, caller: Operator) -> RolloutDocument:
    """Let a frozen rollout go on at its floor, because somebody has looked."""
    await rollout_seen(here, caller, rollout)
    await thawed(here.ports, rollout, by=caller.name, reason=body.reason)
    return await _stepped(here, rollout)


@router.post("/rollouts/{rollout}/accept", responses=declared(404, 409), dependencies=LOOKED)
async def accept(rollout: RolloutId, body: AcceptBody, here: Here, caller: Operator) -> RolloutDocument:
    """Let the rollout go on although these watched slices or metrics look worse."""
    await rollout_seen(here, caller, rollout)
    await accept_guards(here.ports, rollout, body.names, by=caller.name, why=body.reason)
    return await _stepped(here, rollout)


@router.post("/rollouts/{rollout}/override", responses=declared(404, 409), dependencies=LOOKED)
async def override(rollout: RolloutId, body: SwitchBody, here: Here, caller: Operator) -> RolloutDocument:
    """Promote the challenger against whatever the evidence says; the record says "no guarantee"."""
    return await _wished(here, caller, rollout, "promote", body.reason)


@router.post("/rollouts/{rollout}/abort", responses=declared(404, 409), dependencies=MOVED)
async def abort(rollout: RolloutId, body: SwitchBody, here: Here, caller: Operator) -> RolloutDocument:
    """End a rollout; the incumbent serves everything."""
    return await _wished(here, caller, rollout, "abort", body.reason)


@router.get("/rollouts/{rollout}/pairs", responses=declared(404))
async def pairs(rollout: RolloutId, here: Here, caller: Reader, asked: Paged) -> Pairs:
    """List the requests that both versions answered in the shadow, in their order."""
    await rollout_seen(here, caller, rollout)
    found = await here.ports.store.read(lambda tx: tx.pairs.all(rollout))
    rows, after = asked.page(found, lambda one: one.case)
    return Pairs(pairs=[_pair(one) for one in rows], next=after)


@router.get("/agents/{agent}/plan", responses=declared(404, 409))
async def plan(
    agent: str, here: Here, caller: Looker,
    daily: Annotated[float | None, Query(gt=0, le=1e9, allow_inf_nan=False)] = None,
) -> Outlook:  # fmt: skip
    """Say what this traffic can prove and in how many days, before a rollout starts."""
    await agent_named(here.ports, agent, sees=caller.sees)
    found = await planned(here.ports, agent, labels_a_day=daily)
    rows = [Plan(relative_risk=one.relative_risk, labels=one.labels, days=one.days) for one in found.plans]
    return Outlook(
        agent=agent, labels_a_day=found.labels_a_day, baseline_rate=found.baseline_rate, assumed=found.assumed,
        win_at=found.settings.win_at, sentence=found.sentence, plans=rows,
    )  # fmt: skip


async def _wished(here: Reception, caller: Token, rollout: str, what: str, reason: str) -> RolloutDocument:
    await rollout_seen(here, caller, rollout)
    await here.ports.store.write(lambda tx: wish(tx, here.ports, rollout, what, caller.name, reason))
    return await _stepped(here, rollout)


async def _stepped(here: Reception, rollout: str) -> RolloutDocument:
    await reconcile(here.ports, rollout)
    return rollout_document(await here.ports.store.read(lambda tx: tx.rollouts.get(rollout)))


def _pair(one: Shared) -> dict[str, Any]:
    sides = {
        side: {"text": reply.text, "score": reply.score, "cost_usd": reply.cost_usd, "latency_s": reply.latency_s}
        for side, reply in (("incumbent", one.incumbent), ("challenger", one.challenger))
    }
    return {"case": one.case, "at": one.at, "trace": one.trace or None, "input": one.input, "expected": one.expected,
            "difference": one.difference, **sides}  # fmt: skip

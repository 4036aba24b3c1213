"""Routes of agents: create, look, set, stop and resume."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from surefoot.api.agent_documents import AgentBody, AgentDocument, Settings, SettingsBody, SwitchBody, Switched
from surefoot.api.matching import agent_tag, matching, tag_of, tagged
from surefoot.api.problems import declared
from surefoot.api.reception import Administrator, Here, Looker, Operator
from surefoot.core.errors import Forbidden
from surefoot.core.genome import Genome
from surefoot.core.starter import DEFAULT_TASK, starting_bounds, starting_genome
from surefoot.core.token import Token, must_may
from surefoot.engine.adjust import adjust, settings_of
from surefoot.engine.halt import resume_all, stop_all
from surefoot.engine.inspect import agent_named, glance
from surefoot.engine.operate import reconcile
from surefoot.engine.register import create_agent
from surefoot.engine.register import stop as switch
from surefoot.engine.watch import due
from surefoot.ports import Ports

router = APIRouter(tags=["agents"])


@router.post("/agents", status_code=201, responses=declared(404, 409))
async def create(body: AgentBody, here: Here, caller: Administrator, response: Response) -> AgentDocument:
    """Create an agent; its version 1 is live at once."""
    must_may(caller, "administer", agent=body.name)
    genome = starting_genome(tuple(body.labels), task=body.task or DEFAULT_TASK) if body.blocks is None else (
        Genome.from_document(body.blocks)
    )  # fmt: skip
    wanted = _named(body.settings)
    if "model" in wanted:
        here.ports.model_named(wanted["model"])
    if "improver" in wanted:
        here.ports.improver_named(wanted["improver"])
    await create_agent(here.ports, body.name, genome, by=caller.name, labels=tuple(body.labels),
                       bounds=starting_bounds(tuple(body.labels)))  # fmt: skip
    if wanted:
        await adjust(here.ports, body.name, wanted, by=caller.name)
    return await _shown(here.ports, body.name, response)


@router.get("/agents/{agent}", responses=declared(404))
async def show(agent: str, here: Here, caller: Looker, response: Response) -> AgentDocument:
    """Show where an agent stands, and its settings."""
    await agent_named(here.ports, agent, sees=caller.sees)
    return await _shown(here.ports, agent, response)


@router.get("/agents/{agent}/settings", responses=declared(404))
async def settings(agent: str, here: Here, caller: Looker, response: Response) -> Settings:
    """Show what can be set, as it is."""
    found = await agent_named(here.ports, agent, sees=caller.sees)
    tagged(response, await here.ports.store.read(lambda tx: agent_tag(tx, agent)))
    return Settings(agent=agent, settings=settings_of(found))


@router.put("/agents/{agent}/settings", responses=declared(404, 409),
            dependencies=[matching("agent", agent_tag, required=True)])  # fmt: skip
async def set_(agent: str, body: SettingsBody, here: Here, caller: Administrator, response: Response) -> Settings:
    """Set what is named; what is not named stays. Terms of rollouts hold for those that begin later."""
    await agent_named(here.ports, agent, sees=caller.sees)
    await adjust(here.ports, agent, _named(body), by=caller.name)
    after = await here.ports.store.read(lambda tx: tx.agents.get(agent))  # as it is kept: 20 has become 20.0
    tagged(response, tag_of(after))
    return Settings(agent=agent, settings=settings_of(after))


@router.post("/agents/{agent}/stop", responses=declared(404, 409), dependencies=[matching("agent", agent_tag)])
async def stop(agent: str, body: SwitchBody, here: Here, caller: Operator) -> Switched:
    """Pull an agent's kill switch: only the live version serves."""
    return await _switched(here.ports, agent, caller, body.reason, stopped=True)


@router.post("/agents/{agent}/resume", responses=declared(404, 409), dependencies=[matching("agent", agent_tag)])
async def resume(agent: str, body: SwitchBody, here: Here, caller: Operator) -> Switched:
    """Let a stopped agent change again; what was frozen stays frozen until it is thawed."""
    return await _switched(here.ports, agent, caller, body.reason, stopped=False)


@router.post("/stop", status_code=204, responses=declared(409))
async def stop_everything(body: SwitchBody, here: Here, caller: Administrator) -> None:
    """Pull the kill switch of all agents, also of those that are made later."""
    _must_reach_all(caller)
    await stop_all(here.ports, by=caller.name, reason=body.reason)
    found = await here.ports.store.read(lambda tx: [one.id for a in tx.agents.all() for one in due(tx, a.name)])
    for rollout in found:
        await reconcile(here.ports, rollout)


@router.post("/resume", status_code=204, responses=declared(409))
async def resume_everything(body: SwitchBody, here: Here, caller: Administrator) -> None:
    """Lift the kill switch of all agents; those with their own switch on stay stopped."""
    _must_reach_all(caller)
    await resume_all(here.ports, by=caller.name, reason=body.reason)


def _must_reach_all(caller: Token) -> None:
    if caller.agents:
        raise Forbidden(
            f"the token of {caller.name} is held to some agents, and this switch is of all",
            hint="use a token that is good for all agents, or POST /api/v1/agents/{agent}/stop",
        )


async def _switched(ports: Ports, agent: str, caller: Token, reason: str, *, stopped: bool) -> Switched:
    await agent_named(ports, agent, sees=caller.sees)
    after = await switch(ports, agent, by=caller.name, stopped=stopped, reason=reason)
    for one in await ports.store.read(lambda tx: due(tx, agent)):
        await reconcile(ports, one.id)
    return Switched(agent=agent, stopped=after.stopped, live=after.live)


async def _shown(ports: Ports, agent: str, response: Response) -> AgentDocument:
    one, tag = await glance(ports, agent), await ports.store.read(lambda tx: agent_tag(tx, agent))
    tagged(response, tag)
    kept = one.agent
    return AgentDocument(
        name=kept.name, live=kept.live, stopped=kept.stopped, labels=list(kept.labels), tick=kept.tick,
        created_at=kept.created_at, last_tick_at=kept.last_tick_at,
        cases={str(split): number for split, number in one.cases.items()},
        draft=len(one.draft.accepted), rollout=one.rollout.id if one.rollout else None, waits=list(one.waits),
        successes=one.verdicts.success, failures=one.verdicts.failure, unknown=one.verdicts.unknown,
        settings=settings_of(kept),
    )  # fmt: skip


def _named(body: SettingsBody) -> dict[str, Any]:
    """What was named, and nothing else; a null is not a name for anything but a limit."""
    given = body.model_dump(exclude_unset=True)
    return {name: value for name, value in given.items() if value is not None}

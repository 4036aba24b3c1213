"""Routes by which versions that are processes announce themselves, say that they live, and leave."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.process_documents import HeartbeatBody, ProcessDocument, Processes, RegisterBody, RegisteredDocument
from surefoot.api.reception import Here, Looker, Operator, Reception, Recorder, able_to
from surefoot.core.build import Reasoner
from surefoot.core.errors import Unavailable
from surefoot.core.process import Process, standing
from surefoot.core.token import may
from surefoot.engine.dispatch import Dispatching
from surefoot.engine.enrol import Announced, admit, heartbeat, leave, processes, register
from surefoot.engine.inspect import agent_named
from surefoot.engine.weigh import shares

router = APIRouter(tags=["processes"])
AgentName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
ProcessId = Annotated[str, Path(max_length=100)]


@router.post("/agents/{agent}/processes", status_code=201, responses=declared(409))
async def enrol(agent: AgentName, body: RegisterBody, here: Here, caller: Recorder) -> RegisteredDocument:
    """Register a process as a version of an agent; the same version with other content is refused."""
    work = at_work(here)
    announced = Announced(
        agent=agent, version=body.version, base_url=body.base_url, content_hash=body.content_hash,
        content=body.content, tags=tuple(body.tags), state=body.state,
        reasoners=tuple(Reasoner(**one.model_dump()) for one in body.reasoners),
        skills=tuple(Reasoner(**one.model_dump()) for one in body.skills),
    )  # fmt: skip
    done = await register(
        here.ports, work.node, announced, by=caller.name, operates=may(caller, "operate"), ttl=work.terms.ttl,
        schemas=work.schemas,
    )  # fmt: skip
    shown = await _shown(here, done.process)
    return RegisteredDocument(
        **shown.model_dump(), new_version=done.new_version, new_agent=done.new_agent,
        next_heartbeat_at=done.process.seen_at + work.terms.ttl / 3,
    )  # fmt: skip


@router.get("/agents/{agent}/processes", responses=declared(404))
async def listed(agent: AgentName, here: Here, caller: Looker, asked: Paged) -> Processes:
    """List the processes of an agent by version, with how each one stands and the share of its version."""
    await agent_named(here.ports, agent, sees=caller.sees)
    _, _, found = await processes(here.ports, agent)
    now_shares = await here.ports.store.read(lambda tx: shares(tx, agent))
    now = here.ports.clock()
    rows, after = asked.page(found, lambda one: one.id)
    return Processes(
        processes=[document(one, *standing(one, now), now_shares.get(one.number, 0.0)) for one in rows], next=after
    )  # fmt: skip


@router.post(
    "/agents/{agent}/processes/{process}/heartbeat", responses=declared(404, 409),
    dependencies=[Depends(able_to("record"))],
)  # fmt: skip
async def beat(agent: AgentName, process: ProcessId, body: HeartbeatBody, here: Here) -> RegisteredDocument:
    """Say that a process lives, and how it is: starting, ready, draining or offline."""
    work = at_work(here)
    done = await heartbeat(here.ports, work.node, agent, process, says=body.state, ttl=work.terms.ttl)
    shown = await _shown(here, done)
    return RegisteredDocument(
        **shown.model_dump(), new_version=False, new_agent=False, next_heartbeat_at=done.seen_at + work.terms.ttl / 3
    )  # fmt: skip


@router.post("/agents/{agent}/processes/{process}/admission", responses=declared(404, 409))
async def let_in(agent: AgentName, process: ProcessId, here: Here, caller: Operator) -> ProcessDocument:
    """Let the first process of an agent in, and with it those that come later."""
    return await _shown(here, await admit(here.ports, agent, process, by=caller.name))


@router.delete("/agents/{agent}/processes/{process}", responses=declared(404))
async def gone(agent: AgentName, process: ProcessId, here: Here, caller: Recorder) -> ProcessDocument:
    """Forget a process: it gets no request and is watched no more. Its version stays."""
    return await _shown(here, await leave(here.ports, agent, process, by=caller.name))


def at_work(here: Reception) -> Dispatching:
    """Give what sends to processes; Unavailable where this server does not."""
    if here.dispatching is None:
        raise Unavailable("this server sends nothing to processes", hint="ask one that surefoot serve runs")
    return here.dispatching


async def _shown(here: Reception, one: Process) -> ProcessDocument:
    found = await here.ports.store.read(lambda tx: shares(tx, one.agent))
    return document(one, *standing(one, here.ports.clock()), found.get(one.number, 0.0))


def document(one: Process, status: str, because: str, weight_percent: float) -> ProcessDocument:
    """Give an instance as it goes over the wire."""
    return ProcessDocument(
        id=one.id, agent=one.agent, version=one.version, number=one.number, base_url=one.base_url, state=one.state,
        health=one.health, status=status, because=because, tags=list(one.tags), registered_at=one.registered_at,
        seen_at=one.seen_at, lease_until=one.lease_until, weight_percent=weight_percent,
    )  # fmt: skip

"""Routes by which an agent's program waits for a person, and a person decides.

Who may record may ask and hear; who may decide decides, in the name of the token. Nothing here is open to strangers.
The routes under `executions` are the same waits for teams that know them by an execution's id.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.program_documents import PauseBody, PauseDecisionBody, PauseDocument, Pauses
from surefoot.api.reception import Decider, Here, Looker, Recorder, hears
from surefoot.core.mask import masked_pause
from surefoot.core.pause import Pause
from surefoot.engine.inspect import agent_named
from surefoot.engine.pause import LONGEST_WAIT_S, awaited, decide_pause, pause, pauses

router = APIRouter(tags=["pause"])
PauseName = Annotated[str, Path(max_length=100)]


@router.get("/pauses", responses=declared(404))
async def everywhere(
    here: Here, caller: Looker, asked: Paged, agent: Annotated[str, Query(max_length=63)] = "",
    waiting: Annotated[bool, Query(description="only those that wait")] = True,
) -> Pauses:  # fmt: skip
    """List what agents' programs wait for, oldest first."""
    if agent:
        await agent_named(here.ports, agent, sees=caller.sees)
    found = await pauses(
        here.ports, agent or None, waiting_only=waiting, limit=asked.limit + 1, after=asked.after, agents=caller.agents
    )
    rows, after = asked.cut(found, lambda one: f"{one.agent}/{one.name}")
    return Pauses(pauses=[document(one, hidden=not hears(caller)) for one in rows], next=after)


@router.post("/agents/{agent}/pauses", responses=declared(404))
async def begun(agent: str, body: PauseBody, here: Here, caller: Recorder) -> PauseDocument:
    """Wait for a person; the same name again is the same wait, and hears what was decided."""
    await agent_named(here.ports, agent, sees=caller.sees)
    return document(await pause(
        here.ports, agent, body.name, by=caller.name, hours=body.expires_in_hours, reason=body.reason, url=body.url,
        execution=body.execution,
    ), hidden=False)  # fmt: skip


@router.get("/agents/{agent}/pauses/{name}", responses=declared(404))
async def standing(
    agent: str, name: PauseName, here: Here, caller: Recorder,
    wait_s: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="answer later, once it is decided")] = 0.0,
) -> PauseDocument:  # fmt: skip
    """Give a wait as it stands now, or as soon as it is decided or has expired."""
    await agent_named(here.ports, agent, sees=caller.sees)
    return document(await awaited(here.ports, agent, name, wait_s=wait_s), hidden=False)


@router.post("/agents/{agent}/pauses/{name}/decision", responses=declared(404, 409))
async def decision(agent: str, name: PauseName, body: PauseDecisionBody, here: Here, caller: Decider) -> PauseDocument:
    """Decide in the name of the token; the feedback reaches the program."""
    await agent_named(here.ports, agent, sees=caller.sees)
    return document(await decide_pause(
        here.ports, agent, name, body.decision, by=caller.name, feedback=body.feedback, response=body.response,
    ), hidden=False)  # fmt: skip


def document(one: Pause, *, hidden: bool) -> PauseDocument:
    """Give a wait as it goes over the wire, `hidden` to somebody who does not read what people wrote."""
    seen = masked_pause(one) if hidden else one
    return PauseDocument(
        agent=seen.agent, name=seen.name, state=seen.state, decision=None if seen.state == "pending" else seen.state,
        feedback=seen.feedback, response=dict(seen.response), reason=seen.reason, url=seen.url,
        execution=seen.execution, requested_by=seen.requested_by, requested_at=seen.requested_at,
        expires_at=seen.expires_at, decided_by=seen.decided_by, decided_at=seen.decided_at, hidden=hidden,
    )  # fmt: skip

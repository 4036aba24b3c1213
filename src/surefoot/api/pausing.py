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
from surefoot.api.reception import Decider, Here, Looker, Reception, Recorder
from surefoot.core.pause import Pause
from surefoot.core.token import Token
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
        await _seen(here, agent, caller)
    found = await pauses(
        here.ports, agent or None, waiting_only=waiting, limit=asked.limit + 1, after=asked.after, agents=caller.agents
    )
    rows, after = asked.cut(found, lambda one: f"{one.agent}/{one.name}")
    return Pauses(pauses=[document(one) for one in rows], next=after)


@router.post("/agents/{agent}/pauses", responses=declared(404))
async def begun(agent: str, body: PauseBody, here: Here, caller: Recorder) -> PauseDocument:
    """Wait for a person; the same name again is the same wait, and hears what was decided."""
    await _seen(here, agent, caller)
    return document(await pause(
        here.ports, agent, body.name, by=caller.name, hours=body.expires_in_hours, reason=body.reason, url=body.url,
        execution=body.execution,
    ))  # fmt: skip


@router.get("/agents/{agent}/pauses/{name}", responses=declared(404))
async def standing(
    agent: str, name: PauseName, here: Here, caller: Recorder,
    wait_s: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="answer later, once it is decided")] = 0.0,
) -> PauseDocument:  # fmt: skip
    """Give a wait as it stands now, or as soon as it is decided or has expired."""
    await _seen(here, agent, caller)
    return document(await awaited(here.ports, agent, name, wait_s=wait_s))


@router.post("/agents/{agent}/pauses/{name}/decision", responses=declared(404, 409))
async def decision(agent: str, name: PauseName, body: PauseDecisionBody, here: Here, caller: Decider) -> PauseDocument:
    """Decide in the name of the token; the feedback reaches the program."""
    await _seen(here, agent, caller)
    return document(await decide_pause(
        here.ports, agent, name, body.decision, by=caller.name, feedback=body.feedback, response=body.response,
    ))  # fmt: skip


async def _seen(here: Reception, agent: str, caller: Token) -> None:
    """Raise NotFound for an agent that is not there, or that the caller may not see."""
    await agent_named(here.ports, agent, sees=caller.sees)


def document(one: Pause) -> PauseDocument:
    """Give a wait as it goes over the wire."""
    return PauseDocument(
        agent=one.agent, name=one.name, state=one.state, decision=None if one.state == "pending" else one.state,
        feedback=one.feedback, response=dict(one.response), reason=one.reason, url=one.url, execution=one.execution,
        requested_by=one.requested_by, requested_at=one.requested_at, expires_at=one.expires_at,
        decided_by=one.decided_by, decided_at=one.decided_at,
    )  # fmt: skip

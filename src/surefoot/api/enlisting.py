"""Routes of what a person makes of failures: a lever for the loop, or a case to be tested on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, StringConstraints

from surefoot.api.agent_documents import Taken
from surefoot.api.finding import LeverDocument, Said
from surefoot.api.problems import declared
from surefoot.api.reception import Decider, Here, Operator
from surefoot.engine.enlist import enlist
from surefoot.engine.inspect import agent_named
from surefoot.engine.shelve import lever_by_hand

router = APIRouter(tags=["findings"])
Named = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]


class MadeBody(Taken):
    """Which failures (the symptom of a cluster, or the trace of one of them), and why they are worth a lever."""

    failure: Named
    reason: Said


class CaseBody(Taken):
    """Which request becomes a case, and what is right for it where nobody has said it yet."""

    trace_id: Named
    expected: Annotated[str, StringConstraints(max_length=20_000)] = ""


class CaseDocument(BaseModel):
    """The case that was made; which side it is tested on is told to nobody."""

    agent: str
    case: str
    trace_id: str


@router.post("/agents/{agent}/levers", status_code=201, responses=declared(404, 409))
async def make_lever(agent: str, body: MadeBody, here: Here, caller: Operator) -> LeverDocument:
    """Make a lever of a cluster of failures or of one; a tick treats it as any other."""
    await agent_named(here.ports, agent, sees=caller.sees)
    return LeverDocument.model_validate(
        await lever_by_hand(here.ports, agent, body.failure, by=caller.name, reason=body.reason)
    )  # fmt: skip


@router.post("/agents/{agent}/cases", status_code=201, responses=declared(404, 409))
async def add_case(agent: str, body: CaseBody, here: Here, caller: Decider) -> CaseDocument:
    """Make a request a case now; its side is that of its like, by hash, and nobody chooses it."""
    await agent_named(here.ports, agent, sees=caller.sees)
    found = await enlist(here.ports, agent, body.trace_id, expected=body.expected, by=caller.name)
    return CaseDocument(agent=agent, case=found.id, trace_id=body.trace_id)

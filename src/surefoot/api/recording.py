"""Routes by which an agent's own program records: outcomes."""

from __future__ import annotations

from fastapi import APIRouter

from surefoot.api.documents import OutcomeBody, OutcomeDocument
from surefoot.api.problems import declared
from surefoot.api.reception import Here, Recorder
from surefoot.engine.inspect import agent_named
from surefoot.engine.observe import observe

router = APIRouter(tags=["record"])


@router.post("/agents/{agent}/outcomes", status_code=201, responses=declared(404))
async def outcome(agent: str, body: OutcomeBody, here: Here, caller: Recorder) -> OutcomeDocument:
    """Say how a request went; late and repeated outcomes are welcome, the last one counts."""
    await agent_named(here.ports, agent, sees=caller.sees)
    done = await observe(
        here.ports, body.trace_id, expected=body.expected, verdict=body.verdict, score=body.score, source=caller.name,
        feedback=body.feedback, sees=agent.__eq__,
    )  # fmt: skip
    return OutcomeDocument(
        trace_id=done.trace_id, verdict=done.verdict, expected=done.expected, score=done.score, source=done.source,
        at=done.at,
    )  # fmt: skip

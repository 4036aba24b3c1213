"""Routes by which an agent's own program asks which version serves, and tells what it answered."""

from __future__ import annotations

from fastapi import APIRouter

from surefoot.api.problems import declared
from surefoot.api.program_documents import AssignBody, AssignedDocument, EnteredDocument, TracesBody
from surefoot.api.reception import Here, Recorder
from surefoot.core.genome import render
from surefoot.engine.enter import Step, Told, enter
from surefoot.engine.inspect import agent_named
from surefoot.engine.serve import live_seat, seated, storable

router = APIRouter(tags=["record"])


@router.post("/agents/{agent}/assign", responses=declared(404))
async def assign(agent: str, body: AssignBody, here: Here, caller: Recorder) -> AssignedDocument:
    """Give the version that serves a unit; the same unit keeps its version while the rollout lasts.

    Without a unit it is the live version.
    """
    record = await agent_named(here.ports, agent, sees=caller.sees)
    unit = here.ports.redact_name(storable(body.unit))
    seat = await (seated(here.ports, agent, unit) if unit else live_seat(here.ports, agent))
    genome = seat.genome
    return AssignedDocument(
        agent=agent, version=seat.version, live=seat.version == record.live, assignment=seat.rollout,
        digest=genome.digest, prompt=render(genome, body.slices),
        genome=None if body.known == genome.digest else genome.document(),
    )  # fmt: skip


@router.post("/agents/{agent}/traces", responses=declared(404))
async def traces(agent: str, body: TracesBody, here: Here, caller: Recorder) -> EnteredDocument:
    """Record requests that the program answered itself; a batch that comes again changes nothing."""
    await agent_named(here.ports, agent, sees=caller.sees)
    done = await enter(here.ports, agent, [
        Told(
            id=one.id, version=one.version, unit=one.unit, input=one.input, output=one.output, finish=one.finish,
            at=one.at, assignment=one.assignment, source=one.source, slices=one.slices, latency_s=one.latency_s,
            cost_usd=one.cost_usd, error=one.error, session=one.session, actor=one.actor,
            external_id=one.external_id, blameless=one.blameless,
            steps=tuple(Step(**step.model_dump()) for step in one.steps),
        ) for one in body.traces
    ])  # fmt: skip
    return EnteredDocument(kept=done.kept, known=done.known, refused=dict(done.refused))

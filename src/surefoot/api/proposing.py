"""Routes of an improver that works elsewhere: it reads a brief and proposes, and can do nothing else."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from surefoot.api.problems import declared
from surefoot.api.reception import Here, Proposer
from surefoot.engine.inspect import agent_named
from surefoot.engine.propose import brief_for, proposed

router = APIRouter(tags=["propose"])


class BriefDocument(BaseModel):
    """What an improver may know; `brief` is as docs/reference/improver-protocol.md says."""

    lever: str
    genome: str
    brief: dict[str, Any]


class ProposalBody(BaseModel):
    """Edits to a brief: its lever, and the hash of the genome that it showed."""

    model_config = ConfigDict(extra="forbid")

    lever: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    genome: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    protocol: int
    edits: Annotated[list[dict[str, Any]], Field(max_length=100)]
    rationale: Annotated[str, StringConstraints(max_length=2000)] = ""


class ProposalDocument(BaseModel):
    """The candidate version that a proposal became; it takes no traffic before people and the gate let it."""

    agent: str
    version: int
    genome: str
    parent: int | None
    edits: int
    rationale: str


@router.get("/agents/{agent}/brief", responses=declared(404, 409))
async def brief(
    agent: str, here: Here, caller: Proposer, lever: Annotated[str, Query(max_length=200)] = ""
) -> BriefDocument:  # fmt: skip
    """Give the brief of the lever that is most worth it, or of the named one: shown cases only."""
    await agent_named(here.ports, agent, sees=caller.sees)
    asked = await brief_for(here.ports, agent, lever=lever)
    return BriefDocument(lever=asked.lever.id, genome=asked.brief.genome.digest, brief=dict(asked.document))


@router.post("/agents/{agent}/proposals", status_code=201, responses=declared(404, 409))
async def proposal(agent: str, body: ProposalBody, here: Here, caller: Proposer) -> ProposalDocument:
    """Propose edits in the name of the token; what every guardrail lets pass becomes a candidate version."""
    await agent_named(here.ports, agent, sees=caller.sees)
    text = json.dumps({"protocol": body.protocol, "edits": body.edits, "rationale": body.rationale})
    version, said = await proposed(
        here.ports, agent, lever=body.lever, genome=body.genome, text=text, by=caller.name
    )  # fmt: skip
    return ProposalDocument(
        agent=agent, version=version.number, genome=version.genome, parent=version.parent, edits=len(said.edits),
        rationale=version.rationale,
    )  # fmt: skip

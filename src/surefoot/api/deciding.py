"""Routes by which people decide: on a request, in their token's name, and to step back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header

from surefoot.api.documents import Decided, DecisionBody, RollbackBody, RolledBackDocument
from surefoot.api.problems import declared
from surefoot.api.reception import Decider, Here, Operator
from surefoot.api.seeing import approval_seen
from surefoot.core.approval import Approval
from surefoot.engine.approve import approve
from surefoot.engine.inspect import agent_named
from surefoot.engine.operate import take_effect
from surefoot.engine.rollback import rollback
from surefoot.ports import Ports

router = APIRouter(tags=["decide"])


@router.post("/approvals/{approval}/decision", responses=declared(404, 409))
async def decide(
    approval: str, body: DecisionBody, here: Here, caller: Decider,
    x_surefoot_login: Annotated[str, Header(max_length=200)] = "",
) -> Decided:  # fmt: skip
    """Decide on a request in the name of the token; the hashes say what was looked at."""
    await approval_seen(here, caller, approval)
    after = await approve(
        here.ports, approval, body.decision, by=caller.name, version_digest=body.version_hash,
        evidence=body.evidence_hash, feedback=body.feedback, door="api",
        login=x_surefoot_login,
    )  # fmt: skip
    return await carried_out(here.ports, after)


@router.post("/agents/{agent}/rollback", responses=declared(404, 409))
async def step_back(agent: str, body: RollbackBody, here: Here, caller: Operator) -> RolledBackDocument:
    """Step back at once: end the rollout in progress, or make an earlier version live."""
    await agent_named(here.ports, agent, sees=caller.sees)
    done = await rollback(here.ports, agent, by=caller.name, to=body.to, reason=body.reason)
    return RolledBackDocument(agent=agent, live=done.live, before=done.before, rollout=done.rollout or None)


async def carried_out(ports: Ports, after: Approval) -> Decided:
    """Let a decision take effect now, and give how things stand then."""
    await take_effect(ports, after)
    rollout, live = await ports.store.read(
        lambda tx: (tx.rollouts.get(after.rollout), tx.agents.get(after.agent).live)
    )  # fmt: skip
    return Decided(
        approval=after.id, state=after.state, people=f"{after.signed} of {after.people_needed}",
        decided_by=after.decided_by, version_hash=after.version_digest, evidence_hash=after.evidence_digest,
        rollout=rollout.id, rollout_state=rollout.state, weight_percent=rollout.weight_percent, live=live,
    )  # fmt: skip

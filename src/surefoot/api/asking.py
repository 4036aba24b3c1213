"""The same waits under the id of an execution, for teams that know them as approval requests (S1-45).

What the other system calls `approval_request_id` is the name of a pause of the execution's agent.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from surefoot.api.problems import declared
from surefoot.api.program_documents import ApprovalStatus, PauseDecisionBody, RequestApprovalBody
from surefoot.api.reception import Decider, Here, Recorder
from surefoot.api.seeing import execution_seen
from surefoot.core.pause import Pause
from surefoot.engine.pause import decide_pause, pause, pause_of_execution

router = APIRouter(tags=["pause"], prefix="/executions/{execution_id}")
ExecutionId = Annotated[str, Path(max_length=100)]


@router.post("/request-approval", responses=declared(404))
async def asked(execution_id: ExecutionId, body: RequestApprovalBody, here: Here, caller: Recorder) -> ApprovalStatus:
    """Let an execution wait for a person; its deadline stands still meanwhile."""
    agent = (await execution_seen(here, caller, execution_id)).agent
    return _status(await pause(
        here.ports, agent, body.approval_request_id, by=caller.name, hours=body.expires_in_hours, reason=body.reason,
        url=body.approval_request_url, execution=execution_id,
    ))  # fmt: skip


@router.get("/approval-status", responses=declared(404))
async def standing(execution_id: ExecutionId, here: Here, caller: Recorder) -> ApprovalStatus:
    """Give how the last wait of an execution stands."""
    await execution_seen(here, caller, execution_id)
    return _status(await pause_of_execution(here.ports, execution_id))


@router.post("/approval-response", responses=declared(404, 409))
async def answered(execution_id: ExecutionId, body: PauseDecisionBody, here: Here, caller: Decider) -> ApprovalStatus:
    """Decide on the last wait of an execution, in the name of the token."""
    await execution_seen(here, caller, execution_id)
    found = await pause_of_execution(here.ports, execution_id)
    return _status(await decide_pause(
        here.ports, found.agent, found.name, body.decision, by=caller.name, feedback=body.feedback,
        response=body.response,
    ))  # fmt: skip


def _status(one: Pause) -> ApprovalStatus:
    return ApprovalStatus(
        execution_id=one.execution, approval_request_id=one.name, status=one.state, request_url=one.url,
        requested_at=one.requested_at, expires_at=one.expires_at, responded_at=one.decided_at,
        decided_by=one.decided_by, feedback=one.feedback, response=dict(one.response),
    )  # fmt: skip

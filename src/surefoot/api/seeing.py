"""What a caller may see, by its id: a thing of another agent is answered as one that is not there, in the same words.

So nothing tells whether an id that somebody guessed exists. Agents themselves are told apart by `core.agent.among`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

from surefoot.api.reception import Reception
from surefoot.core.approval import Approval
from surefoot.core.errors import NotFound
from surefoot.core.execution import Execution
from surefoot.core.rollout.standing import Rollout
from surefoot.core.token import Token
from surefoot.ports import Tx

T = TypeVar("T")
Thing = Literal["approval", "eval run", "execution", "incident", "job", "notice", "rollout", "trace", "webhook"]
_WHERE: dict[Thing, str] = {
    "approval": "GET /api/v1/approvals lists what waits",
    "eval run": "GET /api/v1/evals lists them by their whole ids",
    "execution": "the answer to execute carries its id",
    "incident": "GET /api/v1/incidents lists them",
    "job": "GET /api/v1/jobs lists them",
    "notice": "GET /api/v1/notices lists them",
    "rollout": "GET /api/v1/agents/{agent}/rollouts lists them",
    "trace": "every answer carries the id of its trace",
    "webhook": "GET /api/v1/webhooks lists them",
}


async def seen(
    here: Reception, what: Thing, name: str, read: Callable[[Tx], T], may: Callable[[T], bool]
) -> T:  # fmt: skip
    """Give what `read` finds under an id if the caller `may` see it; else NotFound, as if it were not there."""
    try:
        found = await here.ports.store.read(read)
    except NotFound:
        found = None
    if found is None or not may(found):
        raise NotFound(f"there is no {what} {name!r}", hint=_WHERE[what])
    return found


async def rollout_seen(here: Reception, caller: Token, rollout: str) -> Rollout:
    """Give a rollout of an agent that the caller sees."""
    return await seen(here, "rollout", rollout, lambda tx: tx.rollouts.get(rollout), lambda one: caller.sees(one.agent))


async def execution_seen(here: Reception, caller: Token, execution: str) -> Execution:
    """Give an execution of an agent that the caller sees."""
    return await seen(
        here, "execution", execution, lambda tx: tx.executions.get(execution), lambda one: caller.sees(one.agent)
    )


async def approval_seen(here: Reception, caller: Token, approval: str) -> Approval:
    """Give a request for a person about an agent that the caller sees."""
    return await seen(
        here, "approval", approval, lambda tx: tx.approvals.get(approval), lambda one: caller.sees(one.agent)
    )

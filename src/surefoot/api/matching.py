"""Tags of what is read, and writes that hold only while what was read is still there.

A read gives an `ETag`; a write may name it in `If-Match`, and then happens only if nothing moved since: the tag is
compared in the transaction of the write itself. Where a person acts against the evidence, or replaces what others set
too, the header is not optional.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response

from surefoot.api.guarding import around
from surefoot.api.reception import Caller
from surefoot.core.agent import Agent
from surefoot.core.digest import digest
from surefoot.core.errors import Conflict, Invalid
from surefoot.engine.adjust import settings_of
from surefoot.ports import Tx


class Moved(Conflict):
    """What was looked at has changed since: look again."""


class Unconditional(Invalid):
    """This must say what was looked at: send If-Match with the ETag of the read."""


Reading = Callable[[Tx, str], str]
IfMatch = Annotated[str | None, Header(max_length=1000, description="the ETag of what was looked at")]


def agent_tag(tx: Tx, name: str) -> str:
    """Give the tag of an agent: it moves with its settings, its live version and its switch."""
    return tag_of(tx.agents.get(name))


def tag_of(agent: Agent) -> str:
    """Give the tag of an agent as it was read; that it ticks moves nothing that anybody set."""
    return document_tag([agent.name, agent.live, agent.stopped, settings_of(agent)])


def rollout_tag(tx: Tx, rollout: str) -> str:
    """Give the tag of a rollout: it moves with every look that changes it."""
    return f'"r{tx.rollouts.get(rollout).revision}"'


def weights_tag(tx: Tx, name: str) -> str:
    """Give the tag of an agent's shares."""
    agent, active = tx.agents.get(name), tx.rollouts.active(name)
    return f'"w{agent.live}.{f"{active.id}.{active.epoch}" if active else ""}"'


def incident_tag(tx: Tx, incident: str) -> str:
    """Give the tag of an incident."""
    return f'"i{tx.incidents.get(incident).revision}"'


def document_tag(document: object) -> str:
    """Give the tag of what has no revision: a digest of it."""
    return f'"{digest(document)[:32]}"'


def tagged(response: Response, tag: str) -> None:
    """Put a tag on an answer."""
    response.headers["ETag"] = tag


def matching(named: str, reading: Reading, *, required: bool = False) -> Any:
    """Give a dependency that lets a write happen only while `If-Match` fits what `reading` gives of a path's part."""

    async def checked(request: Request, caller: Caller, if_match: IfMatch = None) -> None:  # noqa: ARG001  who first
        if if_match is None:
            if required:
                raise Unconditional("this takes If-Match", hint="send the ETag of what you looked at")
            return
        part = str(request.path_params[named])
        around().checks.append(lambda tx: must_match(if_match, reading(tx, part)))

    return Depends(checked)


def must_match(wanted: str, tag: str) -> None:
    """Raise Moved unless one of the wanted tags is this one."""
    if (not tag or wanted.strip() != "*") and tag not in [one.strip() for one in wanted.split(",")]:
        raise Moved("what you looked at has changed since", hint=f"look again; its ETag is {tag} now")

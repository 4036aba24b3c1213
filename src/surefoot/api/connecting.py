"""The routes of a connector, for teams that know them: the versions of an agent, and a version's share.

They are there only where `[connector]` names the variable of its token and that variable is set. The weights are true
shares: percent of all requests that sum to 100, where other routers read them relative to each other (S1-29), and 0 is
never (S1-30). Half of the traffic or more takes evidence and a person's approval, here as everywhere.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request

from surefoot.api.enrolling import AgentName
from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.process_documents import ConnectorVersion, ConnectorVersions, WeightBody, WeightDocument
from surefoot.api.reception import Here, Reception
from surefoot.core.errors import Forbidden, Invalid, NotFound
from surefoot.core.signature import Unauthenticated
from surefoot.core.token import Deed, Token, must_may
from surefoot.engine.connect import Standing, connected, versions
from surefoot.engine.inspect import agent_named

router = APIRouter(prefix="/connector/reasoners/{agent}", tags=["connector"])
MOST = 100


async def connector(
    here: Here, request: Request, x_connector_token: Annotated[str, Header(max_length=512)] = ""
) -> Token:
    """Give who is asking: the connector itself, or a person by a token of theirs."""
    if here.connector is None:
        raise NotFound("there is no connector here", hint="[connector] token_env names the variable of its token")
    if not x_connector_token:
        raise Unauthenticated("this takes the connector's token", hint="send X-Connector-Token")
    address = request.client.host if request.client is not None else ""
    return await here.admission.admit(x_connector_token, address=address, beside=(here.connector,))


Caller = Annotated[Token, Depends(connector)]


@router.get("/versions", responses=declared(404))
async def listed(agent: AgentName, here: Here, caller: Caller, asked: Paged) -> ConnectorVersions:
    """List the versions of an agent, oldest first, with their shares and how their processes are."""
    _must(here, caller, "look")
    await agent_named(here.ports, agent, sees=caller.sees)
    rows, after = asked.page(await versions(here.ports, agent), lambda one: one.build.number)
    return ConnectorVersions(id=agent, versions=[_row(agent, one) for one in rows], next=after)


@router.put("/versions/{version}/weight", responses=declared(404, 409))
async def weight(agent: AgentName, version: str, body: WeightBody, here: Here, caller: Caller) -> WeightDocument:
    """Give a version its share in percent, which the incumbent loses; a new version begins its rollout."""
    _must(here, caller, "operate")
    if not 0 <= body.weight <= MOST:
        raise Invalid(
            f"{body.weight:g} is no share: weights here are percent of all requests, from 0 to {MOST}",
            hint="send 5 for 5 %; the incumbent then has 95 %. Weights relative to each other are not known here",
        )
    await agent_named(here.ports, agent, sees=caller.sees)
    done, other = await connected(here.ports, agent, version, body.weight, by=caller.name)
    return WeightDocument(
        success=True, id=agent, version=version, previous_weight=done.previous_percent,
        new_weight=done.weight_percent, incumbent_weight=done.other_percent, incumbent_version=other or None,
        message=done.sentence,
    )  # fmt: skip


def _must(here: Reception, caller: Token, deed: Deed) -> None:
    if deed == "operate" and here.connector is not None and here.connector.role == "viewer":
        raise Forbidden("the connector is read-only", hint="[connector] read_only = false lets it set weights")
    must_may(caller, deed)


def _row(agent: str, one: Standing) -> ConnectorVersion:
    return ConnectorVersion(
        id=agent, version=one.build.version, number=one.build.number, traffic_weight=one.weight_percent,
        effective_weight=one.effective_percent, health_status=one.health, lifecycle_status=one.lifecycle,
        state=one.state, content_hash=one.build.content_hash, processes=one.processes,
    )  # fmt: skip

"""Routes of webhooks: tell another system of events, signed with a key that is shown once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field, StringConstraints

from surefoot.api.agent_documents import Taken
from surefoot.api.documents import Name
from surefoot.api.matching import document_tag, tagged
from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Administrator, Here, Reception
from surefoot.api.recounting import NoticeDocument, Notices, notice_document
from surefoot.api.seeing import seen
from surefoot.core.errors import Forbidden
from surefoot.core.subscription import Subscription
from surefoot.core.token import Token
from surefoot.engine.subscribe import deliveries, subscribe, test, unsubscribe

router = APIRouter(tags=["webhooks"])
Kind = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Id = Annotated[str, Path(max_length=200)]


class SubscriptionBody(Taken):
    """An address, and what it is told of: kinds of events such as `rollout.*`, of these agents; none named is all."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    events: Annotated[list[Kind], Field(max_length=50, default_factory=list)]
    agents: Annotated[list[Name], Field(max_length=100, default_factory=list)]


class SubscriptionDocument(BaseModel):
    """Who is told of which events; `after` is the last event that was put into the outbox for it."""

    id: str
    url: str
    events: list[str]
    agents: list[str]
    by: str
    at: datetime
    after: int


class Created(SubscriptionDocument):
    """A new subscription with the key that its messages are signed with, which is never shown again."""

    signing_key: str


class Subscriptions(BaseModel):
    """Subscriptions, oldest first."""

    webhooks: list[SubscriptionDocument]
    next: str | None


@router.post("/webhooks", status_code=201, responses=declared(404, 409))
async def create(body: SubscriptionBody, here: Here, caller: Administrator, response: Response) -> Created:
    """Tell an address of what happens from now on."""
    if caller.agents and not (body.agents and set(body.agents) <= set(caller.agents)):
        raise Forbidden(f"the token of {caller.name} is held to some agents", hint="name some of these in `agents`")
    one, key = await subscribe(here.ports, body.url, kinds=body.events, agents=body.agents, by=caller.name)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Location"] = f"/api/v1/webhooks/{one.id}"
    return Created(**_document(one).model_dump(), signing_key=key)


@router.get("/webhooks", responses=declared())
async def listed(here: Here, caller: Administrator, asked: Paged) -> Subscriptions:
    """List the addresses that are told of events; their keys are kept nowhere."""
    found = [one for one in await here.ports.store.read(lambda tx: tx.subscriptions.all()) if _sees(caller, one)]
    rows, after = asked.page(found, lambda one: one.id)
    return Subscriptions(webhooks=[_document(one) for one in rows], next=after)


@router.get("/webhooks/{webhook}", responses=declared(404))
async def show(webhook: Id, here: Here, caller: Administrator, response: Response) -> SubscriptionDocument:
    """Show one of them."""
    found = _document(await _known(here, caller, webhook))
    tagged(response, document_tag(found.model_dump(mode="json", exclude={"after"})))
    return found


@router.delete("/webhooks/{webhook}", status_code=204, responses=declared(404))
async def remove(webhook: Id, here: Here, caller: Administrator) -> None:
    """Tell an address of nothing any more; what waits for it becomes dead letters."""
    await _known(here, caller, webhook)
    await unsubscribe(here.ports, webhook, by=caller.name)


@router.post("/webhooks/{webhook}/test", status_code=202, responses=declared(404))
async def tried(webhook: Id, here: Here, caller: Administrator) -> NoticeDocument:
    """Send an event that means nothing; its deliveries show whether it arrived."""
    await _known(here, caller, webhook)
    return notice_document(await test(here.ports, webhook, by=caller.name))


@router.get("/webhooks/{webhook}/deliveries", responses=declared(404))
async def delivered(webhook: Id, here: Here, caller: Administrator, asked: Paged) -> Notices:
    """List what was told or is to be told to an address, newest first, and how often it was tried."""
    await _known(here, caller, webhook)
    found = await deliveries(here.ports, webhook, limit=asked.limit + 1, after=asked.after)
    rows, after = asked.cut(found, lambda one: one.id)
    return Notices(notices=[notice_document(one) for one in rows], next=after)


async def _known(here: Reception, caller: Token, webhook: str) -> Subscription:
    return await seen(
        here, "webhook", webhook, lambda tx: tx.subscriptions.get(webhook), lambda one: _sees(caller, one)
    )


def _sees(caller: Token, one: Subscription) -> bool:
    return not caller.agents or (bool(one.agents) and set(one.agents) <= set(caller.agents))


def _document(one: Subscription) -> SubscriptionDocument:
    return SubscriptionDocument(id=one.id, url=one.url, events=list(one.kinds), agents=list(one.agents), by=one.by,
                                at=one.at, after=one.after)  # fmt: skip

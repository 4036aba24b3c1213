"""Routes about who may come in: tokens, made and ended by who administers, and the login of a person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Administrator, Decider, Here
from surefoot.core.token import Issued, Role, life
from surefoot.engine.issue import Order, issue, log_in, revoke, tokens

router = APIRouter(tags=["administer"])
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Taken(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TokenBody(_Taken):
    """A token that is to be made: whose, what for, and for how long (`90d`, `12h`, `4w`)."""

    name: Name
    role: Role = "viewer"
    person: Annotated[str, StringConstraints(max_length=200)] = ""
    agents: Annotated[list[Name], Field(max_length=100)] = []
    expires: Annotated[str, StringConstraints(max_length=20)] = ""


class LoginBody(_Taken):
    """The token once more, as its person enters it."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class TokenDocument(BaseModel):
    """A token on record; of the token itself nothing is kept but a hash, which is not shown."""

    id: str
    name: str
    person: str
    role: Role
    agents: list[str]
    state: Literal["good", "revoked", "expired"]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    used_at: datetime | None


class TokenMade(TokenDocument):
    """A new token; this is the only time it is shown."""

    token: str


class TokenList(BaseModel):
    """A page of tokens, oldest first."""

    tokens: list[TokenDocument]
    next: str | None


class LoginDocument(BaseModel):
    """A proof of a login, for one decision."""

    login: str
    good_until: datetime


@router.get("/tokens", responses=declared())
async def token_list(here: Here, caller: Administrator, asked: Paged) -> TokenList:
    """List the tokens of the store."""
    found, after = asked.page(await tokens(here.ports, giver=caller), lambda one: one[0].id)
    now = here.ports.clock()
    return TokenList(tokens=[_document(one, used, now) for one, used in found], next=after)


@router.post("/tokens", status_code=201, responses=declared(409))
async def token_made(body: TokenBody, here: Here, caller: Administrator, response: Response) -> TokenMade:
    """Make a token and show it once; nobody makes one that may do more than their own."""
    span: timedelta | None = life(body.expires) if body.expires else None
    order = Order(name=body.name, role=body.role, person=body.person, agents=tuple(body.agents), life=span)
    response.headers["Cache-Control"] = "no-store"
    made = await issue(here.ports, order, by=caller.name, giver=caller)
    shown = _document(made.issued, None, here.ports.clock())
    return TokenMade(**shown.model_dump(), token=made.token)


@router.delete("/tokens/{token}", responses=declared(404, 409))
async def token_ended(token: str, here: Here, caller: Administrator) -> TokenDocument:
    """Revoke a token, named by its id or its name; within a second it lets nobody in."""
    ended = await revoke(here.ports, token, by=caller.name, giver=caller)
    return _document(ended, None, here.ports.clock())


@router.post("/login", responses=declared())
async def login(body: LoginBody, here: Here, caller: Decider, response: Response) -> LoginDocument:
    """Enter the token again; the proof goes along with an approval that takes a fresh login, as X-Surefoot-Login."""
    response.headers["Cache-Control"] = "no-store"
    proof, until = await log_in(here.ports, caller, body.token)
    return LoginDocument(login=proof, good_until=until)


def _document(one: Issued, used_at: datetime | None, now: datetime) -> TokenDocument:
    return TokenDocument(
        id=one.id, name=one.name, person=one.person, role=one.role, agents=list(one.agents), state=one.state(now),
        created_at=one.created_at, created_by=one.created_by, expires_at=one.expires_at, used_at=used_at,
    )  # fmt: skip

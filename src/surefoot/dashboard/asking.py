"""Asking: one request to a page, with who is looking, and the way from a screen's function to its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from surefoot.core.agent import Agent
from surefoot.core.errors import Invalid, NotFound, SurefootError
from surefoot.core.signature import Unauthenticated
from surefoot.dashboard.forms import read_form
from surefoot.dashboard.house import House
from surefoot.dashboard.pages import GUARDS, Page, Shell, answer, as_json, failure, wants_json
from surefoot.dashboard.visitor import ANYONE, Visitor, must_come_from_here, visitor_of
from surefoot.engine.attend import attention
from surefoot.engine.inspect import agent_named
from surefoot.ports import Ports, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A request, who is looking, and the moment that all of the page agrees on."""

    request: Request
    house: House
    visitor: Visitor
    now: datetime

    @property
    def ports(self) -> Ports:
        """Everything an engine verb may use."""
        return self.house.ports

    def part(self, name: str) -> str:
        """Give a part of the path."""
        return str(self.request.path_params[name]).removesuffix(".json")

    def query(self, name: str) -> str:
        """Give what the address says of something; nothing is empty."""
        return self.request.query_params.get(name, "")[:500]

    def number(self, name: str) -> int | None:
        """Give a whole number of the address; Invalid for anything else."""
        text = self.query(name)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            raise Invalid(f"{name} is {text[:40]!r}, which is no number", hint="follow a link of the page")
        return int(text)

    async def agent(self) -> Agent:
        """Give the agent of the path; NotFound as well for one that the visitor does not see."""
        name = self.part("agent")
        return await agent_named(self.ports, name, sees=self.visitor.sees)

    def must_see(self, agent: str, what: str) -> None:
        """Raise NotFound for a thing of an agent that the visitor does not see."""
        if not self.visitor.sees(agent):
            raise NotFound(f"there is no {what}", hint="the list of agents has those you see")


Screen = Callable[[Asking], Awaitable[Page]]
Deed = Callable[[Asking, dict[str, str]], Awaitable[str | Page]]
Endpoint = Callable[[Request], Awaitable[Response]]


def house_of(request: Request) -> House:
    """Give the house of the application that a request came to."""
    return cast("House", request.app.state.house)


def shown(screen: Screen) -> Endpoint:
    """Give the route of a page; what goes wrong becomes a page of its own."""

    async def endpoint(request: Request) -> Response:
        house = house_of(request)
        visitor = Visitor(token=ANYONE)
        try:
            visitor = await visitor_of(request, house)
            asking = Asking(request=request, house=house, visitor=visitor, now=house.ports.clock())
            return answer(request, await screen(asking), await shell_of(asking))
        except Unauthenticated as error:
            return as_json(_problem(error), 401) if wants_json(request) else _to_login(request)
        except SurefootError as error:
            return await refused(request, house, visitor, error)

    return endpoint


def done(deed: Deed) -> Endpoint:
    """Give the route of a form: it comes from a page of this visit, or with a token, and leads to a page."""

    async def endpoint(request: Request) -> Response:
        house = house_of(request)
        visitor = Visitor(token=ANYONE)
        try:
            visitor = await visitor_of(request, house)
            fields = await read_form(request)
            must_come_from_here(request, visitor, fields.get("form_word", ""))
            asking = Asking(request=request, house=house, visitor=visitor, now=house.ports.clock())
            led = await deed(asking, fields)
            if isinstance(led, Page):
                return answer(request, led, await shell_of(asking))
            return RedirectResponse(led, 303, headers=GUARDS)
        except SurefootError as error:
            return await refused(request, house, visitor, error)

    return endpoint


async def refused(request: Request, house: House, visitor: Visitor, error: SurefootError) -> Response:
    """Give an error as a page, or as a program reads it."""
    told = failure(error)
    if wants_json(request):
        return as_json(_problem(error), told.status)
    page = Page(template="problem.html", model=told, title=told.message, status=told.status)
    now = house.ports.clock()
    return answer(request, page, Shell(visitor=visitor, now=now, version=house.version))


async def shell_of(asking: Asking) -> Shell:
    """Gather what stands around a page."""

    def work(tx: Tx) -> tuple[list[str], int]:
        return [one.name for one in tx.agents.all() if asking.visitor.sees(one.name)], tx.audit.last()

    agents, last = await asking.ports.store.read(work)
    return Shell(
        visitor=asking.visitor, needs=tuple(await attention(asking.ports, asking.visitor.sees)), agents=tuple(agents),
        now=asking.now, beat=last, version=asking.house.version,
    )  # fmt: skip


def _problem(error: SurefootError) -> dict[str, object]:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _to_login(request: Request) -> Response:
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?to={quote(target, safe='')}", 303, headers=GUARDS)

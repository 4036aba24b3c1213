"""Entering and leaving: a person shows a token once, and the browser keeps a word for it until they leave."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from surefoot.core.errors import Forbidden, SurefootError
from surefoot.core.visit import LASTS
from surefoot.dashboard.asking import house_of, refused
from surefoot.dashboard.forms import read_form
from surefoot.dashboard.pages import GUARDS, Page, Shell, answer, status_of
from surefoot.dashboard.visitor import ANYONE, COOKIE, Visitor, anybody_may_look, must_be_here, same_origin
from surefoot.engine.visit import begin, end


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """The page that asks for a token: where it leads to, and whether anybody on this machine may look without one."""

    to: str
    open_to_look: bool


def safe_target(to: str) -> str:
    """Give a path of ours to go on to; anything else leads to the first page."""
    fits = to.startswith("/") and not to.startswith("//") and "\\" not in to and to.isprintable()
    return to if fits and len(to) <= 1000 and not to.startswith("/login") else "/"


async def entrance(request: Request) -> Response:
    """Ask for a token."""
    house = house_of(request)
    try:
        is_open = await anybody_may_look(house)
        if is_open:
            must_be_here(request)
        return await _asked(request, "", 200, is_open=is_open)
    except SurefootError as error:
        return await refused(request, house, Visitor(token=ANYONE), error)


async def enter(request: Request) -> Response:
    """Let a browser in that shows a token, and lead it to where it wanted to go."""
    house = house_of(request)
    to, address = "/", request.client.host if request.client is not None else ""
    try:
        read = await read_form(request)
        to, token = safe_target(read.get("to", "")), read.get("token", "")[:500]
        if not same_origin(request):
            raise Forbidden("this form comes from another site", hint="open the page itself and try again")
        if await anybody_may_look(house):
            must_be_here(request)
        begun = await begin(house.ports, house.admission, token, address=address)
    except SurefootError as error:
        return await _asked(request, f"{error.message}. {error.hint}", status_of(error), to=to)
    leads = RedirectResponse(to, 303, headers=GUARDS)
    leads.set_cookie(
        COOKIE, begun.cookie, max_age=int(LASTS.total_seconds()), httponly=True, samesite="strict", path="/",
        secure=house.secure or request.url.scheme == "https",
    )  # fmt: skip
    return leads


async def leave(request: Request) -> Response:
    """End the visit of this browser; a page of another site cannot, because the cookie does not come from there."""
    house = house_of(request)
    if (cookie := request.cookies.get(COOKIE, "")) and same_origin(request):
        try:
            await end(house.ports, cookie)
        except SurefootError as error:
            return await refused(request, house, Visitor(token=ANYONE), error)
    leads = RedirectResponse("/login", 303, headers=GUARDS)
    leads.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return leads


async def _asked(request: Request, told: str, status: int, *, to: str = "", is_open: bool = False) -> Response:
    house = house_of(request)
    model = Entrance(to=to or safe_target(request.query_params.get("to", "/")), open_to_look=is_open)
    page = Page(template="login.html", model=model, title="Log in", status=status, told=told, tone="bad")
    return answer(
        request, page, Shell(visitor=Visitor(token=ANYONE), now=house.ports.clock(), version=house.version)
    )  # fmt: skip

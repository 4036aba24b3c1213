"""Who is looking, and what they may do here.

A browser shows the cookie of its visit, a program its token. Without either, where there are no tokens at all and the
request is addressed to this machine by its own name, anybody on it may look. Whoever writes shows, beside the cookie,
the word that only a page of their own visit carries.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from starlette.requests import Request

from surefoot.core.errors import Forbidden
from surefoot.core.host import is_here, name_of
from surefoot.core.signature import Unauthenticated
from surefoot.core.token import Deed, Token, must_may
from surefoot.core.visit import fits, form_word
from surefoot.dashboard.house import House
from surefoot.engine.visit import visitor

COOKIE = "surefoot_visit"
ANYONE = Token(name="anyone", sha256="", role="viewer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Whose eyes these are, and the cookie that says so (empty: a program, or anybody on this machine)."""

    token: Token
    cookie: str = ""

    @property
    def name(self) -> str:
        """The name that is recorded."""
        return self.token.name

    @property
    def known(self) -> bool:
        """Whether this is somebody with a token."""
        return self.token is not ANYONE

    def sees(self, agent: str) -> bool:
        """Whether the token reaches an agent."""
        return self.token.sees(agent)

    def may(self, deed: Deed, agent: str = "") -> bool:
        """Whether a button for this may be shown; the deed itself asks again."""
        try:
            must_may(self.token, deed, agent=agent)
        except Forbidden:
            return False
        return self.known or deed == "look"

    def reads(self, agent: str = "") -> bool:
        """Whether texts of an agent may be shown: to whose role reads, and to anybody who sits at this machine."""
        return not self.known or self.may("read", agent)

    def must(self, deed: Deed, agent: str = "") -> None:
        """Raise unless this visitor may do it."""
        if not self.known and deed != "look":
            raise Unauthenticated("this takes a token", hint="surefoot token create NAME --role reviewer makes one")
        must_may(self.token, deed, agent=agent)

    def form_word(self) -> str:
        """Give the word for a form on a page of this visit; another one each time."""
        return form_word(self.cookie, secrets.token_bytes(16)) if self.cookie else ""


async def visitor_of(request: Request, house: House) -> Visitor:
    """Give who is looking; Unauthenticated for nobody we know, Forbidden for a name that is not ours."""
    address = request.client.host if request.client is not None else ""
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer":
            raise Unauthenticated("this takes a token", hint="send Authorization: Bearer TOKEN")
        token = await house.admission.admit(presented.strip(), address=address)
        must_may(token, "look")
        return Visitor(token=token)
    cookie = request.cookies.get(COOKIE, "")
    if cookie:
        try:
            return Visitor(token=await visitor(house.ports, house.admission, cookie), cookie=cookie)
        except Unauthenticated:
            if not await anybody_may_look(house):
                raise
    if await anybody_may_look(house):
        must_be_here(request)
        return Visitor(token=ANYONE)
    raise Unauthenticated("this takes a token", hint="log in with the token that surefoot token create made")


async def must_still_be_welcome(house: House, one: Visitor) -> None:
    """Raise Unauthenticated once a visitor who came in would not come in again."""
    if one.cookie:
        await visitor(house.ports, house.admission, one.cookie)
    elif one.known:
        await house.admission.of(one.token.sha256.lower())
    elif not await anybody_may_look(house):
        raise Unauthenticated("this takes a token", hint="log in with the token that surefoot token create made")


async def anybody_may_look(house: House) -> bool:
    """Whether there is no token at all, so that this machine may look without one."""
    return house.open_to_look and await house.admission.empty()


def must_be_here(request: Request) -> None:
    """Raise Forbidden for a request under a name that is not this machine's own."""
    host = request.headers.get("host", "")
    if not is_here(host):
        raise Forbidden(f"this dashboard is not called {name_of(host) or 'nothing'}", hint="ask for it as 127.0.0.1")


def must_come_from_here(request: Request, visitor: Visitor, word: str) -> None:
    """Raise Forbidden for a form that does not come from a page of this very visit."""
    if not same_origin(request):
        raise Forbidden("this form comes from another site", hint="open the page itself and try again")
    if visitor.cookie and not fits(visitor.cookie, word):
        raise Forbidden("this form is not of this visit", hint="reload the page and try again")


def same_origin(request: Request) -> bool:
    """Whether a request comes from a page of ours, as browsers say it; what says nothing is no browser of today."""
    if site := request.headers.get("sec-fetch-site", ""):  # no page can set it; behind a proxy it is surer than Host
        return site in ("same-origin", "none")
    origin = request.headers.get("origin", "")
    return not origin or origin.partition("://")[2] == request.headers.get("host", "")

"""The reception: what every route has at hand, and who is asking.

A caller shows a bearer token; its name is what is recorded. Where no token exists the API answers only on loopback, and
then anyone on this machine may look, but not change anything; a web page that a browser on this machine shows is told
apart by its Host header, because it could only come with a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, cast

from fastapi import Depends, Request

from surefoot.api.feeds import Feeds
from surefoot.core.errors import Forbidden
from surefoot.core.host import is_here, name_of
from surefoot.core.signature import Unauthenticated
from surefoot.core.token import Deed, Token, may, must_may
from surefoot.engine.admit import Admission
from surefoot.engine.diagnose import Hearing
from surefoot.engine.dispatch import Dispatching
from surefoot.engine.verify import Walking
from surefoot.ports import Ports
from surefoot.ports.jobs import Launcher, NoLauncher

ADMITTED = "surefoot.admitted"  # in the scope of a request: whose token it is, where that was asked before
_ANYONE = Token(name="anyone", sha256="", role="viewer")


@dataclass(slots=True)
class Refusals:
    """Bounds how many refusals of strangers are written down, so that nobody fills the disk with them."""

    per_minute: int = 30
    since: datetime | None = None
    written: int = 0
    unwritten: int = 0

    def due(self, now: datetime) -> int | None:
        """Give how many went unwritten before this one if it is to be written down, else None."""
        if self.since is None or now - self.since >= timedelta(minutes=1):
            self.since, self.written = now, 0
        if self.written >= self.per_minute:
            self.unwritten += 1
            return None
        self.written += 1
        before, self.unwritten = self.unwritten, 0
        return before


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """The ports, who may come in, the secret of signed webhooks (empty = there are none), and Surefoot's version.

    With `open_to_look` a caller without a token may look, as long as there are no tokens. `dispatching` sends to
    processes, where this server does; `connector` is the token of the connector's routes (as a viewer: read-only).
    `walking` is the one walk along the audit chain in this process, whichever door it is asked for at, and `hearing`
    where the counts of its processes are to be had.
    """

    ports: Ports
    admission: Admission
    walking: Walking
    secret: str = ""
    open_to_look: bool = False
    version: str = ""
    refusals: Refusals = field(default_factory=Refusals)
    launcher: Launcher = field(default_factory=NoLauncher)
    hearing: Hearing = field(default_factory=Hearing)
    streams: list[Feeds] = field(default_factory=list[Feeds])
    dispatching: Dispatching | None = None
    connector: Token | None = None

    @property
    def feeds(self) -> Feeds:
        """What is new, read once for all who listen."""
        if not self.streams:
            self.streams.append(Feeds(self.ports))
        return self.streams[0]


def reception_of(request: Request) -> Reception:
    """Give the reception of the application that a request came to."""
    return cast("Reception", request.app.state.reception)


async def caller_of(request: Request, here: Annotated[Reception, Depends(reception_of)]) -> Token:
    """Give who is asking; Unauthenticated for nobody we know. A request asks once, or it would cost two drops."""
    if isinstance(known := request.scope.get(ADMITTED), Token):
        return known
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    address = request.client.host if request.client is not None else ""
    if here.open_to_look and not scheme and await here.admission.empty():
        host = request.headers.get("host", "")
        if not is_here(host):
            raise Forbidden(f"this API is called {name_of(host) or 'nothing'} here", hint="ask for it as 127.0.0.1")
        return _ANYONE
    if scheme.lower() != "bearer":
        raise Unauthenticated("this takes a token", hint="send Authorization: Bearer TOKEN (surefoot token create)")
    return await here.admission.admit(presented.strip(), address=address)


Here = Annotated[Reception, Depends(reception_of)]
Caller = Annotated[Token, Depends(caller_of)]


def able_to(deed: Deed) -> Callable[[Token], Token]:
    """Give a dependency that lets in whose role allows a deed, on the agent of the path if there is one."""

    def able(caller: Caller, request: Request) -> Token:
        if caller is _ANYONE and deed not in ("look", "read"):
            raise Unauthenticated("this takes a token", hint="surefoot token create NAME makes one")
        if caller is not _ANYONE:
            must_may(caller, deed, agent=str(request.path_params.get("agent", "")))
        return caller

    return able  # pyright: ignore[reportReturnType]


def known_looker(caller: Annotated[Token, Depends(able_to("look"))]) -> Token:
    """Let in who may look and has a name, under which something is remembered."""
    if caller is _ANYONE:
        raise Unauthenticated("this takes a token", hint="surefoot token create NAME makes one")
    return caller


def reads(caller: Token) -> bool:
    """Whether a caller is shown what people wrote; whoever is on this machine, where there are no tokens, is."""
    return caller is _ANYONE or may(caller, "read")


def hears(caller: Token) -> bool:
    """Whether a caller is shown what processes are asked: who reads, and who asks and answers (records) itself."""
    return reads(caller) or may(caller, "record")


def must_read(caller: Token) -> None:
    """Raise Forbidden for a caller who is not shown what people wrote."""
    if not reads(caller):
        must_may(caller, "read")


Looker = Annotated[Token, Depends(able_to("look"))]
KnownLooker = Annotated[Token, Depends(known_looker)]
Reader = Annotated[Token, Depends(able_to("read"))]
Recorder = Annotated[Token, Depends(able_to("record"))]
Decider = Annotated[Token, Depends(able_to("decide"))]
Operator = Annotated[Token, Depends(able_to("operate"))]
Proposer = Annotated[Token, Depends(able_to("propose"))]
Administrator = Annotated[Token, Depends(able_to("administer"))]

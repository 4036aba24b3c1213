"""Pages: from a page's model to an answer, as HTML for people and as JSON for programs, both from the same values.

Every answer carries the same strict policy: scripts and styles only from our own files, no frames, no referrer. What
is on a page is never kept by a cache, because it is somebody's.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, cast

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound, SurefootError, Unavailable
from surefoot.core.figure import points
from surefoot.core.rate import TooMany
from surefoot.core.signature import Unauthenticated
from surefoot.dashboard import charts, words
from surefoot.dashboard.markdown import rendered
from surefoot.dashboard.statics import address, edition
from surefoot.dashboard.visitor import Visitor
from surefoot.engine.attend import Need
from surefoot.ports.recorder import Full

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
GUARDS = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}  # fmt: skip
# The nearest family counts; a class stands before the one it is made from.
STATUS: tuple[tuple[type[SurefootError], int], ...] = (
    (Unauthenticated, 401), (Forbidden, 403), (NotFound, 404), (Conflict, 409), (Invalid, 422), (Full, 429),
    (TooMany, 429), (Unavailable, 503),
)  # fmt: skip
_THEMES = ("light", "dark")
_SMALL = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: its template, its model, its title, the place in the navigation, and what makes it look again."""

    template: str
    model: Any
    title: str
    place: str = ""
    agent: str = ""
    tab: str = ""
    live: tuple[str, ...] = ()
    status: int = 200
    told: str = ""
    tone: str = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What stands around every page: who is looking, what waits for a person, which agents there are."""

    visitor: Visitor
    needs: tuple[Need, ...] = ()
    agents: tuple[str, ...] = ()
    now: datetime
    beat: int = 0
    version: str = ""

    @property
    def asked(self) -> int:
        """How many decisions wait."""
        return sum(one.kind == "approval" for one in self.needs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a page says when it cannot show what was asked for."""

    status: int
    code: str
    message: str
    hint: str


@cache
def environment() -> Environment:
    """Give what reads the templates: everything is escaped, and a name that is not there is a mistake."""
    made = Environment(
        loader=PackageLoader("surefoot.dashboard"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=words.defused, auto_reload=False,
    )  # fmt: skip
    made.filters.update({  # pyright: ignore[reportUnknownMemberType]  Jinja's own types say no more
        "percent": words.percent, "plain": words.plain, "money": words.money, "exact": words.exact,
        "points": points, "spoken": words.spoken, "brief": words.brief, "initials": words.initials,
        "ago": words.relative, "markdown": rendered, "seconds": words.seconds,
    })  # fmt: skip
    made.globals.update(static=address, charts=charts, mark=charts.mark)  # pyright: ignore[reportUnknownMemberType]
    return made


def wants_json(request: Request) -> bool:
    """Whether a program is asking: by the address, or by what it accepts."""
    if request.url.path.endswith(".json"):
        return True
    accepts = request.headers.get("accept", "")
    return "application/json" in accepts and "text/html" not in accepts


def answer(request: Request, page: Page, shell: Shell) -> Response:
    """Give a page as it was asked for."""
    if wants_json(request):
        return as_json({"page": page.title, "at": shell.now, "told": page.told, **_fields(page.model)}, page.status)
    theme = request.cookies.get("surefoot_theme", "")
    text = environment().get_template(page.template).render(
        page=page, model=page.model, shell=shell, visitor=shell.visitor, now=shell.now, request=request,
        theme=theme if theme in _THEMES else "", edition=edition(), path=request.url.path,
    )  # fmt: skip
    return packed(request, Response(text, page.status, media_type="text/html", headers=GUARDS))


def as_json(document: Mapping[str, Any], status: int = 200) -> Response:
    """Give a document to a program."""
    content = orjson.dumps(document, default=_plainly, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_INDENT_2)
    return Response(content, status, media_type="application/json", headers=GUARDS)


def packed(request: Request, response: Response) -> Response:
    """Pack an answer for who can unpack it."""
    if "gzip" in request.headers.get("accept-encoding", "") and len(response.body) > _SMALL:
        response.body = gzip.compress(bytes(response.body), 5)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))
    response.headers["Vary"] = "Accept, Accept-Encoding, Cookie"
    return response


def status_of(error: SurefootError) -> int:
    """Give the status of an error."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def failure(error: SurefootError) -> Failure:
    """Give an error as a page and a program see it."""
    return Failure(status=status_of(error), code=error.code, message=error.message, hint=error.hint)


def _fields(model: Any) -> dict[str, Any]:
    assert is_dataclass(model)
    names = getattr(model, "__slots__", ())
    return {name: getattr(model, name) for name in names if not isinstance(getattr(model, name), Markup)}


def _plainly(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    raise TypeError(f"a {type(value).__name__} has no JSON")

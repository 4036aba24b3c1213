"""The application: pages at plain addresses, each with its twin in JSON; what is no page goes to what is behind.

The addresses hold all state, so that a page can be sent to somebody, reloaded, and come back to.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from surefoot.core.errors import Invalid, NotFound, SurefootError
from surefoot.dashboard import (
    agents,
    approvals,
    audit,
    compare,
    evals,
    failures,
    health,
    lessons,
    levers,
    rollout,
    runs,
    trace,
    traces,
    versions,
)
from surefoot.dashboard.asking import Screen, done, house_of, refused, shown
from surefoot.dashboard.entering import enter, entrance, leave
from surefoot.dashboard.house import House
from surefoot.dashboard.live import live
from surefoot.dashboard.pages import GUARDS
from surefoot.dashboard.palette import palette
from surefoot.dashboard.statics import edition, files
from surefoot.dashboard.visitor import ANYONE, Visitor

SCREENS: tuple[tuple[str, Screen], ...] = (
    ("/agents", agents.screen), ("/agents/{agent}/versions", versions.screen),
    ("/agents/{agent}/rollouts", rollout.list_screen), ("/rollouts/{rollout}", rollout.screen),
    ("/agents/{agent}/failures", failures.screen), ("/agents/{agent}/levers", levers.screen),
    ("/agents/{agent}/lessons", lessons.screen),
    ("/agents/{agent}/traces", traces.screen), ("/agents/{agent}/traces/fresh", traces.fresh),
    ("/traces/{trace:path}", trace.screen), ("/sessions/{session:path}", traces.session),
    ("/agents/{agent}/evals", evals.screen), ("/evals/{eval}", compare.screen), ("/runs", runs.screen),
    ("/approvals", approvals.screen), ("/approvals/{approval}", approvals.screen), ("/audit", audit.screen),
    ("/audit/chain", audit.chain), ("/status", health.screen),
)  # fmt: skip
_BEHIND = ("/api/", "/v1/", "/healthz")


class Dashboard:
    """The dashboard in front of another application (the REST API), or alone."""

    def __init__(self, house: House, *, behind: ASGIApp | None = None) -> None:
        self.house = house
        self._behind = behind
        self._pages = Starlette(
            routes=_routes(), exception_handlers={HTTPException: _unknown, Exception: _mistake}
        )  # fmt: skip
        self._pages.router.redirect_slashes = False
        self._pages.state.house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, here or behind."""
        path = scope.get("path", "")
        if self._behind is not None and (scope["type"] != "http" or path.startswith(_BEHIND)):
            await self._behind(scope, receive, send)
        elif scope["type"] == "http":
            await self._pages(scope, receive, send)

    def close(self) -> None:
        """Let go of all open streams, because the process ends."""
        self.house.following.close()


def _routes() -> list[BaseRoute]:
    routes: list[BaseRoute] = [Route("/", shown(agents.screen), methods=["GET"])]
    for path, screen in SCREENS:
        routes.append(Route(f"{path}.json", shown(screen), methods=["GET"]))
        routes.append(Route(path, shown(screen), methods=["GET"]))
    return [
        *routes,
        Route("/agents/{agent}.json", _agent, methods=["GET"]),
        Route("/agents/{agent}", _agent, methods=["GET"]),
        Route("/approvals/{approval}/decision", done(approvals.decide), methods=["POST"]),
        Route("/rollouts/{rollout}/{deed}", done(rollout.steer), methods=["POST"]),
        Route("/incidents/{incident}/close", done(agents.close_incident), methods=["POST"]),
        Route("/agents/{agent}/failures/lever", done(failures.make_lever), methods=["POST"]),
        Route("/agents/{agent}/failures/case", done(failures.add_case), methods=["POST"]),
        Route("/evals/{eval}/say", done(compare.speak), methods=["POST"]),
        Route("/evals/{eval}/cancel", done(compare.call_off), methods=["POST"]),
        Route("/runs/cancel", done(runs.call_off), methods=["POST"]),
        Route("/audit/walk", done(audit.walk), methods=["POST"]),
        Route("/login", entrance, methods=["GET"]),
        Route("/login", enter, methods=["POST"]),
        Route("/logout", leave, methods=["POST"]),
        Route("/live", live, methods=["GET"]),
        Route("/palette.json", palette, methods=["GET"]),
        Route("/static/{edition}/{name:path}", _static, methods=["GET"]),
        Route("/favicon.ico", _icon, methods=["GET"]),
    ]


async def _agent(request: Request) -> Response:
    end = ".json" if request.url.path.endswith(".json") else ""
    return RedirectResponse(f"/agents/{request.path_params['agent']}/versions{end}", 307, headers=GUARDS)


async def _icon(_: Request) -> Response:
    return RedirectResponse(f"/static/{edition()}/icon.svg", 307, headers=GUARDS)


async def _static(request: Request) -> Response:
    found = files().get(request.path_params["name"])
    if found is None:
        return Response("there is no such file", 404, media_type="text/plain", headers=GUARDS)
    lasting = "public, max-age=31536000, immutable" if request.path_params["edition"] == edition() else "no-store"
    headers = GUARDS | {"Cache-Control": lasting, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, media_type=found.kind, headers=headers | {"Content-Encoding": "gzip"})
    return Response(found.content, media_type=found.kind, headers=headers)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path[:100]}"
    hint = "the agents are at /, the API at /api/v1"
    told: SurefootError = (
        NotFound(f"there is no page at {what}", hint=hint)
        if error.status_code in (404, 405)
        else Invalid(str(error.detail), hint=hint)
    )  # fmt: skip
    return await refused(request, house_of(request), Visitor(token=ANYONE), told)


async def _mistake(request: Request, error: Exception) -> Response:
    told = SurefootError(
        f"Surefoot made a mistake ({type(error).__name__})", hint="please report it, with the server's log"
    )
    return await refused(request, house_of(request), Visitor(token=ANYONE), told)

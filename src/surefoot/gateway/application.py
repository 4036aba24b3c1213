"""The application: plain routes, nothing between them and the bytes; other paths go to the application behind it.

The two routes that every request of an app takes are looked up in a table; a router and its middleware would cost more
than the rest of the gateway does. What is no such request (another method, an unknown path) goes to the router.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from surefoot.core.errors import Invalid, NotFound
from surefoot.gateway.answers import error_body, mistake_body
from surefoot.gateway.completions import Completions
from surefoot.gateway.house import House
from surefoot.gateway.intake import Intake
from surefoot.gateway.passing import Embeddings, Models
from surefoot.gateway.signs import Signs

_OWN = frozenset({"/health", "/ready", "/metrics"})


class Gateway:
    """The gateway in front of another application (the REST API), or alone."""

    def __init__(self, house: House, *, behind: ASGIApp | None = None, end: Callable[[], Awaitable[None]]) -> None:
        self.house = house
        self._behind = behind
        self._end = end
        self._signs = signs = Signs(house)
        chat, responses = Completions(house, "chat"), Completions(house, "responses")
        self._often: dict[tuple[str, str], ASGIApp] = {
            ("POST", "/v1/chat/completions"): chat, ("POST", "/v1/responses"): responses,
            ("POST", "/v1/traces"): Intake(house, "spans"), ("POST", "/v1/logs"): Intake(house, "logs"),
        }  # fmt: skip
        self._routes = Starlette(
            routes=[
                Route("/v1/chat/completions", chat, methods=["POST"]),
                Route("/v1/responses", responses, methods=["POST"]),
                Route("/v1/traces", self._often["POST", "/v1/traces"], methods=["POST"]),
                Route("/v1/logs", self._often["POST", "/v1/logs"], methods=["POST"]),
                Route("/v1/embeddings", Embeddings(house), methods=["POST"]),
                Route("/v1/models", Models(house), methods=["GET"]),
                Route("/v1/models/{model}", Models(house), methods=["GET"]),
                Route("/health", _Plain(signs.health), methods=["GET"]),
                Route("/ready", _Plain(signs.ready), methods=["GET"]),
                Route("/metrics", _Plain(signs.metrics), methods=["GET"]),
            ],
            exception_handlers={HTTPException: _unknown, Exception: _mistake},
        )
        self._routes.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, here or behind."""
        path = scope.get("path", "")
        if (often := self._often.get((scope.get("method", ""), path))) is not None:
            await often(scope, receive, send)
        elif self._behind is None or path.startswith("/v1/") or path in _OWN:
            await self._routes(scope, receive, send)
        else:
            await self._behind(scope, receive, send)

    def counts(self) -> str:
        """Give what this worker has counted, in the text format of Prometheus."""
        return self._signs.mine()

    async def everyone(self) -> str:
        """Give what all workers have counted."""
        return await self._signs.everyone()

    async def aclose(self) -> None:
        """Write what is waiting, and let go of all connections."""
        await self._end()


class _Plain:
    """An ASGI application from a method; Starlette would take a bare method for a handler of requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path}"
    problem = NotFound if error.status_code == 404 else Invalid
    body = error_body(
        problem(f"{what}: {str(error.detail).lower()}", hint="docs/reference/gateway.md lists the routes")
    )
    return Response(body, error.status_code, media_type="application/json")


async def _mistake(_: Request, error: Exception) -> Response:
    return Response(mistake_body(error), 500, media_type="application/json")

"""The door: what every request passes first, whichever room answers it.

It gives the request an id (the client's own, where that may stand in a log), turns away addresses that ask too often,
counts, and writes down how it ended: errors always, good answers by a share. Of a request it writes the method, the
pattern of the route, the status and the time; no body, no query, no token.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from surefoot.core.journal import request_id
from surefoot.core.rate import TooMany
from surefoot.engine.admit import Admission
from surefoot.gateway.answers import refuse
from surefoot.gateway.measures import INGEST, Measures, route_of

REQUEST: ContextVar[str] = ContextVar("request", default="")
ID, TRACE = b"x-request-id", b"x-surefoot-trace-id"
_log = logging.getLogger("surefoot.access")


class Door:
    """An application behind which all others are; `access` is the share of good answers that is written down."""

    def __init__(
        self, inner: ASGIApp, admission: Admission, measures: Measures, *, new_id: Callable[[], str],
        access: float = 0.0,
    ) -> None:  # fmt: skip
        self._inner = inner
        self._admission = admission
        self._measures = measures
        self._new_id = new_id
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        visit = _Visit(scope, send, _told_id(scope) or self._new_id())
        mark = REQUEST.set(visit.id)
        self._measures.in_flight += 1
        if scope["path"] in INGEST:
            self._measures.lag.begin(id(visit), visit.started)
        try:
            client = scope.get("client")
            self._admission.must_not_flood(client[0] if client else "")
            await self._inner(scope, receive, visit.send)
        except TooMany as error:
            await refuse(visit.send, error)
        finally:
            self._measures.in_flight -= 1
            self._over(visit)
            REQUEST.reset(mark)

    def _over(self, visit: _Visit) -> None:
        took, route = time.perf_counter() - visit.started, route_of(visit.scope)
        self._measures.count(route, visit.status, took)
        if visit.scope["path"] in INGEST:
            self._measures.lag.end(id(visit), took=took, well=visit.status < 300)
        bad = visit.status >= 500
        if not bad and (self._access <= 0 or random.random() >= self._access):
            return
        path: Mapping[str, Any] = visit.scope.get("path_params") or {}
        method = visit.scope["method"]
        fields: dict[str, object] = {
            "request_id": visit.id, "upstream_request_id": visit.theirs, "trace_id": visit.trace, "method": method,
            "route": route, "status": visit.status, "ms": round(took * 1000, 1),
            "agent": visit.scope.get("surefoot.agent") or path.get("agent", ""),
        }  # fmt: skip
        level = logging.WARNING if bad else logging.INFO
        _log.log(level, "%s %s %d", method, route, visit.status, extra={"fields": fields})


class _Visit:
    """One request on its way, and what its answer began with; 499 where none began."""

    __slots__ = ("_send", "id", "scope", "started", "status", "theirs", "trace")

    def __init__(self, scope: Scope, send: Send, name: str) -> None:
        self.scope = scope
        self.id = name
        self.started = time.perf_counter()
        self.status = 499
        self.theirs = self.trace = ""
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass a message on; the first one gets the request's id, unless an upstream gave it one."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message.get("headers", ()):
                if name == ID:
                    self.theirs = request_id(value.decode("latin-1"))
                elif name == TRACE:
                    self.trace = value.decode("latin-1")
            if not self.theirs:
                message = {**message, "headers": [*message.get("headers", ()), (ID, self.id.encode())]}
        await self._send(message)


def _told_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == ID:
            return request_id(value.decode("latin-1"))
    return ""

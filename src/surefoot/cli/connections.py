"""Connections, held to bounds that uvicorn and its parser do not have.

A head is at most `HEAD_BYTES` long and has to be there in time; a body comes at a pace, and all bodies of a worker
together are bounded; who does not read the answer is let go; and there are so many connections and no more. One timer
goes round all connections once a second, since a timer for each would cost more than the request.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from surefoot.engine.accompany import beside
from surefoot.gateway.measures import Measures

HEAD_BYTES = 64 * 1024
PACE_BYTES_PER_S = 1024
TICK_S = 1.0
_WORDS = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


@dataclass(slots=True, kw_only=True)
class Bounds:
    """What connections are held to; see `[serve]` in docs/reference/configuration.md."""

    connections: int = 1_000
    body_memory: int = 64 * 1024 * 1024
    head_s: float = 10.0
    idle_s: float = 30.0


@dataclass(slots=True)
class Guard:
    """The bounds of one worker, what its connections hold now, and where they are counted."""

    bounds: Bounds
    measures: Measures
    held: int = 0
    open: set[Bounded] = field(default_factory=set["Bounded"])

    def count(self, why: str) -> None:
        """Count a connection that was let go."""
        self.measures.dropped[why] = self.measures.dropped.get(why, 0) + 1

    def watching(self) -> AbstractAsyncContextManager[None]:
        """Go round the connections while the block lasts."""
        return beside(self._rounds())

    async def _rounds(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = asyncio.get_running_loop().time()
            self.measures.connections = len(self.open)
            for one in tuple(self.open):
                one.passed_by(now)

    def protocol(self) -> type[Bounded]:
        """Give the protocol class whose connections this guard watches."""

        class Mine(Bounded):
            guard = self

        return Mine


class Bounded(HttpToolsProtocol):
    """One connection.

    `_head_since` is when the head that is being read began (None between requests, and while a body is read).
    """

    guard: Guard
    _head_since: float | None = None
    _head = 0
    _body_since: float | None = None
    _heard_at = 0.0
    _body = 0
    _held = 0
    _stuck_since: float | None = None
    _over = False

    def connection_made(self, transport: Any) -> None:
        """Take a connection, if there is room for one more."""
        super().connection_made(transport)
        self.guard.open.add(self)
        self._head_since = self._heard_at = self.loop.time()
        if len(self.guard.open) > self.guard.bounds.connections:
            self._end(503, "too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of what it held."""
        self.guard.open.discard(self)
        self._release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head has grown too long."""
        if self._over:
            return
        self._heard_at = self.loop.time()
        if self._body_since is None:
            self._head += len(data)
            if self._head_since is None:
                self._head_since = self._heard_at
        super().data_received(data)
        if self._head_since is not None and self._head > HEAD_BYTES:
            self._end(431, "the head is too long")

    def on_headers_complete(self) -> None:
        """The head is there; a body may follow."""
        self._head_since, self._head = None, 0
        self._body_since, self._body = self.loop.time(), 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what is held, of this connection and of all."""
        if self._over:
            return
        self._body += len(body)
        self._held += len(body)
        self.guard.held += len(body)
        if self.guard.held > self.guard.bounds.body_memory:
            self._end(503, "too many bodies at once")
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is there too."""
        self._body_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is given, and the body no longer held."""
        self._release()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is told."""
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        self._stuck_since = None
        super().resume_writing()

    def passed_by(self, now: float) -> None:
        """See how the connection is doing."""
        bounds = self.guard.bounds
        if self._stuck_since is not None and now - self._stuck_since > bounds.idle_s:
            self._abort("the answer is not read")
        elif self._head_since is not None and now - self._head_since > bounds.head_s:
            self._end(408, "the head did not come in time")
        elif self._body_since is not None and not self.flow.read_paused and self._dawdles(now):
            self._end(408, "the body did not come in time")

    def _dawdles(self, now: float) -> bool:
        assert self._body_since is not None
        idle_s = self.guard.bounds.idle_s
        patience = idle_s + self._body / PACE_BYTES_PER_S
        return now - self._heard_at > idle_s or now - self._body_since > patience

    def _end(self, status: int, why: str) -> None:
        """Say why, if nothing was said yet, and let go."""
        if self._over:
            return
        self._over = True
        self.guard.count(why)
        cycle = cast("RequestResponseCycle | None", self.cycle)  # none before the first request
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()
            return
        body = f'{{"code": "{"invalid" if status < 500 else "unavailable"}", "message": "{why}", "hint": ""}}'
        again = "Retry-After: 1\r\n" if status == 503 else ""
        head = f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: application/json\r\n{again}"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
        self.loop.call_later(TICK_S, self.transport.abort)  # who does not read even this is let go all the same

    def _abort(self, why: str) -> None:
        self._over = True
        self.guard.count(why)
        self.transport.abort()

    def _release(self) -> None:
        self.guard.held -= self._held
        self._held = 0

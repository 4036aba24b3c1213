"""The connections of one process to its upstreams: kept while they last, one request at a time on each.

The connection that was used last is taken first, so that those too many grow old and are closed. A kept connection that
turns out to be closed before a byte of the answer came was closed while the request was on its way; the request is then
sent once more on a new one, as browsers do.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from surefoot.adapters.upstreams.connection import Answer, Broken, Connection

CONNECT_S = 10.0
MOST_IDLE_S = 30.0
MOST_IDLE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a connection goes."""

    host: str
    port: int
    secure: bool


class Pool:
    """Connections by place; at most `most` requests are under way at once, the others wait."""

    def __init__(self, *, most: int = 1_000) -> None:
        self._room = asyncio.Semaphore(most)
        self._idle: defaultdict[Place, list[Connection]] = defaultdict(list[Connection])
        self._all: set[Connection] = set()
        self._secure: ssl.SSLContext | None = None

    async def ask(self, place: Place, head: bytes, body: bytes) -> Answer:
        """Send a request and give its answer when it has begun; Broken or OSError without one."""
        while True:
            connection = await self._connection(place)
            first, connection.fresh = connection.fresh, False
            answer = connection.ask(head, body)
            try:
                await answer.begun
            except Broken as problem:
                if problem.silent and not first:
                    continue
                raise
            except BaseException:
                connection.abort()
                raise
            return answer

    async def aclose(self) -> None:
        """End all connections."""
        for connection in tuple(self._all):
            connection.abort()
        await asyncio.sleep(0)

    async def _connection(self, place: Place) -> Connection:
        await self._room.acquire()
        if (kept := self._kept(place)) is not None:
            return kept
        try:
            return await self._new(place)
        except BaseException:
            self._room.release()
            raise

    def _kept(self, place: Place) -> Connection | None:
        idle = self._idle[place]
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    async def _new(self, place: Place) -> Connection:
        loop = asyncio.get_running_loop()
        secure = self._trust() if place.secure else None
        async with asyncio.timeout(CONNECT_S):
            _, connection = await loop.create_connection(
                partial(Connection, loop, self._freed(place, loop.time)), place.host, place.port, ssl=secure,
                server_hostname=place.host if secure else None,
            )  # fmt: skip
        self._all.add(connection)
        return connection

    def _freed(self, place: Place, now: Callable[[], float]) -> Callable[[Connection], None]:
        idle, room, everyone = self._idle[place], self._room, self._all

        def freed(connection: Connection) -> None:
            if connection.busy:
                connection.busy = False
                room.release()
            if connection.over:
                everyone.discard(connection)
                if connection in idle:
                    idle.remove(connection)
                return
            connection.idle_since = now()
            idle.append(connection)
            if len(idle) > MOST_IDLE or now() - idle[0].idle_since > MOST_IDLE_S:
                idle[0].abort()

        return freed

    def _trust(self) -> ssl.SSLContext:
        if self._secure is None:
            self._secure = ssl.create_default_context()
            self._secure.set_alpn_protocols(["http/1.1"])
        return self._secure

"""Within: requests to an application of this very program, without a socket, whose answers come piece by piece.

The application is asked as a server would ask it. Whoever has no more use for an answer goes away, as a client does
that closes its connection: the application hears of it and ends its work in its own way, so that what it records is
the same as at a server. An answer that the application does not bring to its end breaks off here as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx2

LEAVE_S = 2.0


class Within(httpx2.AsyncBaseTransport):
    """An ASGI application as a transport; it belongs to one event loop."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._visits: dict[asyncio.Task[None], _Visit] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Give an answer once it has begun."""
        visit = _Visit(await request.aread())
        task = asyncio.get_running_loop().create_task(visit.paid(self._app, _scope(request)))
        self._visits[task] = visit
        task.add_done_callback(self._visits.pop)
        try:
            status, headers = await visit.begun
        except BaseException:
            visit.gone.set()
            raise
        return httpx2.Response(status, headers=headers, stream=visit)

    async def aclose(self) -> None:
        """Go away from all answers that are under way, and wait a moment until the application has noticed."""
        for visit in self._visits.values():
            visit.gone.set()
        if self._visits:
            _, left = await asyncio.wait(self._visits, timeout=LEAVE_S)
            for task in left:
                task.cancel()


class _Visit(httpx2.AsyncByteStream):
    """One request on its way through the application, and the pieces of its answer."""

    def __init__(self, body: bytes) -> None:
        self.begun: asyncio.Future[tuple[int, Any]] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()
        self._body: bytes | None = body
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._whole = False

    async def paid(self, app: Any, scope: MutableMapping[str, Any]) -> None:
        """Let the application answer; a mistake of its own is a 500, as at a server."""
        try:
            with contextlib.suppress(
                Exception
            ):  # the application has logged it; here it is an answer that did not come
                await app(scope, self._receive, self._send)
        finally:
            if not self.begun.done():
                self._whole = True
                self.begun.set_result((500, []))
            self._pieces.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece
        if not self._whole:
            raise httpx2.RemoteProtocolError("the answer broke off")

    async def aclose(self) -> None:
        self.gone.set()

    async def _receive(self) -> MutableMapping[str, Any]:
        if self._body is None:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            if not self.begun.done():
                self.begun.set_result((message["status"], message.get("headers", [])))
        elif message["type"] == "http.response.body" and not self.gone.is_set():
            self._pieces.put_nowait(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._whole:
                self._pieces.put_nowait(None)


def _scope(request: httpx2.Request) -> MutableMapping[str, Any]:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw], "scheme": request.url.scheme,
        "path": request.url.path, "raw_path": request.url.raw_path.split(b"?")[0], "query_string": request.url.query,
        "server": (request.url.host, request.url.port), "client": ("127.0.0.1", 0), "root_path": "",
    }  # fmt: skip

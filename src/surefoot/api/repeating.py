"""Requests that may be sent twice: `Idempotency-Key` on POST, PUT and DELETE.

The key belongs to the token that sent it. The answer is given again word for word, with `Idempotent-Replayed: true`.
An answer that shows a secret, or the text of a model or a process as it came, says so with `Cache-Control: no-store`
and is not kept: sent again, the request is told that it was carried out, and where to look (`Location`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from surefoot.api.guarding import Under, request
from surefoot.api.problems import answer, status_of
from surefoot.api.reception import ADMITTED
from surefoot.core.errors import SurefootError
from surefoot.core.request_key import LEASE, Busy, RequestKey
from surefoot.engine.admit import Admission
from surefoot.engine.once import renew, settle, take
from surefoot.ports import Ports

METHODS = frozenset({"POST", "PUT", "DELETE", "PATCH"})
_TOLD = ("content-type", "etag", "location")
_JSON = {"content-type": "application/json"}
_MISTAKE = '{"code": "internal", "message": "Surefoot made a mistake half-way", "hint": "look at what is there"}'


class Repeatable:
    """An application that carries a request out once, however often it is sent under one key."""

    def __init__(self, app: ASGIApp, ports: Ports, admission: Admission) -> None:
        self._app = app
        self._ports = ports
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or answer it again."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with request() as around:
            key = _header(scope, b"idempotency-key")
            scheme, _, token = (_header(scope, b"authorization") or "").partition(" ")
            known = scheme.lower() == "bearer"  # whoever says no name can change nothing
            if key is None or not known or scope["method"] not in METHODS:
                await self._app(scope, receive, send)
            elif (refused := await self._refused(scope, token.strip())) is not None:
                await refused(scope, receive, send)
            else:
                await self._once(scope, receive, send, around, key)

    async def _refused(self, scope: Scope, token: str) -> Response | None:
        """What a stranger is told: no key of theirs is kept, and a token that was revoked gets no old answer."""
        client = scope.get("client")
        try:
            scope[ADMITTED] = await self._admission.admit(token, address=client[0] if client else "")
        except SurefootError as error:
            return _refusal(error)
        return None

    async def _once(self, scope: Scope, receive: Receive, send: Send, around: Under, key: str) -> None:
        body = await _whole(receive)
        try:
            fresh, mine = await take(self._ports, _caller(scope), key, _digest(scope, body))
        except SurefootError as error:
            await _refusal(error)(scope, receive, send)
            return
        if not fresh:
            await _again(mine)(scope, receive, send)
            return
        around.key = mine
        heard = _Heard(body, receive, send)
        try:
            async with _renewing(self._ports, mine):
                await self._app(scope, heard.receive, heard.send)
        except Exception:
            await settle(self._ports, mine, status=500, headers=_JSON, body=_MISTAKE, secret=False)
            raise
        await settle(self._ports, mine, status=heard.status, headers=heard.headers, body=heard.text(),
                     secret="no-store" in heard.headers.get("cache-control", ""))  # fmt: skip
        await heard.tell()


class _Heard:
    """Keeps what the application answers until it is kept; then it is told."""

    def __init__(self, body: bytes, receive: Receive, send: Send) -> None:
        self._body, self._receive, self._send = body, receive, send
        self._handed = False
        self._messages: list[Message] = []
        self.status = 500
        self.headers: dict[str, str] = {}

    async def receive(self) -> Message:
        if self._handed:
            return await self._receive()
        self._handed = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: Message) -> None:
        self._messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in
                            message.get("headers", ())}  # fmt: skip

    def text(self) -> str:
        parts = [one.get("body", b"") for one in self._messages if one["type"] == "http.response.body"]
        return b"".join(parts).decode("utf-8", "replace")

    async def tell(self) -> None:
        for one in self._messages:
            await self._send(one)


@contextlib.asynccontextmanager
async def _renewing(ports: Ports, mine: RequestKey) -> AsyncGenerator[None]:
    """Hold the key for as long as the request takes."""

    async def turns() -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            with contextlib.suppress(SurefootError):
                await renew(ports, mine)

    task = asyncio.create_task(turns())
    try:
        yield
    finally:
        task.cancel()


async def _whole(receive: Receive) -> bytes:
    """The body, which `Capped` has bounded before."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def _again(kept: RequestKey) -> Response:
    headers = {name: value for name, value in kept.headers.items() if name in _TOLD}
    return Response(kept.body.encode(), kept.status, headers={**headers, "Idempotent-Replayed": "true"})


def _refusal(error: SurefootError) -> Response:
    told = answer(status_of(error), error.code, error.message, error.hint)
    if isinstance(error, Busy):
        told.headers["Retry-After"] = "1"
    return told


def _header(scope: Scope, name: bytes) -> str | None:
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return ",".join(found) if found else None


def _caller(scope: Scope) -> str:
    """Whose key it is: the digest of the token, so that nobody's key says anything about another one's."""
    return hashlib.sha256((_header(scope, b"authorization") or "").encode()).hexdigest()


def _digest(scope: Scope, body: bytes) -> str:
    made = hashlib.sha256()
    for part in (scope["method"].encode(), scope.get("raw_path") or scope["path"].encode(), scope["query_string"],
                 (_header(scope, b"if-match") or "").encode(), body):  # fmt: skip
        made.update(len(part).to_bytes(8, "big") + part)
    return made.hexdigest()

"""The link: requests to a Surefoot, whether it is a server elsewhere or runs inside this program.

Both speak the same HTTP: inside, the very application that a server serves is called without a socket, so that nothing
behaves differently. An answer that is an error becomes the error it names, with its message and hint. No answer at all
is `Away`. A server that was away three times in a row is left alone for two seconds, so that a program does not wait at
each call for something that is not there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast
from urllib.parse import quote

import httpx2

from surefoot.core.breaker import Breaker, ended, lets_through, sent
from surefoot.core.errors import BudgetExhausted, Conflict, Forbidden, Invalid, NotFound, SurefootError, Unavailable
from surefoot.core.signature import Unauthenticated
from surefoot.sdk.within import Within

TIMEOUT_S = 10.0
CONNECT_S = 2.0
INSIDE_S = 60.0
_KINDS: Mapping[str, type[SurefootError]] = {
    kind.code: kind for kind in (Invalid, NotFound, Conflict, Forbidden, BudgetExhausted, Unavailable, Unauthenticated)
}


class Away(Unavailable):
    """Surefoot does not answer: it is not there, or too slow."""


class Mistake(Unavailable):
    """Surefoot answers that it made a mistake of its own, which it may make each time with the same request."""


class Inside(Protocol):
    """A Surefoot inside this program."""

    @property
    def token(self) -> str: ...
    @property
    def gateway(self) -> Any:
        """The ASGI application."""
        ...

    def running(self) -> AbstractAsyncContextManager[None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where Surefoot is: a server's address with a token, or what opens one inside this program."""

    url: str = ""
    token: str = field(default="", repr=False)
    opens: Callable[[], Inside] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """An answer: its JSON and its headers, by their names in lower case."""

    body: Any
    headers: Mapping[str, str]


class Link:
    """The link to one place. It belongs to one event loop, that of the line."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client: httpx2.AsyncClient | None = None
        self._inside: AbstractAsyncContextManager[None] | None = None
        self._breaker = Breaker(trip=3, rest_s=2.0)
        self._opening = asyncio.Lock()
        self.up: bool | None = None

    async def ask(
        self, method: str, path: str, *, body: object = None, query: Mapping[str, str | int | float] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = TIMEOUT_S, patient: bool = False,
        once: bool = False,
    ) -> Got:  # fmt: skip
        """Send a request and give its answer; Away without one, else the error that the answer names.

        A `patient` request is also sent while the server is left alone. One that breaks off is sent again at once,
        because the server may just have closed a connection that was idle, unless it may be sent only `once`.
        """
        if not patient and not lets_through(self._breaker, _now()):
            raise Away("Surefoot does not answer and is left alone for a moment", hint="agent.health() says more")
        client = await self._opened()  # no part of the time, since a Surefoot inside takes seconds to begin
        timeout_s = self._patience(timeout_s)
        request = _request(client, method, path, body, query, headers, timeout_s)
        with self._heard_from():
            async with asyncio.timeout(timeout_s + CONNECT_S):
                response = await _sent(client, request, once=once)
        return _read(response)

    @asynccontextmanager
    async def listen(
        self,
        path: str,
        *,
        headers: Mapping[str, str],
        silence_s: float,
        method: str = "POST",
        body: object = None,
        query: Mapping[str, str | int | float] | None = None,
    ) -> AsyncGenerator[tuple[Mapping[str, str], AsyncIterator[str]]]:
        """Send a request and give its headers and the lines of its answer as they come; what `ask` raises is raised.

        TimeoutError after `silence_s` without a line. A connection that ends too early raises httpx2.TransportError
        from the lines; leaving the block closes it.
        """
        client = await self._opened()
        patience_s = self._patience(silence_s)
        request = _request(client, method, path, body, query, headers, patience_s)
        with self._heard_from():
            async with asyncio.timeout(patience_s + CONNECT_S):
                response = await client.send(request, stream=True)
                if response.status_code >= 400:
                    await response.aread()
        try:
            if response.status_code >= 400:
                _read(response)
            yield _headers(response), _lines(response, silence_s)
        finally:
            await response.aclose()

    async def open(self) -> None:
        """Open the way, for which a Surefoot inside takes seconds."""
        await self._opened()

    def _patience(self, timeout_s: float) -> float:
        return timeout_s if self._inside is None else max(timeout_s, INSIDE_S)

    @contextmanager
    def _heard_from(self) -> Generator[None]:
        """Note whether the place answers what is sent in the block; Away if it does not."""
        self._breaker = sent(self._breaker, _now())
        try:
            yield
        except (httpx2.TransportError, OSError, TimeoutError) as problem:
            self.up = False
            self._breaker = ended(self._breaker, _now(), well=False)
            where = f"at {self._place.url}" if self._place.url else "inside this program"
            raise Away(
                f"Surefoot {where} does not answer ({type(problem).__name__})",
                hint="check SUREFOOT_URL, and that surefoot serve runs",
            ) from None
        self.up = True
        self._breaker = ended(self._breaker, _now(), well=True)

    async def aclose(self) -> None:
        """Let go of all connections, and of the Surefoot inside."""
        client, self._client = self._client, None
        inside, self._inside = self._inside, None
        if client is not None:
            await client.aclose()
        if inside is not None:
            await inside.__aexit__(None, None, None)

    async def _opened(self) -> httpx2.AsyncClient:
        if self._client is None:
            async with self._opening:
                if self._client is None:
                    self._client = await self._embedded() if self._place.opens is not None else self._remote()
        return self._client

    def _remote(self) -> httpx2.AsyncClient:
        place = self._place
        headers = {"authorization": f"Bearer {place.token}"} if place.token else {}
        return httpx2.AsyncClient(
            base_url=place.url, headers={**headers, **_JSON}, trust_env=False, follow_redirects=False,
            limits=httpx2.Limits(max_connections=200, max_keepalive_connections=50),
        )  # fmt: skip

    async def _embedded(self) -> httpx2.AsyncClient:
        assert self._place.opens is not None
        here = self._place.opens()
        self._inside = here.running()
        await self._inside.__aenter__()
        return httpx2.AsyncClient(
            base_url="http://127.0.0.1", headers={"authorization": f"Bearer {here.token}", **_JSON}, trust_env=False,
            transport=Within(here.gateway),
        )  # fmt: skip


_JSON = {"content-type": "application/json", "accept": "application/json"}


def _now() -> float:
    return asyncio.get_running_loop().time()


def _request(
    client: httpx2.AsyncClient, method: str, path: str, body: object, query: Mapping[str, str | int | float] | None,
    headers: Mapping[str, str] | None, timeout_s: float,
) -> httpx2.Request:  # fmt: skip
    return client.build_request(
        method, path, content=_written(body), params=dict(query or {}) or None, headers=dict(headers or {}),
        timeout=httpx2.Timeout(timeout_s, connect=CONNECT_S),
    )  # fmt: skip


async def _lines(response: httpx2.Response, silence_s: float) -> AsyncIterator[str]:
    """Give the lines of an answer; TimeoutError when none comes for so long."""
    lines = response.aiter_lines()
    while True:
        async with asyncio.timeout(silence_s):
            line = await anext(lines, None)
        if line is None:
            return
        yield line


def _written(body: object) -> bytes | None:
    return None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


async def _sent(client: httpx2.AsyncClient, request: httpx2.Request, *, once: bool) -> httpx2.Response:
    try:
        return await client.send(request)
    except (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError):
        if once:
            raise
        return await client.send(request)


def segment(text: str) -> str:
    """Give a text as one segment of a path."""
    return quote(text, safe="")


def _headers(response: httpx2.Response) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _read(response: httpx2.Response) -> Got:
    headers = _headers(response)
    try:
        body: Any = response.json() if response.content else None
    except ValueError:
        body = None
    if response.status_code < 400:
        return Got(body=body, headers=headers)
    raise _error(response.status_code, body, again="retry-after" in headers)


def _error(status: int, body: object, *, again: bool) -> SurefootError:
    """Give the error that an answer names, in our shape or in that of OpenAI; Unavailable when it says: `again`."""
    told = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    inner: object = told.get("error")
    if isinstance(inner, dict):
        told = cast("dict[str, Any]", inner)
    message, hint = str(told.get("message") or f"Surefoot answered {status}"), str(told.get("hint") or "")
    kind = None if again else Mistake if told.get("code") == "internal" else _KINDS.get(str(told.get("code")))
    if kind is None:
        kind = Unavailable if again or status >= 500 or status in (408, 425, 429) else Invalid
    return kind(message, hint=hint)

"""Upstreams over HTTP by aiohttp, whose client costs a tenth of a millisecond a request.

Bytes go through as they are. Redirects are not followed and cookies not kept, so that a request with a key in it goes
nowhere but to the address in the settings. One session with one pool of connections serves all upstreams of a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

from surefoot.adapters.models.endpoint import Endpoint
from surefoot.adapters.models.prices import cost_of
from surefoot.core.errors import Invalid, Unavailable
from surefoot.ports.upstream import Call, Unreached

CONNECT_S = 10.0
MOST_BYTES = 64 * 1024 * 1024
_OF_THE_CONNECTION = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "content-length", "set-cookie", "server", "date",
})  # fmt: skip


class Pool:
    """The connections of one process, opened at the first request."""

    def __init__(self, *, most: int = 1_000) -> None:
        self._most = most
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session; it belongs to the running event loop."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._most, ttl_dns_cache=60, enable_cleanup_closed=False),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S), cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False, skip_auto_headers=("User-Agent", "Content-Type"),
            )  # fmt: skip
        return self._session

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class HttpReply:
    """An answer that has begun; implements `ports.upstream.Reply`."""

    def __init__(self, name: str, response: aiohttp.ClientResponse) -> None:
        self._name = name
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What the upstream sent, but for what belongs to the connection and to browsers."""
        left_out = _OF_THE_CONNECTION | {"content-encoding"}  # aiohttp has undone it
        return [(name, value) for name, value in self._response.headers.items() if name.lower() not in left_out]

    async def read(self) -> bytes:
        """Give the whole body."""
        parts: list[bytes] = []
        size, content = 0, self._response.content
        try:
            while piece := await content.readany():
                parts.append(piece)
                size += len(piece)
                if size > MOST_BYTES:
                    self.close()
                    raise Unreached(f"{self._name} answered more than {MOST_BYTES} bytes", hint="ask for less")
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken(error) from None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body as it comes."""
        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken(error) from None

    def close(self) -> None:
        """Let go; the connection stays in the pool only if the answer is at its end."""
        self._response.close()

    def _broken(self, error: Exception) -> Unreached:
        return Unreached(f"the answer of {self._name} broke off ({type(error).__name__})", hint="try again")


class HttpUpstream:
    """One endpoint over HTTP; implements `ports.upstream.Upstream`."""

    def __init__(self, endpoint: Endpoint, pool: Pool) -> None:
        self._endpoint = endpoint
        self._pool = pool
        self._base = endpoint.base_url.rstrip("/")
        self._urls: dict[str, URL] = {}
        self._free = endpoint.loopback and endpoint.price_in_usd_per_mtok is None
        self._bearer = f"Bearer {endpoint.api_key}" if endpoint.api_key else ""

    @property
    def name(self) -> str:
        return self._endpoint.name

    @property
    def model(self) -> str:
        return self._endpoint.model

    async def send(self, call: Call) -> HttpReply:
        """Send a request; Unreached without an answer, Unavailable when the key is missing."""
        headers = {"content-type": "application/json", "accept-encoding": "identity", **call.headers}
        if authorization := call.authorization or self._own_key():
            headers["authorization"] = authorization
        try:
            response = await self._pool.session.post(
                self._url(call.path), data=call.body, headers=headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise Unreached(
                f"{self.name} cannot be reached ({type(error).__name__})",
                hint=f"check base_url of [models.{self.name}], and that its server runs",
            ) from None
        return HttpReply(self.name, response)

    def cost_usd(self, tokens_in: int, tokens_out: int) -> float:
        """Give what so many tokens cost at list price; 0 where the price is unknown."""
        if self._free or not (tokens_in or tokens_out):
            return 0.0
        try:
            return cost_of(self._endpoint, tokens_in, tokens_out).usd
        except Invalid:
            return 0.0

    def _own_key(self) -> str:
        try:
            self._endpoint.check_key()
        except Invalid as problem:
            raise Unavailable(problem.message, hint=problem.hint) from None
        return self._bearer

    def _url(self, path: str) -> URL:
        if path not in self._urls:
            self._urls[path] = URL(self._base + path, encoded=True)
        return self._urls[path]

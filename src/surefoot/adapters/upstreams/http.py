"""Upstreams over HTTP: one endpoint each, on the connections of one pool.

Bytes go through as they are. Redirects are not followed and cookies not kept, so that a request with a key in it goes
nowhere but to the address in the settings; proxies of the environment are not used. Plain answers are asked for, and
one that comes packed with gzip or deflate all the same is unpacked, since it has to be understood.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from surefoot.adapters.models.endpoint import Endpoint
from surefoot.adapters.models.prices import cost_of
from surefoot.adapters.upstreams.connection import Answer, Broken
from surefoot.adapters.upstreams.pool import Place, Pool
from surefoot.core.errors import Invalid, Unavailable
from surefoot.ports.upstream import Call, Unreached

MOST_BYTES = 64 * 1024 * 1024
_OF_THE_CONNECTION = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"trailer", b"transfer-encoding", b"upgrade", b"content-length", b"set-cookie", b"server", b"date",
})  # fmt: skip
_PACKED = frozenset({b"gzip", b"x-gzip", b"deflate"})


class HttpReply:
    """An answer that has begun; implements `ports.upstream.Reply`."""

    def __init__(self, name: str, answer: Answer) -> None:
        self._name = name
        self._answer = answer
        packing = next((value for name, value in answer.headers if name == b"content-encoding"), b"").strip().lower()
        self._unpacker = _Unpacker(packing) if packing in _PACKED else None

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What the upstream sent, but for what belongs to the connection and to browsers."""
        unpacked = self._unpacker is not None
        return [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in self._answer.headers
            if name not in _OF_THE_CONNECTION and not (unpacked and name == b"content-encoding")
        ]

    async def read(self) -> bytes:
        """Give the whole body."""
        parts: list[bytes] = []
        size = 0
        async for piece in self.pieces():
            parts.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                self.close()
                raise Unreached(f"{self._name} answered more than {MOST_BYTES} bytes", hint="ask for less")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body as it comes."""
        try:
            while piece := await self._answer.piece():
                if self._unpacker is None:
                    yield piece
                    continue
                for plain in self._unpacker.unpacked(piece):
                    yield plain
        except (Broken, zlib.error) as error:
            raise Unreached(f"the answer of {self._name} broke off ({error})", hint="try again") from None

    def close(self) -> None:
        """Let go; the connection is kept only if the answer is at its end."""
        self._answer.close()


class _Unpacker:
    """Unpacks gzip, and deflate in both of its forms, piece by piece and never more than a mebibyte at once."""

    def __init__(self, packing: bytes) -> None:
        self._raw = packing == b"deflate"
        self._open = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def unpacked(self, piece: bytes) -> list[bytes]:
        parts: list[bytes] = []
        size = 0
        while piece:
            plain = self._plain(piece)
            self._raw = False
            piece = self._open.unconsumed_tail
            size += len(plain)
            if plain:
                parts.append(plain)
            if size > MOST_BYTES:
                raise Broken("it unpacks to more than may be held")
        return parts

    def _plain(self, piece: bytes) -> bytes:
        try:
            return self._open.decompress(piece, 1024 * 1024)
        except zlib.error:
            if not self._raw:
                raise
            self._open = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._open.decompress(piece, 1024 * 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """Where requests go, and the lines that each of them begins with."""

    place: Place
    prefix: str
    host: str

    def opening(self, path: str) -> str:
        return (
            f"POST {self.prefix}{path} HTTP/1.1\r\nhost: {self.host}\r\naccept-encoding: identity\r\n"
            "content-type: application/json\r\n"
        )


class HttpUpstream:
    """One endpoint over HTTP; implements `ports.upstream.Upstream`."""

    def __init__(self, endpoint: Endpoint, pool: Pool) -> None:
        self._endpoint = endpoint
        self._pool = pool
        self._address = _address(endpoint.base_url)
        self._openings: dict[str, str] = {}
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
        try:
            answer = await self._pool.ask(self._address.place, self._head(call), call.body)
        except (Broken, OSError) as error:
            raise Unreached(
                f"{self.name} cannot be reached ({_why(error)})",
                hint=f"check base_url of [models.{self.name}], and that its server runs",
            ) from None
        return HttpReply(self.name, answer)

    def cost_usd(self, tokens_in: int, tokens_out: int) -> float:
        """Give what so many tokens cost at list price; 0 where the price is unknown."""
        if self._free or not (tokens_in or tokens_out):
            return 0.0
        try:
            return cost_of(self._endpoint, tokens_in, tokens_out).usd
        except Invalid:
            return 0.0

    def _head(self, call: Call) -> bytes:
        if (opening := self._openings.get(call.path)) is None:
            opening = self._openings[call.path] = self._address.opening(call.path)
        lines = [f"{name}: {value}" for name, value in call.headers.items()]
        if authorization := call.authorization or self._own_key():
            lines.append(f"authorization: {authorization}")
        lines.append(f"content-length: {len(call.body)}")
        rest = "\r\n".join(lines)
        if rest.count("\n") >= len(lines) or rest.count("\r") >= len(lines) or "\0" in rest:
            raise Unavailable(
                f"a header for {self.name} has a line break in it", hint="look at the key: it is one line"
            )
        return f"{opening}{rest}\r\n\r\n".encode("latin-1", "replace")

    def _own_key(self) -> str:
        try:
            self._endpoint.check_key()
        except Invalid as problem:
            raise Unavailable(problem.message, hint=problem.hint) from None
        return self._bearer


def _address(base_url: str) -> _Address:
    parts = urlsplit(base_url)
    secure = parts.scheme == "https"
    place = Place(host=parts.hostname or "", port=parts.port or (443 if secure else 80), secure=secure)
    return _Address(place=place, prefix=parts.path.rstrip("/"), host=parts.netloc.rpartition("@")[2])


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, Broken) else type(error).__name__

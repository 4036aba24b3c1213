"""The webhook: a notice as signed JSON, posted to one address.

The body, the time and a fresh nonce are signed with the shared secret, so that the receiver can tell that it comes
from here, just now and for the first time. The answer counts only by its status: 2xx is delivered, anything else is
tried again, and a redirect is not followed. Everything together takes ten seconds at most.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import Callable
from datetime import datetime

from surefoot.adapters.address import Resolve, Target, looked_up, reached, target_of
from surefoot.core.errors import Unavailable
from surefoot.core.notice import Notice, document
from surefoot.core.reach import Reach
from surefoot.core.signature import sign

TIMEOUT_S = 10.0


class Webhook:
    """One address that is told; `clock`, `nonce` and `resolve` may be scripted."""

    def __init__(
        self, url: str, secret: str, *, clock: Callable[[], datetime], reach: Reach,
        nonce: Callable[[], str] = lambda: secrets.token_urlsafe(18), resolve: Resolve = looked_up,
        timeout_s: float = TIMEOUT_S,
    ) -> None:  # fmt: skip
        self._url = url
        self._secret = secret
        self._clock = clock
        self._reach = reach
        self._nonce = nonce
        self._resolve = resolve
        self._timeout_s = timeout_s

    async def send(self, notice: Notice) -> None:
        """Post a notice; Forbidden or Invalid for an address that will never do, else Unavailable."""
        target = target_of(self._url)
        body = json.dumps(document(notice), sort_keys=True, separators=(",", ":")).encode()
        head = self._head(target, body)
        try:
            async with asyncio.timeout(self._timeout_s):
                address, *_ = await reached(
                    self._reach, target.host, target.port, tls=target.tls, resolve=self._resolve
                )
                status = await _posted(target, address, head + body)
        except TimeoutError:
            raise Unavailable(
                f"{target.host} did not answer in {self._timeout_s:g} s", hint="it is tried again"
            ) from None
        except OSError as error:
            raise Unavailable(f"{target.host}: {error.strerror or error}", hint="it is tried again") from None
        if not 200 <= status < 300:
            raise Unavailable(f"{target.host} answered {status}", hint="it is tried again")

    def _head(self, target: Target, body: bytes) -> bytes:
        timestamp, nonce = str(int(self._clock().timestamp())), self._nonce()
        lines = (
            f"POST {target.path} HTTP/1.1", f"Host: {target.authority}", "User-Agent: surefoot", "Connection: close",
            "Content-Type: application/json", f"Content-Length: {len(body)}",
            f"X-Surefoot-Timestamp: {timestamp}", f"X-Surefoot-Nonce: {nonce}",
            f"X-Surefoot-Signature: {sign(self._secret, timestamp=timestamp, nonce=nonce, body=body)}", "", "",
        )  # fmt: skip
        return "\r\n".join(lines).encode("ascii")


async def _posted(target: Target, address: str, message: bytes) -> int:
    """Send the bytes of a request to one address, and give the status of the answer; 0 for what is none."""
    context = ssl.create_default_context() if target.tls else None
    name = target.host if target.tls else None
    reader, writer = await asyncio.open_connection(address, target.port, ssl=context, server_hostname=name, limit=65536)
    try:
        writer.write(message)
        await writer.drain()
        words = (await _first_line(reader)).split(b" ", 2)
    finally:
        writer.transport.abort()
    known = len(words) >= 2 and words[0].startswith(b"HTTP/1.") and words[1].isdigit()
    return int(words[1]) if known else 0


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # a line without an end
        return b""

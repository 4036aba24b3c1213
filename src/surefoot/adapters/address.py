"""An address of the web taken apart, and the system's name service; who may be reached is decided in `core.reach`."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.reach import Reach, must_reach

RESOLVE_S = 5.0
Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One address of the web, taken apart; `path` has the query with it."""

    host: str
    port: int
    path: str
    tls: bool

    @property
    def authority(self) -> str:
        """What stands in the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


def target_of(url: str) -> Target:
    """Take an address apart; Invalid, without repeating it, since it may hold a secret."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except (ValueError, UnicodeError):
        host, port, parts = "", None, urlsplit("")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    odd = any(not "!" <= char <= "~" for char in f"{host}{path}")
    if parts.scheme not in ("http", "https") or not host or odd or parts.username is not None or port == 0:
        raise Invalid("the address is not usable", hint="write https://HOST/PATH, no name in it")
    tls = parts.scheme == "https"
    return Target(host=host, port=port or (443 if tls else 80), path=path, tls=tls)


async def reached(reach: Reach, host: str, port: int, *, tls: bool, resolve: Resolve) -> list[str]:
    """Resolve a host and give its addresses, all judged; Forbidden where one may not be connected to."""
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await resolve(host, port)
    except TimeoutError:
        raise Unavailable(f"the address of {host} was not told in {RESOLVE_S:g} s", hint="try again") from None
    except OSError as error:
        raise Unavailable(f"{host} has no address: {error.strerror or error}", hint="check its name") from None
    must_reach(reach, host, found, tls=tls)
    return found


async def looked_up(host: str, port: int) -> list[str]:
    """Ask the system's name service; an address is its own answer."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))

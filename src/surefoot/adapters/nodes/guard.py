"""Where a process may be: public addresses by TLS, and the private ones that the settings name.

Whoever may register a process could otherwise make this server knock at doors that only it can reach. The name is
resolved anew for each connection, and the connection is made to an address that was judged in that same moment, so a
name server that changes its answer changes nothing. A name, an address or a network (`10.0.0.0/8`) can be allowed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from surefoot.adapters.notify.address import Resolve, Target, is_public, looked_up, target_of
from surefoot.core.errors import Forbidden, Invalid, Unavailable

RESOLVE_S = 5.0
LOOPBACK = ("127.0.0.0/8", "::1/128", "localhost")
_HINT = "put its host or network into [processes] allow_hosts if it is meant"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Guard:
    """Judges addresses; `resolve` may be scripted."""

    def __init__(self, allowed: Collection[str] = (), *, resolve: Resolve = looked_up) -> None:
        self._names = {name.lower().strip("[]") for name in allowed}
        self._networks = [network for name in self._names if (network := _network(name)) is not None]
        self._resolve = resolve

    async def permit(self, base_url: str) -> str:
        """Give the address in its one spelling; Invalid for what is none, Forbidden where nobody may connect to."""
        target = _target(base_url)
        await self.addresses(target.host, target.port, tls=target.tls)
        path = target.path.rstrip("/")
        return f"{'https' if target.tls else 'http'}://{target.authority.lower()}{path}"

    async def addresses(self, host: str, port: int, *, tls: bool = True) -> list[str]:
        """Give the addresses of a host that may be connected to; Forbidden if one of them may not."""
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = await self._resolve(host, port)
        except TimeoutError:
            raise Unavailable(f"the address of {host} was not told in {RESOLVE_S:g} s", hint="try again") from None
        except OSError as error:
            raise Unavailable(f"{host} has no address: {error.strerror or error}", hint="check its name") from None
        if not found:
            raise Unavailable(f"{host} has no address", hint="check its name")
        for one in found:
            named = self._allows(host, one)
            if not named and not is_public(one):
                raise Forbidden(f"{host} is {one}, which is not a public address", hint=_HINT)
            if not named and not tls:
                raise Forbidden(f"{host} would be asked without TLS", hint=f"use https; or {_HINT}")
        return found

    def _allows(self, host: str, address: str) -> bool:
        if host.lower() in self._names:
            return True
        one = ipaddress.ip_address(address.partition("%")[0])
        mapped = one.ipv4_mapped if isinstance(one, ipaddress.IPv6Address) else None
        return any((mapped or one) in network for network in self._networks)


class Judged(AbstractResolver):
    """The resolver of a session of one scheme: every name it resolves is judged first."""

    def __init__(self, guard: Guard, *, tls: bool) -> None:
        self._guard = guard
        self._tls = tls

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:  # fmt: skip
        """Give the addresses of a host; Forbidden where one of them may not be asked, or not without TLS."""
        found = await self._guard.addresses(host, port, tls=self._tls)
        return [ResolveResult(
            hostname=host, host=one, port=port, proto=0, flags=int(socket.AI_NUMERICHOST),
            family=socket.AF_INET6 if ":" in one else socket.AF_INET,
        ) for one in found]  # fmt: skip

    async def close(self) -> None:
        """Nothing is open."""


def _target(base_url: str) -> Target:
    try:
        target = target_of(base_url)
    except Invalid:
        target = None
    if target is None or any(mark in base_url for mark in "?#") or len(base_url) > 500:
        raise Invalid(
            f"the base_url {base_url[:100]!r} is not usable",
            hint="send http://HOST:PORT or https://HOST/PATH, with no name, query or fragment in it",
        )
    return target


def _network(name: str) -> Any:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        return None

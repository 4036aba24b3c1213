"""Where a process may be, as `core.reach` decides: public addresses by TLS, and what the settings name.

The name is resolved anew for each connection, and the connection is made to an address that was judged in that same
moment, so a name server that changes its answer changes nothing.
"""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from surefoot.adapters.address import Resolve, Target, looked_up, reached, target_of
from surefoot.core.errors import Invalid
from surefoot.core.reach import Reach


class Guard:
    """Judges addresses; `resolve` may be scripted."""

    def __init__(self, reach: Reach, *, resolve: Resolve = looked_up) -> None:
        self._reach = reach
        self._resolve = resolve

    async def permit(self, base_url: str) -> str:
        """Give the address in its one spelling; Invalid for what is none, Forbidden where nobody may connect to."""
        target = _target(base_url)
        await self.addresses(target.host, target.port, tls=target.tls)
        path = target.path.rstrip("/")
        return f"{'https' if target.tls else 'http'}://{target.authority.lower()}{path}"

    async def addresses(self, host: str, port: int, *, tls: bool = True) -> list[str]:
        """Give the addresses of a host that may be connected to; Forbidden if one of them may not."""
        return await reached(self._reach, host, port, tls=tls, resolve=self._resolve)


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

"""Where a webhook may connect to: public addresses, and the private ones that the settings name.

Whoever can set an address could otherwise make this server knock at doors that only it can reach: its own loopback,
the office network, the cloud's metadata service. The name is resolved once, every address it resolves to is judged,
and the connection is made to one that was judged, so that a second answer of the name server changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from surefoot.core.errors import Forbidden, Invalid, Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]
# Inside a cloud, a provider or a site, though the library calls some of these global.
_ODD = tuple(ipaddress.ip_network(one) for one in ("168.63.129.16/32", "192.0.0.0/24", "fec0::/10"))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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
        raise Invalid(
            "the address of the webhook is not usable",
            hint="set [notify] webhook_url to https://HOST/PATH, no name in it",
        )
    tls = parts.scheme == "https"
    return Target(host=host, port=port or (443 if tls else 80), path=path, tls=tls)


async def permitted(target: Target, allowed: Collection[str], resolve: Resolve) -> str:
    """Give the address to connect to; Forbidden where one it resolves to is not public and not allowed by name."""
    try:
        found = await resolve(target.host, target.port)
    except OSError as error:
        raise Unavailable(f"{target.host} has no address: {error.strerror or error}", hint="check the name") from None
    if not found:
        raise Unavailable(f"{target.host} has no address", hint="check the name")
    named = {name.lower().strip("[]") for name in allowed}
    private = [one for one in found if not is_public(one) and named.isdisjoint((target.host.lower(), one))]
    if private:
        raise Forbidden(
            f"{target.host} is {private[0]}, which is not a public address",
            hint="put the host into [notify] allow_private_hosts if it is meant",
        )
    if not target.tls and named.isdisjoint((target.host.lower(), found[0])):
        raise Forbidden(f"{target.host} would be told without TLS", hint="use https")
    return found[0]


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, also where it is wrapped in another one."""
    try:
        return all(map(_is_open, _layers(address)))
    except ValueError:
        return False


def _is_open(one: Address) -> bool:
    odd = any(one in network for network in _ODD if network.version == one.version)
    return one.is_global and not one.is_multicast and not one.is_reserved and not odd


def _layers(address: str) -> list[Address]:
    """An address, and those inside it (IPv4-mapped, 6to4, Teredo, NAT64)."""
    whole = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(whole, ipaddress.IPv4Address):
        return [whole]
    if whole.ipv4_mapped is not None:
        return [whole.ipv4_mapped]
    nat64 = ipaddress.IPv4Address(int(whole) & 0xFFFFFFFF) if whole in _NAT64 else None
    inner = (whole.sixtofour, *(whole.teredo or ()), nat64)
    outer = [] if nat64 is not None else [whole]
    return [*outer, *(one for one in inner if one is not None)]


async def looked_up(host: str, port: int) -> list[str]:
    """Ask the system's name service; an address is its own answer."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))

"""Reach: where this server may connect to on somebody else's word, a webhook's address or a process's.

Whoever can name an address could otherwise make it knock at doors that only it can reach: its own loopback, the office
network, the cloud's metadata service. Judged are the addresses that a name was resolved to, at the connection itself
and all of them, so that a name server that changes its answer changes nothing. Public addresses are reached with TLS;
anything else only where the settings name the host, the address or its network, and then also without TLS. S1-48.
The upstreams of the gateway are not judged: their addresses stand in the settings, and no caller can name one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass

from surefoot.core.errors import Forbidden, Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK = ("127.0.0.0/8", "::1/128", "localhost")
# Inside a cloud, a provider or a site, though the library calls some of these global.
_ODD = tuple(map(ipaddress.ip_network, (
    "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "fec0::/10"
)))  # fmt: skip
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What is reached although it is not public: names in lower case, and networks; `setting` is where they stand."""

    names: frozenset[str]
    networks: tuple[Network, ...]
    setting: str

    @property
    def hint(self) -> str:
        """What to do about a refusal."""
        return f"put its host or network into {self.setting} if it is meant"

    def means(self, host: str, address: str = "") -> bool:
        """Whether the settings name a host, or an address that it was resolved to."""
        if _plain(host) in self.names:
            return True
        one = _address(address or host)
        mapped = one.ipv4_mapped if isinstance(one, ipaddress.IPv6Address) else None
        return one is not None and any((mapped or one) in network for network in self.networks)


def reach_of(allowed: Collection[str], *, setting: str) -> Reach:
    """Read hosts, addresses and networks (`10.0.0.0/8`) as the settings name them; an address is a small network."""
    names = frozenset(_plain(one) for one in allowed)
    networks = tuple(network for one in sorted(names) if (network := _network(one)) is not None)
    return Reach(names=names, networks=networks, setting=setting)


def must_reach(reach: Reach, host: str, found: Collection[str], *, tls: bool) -> None:
    """Raise Forbidden unless every address that a host was resolved to may be connected to; Unavailable for none."""
    if not found:
        raise Unavailable(f"{host} has no address", hint="check its name")
    unnamed = [one for one in found if not reach.means(host, one)]
    if inside := next((one for one in unnamed if not is_public(one)), None):
        raise Forbidden(f"{host} is {inside}, which is not a public address", hint=reach.hint)
    if unnamed and not tls:
        raise Forbidden(f"{host} would be reached without TLS", hint=f"use https; or {reach.hint}")


def must_reach_name(reach: Reach, host: str, *, tls: bool) -> None:
    """Raise Forbidden for a host that is plainly inside, or without TLS, before anybody looks its name up.

    What a name stands for is judged by `must_reach`, each time it is connected to.
    """
    name = _plain(host)
    if reach.means(name):
        return
    if name == "localhost" or name.endswith(".localhost") or (_looks_like_address(name) and not is_public(name)):
        raise Forbidden(f"{host} is not a public address", hint=reach.hint)
    if not tls:
        raise Forbidden(f"{host} would be reached without TLS", hint=f"use https; or {reach.hint}")


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, also where it is wrapped in another one."""
    one = _address(address)
    return one is not None and all(map(_is_open, _layers(one)))


def _is_open(one: Address) -> bool:
    odd = any(one in network for network in _ODD if network.version == one.version)
    return one.is_global and not one.is_multicast and not one.is_reserved and not odd


def _layers(whole: Address) -> list[Address]:
    """An address, and those inside it (IPv4-mapped, 6to4, Teredo, NAT64, ISATAP)."""
    if isinstance(whole, ipaddress.IPv4Address):
        return [whole]
    if whole.ipv4_mapped is not None:
        return [whole.ipv4_mapped]
    last = ipaddress.IPv4Address(int(whole) & 0xFFFFFFFF)
    nat64 = last if whole in _NAT64 else None
    isatap = last if int(whole) >> 32 & 0xFFFFFFFF in _ISATAP else None
    inner = (whole.sixtofour, *(whole.teredo or ()), nat64, isatap)
    outer = [] if nat64 is not None else [whole]
    return [*outer, *(one for one in inner if one is not None)]


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _network(name: str) -> Network | None:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        return None


def _looks_like_address(host: str) -> bool:
    """Also what is a number to some resolvers only, such as 0x7f.1 or 2130706433."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def _plain(name: str) -> str:
    return name.lower().strip("[]").rstrip(".")

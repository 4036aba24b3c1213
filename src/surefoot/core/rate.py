"""How much somebody may ask for: a bucket of drops that fills at a steady rate.

A request takes a drop; where the bucket is empty it is refused, with the time until the next drop. `burst` drops fit
in. A bucket is two numbers that are computed anew from `now` (seconds of a steady clock), so it needs no timer, and one
that has been full for a while can be forgotten. Guessers of tokens have a bucket of their own, from which only failures
take; while it is empty nothing that comes from their address is believed.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace

from surefoot.core.errors import Invalid, Unavailable


class TooMany(Unavailable):
    """Somebody asks more often than they may: wait."""

    code = "too_many"

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Drops per second, and how many fit in (at least one)."""

    per_s: float
    burst: float

    def __post_init__(self) -> None:
        if not (0 < self.per_s < 1e9 and 1 <= self.burst < 1e12):
            raise Invalid(
                f"a rate of {self.per_s} a second with a burst of {self.burst} lets nothing through",
                hint="use numbers above 0, and a burst of at least 1",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """How many drops were in it at a moment."""

    drops: float
    at: float


def full(rate: Rate, now: float) -> Bucket:
    """Give the bucket of somebody who was never seen."""
    return Bucket(drops=rate.burst, at=now)


def filled(rate: Rate, bucket: Bucket, now: float) -> Bucket:
    """Give a bucket as it is now; a clock that steps back adds nothing."""
    gone = max(0.0, now - bucket.at)
    return replace(bucket, drops=min(rate.burst, bucket.drops + gone * rate.per_s), at=max(now, bucket.at))


def wait_s(rate: Rate, bucket: Bucket, now: float) -> float:
    """Give the seconds until a drop can be taken; 0 when there is one."""
    return max(0.0, (1.0 - filled(rate, bucket, now).drops) / rate.per_s)


def taken(rate: Rate, bucket: Bucket, now: float) -> Bucket | None:
    """Take a drop: give the bucket after it, or None when there is none."""
    here = filled(rate, bucket, now)
    return replace(here, drops=here.drops - 1.0) if here.drops >= 1.0 - 1e-9 else None


def neighbourhood(host: str) -> str:
    """Give the form in which addresses are counted: of IPv6 the network of 64 bits, since one machine has all of it."""
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))

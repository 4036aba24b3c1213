"""A circuit breaker: an upstream that keeps failing is left alone for a while, then tried with one request.

Closed lets everything through and counts failures in a row; at `trip` it opens. Open lets nothing through until
`rest_s` have passed; then one request may try, and its end decides: closed again, or open for another rest. A try that
never reports back (its client went away) counts as over after another rest. Times are seconds of any steady clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

TRIP = 5
REST_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """What is known of one upstream: failures in a row, since when it is open, and since when one request tries it."""

    trip: int = TRIP
    rest_s: float = REST_S
    failures: int = 0
    opened_at: float | None = None
    tried_at: float | None = None

    @property
    def closed(self) -> bool:
        """Whether requests pass freely."""
        return self.opened_at is None


def lets_through(breaker: Breaker, now: float) -> bool:
    """Whether a request may be sent now."""
    if breaker.opened_at is None:
        return True
    since = breaker.opened_at if breaker.tried_at is None else max(breaker.opened_at, breaker.tried_at)
    return now >= since + breaker.rest_s


def sent(breaker: Breaker, now: float) -> Breaker:
    """Note that a request was sent: while the breaker is open it is the one that tries."""
    return breaker if breaker.closed else replace(breaker, tried_at=now)


def ended(breaker: Breaker, now: float, *, well: bool) -> Breaker:
    """Note how a request ended; an answer that blames the caller ended well."""
    if well:
        return (
            breaker
            if breaker.closed and not breaker.failures
            else replace(breaker, failures=0, opened_at=None, tried_at=None)
        )
    failures = breaker.failures + 1
    if breaker.closed and failures < breaker.trip:
        return replace(breaker, failures=failures)
    return replace(breaker, failures=failures, opened_at=now, tried_at=None)

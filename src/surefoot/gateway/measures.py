"""What is counted of every request, whichever room answers it: how many, how they ended, how long they took.

A route is named by its pattern and never by what was in it, so the number of series is bounded by the routes there are.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from starlette.types import Scope

from surefoot.core.exposition import BUCKETS, family, histogram, labels

_API = "/api/v1"
INGEST = frozenset({"/v1/traces", "/v1/logs"})
_SERIES = 400


@dataclass(slots=True)
class Lag:
    """How long spans wait until they are durable: the latest that came, and those that are still in hand."""

    took: float = 0.0
    at: float = 0.0
    held: dict[int, float] = field(default_factory=dict[int, float])

    def begin(self, request: int, started: float) -> None:
        """Note that spans came in."""
        self.held[request] = started

    def end(self, request: int, *, took: float, well: bool) -> None:
        """Note that they are durable, or that they were refused."""
        self.held.pop(request, None)
        if well:
            self.took, self.at = took, time.time()

    def oldest(self, now: float) -> float:
        """Give how long the oldest in hand have waited, in seconds."""
        return max(0.0, now - next(iter(self.held.values()))) if self.held else 0.0


@dataclass(slots=True)
class Measures:
    """Counts since the start of this worker."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    times: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    sums: Counter[str] = field(default_factory=Counter[str])
    in_flight: int = 0
    connections: int = 0
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    lag: Lag = field(default_factory=Lag)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        if len(self.requests) >= _SERIES and (route, status) not in self.requests:
            route = "other"
        self.requests[route, status] += 1
        times = self.times.get(route)
        if times is None:
            times = self.times[route] = [0] * (len(BUCKETS) + 1)
        times[bisect_left(BUCKETS, seconds)] += 1
        self.sums[route] += seconds  # pyright: ignore[reportArgumentType]  a sum of seconds by route

    def lines(self) -> list[str]:
        """Give them in the text format of Prometheus."""
        counted = sorted(self.requests.items())
        return [
            *family("http_requests_total", "counter", "answers by route and status",
                    ((labels(route=route, status=status), n) for (route, status), n in counted)),
            *histogram("http_request_seconds", "time to the end of an answer, by route", self.times, self.sums),
            *family("http_requests_in_flight", "gauge", "requests being answered", [("", self.in_flight)]),
            *family("connections", "gauge", "open connections, as of a second ago", [("", self.connections)]),
            *family("connections_dropped_total", "counter", "connections that were let go, and why",
                    ((labels(why=why), n) for why, n in sorted(self.dropped.items()))),
        ]  # fmt: skip


def route_of(scope: Scope) -> str:
    """Give the pattern of the route that answered."""
    path = scope.get("path", "")
    if path.startswith("/v1/models"):
        return "/v1/models"
    known = scope.get("route")
    pattern = getattr(known, "path", None)
    if isinstance(pattern, str):
        return _API + pattern if path.startswith(_API) and not pattern.startswith(_API) else pattern
    return path if path in _PLAIN else "other"


_PLAIN = frozenset({
    "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/traces", "/v1/logs", "/health", "/healthz",
    "/ready", "/metrics", "/api/v1/openapi.json",
})  # fmt: skip

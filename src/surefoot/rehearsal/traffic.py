"""Simulated traffic: requests arrive one by one, labels arrive later, twice or never."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from surefoot.core.token import any_agent
from surefoot.engine.observe import observe
from surefoot.engine.serve import serve
from surefoot.ports import Ports
from surefoot.rehearsal.clock import StoryClock
from surefoot.rehearsal.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How traffic behaves: requests a day, the share of requests that ever get a label, and their mean delay."""

    per_day: float = 300.0
    labelled: float = 0.85
    delay: timedelta = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What a stretch of traffic was: requests served and labels that arrived."""

    requests: int = 0
    labels: int = 0


class Traffic:
    """A stream of requests for one agent; labels still on their way are kept between stretches."""

    def __init__(self, ports: Ports, clock: StoryClock, agent: str, weather: Weather, seed: str) -> None:
        self._ports = ports
        self._clock = clock
        self._agent = agent
        self._weather = weather
        self._random = random.Random(f"traffic-{seed}")
        self._late: list[tuple[float, int, str, str]] = []
        self._count = 0

    async def each(self, rows: Sequence[Row], served: Callable[[int], None]) -> Passed:
        """Let every row be asked once, in random order, then wait until the last label has come.

        `served` hears after each request how many there were.
        """
        order = list(rows)
        self._random.shuffle(order)
        labels = 0
        for count, row in enumerate(order, start=1):
            labels += await self._request(row)
            served(count)
        return Passed(requests=len(order), labels=labels + await self._arrive(float("inf")))

    async def stretch(self, rows: Sequence[Row], length: timedelta) -> Passed:
        """Let rows drawn at random be asked for a stretch of story time."""
        until, requests, labels = self._clock() + length, 0, 0
        while self._clock() < until:
            labels += await self._request(self._random.choice(rows))
            requests += 1
        return Passed(requests=requests, labels=labels)

    async def _request(self, row: Row) -> int:
        """Serve one request after the time between two; gives how many labels arrived meanwhile."""
        gap = self._random.expovariate(self._weather.per_day / 86_400)
        self._clock.advance(self._clock() + timedelta(seconds=gap))
        arrived = await self._arrive(self._clock().timestamp())
        self._count += 1
        visitor = f"visitor-{self._count}"
        slices = {"slice": row.slice} if row.slice else {}
        served = await serve(self._ports, self._agent, row.input, unit=visitor, source=visitor, slices=slices)
        if self._random.random() < self._weather.labelled:
            mean = max(self._weather.delay.total_seconds(), 1e-6)
            due = self._clock().timestamp() + self._random.expovariate(1 / mean)
            heapq.heappush(self._late, (due, self._count, served.trace_id, row.expected))
        return arrived

    async def _arrive(self, until: float) -> int:
        """Post the labels that are due."""
        arrived = 0
        while self._late and self._late[0][0] <= until:
            due, _, trace_id, expected = heapq.heappop(self._late)
            self._clock.advance(self._clock().fromtimestamp(due, tz=self._clock().tzinfo))
            await observe(self._ports, trace_id, expected=expected, source="customer", sees=any_agent)
            arrived += 1
        return arrived

"""The last seven days of an agent, counted at most once a minute in a process.

A day is counted from its newest requests, at most 600 of them, so that it costs the same whatever the store holds; the
page says how many labels that were. Which days these are, and which way they go, `core.week` says.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from datetime import datetime

from surefoot.core.week import Week, days_of, is_now
from surefoot.ports import Ports, Tx

MOST, KEPT_S, MOST_KEPT = 600, 60.0, 500


class Recent:
    """The weeks of the agents, as they were counted last. `steady` clocks are of the process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, Week]] = OrderedDict()

    async def weeks(self, ports: Ports, agents: list[str]) -> dict[str, Week]:
        """Give the week of each agent; those that are due are counted beside each other."""
        due = [name for name in agents if self._due(name)]
        now = ports.clock()
        counted = await asyncio.gather(*(ports.store.read(lambda tx, one=name: week(tx, one, now)) for name in due))
        for name, one in zip(due, counted, strict=True):
            self._kept[name] = (time.monotonic(), one)
            self._kept.move_to_end(name)
        found = {name: self._kept[name][1] for name in agents}
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    def _due(self, name: str) -> bool:
        kept = self._kept.get(name)
        return kept is None or time.monotonic() - kept[0] > KEPT_S or not kept[1].requests


def week(tx: Tx, agent: str, now: datetime) -> Week:
    """Count the last seven days, or those up to the last request."""
    last = tx.traces.last_at(agent)
    days = days_of(last, now)
    counted = tuple(tx.traces.stretch(agent, since, until, most=MOST) for since, until in days)
    return Week(until=days[-1][1] if days else None, days=counted, is_now=is_now(last, now))

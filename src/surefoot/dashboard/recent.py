"""The last seven days of an agent, counted at most once a minute in a process.

A day is counted from its newest requests, at most 600 of them, so that it costs the same whatever the store holds; the
page says how many labels that were. Where the last seven days have no request, the seven days up to the last one are
shown, and are called so.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from surefoot.core.dossier import Rate, rate_of
from surefoot.ports import Ports, Tx
from surefoot.ports.trends import Stretch

DAYS, MOST, KEPT_S, MOST_KEPT, FEW = 7, 600, 60.0, 500, 20
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """Seven days up to `until`, oldest first; `rates` are of success, `whole` that of all seven together."""

    until: datetime | None
    days: tuple[Stretch, ...]
    rates: tuple[Rate, ...]
    whole: Rate
    requests: int
    cost_usd: float | None
    is_now: bool

    @property
    def trend(self) -> int:
        """1 where the newer half of the days went better than the older, -1 worse, 0 where chance alone could do it."""
        older, newer = (_together(half) for half in (self.days[: DAYS // 2], self.days[DAYS // 2 :]))
        if older.rate is None or newer.rate is None:
            return 0
        spread = sum(one.rate * (1 - one.rate) / one.labels for one in (older, newer) if one.rate is not None)
        gap = newer.rate - older.rate
        return 0 if gap * gap <= 4 * spread or min(older.labels, newer.labels) < FEW else 1 if gap > 0 else -1


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
    last = tx.trends.last_request(agent)
    is_now = last is not None and now - last < DAYS * _DAY
    until = now if last is None or is_now else last + timedelta(microseconds=1)
    days = () if last is None else tuple(
        tx.trends.stretch(agent, until - (back + 1) * _DAY, until - back * _DAY, most=MOST)
        for back in reversed(range(DAYS))
    )  # fmt: skip
    requests, labelled = sum(one.requests for one in days), [one for one in days if one.requests]
    return Week(
        until=until if last else None, days=days,
        rates=tuple(rate_of(one.successes, one.successes + one.failures) for one in days),
        whole=_together(days),
        requests=requests, is_now=is_now,
        cost_usd=sum(one.cost_usd * one.requests for one in labelled) / requests if requests else None,
    )  # fmt: skip


def _together(days: Sequence[Stretch]) -> Rate:
    return rate_of(sum(one.successes for one in days), sum(one.successes + one.failures for one in days))

"""A week of an agent: how often it was asked on each of seven days, how that went, and which way it goes.

The seven days end now. Where they hold no request, they end with the last one there was, and are not called now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from surefoot.core.dossier import Rate, rate_of
from surefoot.core.trend import Trend, of_rates

DAYS = 7
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The newest requests between two moments, at most so many of them: how many, their verdicts, the mean cost."""

    since: datetime
    until: datetime
    requests: int
    successes: int
    failures: int
    cost_usd: float

    @property
    def labels(self) -> int:
        """How many of them were judged."""
        return self.successes + self.failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """Seven days up to `until` (None: nobody ever asked, and there are no days), oldest first."""

    until: datetime | None
    days: tuple[Stretch, ...]
    is_now: bool

    @property
    def requests(self) -> int:
        """How many requests were counted."""
        return sum(one.requests for one in self.days)

    @property
    def rates(self) -> tuple[Rate, ...]:
        """How each day went: rates of success."""
        return tuple(rate_of(one.successes, one.labels) for one in self.days)

    @property
    def whole(self) -> Rate:
        """How all seven together went."""
        return rate_of(*_together(self.days))

    @property
    def cost_usd(self) -> float | None:
        """What a request cost on average; None without any."""
        asked = self.requests
        return sum(one.cost_usd * one.requests for one in self.days) / asked if asked else None

    @property
    def trend(self) -> Trend:
        """Whether the newer days went better than the older ones; of seven the newer half has four."""
        return of_rates(_together(self.days[: DAYS // 2]), _together(self.days[DAYS // 2 :]))


def days_of(last: datetime | None, now: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Give the days that make the week, oldest first, by when the agent was asked last; none if it never was."""
    if last is None:
        return ()
    until = now if is_now(last, now) else last + timedelta(microseconds=1)
    return tuple((until - (back + 1) * _DAY, until - back * _DAY) for back in reversed(range(DAYS)))


def is_now(last: datetime | None, now: datetime) -> bool:
    """Whether the seven days up to now hold a request."""
    return last is not None and now - last < DAYS * _DAY


def _together(days: Sequence[Stretch]) -> tuple[int, int]:
    return sum(one.successes for one in days), sum(one.labels for one in days)

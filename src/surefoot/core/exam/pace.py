"""How fast a run goes, and about when it ends.

Only what was measured counts: the answers that came since a process took the run up, in the time since then. Before a
few have come, nothing is said, and a run that nobody works on has no end in sight. An end is a guess from the mean so
far, so it is always said with "about", and never more finely than it is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from surefoot.core.figure import roughly

LEAST_ANSWERS = 3
LEAST_TIME = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Answers a minute, and how many seconds the rest takes at that; None where it is not known."""

    per_minute: float | None
    rest_s: float | None

    @property
    def sentence(self) -> str:
        """Say how long it still takes; empty where it is not known."""
        return f"about {roughly(self.rest_s)} left" if self.rest_s is not None else ""


def pace(*, done: int, planned: int, had: int, since: datetime | None, now: datetime) -> Pace:
    """Measure a run with `done` of `planned` answers, `had` of them when it was taken up at `since`."""
    came, took = done - had, now - since if since is not None else timedelta()
    if came < LEAST_ANSWERS or took < LEAST_TIME:
        return Pace(per_minute=None, rest_s=None)
    rate = came / took.total_seconds()
    return Pace(per_minute=60 * rate, rest_s=max(0, planned - done) / rate)

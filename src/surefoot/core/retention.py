"""Retention: how long each kind of data is kept, and what is too old by now.

Nothing goes unless a number of days is set for its kind. Of requests, what a rollout is decided from stays: while one
of an agent is queued, in progress or holding back, nothing goes that is younger than its challenger, because the shadow
reads recorded requests since then, and a canary and a holdback all of their own. An open request for a person belongs
to such a rollout. Counts never go: they are kept beside the rows they were counted from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from surefoot.core.errors import Invalid

RetainedKind = Literal["traces", "spans", "memory", "evals", "notices", "pauses", "jobs"]
RETAINED: tuple[RetainedKind, ...] = get_args(RetainedKind)
MOST_DAYS = 36_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many days each kind is kept; None is for ever.

    `traces` go with their outcomes, failures and spans. `memory` is that of sessions and workflows, by its last write;
    `evals` are ended runs that no person labelled; `notices` those that were delivered or given up; `pauses` those
    that were decided or expired; `jobs` those that ended. Keys of requests are not chosen: they go after a day.
    """

    traces_days: float | None = None
    spans_days: float | None = None
    memory_days: float | None = None
    evals_days: float | None = None
    notices_days: float | None = None
    pauses_days: float | None = None
    jobs_days: float | None = None

    def __post_init__(self) -> None:
        for kind in RETAINED:
            days = self.days(kind)
            if days is not None and not 0 < days <= MOST_DAYS:
                raise Invalid(f"{kind} cannot be kept for {days} days", hint=f"above 0, at most {MOST_DAYS}")

    def days(self, kind: RetainedKind) -> float | None:
        """How long a kind is kept."""
        days: Mapping[RetainedKind, float | None] = {
            "traces": self.traces_days, "spans": self.spans_days, "memory": self.memory_days,
            "evals": self.evals_days, "notices": self.notices_days, "pauses": self.pauses_days, "jobs": self.jobs_days,
        }  # fmt: skip
        return days[kind]

    def before(self, kind: RetainedKind, now: datetime) -> datetime | None:
        """Give the moment before which a kind is too old; None if it is kept for ever."""
        days = self.days(kind)
        return None if days is None else now - timedelta(days=days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Before which moment the requests of an agent may go (None = nothing may), and which rollout holds back more."""

    before: datetime | None
    held_by: str = ""


def due(retention: Retention, now: datetime, needed: Iterable[tuple[str, datetime]]) -> Due:
    """Decide which requests of an agent may go.

    `needed` are the rollouts that are not over, each with the moment since when it needs all requests.
    """
    before = retention.before("traces", now)
    if before is None:
        return Due(before=None)
    rollout, since = min(needed, key=lambda one: (one[1], one[0]), default=("", before))
    return Due(before=since, held_by=rollout) if since < before else Due(before=before)

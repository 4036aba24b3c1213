"""The doors to requests and to what was said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from surefoot.core.backlog import Failure
from surefoot.core.score import Outcome
from surefoot.core.suboptimal import Measured
from surefoot.core.trace import Pin, Trace
from surefoot.core.week import Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What is known about one version or arm: counts of outcomes by kind."""

    success: int = 0
    failure: int = 0
    unknown: int = 0


class Traces(Protocol):
    def add(self, trace: Trace) -> None: ...
    def add_all(self, traces: Sequence[Trace]) -> None: ...
    def get(self, trace_id: str) -> Trace: ...
    def pin(self, pin: Pin) -> Pin:
        """Keep what a unit was given; if it already has a pin, that one stands and is given back."""
        ...

    def pinned(self, rollout: str, unit: str) -> Pin | None: ...
    def seen(self, agent: str, *, since: datetime) -> int:
        """How many requests an agent had since then."""
        ...

    def last_at(self, agent: str) -> datetime | None:
        """When the agent was asked last."""
        ...

    def stretch(self, agent: str, since: datetime, until: datetime, *, most: int) -> Stretch:
        """The newest requests between two moments, at most `most` of them, counted."""
        ...

    def uncased(self, agent: str, limit: int) -> list[tuple[Trace, Outcome]]:
        """Labelled traces (with an expectation) that are not sorted into cases yet, oldest first."""
        ...

    def cased(self, trace_ids: Iterable[str]) -> None: ...
    def measured(self, agent: str, version: int, last: int) -> list[Measured]:
        """A version's last whole answers, newest first, with what was measured and said of each."""
        ...

    def usual(self, agent: str, version: int, last: int) -> Mapping[str, float]:
        """The mean `latency_s` and `cost_usd` of a version's last whole answers."""
        ...


class Outcomes(Protocol):
    def add(self, outcome: Outcome) -> None: ...
    def fail_all(self, failed: Sequence[tuple[Trace, Outcome]]) -> None:
        """Append the failures of traces that are new in this transaction and in no rollout."""
        ...

    def of(self, trace_id: str) -> list[Outcome]: ...
    def failures(self, agent: str, *, limit: int, before: int | None = None) -> list[Failure]:
        """The last `limit` failures that still stand (the latest outcome of the trace is a failure), newest first.

        With `before` only those that are older than the failure with this id.
        """
        ...

    def labelled(self, agent: str, *, version: int | None = None) -> Verdicts: ...

"""The door to rollouts, the looks that were taken at them, and the counts that decisions are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from surefoot.core.evidence.betting import MetricGuard, MetricState
from surefoot.core.evidence.rollout import Stratum
from surefoot.core.rollout.standing import Reconcile, Rollout
from surefoot.core.trace import Arm


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What one look at a rollout saw, as far as a line is drawn through it."""

    seq: int
    at: datetime
    action: str
    reason: str
    sentence: str
    weight_percent: float
    e_win: float
    e_guard: float
    labels: int


class Rollouts(Protocol):
    def add(self, rollout: Rollout) -> None: ...
    def get(self, rollout_id: str) -> Rollout: ...
    def active(self, agent: str) -> Rollout | None: ...
    def queue(self, agent: str) -> list[Rollout]:
        """Rollouts that wait for the one in progress to end, oldest first."""
        ...

    def holdback(self, agent: str) -> Rollout | None:
        """The promoted rollout whose incumbent still serves a holdback, if there is one."""
        ...

    def all(self, agent: str) -> list[Rollout]: ...
    def swap(self, rollout: Rollout) -> Rollout: ...
    def strata(self, rollout_id: str) -> list[Stratum]:
        """Labels by (weight epoch, arm, outcome), one per unit: that of its earliest labelled request."""
        ...

    def label_stream(self, scope: str) -> list[tuple[Arm, float, bool]]:
        """Labels in the order in which they arrived, one per unit: (arm, weight percent, failed)."""
        ...

    def slice_strata(self, rollout_id: str) -> Mapping[str, list[Stratum]]:
        """The same for each slice that labelled units belong to, such as `label=billing` or `tenant=acme`."""
        ...

    def assigned(self, rollout_id: str) -> list[tuple[int, float, int, int]]:
        """Units by epoch: (epoch, weight percent, challenger units, incumbent units)."""
        ...

    def miscounted(self, rollout_id: str) -> bool:
        """Whether the running counts differ from the facts they were counted from."""
        ...

    def watch_metric(self, rollout_id: str, guard: MetricGuard) -> None:
        """Begin to watch a metric of the labelled units."""
        ...

    def metrics(self, rollout_id: str) -> list[MetricState]: ...
    def violations(self, rollout_id: str) -> int: ...
    def violated(self, rollout_id: str, trace_id: str, what: str, at: datetime) -> None: ...
    def record(self, reconcile: Reconcile) -> None: ...
    def history(self, rollout_id: str) -> list[Reconcile]: ...
    def moved(self, rollout_id: str) -> list[Reconcile]:
        """Give the looks at a rollout that changed something, in their order."""
        ...

    def curve(self, rollout_id: str, *, most: int) -> Sequence[CurvePoint]:
        """Give looks at a rollout in their order: all that changed something, and of the others an even choice."""
        ...

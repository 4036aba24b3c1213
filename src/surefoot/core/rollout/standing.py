"""Where a rollout stands: the one row that is swapped, by compare-and-set, at each reconcile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from surefoot.core.errors import Conflict
from surefoot.core.rollout.settings import RolloutSettings, RolloutState

HOLDBACK = ":holdback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One challenger against one incumbent; `weight_percent` is the challenger's share, the incumbent has the rest.

    `epoch` counts weight changes. `forced_by` names the person who overrode the gate ("no guarantee"), `wish` an
    instruction of a person not yet carried out (roll_back, abort, promote, thaw, share) with `wished_by` and
    `wish_reason`, and for a share `wish_percent`.
    `approval` is the id of the current request for a decision; `accepted_guards` are the watched slices and metrics
    that looked worse and that a person accepted by name.

    A `queued` rollout waits in its draft until the one in progress has ended. `thawed_epoch` is the epoch of the last
    thaw, from which on the split of traffic is counted. After a promotion `holdback_percent` is the share of units
    that the incumbent still serves (0 = the holdback is over, or there was none), drawn anew under `holdback_scope`;
    `alarms` are the reasons for which somebody was called meanwhile.
    """

    id: str
    agent: str
    challenger: int
    incumbent: int
    settings: RolloutSettings
    state: RolloutState
    weight_percent: float
    epoch: int
    started_at: datetime
    salt: str
    proposers: tuple[str, ...] = ()
    forced_by: str = ""
    wish: str = ""
    wished_by: str = ""
    wish_reason: str = ""
    wish_percent: float = 0.0
    approval: str = ""
    accepted_guards: tuple[str, ...] = ()
    steps: int = 0
    reason: str = ""
    closed_at: datetime | None = None
    queued: bool = False
    thawed_epoch: int = 0
    promoted_at: datetime | None = None
    holdback_percent: float = 0.0
    alarms: tuple[str, ...] = ()
    revision: int = 0

    @property
    def holdback_scope(self) -> str:
        """The name under which pins, traces and labels of the holdback are kept, apart from those of the canary."""
        return f"{self.id}{HOLDBACK}"

    @property
    def watched(self) -> bool:
        """Whether a holdback is served."""
        return self.state == "promoted" and self.holdback_percent > 0


def must_stand_at(rollout: Rollout, epoch: int | None) -> None:
    """Raise Conflict where the share has moved since it was looked at; without an epoch nobody says what they saw."""
    if epoch is not None and epoch != rollout.epoch:
        raise Conflict("the share has moved since you looked", hint="look at the rollout again")


def rollout_named(scope: str) -> str:
    """Give the rollout's id of the scope that a trace carries."""
    return scope.removesuffix(HOLDBACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """One look at a rollout: what was seen, what was decided, and why. `evidence` is JSON-shaped."""

    rollout: str
    seq: int
    at: datetime
    action: str
    reason: str
    sentence: str
    weight_before: float
    weight_after: float
    evidence: Mapping[str, object] = field(default_factory=dict[str, object])

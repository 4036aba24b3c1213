"""Where a rollout stands: the one row that is swapped, by compare-and-set, at each reconcile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from surefoot.core.rollout.settings import RolloutSettings, RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One challenger against one incumbent; `weight_percent` is the challenger's share, the incumbent has the rest.

    `epoch` counts weight changes. `forced_by` names the person who overrode the gate ("no guarantee"), `wish` an
    instruction of a person not yet carried out (roll_back, abort, promote) with `wished_by` and `wish_reason`.
    `approval` is the id of the current request for a decision; `accepted_guards` are the watched slices and metrics
    that looked worse and that a person accepted by name.
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
    approval: str = ""
    accepted_guards: tuple[str, ...] = ()
    steps: int = 0
    reason: str = ""
    closed_at: datetime | None = None
    revision: int = 0


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

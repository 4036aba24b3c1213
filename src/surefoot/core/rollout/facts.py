"""What one reconcile of a rollout knows, and what it answers.

`RolloutFacts` is read in one go from the store; `Step` is written back in one transaction, by compare-and-set on the
weight and the epoch. Both are plain values, so a step can be computed again later from what was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from surefoot.core.errors import Invalid
from surefoot.core.evidence.relative import RiskInterval
from surefoot.core.evidence.rollout import Stratum
from surefoot.core.evidence.sampling import Assigned
from surefoot.core.rollout.settings import RolloutSettings, RolloutState

ApprovalAnswer = Literal["pending", "approved", "rejected", "expired", "changes_requested"]
Action = Literal[
    "hold",
    "ramp",
    "share",
    "to_floor",
    "await_approval",
    "promote",
    "roll_back",
    "inconclusive",
    "freeze",
    "thaw",
    "abort",
    "alarm",
    "close",
]
StepReason = Literal[
    "not_started",
    "queued",
    "stale_base",
    "started",
    "shadow_collecting",
    "shadow_won",
    "shadow_harm",
    "shadow_cap",
    "abort_requested",
    "rollback_requested",
    "kill_switch",
    "zero_tolerance",
    "sample_ratio",
    "hard_guard",
    "alarm",
    "watched_guard",
    "share_requested",
    "override",
    "win",
    "quiet_canary",
    "awaiting_decision",
    "approved",
    "approval_rejected",
    "approval_expired",
    "approval_stale",
    "changes_requested",
    "soft_guard",
    "ramp",
    "no_share",
    "no_labels",
    "fresh_labels",
    "relative_risk",
    "at_ceiling",
    "horizon",
    "frozen",
    "thawed",
    "holdback_watch",
    "holdback_alarm",
    "holdback_quiet",
    "superseded",
    "finished",
    "leftover_share",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedEvidence:
    """What shadow or replay has shown on the paired road: e-values for gain and harm over `cases` shared requests."""

    e_win: float
    e_harm: float
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdback:
    """What the holdback after a promotion has shown; `evidence` is for "the promoted version became worse".

    `alarm` says that it was ever enough, also between two looks. `percent` of the units are served by the old version
    since `since`. Counts are labelled units by version.
    """

    percent: float
    since: datetime
    evidence: float = 0.0
    alarm: bool = False
    new_failures: int = 0
    new_labels: int = 0
    old_failures: int = 0
    old_labels: int = 0

    @property
    def labels(self) -> int:
        """Labelled units of both versions."""
        return self.new_labels + self.old_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutFacts:
    """Everything a reconcile decides from.

    `weight_percent` and `epoch` are the present ones; a new epoch begins at every change of weight. `strata` are
    mature labels by epoch and arm, one a unit; `assigned` are first requests, for the sample ratio. `started_at` is
    when the settings were frozen, `canary_at` when the challenger first got a share (None: at `started_at`).
    `zero_tolerance_events` counts what no version may do and the challenger did (policy violation, secret leak,
    forbidden tool). `guards` gives the evidence of each watched metric or slice by name; `accepted_guards` are those
    a person saw and accepted. `approval_is_current` says that the decision was taken on this very version and
    evidence hash. `abort_by`, `rollback_by`, `override_by` and `thaw_by` name the person who asks; an empty name is no
    request. `share_by` asks for `share_percent` of the traffic for the challenger.

    `alarm` is the sentence of an open alarm about the agent itself (the sentinel's); empty for none. `queued` says
    that the rollout waits for its turn, `ahead` which one is in progress. `base_moved` says that the incumbent is no
    longer live. `holdback` is what is seen after the promotion, None when nothing is held back; `alarmed` are the
    reasons for which a person was called since, and `successor` the rollout that begins now.
    """

    settings: RolloutSettings
    state: RolloutState
    weight_percent: float
    epoch: int
    started_at: datetime | None
    canary_at: datetime | None = None
    strata: tuple[Stratum, ...] = ()
    assigned: tuple[Assigned, ...] = ()
    zero_tolerance_events: int = 0
    guards: Mapping[str, float] = field(default_factory=dict[str, float])
    accepted_guards: frozenset[str] = frozenset()
    approval: ApprovalAnswer | None = None
    approval_is_current: bool = False
    kill_switch: bool = False
    abort_by: str = ""
    rollback_by: str = ""
    override_by: str = ""
    thaw_by: str = ""
    share_by: str = ""
    share_percent: float = 0.0
    paired: PairedEvidence | None = None
    alarm: str = ""
    queued: bool = False
    ahead: str = ""
    base_moved: bool = False
    holdback: Holdback | None = None
    alarmed: frozenset[str] = frozenset()
    successor: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.weight_percent <= 100:
            raise Invalid(f"the rollout has a share of {self.weight_percent} %", hint="use a share between 0 and 100")
        for name, moment in (("started_at", self.started_at), ("canary_at", self.canary_at)):
            if moment is not None and moment.tzinfo is None:
                raise Invalid(f"the rollout's {name} has no time zone", hint="use an aware datetime")

    @property
    def labels(self) -> int:
        """Labelled units of both arms over all epochs."""
        return sum(one.labels for one in self.strata)

    @property
    def challenger_labels(self) -> int:
        """Labelled units of the challenger over all epochs."""
        return sum(one.challenger_labels for one in self.strata)

    @property
    def fresh_labels(self) -> int:
        """The challenger's labelled units of this very step; labels of an earlier step never count twice."""
        return sum(one.challenger_labels for one in self.strata if one.epoch == self.epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvidence:
    """The numbers behind a step, as shown to people and stored with it.

    `relative_risk` is None without a comparison and 1e300 when only the challenger failed; `labels_needed` is about how
    many more labels a win takes at the present share, None when the challenger does not look better.
    """

    e_win: float
    e_guard: float
    e_sample_ratio: float
    relative_risk: float | None
    interval: RiskInterval
    labels: int
    challenger_labels: int
    fresh_labels: int
    labels_needed: int | None
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One decision: what to do, the state, share and epoch that follow, and why.

    `names` are the guards (metrics or slices) the reason is about; `by` the person who asked. `page` says that a person
    must be called now. `guarantee` is False when a person overrode the evidence. `holdback_percent` is the share of
    units that the old version goes on serving after a promotion.
    """

    action: Action
    state: RolloutState
    weight_percent: float
    epoch: int
    reason: StepReason
    sentence: str
    evidence: StepEvidence
    names: tuple[str, ...] = ()
    by: str = ""
    page: bool = False
    guarantee: bool = True
    holdback_percent: float = 0.0

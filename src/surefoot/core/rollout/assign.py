"""Which version serves a unit: sticky, by hash, at a share that means what it says.

A unit is the session, else the actor, else the request; never one call inside a conversation. Its place in [0, 1) is
a hash of the rollout's salt and its name, so no counter has to survive a restart and two processes agree. The
challenger serves a unit whose place is below the share. A unit that was seen keeps its arm, its share and its epoch,
unless its arm has no share any more: 0 means never. Traps S1-29 to S1-33.
"""

from __future__ import annotations

from dataclasses import dataclass

from surefoot.core.digest import unit_interval
from surefoot.core.errors import Invalid
from surefoot.core.trace import Arm


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """What the router needs of a rollout. A new rollout has a new salt; every change of weight a new epoch."""

    salt: str
    weight_percent: float
    epoch: int

    def __post_init__(self) -> None:
        if not 0 <= self.weight_percent <= 100:
            raise Invalid(
                f"a challenger cannot have a share of {self.weight_percent} %", hint="use a share between 0 and 100"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Who serves a unit, and the challenger's share (percent) and epoch at its first request, which evidence needs."""

    arm: Arm
    weight_percent: float
    epoch: int


def unit_share(salt: str, unit: str) -> float:
    """Give a unit's fixed place in [0, 1) under a salt, uniform and independent between salts."""
    return unit_interval("rollout", salt, unit)


def assign(rollout: RolloutView, unit: str, seen: Assignment | None = None) -> Assignment:
    """Give the arm that serves this unit now.

    `seen` is the unit's first assignment in this rollout. It is kept while both arms have a share; otherwise the only
    arm left serves, and the caller still counts the outcome for the version first assigned (intention to treat). A
    unit seen only while one arm had everything was never drawn, and is drawn now.
    """
    if seen is not None and _mixed(seen.weight_percent) and _mixed(rollout.weight_percent):
        return seen
    challenger = unit_share(rollout.salt, unit) < rollout.weight_percent / 100
    return Assignment(
        arm="challenger" if challenger else "incumbent",
        weight_percent=rollout.weight_percent,
        epoch=rollout.epoch,
    )


def shares(weight_percent: float) -> dict[Arm, float]:
    """Give both shares in percent; they sum to 100."""
    return {"incumbent": 100 - weight_percent, "challenger": weight_percent}


def _mixed(weight_percent: float) -> bool:
    return 0 < weight_percent < 100

"""The preset `seed`: absolute thresholds on the challenger's last outcomes, as teams know them from elsewhere.

Fewer than 20 outcomes hold; a failure rate above .15 goes to the floor at once; below .05 the share rises by 20
points, to the ceiling of 100; anything between holds. It is offered for comparison: it never looks at the incumbent,
reads the same outcomes again at each tick, and its simulated error rates stand beside ours (S1-34 to S1-40).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SeedAction = Literal["hold", "promote", "roll_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRule:
    """The numbers of the preset; shares in percent, rates as fractions."""

    floor: float = 0.0
    ceiling: float = 100.0
    step: float = 20.0
    window: int = 100
    minimum: int = 20
    promote_below: float = 0.05
    roll_back_above: float = 0.15


SEED = SeedRule()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedStep:
    """What the rule answers: the share that follows, and the failure rate it saw (0 without any outcome)."""

    action: SeedAction
    failure_rate: float
    weight_percent: float


def seed_step(failed: Sequence[bool], weight_percent: float, rule: SeedRule = SEED) -> SeedStep:
    """Decide on the challenger's outcomes, oldest first (True is a failure); a pure function of both arguments."""
    last = failed[-rule.window :]
    rate = sum(last) / len(last) if last else 0.0
    if len(last) < rule.minimum:
        return SeedStep(action="hold", failure_rate=rate, weight_percent=weight_percent)
    if rate > rule.roll_back_above:
        return SeedStep(action="roll_back", failure_rate=rate, weight_percent=rule.floor)
    if rate < rule.promote_below:
        share = min(rule.ceiling, weight_percent + rule.step)
        return SeedStep(action="promote", failure_rate=rate, weight_percent=share)
    return SeedStep(action="hold", failure_rate=rate, weight_percent=weight_percent)

"""A share that a person sets by hand: what "version 3 gets 5 %" means for what is in progress.

Both shares sum to 100, and what one version gets is taken from the other; 0 means never. It never goes round a
promise: a version that has no rollout begins one (so the gate is asked), the most that the frozen terms allow is the
most that a hand can set, and half of the traffic or more takes evidence and a person's approval. The evidence is not
harmed, whatever the share: it counts by shares. What an alarm says comes first, at the reconcile that carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.rollout.settings import RolloutSettings
from surefoot.core.rollout.standing import Rollout

MAJORITY = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareWish:
    """What is to be done: nothing (`keep`), open a rollout (`begin`), or move the share of the one there is (`set`)."""

    action: Literal["keep", "begin", "set"]
    challenger: int
    percent: float


def share_wished(
    live: int, active: Rollout | None, version: int, percent: float, *, terms: RolloutSettings
) -> ShareWish:
    """Decide what a wish for a share means; `terms` are those of a rollout that would begin now.

    Invalid for what is no share; Conflict where it would go round a promise, or nothing is there to share with.
    """
    if not isfinite(percent) or not 0 <= percent <= 100:
        raise Invalid(f"{percent:g} is no share of traffic", hint="shares are percent: 0 to 100, summing to 100")
    if version == live:
        if active is None:
            return _alone(live, percent)
        version, percent = active.challenger, 100 - percent
    if active is not None and active.challenger != version:
        return _another(active, version, percent)
    if percent == (active.weight_percent if active else 0):
        return ShareWish(action="keep", challenger=version, percent=percent)
    _must_be_a_minority(active, version, percent, active.settings if active else terms)
    if active is None:
        if terms.road == "paired":
            raise Conflict(
                f"v{version} must first win on recorded requests", hint="surefoot rollout start opens its shadow"
            )
        return ShareWish(action="begin", challenger=version, percent=percent)
    _must_be_movable(active, percent)
    return ShareWish(action="set", challenger=version, percent=percent)


def _alone(live: int, percent: float) -> ShareWish:
    if percent == 100:
        return ShareWish(action="keep", challenger=live, percent=percent)
    raise Conflict(
        f"v{live} serves everything, and no other version is there to take {100 - percent:g} %",
        hint="set the share of the other version; the live one keeps the rest",
    )


def _another(active: Rollout, version: int, percent: float) -> ShareWish:
    if percent == 0:
        return ShareWish(action="keep", challenger=version, percent=0)
    raise Conflict(
        f"v{active.challenger} is in a rollout against v{active.incumbent}; a third version has no share",
        hint="end that rollout first, or queue this one: surefoot rollout start --queue",
    )


def _must_be_a_minority(active: Rollout | None, version: int, percent: float, terms: RolloutSettings) -> None:
    if percent >= MAJORITY:
        waits = active.approval if active is not None and active.state == "awaiting_approval" else ""
        raise Conflict(
            f"{percent:g} % for v{version} would be the majority, which takes evidence and a person's approval",
            hint=f"approval {waits} waits for it" if waits else "let the rollout win; it then asks",
        )
    if percent > terms.ceiling_percent:
        raise Conflict(
            f"the terms of this rollout end at {terms.ceiling_percent:g} % before the approval",
            hint=f"set at most {terms.ceiling_percent:g}",
        )


def _must_be_movable(active: Rollout, percent: float) -> None:
    if active.state == "shadow":
        raise Conflict(f"v{active.challenger} must first win on recorded requests", hint="surefoot shadow shows where")
    if active.state == "awaiting_approval" and percent > 0:
        raise Conflict(
            f"approval {active.approval} waits for a person, at the share where the win came",
            hint="decide on it; a share of 0 freezes the rollout until somebody has looked",
        )

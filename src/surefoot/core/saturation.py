"""When to stop improving: the best agent knows when not to change.

Three reasons, looked at in this order. Saturated: what is left to win is shown to be less than the headroom worth
working on. Drift: so much of the base was rewritten that little more may be. Plateau: many tries in a row gained
nothing, and no gap is left that was never tried. Each comes with its numbers. Too little data is no reason: silence
and three unlucky ticks look the same as a finished agent (§3-18).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from surefoot.core.figure import percent

FreezeReason = Literal["saturated", "drift", "plateau"]
ALPHA = 0.05
DRY_TRIES = 8
DRY_LOOKS = 4
NEAR_LIMIT = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known of an agent's improvement.

    `tries` and `looks` are those since the last gain: levers that were worked on in vain, and looks at the sealed
    cases that did not pass. `untried` gaps were never worked on. `failed` of `judged` requests (or val cases, where
    traffic is thin) went wrong on what is live. `drift` is the share of the base that is gone, `drift_limit` its
    budget; `headroom` the least error worth working on.
    """

    tries: int = 0
    looks: int = 0
    untried: int = 0
    failed: int = 0
    judged: int = 0
    headroom: float = 0.0
    drift: float = 0.0
    drift_limit: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A recommendation to freeze: its reason, and one sentence with the numbers for people."""

    reason: FreezeReason
    sentence: str

    def document(self) -> dict[str, object]:
        """Give the JSON form."""
        return {"recommend": "freeze", "reason": self.reason, "sentence": self.sentence}


def advice(progress: Progress) -> Advice | None:
    """Recommend to stop improving, or say nothing."""
    if _saturated(progress):
        rate = progress.failed / progress.judged
        return Advice(reason="saturated", sentence=(
            f"Freeze it: {progress.failed} of {progress.judged} judged answers failed ({percent(rate)}), which is "
            f"shown to be below the {percent(progress.headroom)} worth working on."
        ))  # fmt: skip
    if 0 < progress.drift_limit * NEAR_LIMIT <= progress.drift:
        return Advice(reason="drift", sentence=(
            f"Freeze it: {percent(progress.drift, 0)} of the base is gone and {percent(progress.drift_limit, 0)} may "
            "be; a person should read the whole and make it the new base."
        ))  # fmt: skip
    if not progress.untried and (progress.tries >= DRY_TRIES or progress.looks >= DRY_LOOKS):
        return Advice(reason="plateau", sentence=(
            f"Freeze it: {progress.tries} tries and {progress.looks} looks at the sealed cases since the last gain "
            "brought nothing, and no gap is left untried."
        ))  # fmt: skip
    return None


def _saturated(progress: Progress) -> bool:
    """Whether failures are so few that an error rate of `headroom` would show no more in at most one of 20 cases."""
    if not progress.judged or not 0 < progress.headroom < 1 or progress.failed >= progress.headroom * progress.judged:
        return False
    return _at_most(progress.failed, progress.judged, progress.headroom) <= ALPHA


def _at_most(failed: int, n: int, rate: float) -> float:
    """Give the binomial chance of at most `failed` failures among `n` at this rate."""
    whole = math.lgamma(n + 1)
    return math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(rate) + (n - k) * math.log1p(-rate))
        for k in range(failed + 1)
    )

"""When a process that died is started again, and when it is not.

A death now and then is repaired at once. Each further one within `WINDOW_S` doubles the wait, and after `MOST` of them
nothing is started any more: what dies as soon as it begins will not be cured by beginning again, and whoever looks at
it should find a message and not a busy machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_S = 30.0
MOST = 5
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Start it again after this many seconds."""

    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Leave it, and say why."""

    sentence: str


def after_death(deaths: Sequence[float], now: float) -> Restart | GiveUp:
    """Decide what follows on a death; `deaths` are the moments of all of them, this one too, in seconds."""
    recent = sum(1 for at in deaths if now - at < WINDOW_S)
    if recent >= MOST:
        return GiveUp(sentence=f"it died {recent} times within {WINDOW_S:.0f} seconds")
    return Restart(after_s=min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** max(0, recent - 1)))

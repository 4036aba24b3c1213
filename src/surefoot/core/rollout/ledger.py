"""The ledger of one agent's rollouts: what a win takes when one challenger follows another.

Each rollout by itself promotes a no-better version with a chance of at most alpha; twenty of them would do so almost
surely once. `slots` declares K rollouts a quarter, each at alpha/K. `e-lond` gives the t-th rollout the level
alpha / (t (t + 1)), times one more than the wins so far; it never runs out but starves late candidates. `off` leaves
every rollout its own alpha. A quarter is one of the calendar, in UTC. Non-inferiority margins add up too: each lets
a version be a little worse than the one before, so they multiply against the version that the first one began from,
and there is one a quarter.
Sources: evidence.md §1; Xu & Ramdas 2024 (e-LOND).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, assert_never

from surefoot.core.errors import Conflict
from surefoot.core.evidence.rollout import NONINFERIOR_RISK
from surefoot.core.figure import percent

LedgerMode = Literal["slots", "e-lond", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One earlier rollout of the agent: when it began, what a win cost it, whether it won, and the margin it used.

    `factor` is what the ledger multiplied its win with, so it spent 1/`factor` of the quarter's alpha. `margin` is the
    relative risk that a non-inferior win refutes, 1 for a rollout that had to be better; `stands` says that it is
    still open, or was promoted and not taken back.
    """

    started_at: datetime
    factor: float = 1.0
    won: bool = False
    stands: bool = False
    margin: float = 1.0


def quarter_of(moment: datetime) -> tuple[int, int]:
    """Give the year and the quarter, 1 to 4, of an aware moment."""
    here = moment.astimezone(UTC)
    return here.year, (here.month + 2) // 3


def ledger_factor(mode: LedgerMode, *, slots: int, past: Iterable[Past], now: datetime) -> float:
    """Give what a win's evidence is multiplied with for a rollout that begins now; Conflict when no slot is left."""
    before = [one for one in past if quarter_of(one.started_at) == quarter_of(now)]
    match mode:
        case "off":
            return 1.0
        case "slots":
            if math.fsum(1 / one.factor for one in before) + 1 / slots > 1 + 1e-9:
                raise Conflict(
                    f"the rollouts of this quarter have used its chance of a false promotion ({slots} were declared)",
                    hint="wait for the next quarter, or choose ledger e-lond or off before it begins",
                )
            return float(slots)
        case "e-lond":
            rank, wins = len(before) + 1, sum(one.won for one in before)
            return rank * (rank + 1) / (wins + 1)
        case _:
            assert_never(mode)


def granted_margin(risk: float, *, past: Iterable[Past], now: datetime) -> float:
    """Give the margin against the version the first margin began from, with this one included.

    Raises Conflict when the quarter has had its margin, or when all margins together would exceed a quarter more
    failures.
    """
    granted = [one for one in past if one.stands and one.margin > 1]
    if any(quarter_of(one.started_at) == quarter_of(now) for one in granted):
        raise Conflict(
            "this quarter has had its non-inferiority margin", hint="let the version prove that it is better"
        )
    together = risk * math.prod(one.margin for one in granted)
    if together > NONINFERIOR_RISK + 1e-9:
        raise Conflict(
            f"the margins granted so far would allow {percent(together - 1, 0)} more failures than where they began",
            hint="let the version prove that it is better",
        )
    return together

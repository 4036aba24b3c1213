"""A trend: which way something goes, by the newer half of it beside the older half.

Nothing is said that chance alone could have done. Of counts it is asked whether so many of them would fall into one
half if each fell into either by a toss (an exact sign test, two-sided, at 5 %); of rates whether they lie more than two
standard errors apart, each half having at least `FEW` labels, and one success and one failure added to each: without
them a half with no failure at all seems to be without chance (Agresti and Caffo, The American Statistician 54, 2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from surefoot.core.evidence.paired import sign_test
from surefoot.core.figure import percent

Way = Literal["more", "fewer", "better", "worse", "steady"]
SURE, FEW = 0.05, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Which way it goes, and why that is said."""

    way: Way
    sentence: str


def of_counts(older: int, newer: int) -> Trend:
    """Say whether something happens more often or less than it did; both halves are of one size."""
    told = f"{newer} in the newer half, {older} in the older"
    chance = 2 * sign_test(for_it=max(newer, older), against_it=min(newer, older))
    if chance > SURE:
        return Trend(way="steady", sentence=f"{told}; chance alone could do that.")
    return Trend(way="more" if newer > older else "fewer", sentence=f"{told}; chance alone would hardly do that.")


def of_rates(older: tuple[int, int], newer: tuple[int, int]) -> Trend:
    """Say whether something goes better or worse; each half is its successes and its labels."""
    if min(older[1], newer[1]) < FEW:
        return Trend(way="steady", sentence=f"Either half needs {FEW} labels before one can be told from the other.")
    told = f"{percent(newer[0] / newer[1], 0)} in the newer half, {percent(older[0] / older[1], 0)} in the older"
    (before, spread), (after, other) = _rate(*older), _rate(*newer)
    if (after - before) ** 2 <= 4 * (spread + other):
        return Trend(way="steady", sentence=f"{told}; chance alone could do that.")
    return Trend(way="better" if after > before else "worse", sentence=f"{told}; chance alone would hardly do that.")


def _rate(successes: int, labels: int) -> tuple[float, float]:
    """A rate with one success and one failure added, and the variance of its estimate."""
    rate = (successes + 1) / (labels + 2)
    return rate, rate * (1 - rate) / (labels + 2)

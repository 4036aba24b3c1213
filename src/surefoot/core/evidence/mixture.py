"""A mixture of bets: the average of several likelihood ratios, kept as logarithms until the last step.

Every e-value of the house is such an average over a fixed grid of alternatives. Each term is a non-negative
supermartingale under the null, so the average is one too, and Ville's inequality bounds the chance that it ever
reaches 1/alpha by alpha, however often anyone looks. Logarithms keep millions of labels from overflowing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BETTER: tuple[float, ...] = (0.95, 0.9, 0.85, 0.8, 0.72, 0.65, 0.55, 0.45, 0.3)
"""Relative risks a better challenger may have: the alternatives of the win test."""

WORSE: tuple[float, ...] = (*(1 / risk for risk in BETTER), 1 / 0.2)
"""Relative risks a worse challenger may have: the alternatives of the guards."""

LARGEST = 1e300
_LOG_LARGEST = math.log(LARGEST)


@dataclass(frozen=True, slots=True)
class Events:
    """Events of one kind (failures, successes, first requests): the challenger's, and all by share in (0, 1)."""

    challenger: int
    by_weight: tuple[tuple[float, int], ...]

    def log_likelihood(self, ratio: float) -> float:
        """Give how well `ratio` explains whose events these are, as a logarithm that is 0 at ratio 1.

        At challenger's share w an event is the challenger's with probability `w ratio / (w ratio + 1 - w)`, `ratio`
        being the challenger's event rate over the incumbent's. Source: evidence.md §1.
        """
        spread = sum([total * math.log1p(weight * (ratio - 1)) for weight, total in self.by_weight])
        return self.challenger * math.log(ratio) - spread


def events(rows: Iterable[tuple[float, int, int]]) -> Events:
    """Add up `(weight_percent, challenger's events, incumbent's events)`.

    Shares of 0 and 100 % are left out: they say nothing about a ratio, and events that cannot happen there are the
    business of the sample-ratio test.
    """
    mine, totals = 0, defaultdict[float, int](int)
    for weight_percent, challenger, incumbent in rows:
        if 0 < weight_percent < 100:
            mine += challenger
            totals[weight_percent] += challenger + incumbent
    return Events(mine, tuple((weight / 100, totals[weight]) for weight in sorted(totals)))


def log_mean(log_terms: Sequence[float]) -> float:
    """Give the logarithm of the mean of `exp(term)` over at least one term."""
    top = max(log_terms)
    return top + math.log(math.fsum(math.exp(term - top) for term in log_terms) / len(log_terms))


def e_value(log_terms: Sequence[float]) -> float:
    """Give the evidence of a mixture as a plain number in [0, 1e300], where 1 says nothing either way."""
    return math.exp(min(log_mean(log_terms), _LOG_LARGEST))

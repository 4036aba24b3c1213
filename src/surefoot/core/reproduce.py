"""Reproduction: what running a failure again says of it.

An answer that is missing says nothing, so it makes the whole unknown unless right and wrong answers both came, which
already shows that it flickers. Only a failure that comes back every time may be the ground of a rule; one that
flickers is counted and told, because mending chance teaches the agent superstition (improver.md §2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

Reproduction = Literal["deterministic", "flaky", "gone", "unknown"]


def reproduction(scores: Sequence[float | None]) -> Reproduction:
    """Say what the scores of the runs of one failure make of it; 0 is wrong again, more is not, None is no answer."""
    wrong = sum(score is not None and score <= 0.0 for score in scores)
    right = sum(score is not None and score > 0.0 for score in scores)
    if wrong and right:
        return "flaky"
    if not scores or wrong + right < len(scores):
        return "unknown"
    return "deterministic" if wrong else "gone"


def tallied(found: Iterable[Reproduction]) -> dict[Reproduction, int]:
    """Count how many failures are of which sort, all sorts named."""
    counts = Counter(found)
    return {"deterministic": counts["deterministic"], "flaky": counts["flaky"], "gone": counts["gone"],
            "unknown": counts["unknown"]}  # fmt: skip

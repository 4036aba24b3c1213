"""Outcomes and scores, with *unknown* as a value of its own: unknown is never success.

An outcome arrives late, more than once, or never. `judged` compares an answer with the expectation (stripped and
lower-cased, S1-02); no expectation means unknown. `settled` picks the outcome that counts among several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from surefoot.core.errors import Invalid

Verdict = Literal["success", "failure", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What somebody said about one trace; `score` in [0, 1] is optional beside the verdict."""

    trace_id: str
    verdict: Verdict
    at: datetime
    source: str
    score: float | None = None
    expected: str = ""
    feedback: str = ""

    def __post_init__(self) -> None:
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise Invalid(f"the score {self.score} of trace {self.trace_id} is outside [0, 1]", hint="scale it to 0…1")


def normal(text: str) -> str:
    """Give the form in which answers are compared: stripped and lower-cased."""
    return text.strip().lower()


def judged(predicted: str, expected: str | None) -> Verdict:
    """Compare an answer with the expectation; no expectation is unknown, never success."""
    if expected is None or not expected.strip():
        return "unknown"
    return "success" if normal(predicted) == normal(expected) else "failure"


def value(verdict: Verdict, score: float | None = None) -> float | None:
    """Give the number that statistics use: the score if there is one, else 1 or 0, and None for unknown."""
    if verdict == "unknown":
        return None
    return score if score is not None else float(verdict == "success")


def settled(outcomes: Sequence[Outcome]) -> Outcome | None:
    """Give the outcome that counts: the last that is not unknown, in order of arrival; None if there is none."""
    known = [outcome for outcome in outcomes if outcome.verdict != "unknown"]
    return known[-1] if known else None

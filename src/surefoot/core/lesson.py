"""A lesson: a sentence the loop taught itself, with the tick that taught it and the evidence. Append-only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One lesson; `tick` is the number of the tick that taught it (0 = shipped with Surefoot)."""

    agent: str
    text: str
    evidence: str
    tick: int
    at: datetime


SHIPPED: tuple[str, ...] = (
    "Verify that what you ship is not empty and is correct before you ship it.",
    "One finding is not a mandate for a sweeping change.",
    "When reality contradicts the premise of the task, report it and stop.",
    "Start the server that a check needs, wait for it, then check; refused connections are the environment.",
)

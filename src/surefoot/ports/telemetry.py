"""The door to an observer outside: told what was answered and what was said about it, and never waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from surefoot.core.score import Outcome
from surefoot.core.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A trace with what only its request knew: the model, the tokens in and out, and the caller's `traceparent`."""

    trace: Trace
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    traceparent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How much was told and taken, how much was lost, and how much waits."""

    taken: int = 0
    lost: int = 0
    waiting: int = 0


class Telemetry(Protocol):
    """Takes what it is told at once and without an error; what does not fit is counted as lost."""

    def answered(self, one: Answered) -> None: ...
    def judged(self, agent: str, outcome: Outcome) -> None: ...
    def told(self) -> Told: ...
    def close(self) -> None:
        """Send what waits, then end."""
        ...


class Nobody:
    """Nobody is told."""

    def answered(self, one: Answered) -> None:
        """Do nothing."""

    def judged(self, agent: str, outcome: Outcome) -> None:
        """Do nothing."""

    def told(self) -> Told:
        """Give nothing."""
        return Told()

    def close(self) -> None:
        """Do nothing."""

"""The door to group commit: many small writes of one process, kept together, each acknowledged after its commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from surefoot.core.errors import Unavailable
from surefoot.core.score import Outcome
from surefoot.core.trace import Pin, Trace
from surefoot.ports.store import Tx

T = TypeVar("T")


class Full(Unavailable):
    """More is waiting to be written than the recorder may hold: try again later, in `retry_after_s`."""

    retry_after_s = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy a recorder is: entries waiting, how many may, and how many were written, refused and failed."""

    waiting: int = 0
    most: int = 0
    written: int = 0
    refused: int = 0
    failed: int = 0
    commits: int = 0


class Recorder(Protocol):
    """Writes that return when they are durable, and share a transaction with whatever else is waiting.

    Each raises Full at once when too much is waiting, and Unavailable when the store did not take it.
    """

    async def add(self, trace: Trace, outcome: Outcome | None = None, pin: Pin | None = None) -> None:
        """Append a trace, with what is known of how it went, and a pin that could not be kept before."""
        ...

    async def pin(self, pin: Pin) -> Pin:
        """Keep a pin unless the unit has one; give the one that stands."""
        ...

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` with the others in one transaction; what it raises is raised here and spoils nothing else."""
        ...

    def load(self) -> Load: ...
    async def aclose(self) -> None:
        """Write what is waiting, then end."""
        ...

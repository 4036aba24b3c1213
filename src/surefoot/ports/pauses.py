"""The pauses of a store: what agents' programs wait for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from surefoot.core.pause import Pause


class Pauses(Protocol):
    """Pauses by agent and name; one that changes carries the revision it was read at."""

    def add(self, pause: Pause) -> bool:
        """Store a new pause; False, and nothing done, when the agent has one of this name."""
        ...

    def find(self, agent: str, name: str) -> Pause | None: ...
    def named(self, name: str) -> list[Pause]:
        """All agents' pauses of this name."""
        ...

    def of_execution(self, execution: str) -> list[Pause]:
        """All pauses of an execution, oldest first."""
        ...

    def listed(
        self, *, agents: Collection[str], limit: int | None = None, after: tuple[str, str] | None = None,
        waiting: datetime | None = None,
    ) -> list[Pause]:  # fmt: skip
        """Pauses, oldest first, behind the pause `after`; with `waiting` those that still wait at that moment."""
        ...

    def swap(self, pause: Pause) -> Pause: ...

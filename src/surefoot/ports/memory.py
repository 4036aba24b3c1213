"""What the store keeps of an agent's memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

from surefoot.core.memory import Entry, MemoryChange, Place

Action = Literal["set", "append", "delete", "expire"]


class Memories(Protocol):
    def get(self, place: Place, key: str) -> Entry | None: ...
    def put(self, entry: Entry, *, action: Action) -> None:
        """Write an entry over an older one, and note the change."""
        ...

    def drop(self, place: Place, key: str, *, at: datetime, action: Action = "delete") -> bool:
        """Delete an entry and note it; False if there is none."""
        ...

    def of(self, place: Place, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Give the entries of a place by key, those after a key, expired ones too; all of them without a limit."""
        ...

    def count(self, place: Place) -> int: ...
    def expired(self, now: datetime, *, limit: int) -> list[Entry]: ...
    def changes(self, places: Sequence[Place], *, after: int, limit: int) -> list[MemoryChange]:
        """Give what happened in these places after a change, oldest first."""
        ...

    def all_changes(self, *, after: int, limit: int) -> list[MemoryChange]:
        """Give what happened anywhere after a change, oldest first."""
        ...

    def last_change(self) -> int:
        """Give the number of the last change; 0 if there was none."""
        ...

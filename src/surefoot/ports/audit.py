"""The door to the audit record, to which every change of the store is appended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from surefoot.core.audit import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are wanted; empty is any. `agent` stands for its own subject and all below it."""

    agent: str = ""
    actor: str = ""
    action: str = ""


class AuditLog(Protocol):
    def append(
        self, *, at: datetime, actor: str, action: str, subject: str, payload: Mapping[str, object]
    ) -> Entry: ...
    def all(self) -> list[Entry]: ...
    def after(self, seq: int, *, limit: int) -> list[Entry]:
        """Give the entries after one, oldest first."""
        ...

    def last(self) -> int:
        """Give the number of the last entry; 0 if there is none."""
        ...

    def listed(self, wanted: AuditFilter, *, before: int | None, limit: int) -> list[Entry]:
        """Give entries before one, newest first."""
        ...

    def actors(self) -> list[str]:
        """Give who is named in the newest part of the record, a bounded number of them."""
        ...

    def actions(self) -> list[str]:
        """Give what was done in the newest part of the record, a bounded number of them."""
        ...

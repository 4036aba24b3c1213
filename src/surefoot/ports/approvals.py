"""The door to what a person was asked, and what was answered."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from surefoot.core.approval import Approval


class Approvals(Protocol):
    def add(self, approval: Approval) -> None: ...
    def get(self, approval_id: str) -> Approval: ...
    def all(self, agent: str | None = None) -> list[Approval]: ...
    def listed(
        self, *, agents: Collection[str], limit: int | None = None, after: str = "",
        waiting: datetime | None = None,
    ) -> list[Approval]:  # fmt: skip
        """Requests, oldest first, behind the request `after`; with `waiting` those that still wait at that moment."""
        ...

    def swap(self, before: Approval, after: Approval) -> None: ...
    def decided(self, now: datetime, *, agents: Collection[str], skip: int, limit: int) -> list[Approval]:
        """Give requests that wait no more (decided or expired), newest first, of these agents (none named: all)."""
        ...

"""What the store keeps of browsers that were let in."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from surefoot.core.visit import Visit


class Visits(Protocol):
    def add(self, visit: Visit, *, forget_before: datetime) -> None:
        """Keep a visit; those that ended before are forgotten."""
        ...

    def find(self, sha256: str) -> Visit | None: ...
    def end(self, sha256: str) -> bool:
        """End a visit; whether there was one."""
        ...

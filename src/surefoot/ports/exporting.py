"""The door to exporting: all rows of a kind, oldest first, a page at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

from surefoot.core.case import Split
from surefoot.core.exported import ExportKind


class Exporting(Protocol):
    """Rows of one kind as documents whose fields are those of `core.exported.COLUMNS`."""

    def page(
        self, kind: ExportKind, agent: str, *, after: str, limit: int, since: datetime | None, until: datetime | None,
        splits: Collection[Split],
    ) -> tuple[list[Mapping[str, Any]], str]:  # fmt: skip
        """Give at most `limit` rows after a place (empty = from the first), and the place of the last one."""
        ...

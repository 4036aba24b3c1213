"""The processes at work, by executor id."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.rows import put


class SqlExecutors:
    """Heartbeats; whoever claims a dead executor is the only one who does."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def seen(self, executor: str, host: str, pid: int, at: datetime) -> bool:
        """Write a heartbeat; gives whether there was one before: a claimed executor is not there any more."""
        table = tables.executors
        known = self._connection.scalar(sa.select(table.c.id).where(table.c.id == executor)) is not None
        put(self._connection, tables.executors, {"id": executor, "host": host, "pid": pid, "seen_at": at})
        return known

    def claim(self, dead: Callable[[str, int, datetime], bool]) -> list[str]:
        """Remove the executors that `dead` (id, pid, last seen) says are gone, and give their ids."""
        table = tables.executors
        ids = [row.id for row in self._connection.execute(sa.select(table)) if dead(row.id, row.pid, row.seen_at)]
        self._connection.execute(sa.delete(table).where(table.c.id.in_(ids)))
        return ids

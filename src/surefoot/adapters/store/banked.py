"""What versions answered on the sentinel's bank, each case once per agent and window."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import insert_or_keep
from surefoot.core.sentinel import Banked


class SqlBanked:
    """Banked answers; one that is there already stays, so a case never counts twice in a window."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, rows: Iterable[Banked]) -> int:
        """Append the rows that are new, in this order; gives how many were."""
        table, added = tables.banked, 0
        for row in rows:
            last = sa.select(sa.func.max(table.c.seq)).where(table.c.agent == row.agent, table.c.window == row.window)
            seq = (self._connection.scalar(last) or 0) + 1
            added += insert_or_keep(self._connection, table, [
                {"agent": row.agent, "window": row.window, "case": row.case, "seq": seq, "version": row.version,
                 "at": row.at, "document": dump(row)}
            ])  # fmt: skip
        return added

    def of(self, agent: str, version: int) -> list[Banked]:
        """Give the rows of a version by window, then in the order of their arrival."""
        table = tables.banked
        query = sa.select(table.c.document).where(table.c.agent == agent, table.c.version == version)
        rows = self._connection.execute(query.order_by(table.c.window, table.c.seq))
        return [load(Banked, row.document) for row in rows]

    def in_window(self, agent: str, window: str) -> set[str]:
        """Give the cases that have their answer in a window, whichever version gave it."""
        table = tables.banked
        return set(self._connection.scalars(
            sa.select(table.c.case).where(table.c.agent == agent, table.c.window == window)
        ))  # fmt: skip

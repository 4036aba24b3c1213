"""Pauses: what agents' programs wait for, by agent and name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import insert_or_keep, page, swap, unexpired
from surefoot.core.pause import Pause


class SqlPauses:
    """All pauses; implements `ports.pauses.Pauses`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, pause: Pause) -> bool:
        """Store a new pause; False when there is one of this name."""
        return bool(insert_or_keep(self._connection, tables.pauses, [_row(pause)]))

    def find(self, agent: str, name: str) -> Pause | None:
        """Give a pause, if it is there."""
        table = tables.pauses.c
        found = self._found(table.agent == agent, table.name == name)
        return found[0] if found else None

    def named(self, name: str) -> list[Pause]:
        """Give all agents' pauses of a name."""
        return self._found(tables.pauses.c.name == name)

    def of_execution(self, execution: str) -> list[Pause]:
        """Give the pauses of an execution, oldest first."""
        return self._found(tables.pauses.c.execution == execution) if execution else []

    def listed(
        self, *, agents: Collection[str], limit: int | None = None, after: tuple[str, str] | None = None,
        waiting: datetime | None = None,
    ) -> list[Pause]:  # fmt: skip
        """Give pauses, oldest first, behind the pause `after` (agent, name); of all agents if none is named.

        With `waiting` only those that nobody has decided and that have not expired by then.
        """
        table = tables.pauses.c
        where = [table.agent.in_(agents)] if agents else []
        if waiting is not None:
            where += [table.document["state"].as_string() == "pending", unexpired(table.document, waiting)]
        behind = None if after is None else sa.and_(table.agent == after[0], table.name == after[1])
        found = page(self._connection, table.document, where, by=(table.requested_at, table.agent, table.name),
                     after=behind, limit=limit)  # fmt: skip
        return [load(Pause, one) for one in found]

    def swap(self, pause: Pause) -> Pause:
        """Write a pause over the revision it was read at."""
        after = replace(pause, revision=pause.revision + 1)
        table = tables.pauses
        key = sa.and_(table.c.agent == pause.agent, table.c.name == pause.name)
        swap(self._connection, table, f"pause {pause.name}", key, pause.revision, _row(after))
        return after

    def _found(self, *where: sa.ColumnElement[bool]) -> list[Pause]:
        table = tables.pauses
        query = sa.select(table.c.document).where(*where).order_by(table.c.requested_at, table.c.agent, table.c.name)
        return [load(Pause, row.document) for row in self._connection.execute(query)]


def _row(pause: Pause) -> dict[str, object]:
    return {
        "agent": pause.agent, "name": pause.name, "execution": pause.execution, "requested_at": pause.requested_at,
        "revision": pause.revision, "document": dump(pause),
    }  # fmt: skip

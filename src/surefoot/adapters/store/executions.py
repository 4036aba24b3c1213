"""Executions by id, and what was noted down about them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import process_tables as tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import swap
from surefoot.adapters.store.tables import pauses
from surefoot.core.errors import NotFound
from surefoot.core.execution import OVER, Execution, ExecutionState, Note

_OPEN = ("queued", "running", "waiting")


class SqlExecutions:
    """Executions; the hold of their owner is a column alone, so that it is renewed for all of them at once."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, execution: Execution) -> None:
        """Store a new execution."""
        self._connection.execute(sa.insert(tables.executions).values(id=execution.id, **_row(execution)))

    def get(self, execution_id: str) -> Execution:
        """Give an execution; NotFound if there is none."""
        found = self.some([execution_id])
        if not found:
            raise NotFound(f"there is no execution {execution_id!r}", hint="the answer to execute carries its id")
        return found[0]

    def some(self, ids: Collection[str]) -> list[Execution]:
        """Give those of these that there are."""
        return self._read(self._query().where(tables.executions.c.id.in_(list(ids))))

    def swap(self, execution: Execution) -> Execution:
        """Write an execution over the revision it was read at."""
        after = replace(execution, revision=execution.revision + 1)
        table = tables.executions
        what = f"execution {execution.id}"
        swap(self._connection, table, what, table.c.id == execution.id, execution.revision, _row(after))
        return after

    def of(
        self, agent: str, *, state: ExecutionState | None = None, workflow: str = "", before: str = "", limit: int = 50
    ) -> list[Execution]:  # fmt: skip
        """Give the executions of an agent, newest first."""
        table = tables.executions
        query = self._query().where(table.c.agent == agent).order_by(table.c.id.desc()).limit(limit)
        query = query.where(table.c.state == state) if state else query
        query = query.where(table.c.workflow == workflow) if workflow else query
        return self._read(query.where(table.c.id < before) if before else query)

    def children(self, ids: Collection[str]) -> list[Execution]:
        """Give the executions that these asked for."""
        return self._read(self._query().where(tables.executions.c.parent.in_(list(ids))))

    def due(self, now: datetime, *, limit: int) -> list[Execution]:
        """Give those still open whose hold has ended, oldest first; of those that wait also what may go on."""
        table = tables.executions
        held = sa.or_(table.c.held_until.is_(None), table.c.held_until <= now)
        moving = sa.and_(table.c.state.in_(("queued", "running")), held)
        awaits = table.c.document["waits_for"].as_string() != ""
        on_hold = sa.exists().where(pauses.c.execution == table.c.id)
        paused = sa.and_(table.c.state == "waiting", sa.or_(on_hold, awaits, held))
        return self._read(self._query().where(sa.or_(moving, paused)).order_by(table.c.id).limit(limit))

    def open_among(self, ids: Collection[str]) -> set[str]:
        """Give those of these ids that are not over."""
        table = tables.executions
        return set(self._connection.scalars(sa.select(table.c.id).where(table.c.id.in_(ids), table.c.state.in_(_OPEN))))

    def open(self, agent: str) -> tuple[int, int]:
        """Count those that are not over: of all agents, and of this one."""
        table = tables.executions
        mine = sa.func.count().filter(table.c.agent == agent)
        query = sa.select(sa.func.count(), mine).select_from(table).where(table.c.state.in_(_OPEN))
        every, of_agent = self._connection.execute(query).one()
        return every, of_agent

    def waiting(self) -> int:
        """Count those that were not sent yet."""
        table = tables.executions
        return self._connection.execute(
            sa.select(sa.func.count()).select_from(table).where(table.c.state == "queued")
        ).scalar_one()

    def hold(self, owner: str, until: datetime) -> None:
        """Renew an owner's hold."""
        table = tables.executions
        mine = sa.and_(table.c.owner == owner, table.c.state.in_(_OPEN))
        self._connection.execute(sa.update(table).where(mine).values(held_until=until))

    def note(self, note: Note) -> None:
        """Append a note."""
        self._connection.execute(
            sa.insert(tables.execution_notes).values(execution=note.execution, document=dump(note))
        )  # fmt: skip

    def notes(self, execution_id: str) -> list[Note]:
        """Give the notes on an execution in their order."""
        table = tables.execution_notes
        query = sa.select(table.c.document).where(table.c.execution == execution_id).order_by(table.c.seq)
        return [load(Note, row.document) for row in self._connection.execute(query)]

    def _query(self) -> sa.Select[Any, Any]:
        return sa.select(tables.executions.c.document, tables.executions.c.held_until)

    def _read(self, query: sa.Select[Any, Any]) -> list[Execution]:
        rows = self._connection.execute(query)
        return [replace(load(Execution, row.document), held_until=row.held_until) for row in rows]


def _row(one: Execution) -> dict[str, Any]:
    return {
        "agent": one.agent, "state": one.state, "owner": one.owner,
        "held_until": None if one.state in OVER else one.held_until, "workflow": one.workflow, "parent": one.parent,
        "revision": one.revision, "document": dump(one),
    }  # fmt: skip

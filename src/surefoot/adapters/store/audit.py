"""The audit record, and the marks of what was already done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from surefoot.adapters.store import tables
from surefoot.core.audit import Entry, sealed
from surefoot.core.errors import Conflict
from surefoot.ports.audit import AuditFilter

RECENT, MOST_NAMES, NAMED_LATELY = 20_000, 200, 5_000


class SqlAudit:
    """Entries in their order; each append continues the chain inside the caller's transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def append(self, *, at: datetime, actor: str, action: str, subject: str, payload: Mapping[str, object]) -> Entry:
        """Append an entry and give it."""
        table = tables.audit
        last = self._connection.execute(
            sa.select(table.c.seq, table.c.digest).order_by(table.c.seq.desc()).limit(1)
        ).one_or_none()
        head = None if last is None else (last.seq, last.digest)
        entry = sealed(head, at=at, actor=actor, action=action, subject=subject, payload=payload)
        self._connection.execute(sa.insert(table).values(**{n: getattr(entry, n) for n in Entry.__slots__}))
        return entry

    def all(self) -> list[Entry]:
        """Give all entries in order."""
        table = tables.audit
        rows = self._connection.execute(sa.select(table).order_by(table.c.seq)).mappings()
        return [Entry(**row) for row in rows]

    def after(self, seq: int, *, limit: int) -> list[Entry]:
        """Give the entries after one, oldest first."""
        table = tables.audit
        query = sa.select(table).where(table.c.seq > seq).order_by(table.c.seq).limit(limit)
        return [Entry(**row) for row in self._connection.execute(query).mappings()]

    def last(self) -> int:
        """Give the number of the last entry; 0 if there is none."""
        return self._connection.scalar(sa.select(sa.func.max(tables.audit.c.seq))) or 0

    def listed(self, wanted: AuditFilter, *, before: int | None, limit: int) -> list[Entry]:
        """Give entries before one, newest first."""
        return picked(self._connection, wanted, before=before, limit=limit)

    def actors(self) -> list[str]:
        """Give who is named in the newest part of the audit record."""
        return self._names(tables.audit.c.actor)

    def actions(self) -> list[str]:
        """Give what was done in the newest part of the audit record."""
        return self._names(tables.audit.c.action)

    def _names(self, column: sa.Column[Any]) -> list[str]:
        newest = sa.select(column.label("name")).order_by(tables.audit.c.seq.desc()).limit(NAMED_LATELY).subquery()
        names = self._connection.scalars(sa.select(newest.c.name).distinct().limit(MOST_NAMES))
        return sorted(names)


def picked(connection: sa.Connection, wanted: AuditFilter, *, before: int | None, limit: int) -> list[Entry]:
    """Give entries before one, newest first.

    Those of an agent are looked for among the newest first, where those of a busy one are, and only then by the index
    of subjects, whose entries would all have to be put in order.
    """
    seq, subject, ends = tables.audit.c.seq, tables.audit.c.subject, before
    if ends is None:
        ends = (connection.scalar(sa.select(sa.func.max(seq))) or 0) + 1
    where = _named(wanted)
    if not wanted.agent:
        return _newest(connection, [seq < ends, *where], limit)
    unindexed = subject.op("||")("")
    found = _newest(connection, [seq < ends, seq >= ends - RECENT, _about(unindexed, wanted.agent), *where], limit)
    if len(found) >= limit or ends <= RECENT:
        return found
    older = [seq < ends - RECENT, seq.in_(sa.select(seq).where(_about(subject, wanted.agent))), *where]
    return [*found, *_newest(connection, older, limit - len(found))]


def _named(wanted: AuditFilter) -> list[sa.ColumnElement[bool]]:
    given = ((tables.audit.c.actor, wanted.actor), (tables.audit.c.action, wanted.action))
    return [column == value for column, value in given if value]


def _about(subject: sa.ColumnElement[str], agent: str) -> sa.ColumnElement[bool]:
    """An agent itself, or what is below it; `0` is the sign after `/`."""
    return sa.or_(subject == agent, sa.and_(subject >= f"{agent}/", subject < f"{agent}0"))


def _newest(connection: sa.Connection, where: list[sa.ColumnElement[bool]], limit: int) -> list[Entry]:
    table = tables.audit
    query = sa.select(table).where(*where).order_by(table.c.seq.desc()).limit(limit)
    return [Entry(**row) for row in connection.execute(query).mappings()]


class SqlMarks:
    """Idempotency keys with the result of what was done under them."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def get(self, key: str) -> Mapping[str, object] | None:
        """Give the result, if it was done."""
        table = tables.marks
        return self._connection.scalar(sa.select(table.c.result).where(table.c.key == key))

    def add(self, key: str, result: Mapping[str, object], at: datetime) -> None:
        """Mark as done; Conflict if it was done already (the transaction must not do it twice)."""
        try:
            self._connection.execute(sa.insert(tables.marks).values(key=key, result=dict(result), at=at))
        except IntegrityError:
            raise Conflict(f"{key} was already done", hint="nothing to do") from None

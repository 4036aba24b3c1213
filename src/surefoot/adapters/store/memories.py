"""Memory: entries by place and key; every change is noted beside it, the newest ten thousand are kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store.memory_tables import memory, memory_changes
from surefoot.adapters.store.rows import put
from surefoot.core.memory import Entry, MemoryChange, Place
from surefoot.ports.memory import Action

CHANGES_KEPT = 10_000


class SqlMemories:
    """All of memory."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def get(self, place: Place, key: str) -> Entry | None:
        """Give the entry under a key, if there is one."""
        row = self._connection.execute(sa.select(memory).where(_at(place), memory.c.key == key)).one_or_none()
        return None if row is None else _entry(row)

    def put(self, entry: Entry, *, action: Action) -> None:
        """Write an entry over an older one."""
        put(self._connection, memory, {
            "scope": entry.place.scope, "owner": entry.place.owner, "key": entry.key, "value": entry.value,
            "written_at": entry.written_at, "expires_at": entry.expires_at,
        })  # fmt: skip
        self._note(entry.place, entry.key, action, entry.written_at)

    def drop(self, place: Place, key: str, *, at: datetime, action: Action = "delete") -> bool:
        """Delete an entry; False if there is none."""
        gone = self._connection.execute(sa.delete(memory).where(_at(place), memory.c.key == key)).rowcount > 0
        if gone:
            self._note(place, key, action, at)
        return gone

    def of(self, place: Place, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Give the entries of a place after a key, by key."""
        query = sa.select(memory).where(_at(place), memory.c.key > after).order_by(memory.c.key).limit(limit)
        return [_entry(row) for row in self._connection.execute(query)]

    def count(self, place: Place) -> int:
        """Count the entries of a place."""
        return self._connection.scalar(sa.select(sa.func.count()).select_from(memory).where(_at(place))) or 0

    def expired(self, now: datetime, *, limit: int) -> list[Entry]:
        """Give entries whose time is over."""
        query = sa.select(memory).where(memory.c.expires_at <= now).order_by(memory.c.expires_at).limit(limit)
        return [_entry(row) for row in self._connection.execute(query)]

    def changes(self, places: Sequence[Place], *, after: int, limit: int) -> list[MemoryChange]:
        """Give what happened in these places after a change, oldest first."""
        table = memory_changes.c
        here = sa.or_(*(sa.and_(table.scope == place.scope, table.owner == place.owner) for place in places))
        return self._changes(here, after, limit)

    def all_changes(self, *, after: int, limit: int) -> list[MemoryChange]:
        """Give what happened anywhere after a change, oldest first."""
        return self._changes(sa.true(), after, limit)

    def last_change(self) -> int:
        """Give the number of the last change; 0 if there was none."""
        return self._connection.scalar(sa.select(sa.func.max(memory_changes.c.seq))) or 0

    def _changes(self, here: sa.ColumnElement[bool], after: int, limit: int) -> list[MemoryChange]:
        query = sa.select(memory_changes).where(here, memory_changes.c.seq > after)
        return [
            MemoryChange(seq=row.seq, place=Place(row.scope, row.owner), key=row.key, action=row.action, at=row.at)
            for row in self._connection.execute(query.order_by(memory_changes.c.seq).limit(limit))
        ]

    def _note(self, place: Place, key: str, action: Action, at: datetime) -> None:
        done = self._connection.execute(sa.insert(memory_changes).values(
            scope=place.scope, owner=place.owner, key=key, action=action, at=at
        ))  # fmt: skip
        (newest,) = done.inserted_primary_key or (0,)
        self._connection.execute(sa.delete(memory_changes).where(memory_changes.c.seq <= newest - CHANGES_KEPT))


def _at(place: Place) -> sa.ColumnElement[bool]:
    return sa.and_(memory.c.scope == place.scope, memory.c.owner == place.owner)


def _entry(row: Any) -> Entry:
    return Entry(
        place=Place(row.scope, row.owner), key=row.key, value=row.value, written_at=row.written_at,
        expires_at=row.expires_at,
    )  # fmt: skip

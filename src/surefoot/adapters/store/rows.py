"""Insert once, put, and the compare-and-set that every changing row goes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from surefoot.core.errors import Conflict


def insert_or_keep(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> int:
    """Insert what is not there yet and leave alone what is; gives the number of new rows."""
    if not rows:
        return 0
    return connection.execute(insert(table).on_conflict_do_nothing(), rows).rowcount


def put(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or replace the one with its primary key."""
    keys = [column.name for column in table.primary_key]
    rest = {name: value for name, value in row.items() if name not in keys}
    connection.execute(insert(table).values(**row).on_conflict_do_update(index_elements=keys, set_=rest))


def swap(connection: sa.Connection, table: sa.Table, what: str, key: sa.ColumnElement[bool], revision: int,
         row: Mapping[str, Any]) -> None:  # fmt: skip
    """Write `row` over the one whose revision is `revision`; Conflict when somebody was faster."""
    done = connection.execute(sa.update(table).where(key, table.c.revision == revision).values(**row))
    if done.rowcount != 1:
        raise Conflict(f"{what} was changed by somebody else meanwhile", hint="look at it again, then repeat")

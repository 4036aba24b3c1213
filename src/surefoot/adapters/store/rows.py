"""Insert once, put, the compare-and-set that every changing row goes through, and pages of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from surefoot.core.errors import Conflict, Invalid


def insert_or_keep(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> int:
    """Insert what is not there yet and leave alone what is; gives the number of new rows."""
    if not rows:
        return 0
    return connection.execute(_insert_or_keep(table), rows).rowcount


@cache
def _insert_or_keep(table: sa.Table) -> Any:
    return insert(table).on_conflict_do_nothing()


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


def page(
    connection: sa.Connection, column: sa.ColumnElement[Any], where: Sequence[sa.ColumnElement[bool]], *,
    by: Sequence[sa.ColumnElement[Any]], after: sa.ColumnElement[bool] | None, limit: int | None, newest: bool = False,
) -> list[Any]:  # fmt: skip
    """Give a column of at most `limit` rows in the order `by`, behind the row `after`; Invalid if that is gone."""
    query = sa.select(column).where(*where).order_by(*(one.desc() if newest else one for one in by)).limit(limit)
    if after is not None:
        last = connection.execute(sa.select(*by).where(after)).one_or_none()
        if last is None:
            raise Invalid("the row this cursor goes on after is gone", hint="ask again without a cursor")
        there = sa.tuple_(*(sa.literal(value, one.type) for value, one in zip(last, by, strict=True)))
        query = query.where(sa.tuple_(*by) < there if newest else sa.tuple_(*by) > there)
    return list(connection.scalars(query))


def unexpired(document: sa.ColumnElement[Any], now: datetime) -> sa.ColumnElement[bool]:
    """Whether a document's `expires_at` is still to come."""
    expires = sa.func.julianday(document["expires_at"].as_string())
    return expires > sa.func.julianday(now.isoformat())

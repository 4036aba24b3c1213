"""Many traces at the speed of the driver: two statements, written once by SQLAlchemy, run without it.

Per row SQLAlchemy costs more than SQLite does, and a gateway pays for each row of each request. The statements come
from the same tables as everywhere, so a new column fails here at once; values are converted as the column types would.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from surefoot.adapters.store import counts, tables
from surefoot.core.trace import Trace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def append(connection: sa.Connection, traces: Sequence[Trace]) -> None:
    """Append traces and count them, in the transaction that is open on this connection."""
    raw: Any = connection.connection.driver_connection
    raw.executemany(_INSERT, [tuple(value(trace) for value in _VALUES) for trace in traces])
    many = Counter((trace.agent, trace.version) for trace in traces)
    rows = [{"agent": agent, "version": version, "verdict": "unknown", "n": n} for (agent, version), n in many.items()]
    raw.executemany(_COUNT, [tuple(row[name] for name in _COUNT_NAMES) for row in rows])


def commit(connection: sa.Connection, traces: Sequence[Trace]) -> None:
    """Append traces in a transaction of their own, on a connection that has none open.

    The driver begins it by itself, with the lock at once (`isolation_level` of every connection of the store).
    """
    raw: Any = connection.connection.driver_connection
    try:
        append(connection, traces)
        raw.commit()
    except BaseException:
        raw.rollback()
        raise


def _positional(statement: sa.sql.ClauseElement) -> tuple[str, list[str]]:
    compiled: Any = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    return str(compiled), list(compiled.positiontup)


def _slices(trace: Trace) -> str:
    return json.dumps(dict(trace.slices)) if trace.slices else "{}"


def _at(trace: Trace) -> int:
    return (trace.at - _EPOCH) // _MICROSECOND


def _uncased(_: Trace) -> int:
    return 0


def _field(name: str) -> Callable[[Trace], Any]:
    special: dict[str, Callable[[Trace], Any]] = {"slices": _slices, "at": _at, "cased": _uncased}
    return special.get(name) or (lambda trace: getattr(trace, name))


_INSERT, _NAMES = _positional(sa.insert(tables.traces))
_VALUES = [_field(name) for name in _NAMES]
_COUNT, _COUNT_NAMES = _positional(counts.PLUS_VERDICT)

"""Many traces at the speed of the driver: two statements, written once by SQLAlchemy, run without it.

Per row SQLAlchemy costs more than SQLite does, and a gateway pays for each row of each request. The statements come
from the same tables as everywhere, so a new column fails here at once; values are converted as the column types would.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from surefoot.adapters.store import counts, tables
from surefoot.core.score import Outcome, normal
from surefoot.core.trace import Trace

_SIZES = (256, 64, 16, 4, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def put(raw: Any, insert: str, rows: Sequence[Sequence[Any]]) -> int:
    """Run an insert of one row for many, in as few statements as can be; gives how many rows were new.

    Before each statement the driver lets go of the interpreter, and a thread that is busy gives it back only after
    five milliseconds: a statement for each row would make a hundred rows wait for half a second.
    """
    head, _, places = insert.partition(" VALUES ")
    new, at = 0, 0
    for size in _SIZES:
        while len(rows) - at >= size:
            part = rows[at : at + size]
            statement = f"{head} VALUES {', '.join([places] * size)}"
            new += raw.execute(statement, tuple(chain.from_iterable(part))).rowcount
            at += size
    return new


def append(connection: sa.Connection, traces: Sequence[Trace]) -> None:
    """Append traces and count them, in the transaction that is open on this connection."""
    raw: Any = connection.connection.driver_connection
    traces = _owners(raw, traces)
    put(raw, _INSERT, [_row(trace) for trace in traces])
    many = Counter((trace.agent, trace.version) for trace in traces)
    rows = [{"agent": agent, "version": version, "verdict": "unknown", "n": n} for (agent, version), n in many.items()]
    raw.executemany(_COUNT, [tuple(row[name] for name in _COUNT_NAMES) for row in rows])


def fail(connection: sa.Connection, failed: Sequence[tuple[Trace, Outcome]]) -> None:
    """Append the failures of traces that were appended in this transaction and are part of no rollout."""
    raw: Any = connection.connection.driver_connection
    put(raw, _OUTCOME, [
        (one.trace_id, one.verdict, one.score, one.expected, one.feedback, one.source, _since(one.at))
        for _, one in failed
    ])  # fmt: skip
    put(raw, _FAILURE, [
        (trace.agent, trace.version, trace.id, trace.input, normal(trace.output), one.expected.strip(), trace.source,
         _slices(trace), _since(one.at))
        for trace, one in failed
    ])  # fmt: skip
    many = Counter((trace.agent, trace.version) for trace, _ in failed)
    rows = [
        {"agent": agent, "version": version, "verdict": verdict, "n": n * by}
        for (agent, version), n in many.items() for verdict, by in (("unknown", -1), ("failure", 1))
    ]  # fmt: skip
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


def _owners(raw: Any, traces: Sequence[Trace]) -> Sequence[Trace]:
    """Take an id of the app away from whoever had it before, so that it names the newest request."""
    newest = {(one.agent, one.external_id): one.id for one in traces if one.external_id}
    if not newest:
        return traces
    raw.executemany(_RELEASE, list(newest))
    return [
        one if not one.external_id or newest[one.agent, one.external_id] == one.id else replace(one, external_id="")
        for one in traces
    ]


def _positional(statement: sa.sql.ClauseElement) -> tuple[str, list[str]]:
    compiled: Any = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    return str(compiled), list(compiled.positiontup)


def _slices(trace: Trace) -> str:
    return json.dumps(dict(trace.slices)) if trace.slices else "{}"


def _since(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _row(trace: Trace) -> tuple[Any, ...]:
    return (*_plain(trace), _slices(trace), _since(trace.at), 0)


_RELEASE = "UPDATE traces SET external_id = '' WHERE agent = ? AND external_id = ? AND external_id <> ''"
_OUTCOME = (
    "INSERT INTO outcomes (trace_id, verdict, score, expected, feedback, source, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_FAILURE = (
    "INSERT INTO failures (agent, version, trace_id, input, predicted, expected, source, slices, at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_WRITTEN = ("slices", "at", "cased")
_PLAIN = [column.name for column in tables.traces.columns if column.name not in _WRITTEN]
_NAMES = (*_PLAIN, *_WRITTEN)
_INSERT = f"INSERT INTO traces ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608  ours
_plain = attrgetter(*_PLAIN)
_COUNT, _COUNT_NAMES = _positional(counts.PLUS_VERDICT)

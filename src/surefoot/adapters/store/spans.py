"""Spans, appended; one that comes again is known by its two ids and left alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import bulk, tables
from surefoot.core.errors import NotFound
from surefoot.core.otel import EVALUATION
from surefoot.core.span import Span, SpanRow

_PLACES = ", ".join("?" * len(SpanRow._fields))
_INSERT = f"INSERT OR IGNORE INTO spans ({', '.join(SpanRow._fields)}) VALUES ({_PLACES})"  # noqa: S608  names of ours
_CHUNK = 500


class SqlSpans:
    """Spans by trace and agent."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add_all(self, rows: Sequence[SpanRow]) -> int:
        """Append the spans that are new, at the speed of the driver; gives how many were new."""
        raw: Any = self._connection.connection.driver_connection
        return bulk.put(raw, _INSERT, rows)

    def keep(self, spans: Sequence[Span]) -> int:
        """Append spans that were made here."""
        from surefoot.adapters.otlp.writing import row_of  # as in `_read`

        return self.add_all([row_of(one) for one in spans]) if spans else 0

    def get(self, trace_id: str, span_id: str) -> Span:
        """Give a span; NotFound if nobody sent it."""
        table = tables.spans
        found = self._read(sa.select(table).where(table.c.trace_id == trace_id, table.c.span_id == span_id))
        if not found:
            raise NotFound(f"there is no span {span_id!r} in trace {trace_id!r}", hint="look at the trace it is in")
        return found[0]

    def of_trace(self, trace_id: str, *, limit: int = 1_000) -> list[Span]:
        """Give the spans of a trace in the order in which they began."""
        table = tables.spans
        query = sa.select(table).where(table.c.trace_id == trace_id)
        found = self._read(query.order_by(table.c.started, table.c.seq).limit(limit))
        return sorted(found, key=lambda span: span.started_ns)

    def failures(self, agent: str, *, version: int | None = None, limit: int = 100) -> list[Span]:
        """Give the last spans of an agent that ended in an error, newest first."""
        table = tables.spans
        query = sa.select(table).where(table.c.agent == agent, _FAILED)
        return self._newest(query if version is None else query.where(table.c.version == version), limit)

    def failure_counts(self, agent: str) -> dict[int, int]:
        """Count the spans that ended in an error, by version."""
        table = tables.spans
        query = sa.select(table.c.version, sa.func.count()).where(table.c.agent == agent, _FAILED)
        return {row[0]: row[1] for row in self._connection.execute(query.group_by(table.c.version))}

    def untraced(self, trace_ids: Collection[str]) -> set[str]:
        """Give those of these ids under which no trace is kept."""
        return set(trace_ids) - self._among("SELECT id FROM traces WHERE id IN", trace_ids)

    def agents_among(self, names: Collection[str]) -> set[str]:
        """Give those of these names that are agents."""
        return self._among("SELECT name FROM agents WHERE name IN", names)

    def evaluations(self, trace_ids: Collection[str]) -> list[Span]:
        """Give what was said about these traces by evaluations, in the order of their arrival."""
        judged = self._among("SELECT trace_id FROM spans WHERE kind = 'evaluation' AND trace_id IN", trace_ids)
        if not judged:
            return []
        table = tables.spans
        query = sa.select(table).where(table.c.trace_id.in_(judged), table.c.name == EVALUATION)
        return self._read(query.order_by(table.c.seq))

    def forget(self, trace_ids: Collection[str]) -> int:
        """Delete the spans of these traces; gives how many there were."""
        ids, table, done = list(trace_ids), tables.spans, 0
        for at in range(0, len(ids), _CHUNK):
            query = sa.delete(table).where(table.c.trace_id.in_(ids[at : at + _CHUNK]))
            done += self._connection.execute(query).rowcount
        return done

    def _among(self, query: str, ids: Collection[str]) -> set[str]:
        """Those of these ids that a query with a list of them gives; by the driver, a few hundred at a time."""
        raw: Any = self._connection.connection.driver_connection
        listed, found = list(ids), set[str]()
        for at in range(0, len(listed), _CHUNK):
            part = listed[at : at + _CHUNK]
            found.update(row[0] for row in raw.execute(f"{query} ({', '.join('?' * len(part))})", part))
        return found

    def _newest(self, query: sa.Select[Any], limit: int) -> list[Span]:
        table = tables.spans
        return self._read(query.order_by(table.c.started.desc(), table.c.seq.desc()).limit(limit))

    def _read(self, query: sa.Select[Any]) -> list[Span]:
        return read_all(self._connection.execute(query).mappings().all())


def read_all(rows: Sequence[sa.RowMapping]) -> list[Span]:
    """Give the spans of rows that were read."""
    if not rows:
        return []
    from surefoot.adapters.otlp import body  # protobuf takes a while to import, and few commands need it

    return [body.read(_row(one)) for one in rows]


# Written out, since SQLite uses a partial index only where its condition stands word for word.
_FAILED = sa.literal_column("spans.status") == sa.literal_column("'error'")


def _row(found: sa.RowMapping) -> SpanRow:
    return SpanRow._make(0 if name in ("started", "ended") else found[name] for name in SpanRow._fields)

"""Spans, appended as they came together; one that comes again is known by its two ids and left alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import bulk, tables
from surefoot.core.errors import NotFound
from surefoot.core.outline import Strand
from surefoot.core.span import ID_CHARS, Span, SpanGroup, ids_in

_PLACES = ", ".join("?" * len(SpanGroup._fields))
_INSERT = f"INSERT INTO spans ({', '.join(SpanGroup._fields)}) VALUES ({_PLACES})"  # noqa: S608  names of ours
_AGENTS = "SELECT DISTINCT agent FROM spans WHERE trace_id = ?"
_STRANDS = "SELECT agent, failed, body FROM spans WHERE trace_id = ?"
_CHUNK = 500


class SqlSpans:
    """Spans by trace and agent."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    @property
    def _raw(self) -> Any:
        """The driver's own connection, where a row of ours costs more than what is done with it."""
        return self._connection.connection.driver_connection

    def add_all(self, groups: Sequence[SpanGroup]) -> int:
        """Append the spans that are new, at the speed of the driver; gives how many were new."""
        known, fresh = self._known({one.trace_id for one in groups}), list[SpanGroup]()
        for group in groups:
            there, ids = known[group.trace_id, group.agent], group.ids
            left = group if there.isdisjoint(ids) else _without(group, there)
            if left is not None:
                fresh.append(left)
                there.update(ids)
        bulk.put(self._raw, _INSERT, fresh)
        return sum(one.size for one in fresh)

    def _known(self, trace_ids: Collection[str]) -> Mapping[tuple[str, str], set[str]]:
        """The ids of the spans that these traces have already, by trace and agent: none displaces another's."""
        found = defaultdict[tuple[str, str], set[str]](set)
        query = "SELECT trace_id, agent, span_ids FROM spans WHERE trace_id IN"
        for trace_id, agent, span_ids in self._listed(query, trace_ids):
            found[trace_id, agent].update(ids_in(span_ids))
        return found

    def keep(self, spans: Sequence[Span]) -> int:
        """Append spans that were made here."""
        from surefoot.adapters.otlp.writing import group_of  # as in `read_all`

        return self.add_all([group_of(one) for one in spans]) if spans else 0

    def get(self, trace_id: str, span_id: str) -> Span:
        """Give a span; NotFound if nobody sent it."""
        found = [one for one in self._read(self._of_trace(trace_id)) if one.span_id == span_id]
        if not found:
            raise NotFound(f"there is no span {span_id!r} in trace {trace_id!r}", hint="look at the trace it is in")
        return found[0]

    def of_trace(
        self, trace_id: str, *, limit: int = 1_000, agents: Collection[str] | None = None
    ) -> list[Span]:  # fmt: skip
        """Give the spans of a trace in the order in which they began, of these agents (None: of all)."""
        query = self._of_trace(trace_id).limit(limit)  # each row holds one at least, and the earliest of its own first
        found = self._read(query if agents is None else query.where(_agent().in_(list(agents))))
        return sorted(found, key=lambda span: span.started_ns)[:limit]

    def agents_of(self, trace_id: str) -> list[str]:
        """Give the agents that have spans in a trace."""
        return [agent for (agent,) in self._raw.execute(_AGENTS, (trace_id,))]

    def strands(self, trace_id: str, *, limit: int, agents: Collection[str]) -> list[Strand]:
        """Give what an outline needs of each span of a trace, of at most `limit` of these agents', by agent."""
        from surefoot.adapters.otlp.steps import strands_of  # as in `read_all`

        these = ", ".join("?" * len(agents))
        query = f"{_STRANDS} AND +agent IN ({these}) ORDER BY started, seq LIMIT ?"
        return strands_of(self._raw.execute(query, (trace_id, *agents, limit)), limit)

    def some(self, trace_id: str, span_ids: Collection[str]) -> list[Span]:
        """Give the spans of a trace that have these ids."""
        from surefoot.adapters.otlp import body  # as in `read_all`

        wanted, table = set(span_ids), tables.spans
        here = self._raw.execute("SELECT seq, span_ids FROM spans WHERE trace_id = ?", (trace_id,))
        ids = [seq for seq, held in here if held in wanted or not wanted.isdisjoint(ids_in(held))]
        rows = self._connection.execute(sa.select(table).where(table.c.seq.in_(ids))).mappings()
        return [span for one in rows for span in body.read(_group(one), wanted)]

    def _of_trace(self, trace_id: str) -> sa.Select[Any]:
        table = tables.spans
        return sa.select(table).where(table.c.trace_id == trace_id).order_by(table.c.started, table.c.seq)

    def failures(self, agent: str, *, version: int | None = None, limit: int = 100) -> list[Span]:
        """Give the last spans of an agent that ended in an error, newest first."""
        table = tables.spans
        query = sa.select(table).where(table.c.agent == agent, _FAILED)
        query = query if version is None else query.where(table.c.version == version)
        found = self._read(query.order_by(table.c.started.desc(), table.c.seq.desc()).limit(limit))
        return sorted((one for one in found if one.status == "error"), key=_newest_first)[:limit]

    def failure_counts(self, agent: str) -> dict[int, int]:
        """Count the spans that ended in an error, by version."""
        table = tables.spans
        query = sa.select(table.c.version, sa.func.sum(table.c.failed)).where(table.c.agent == agent, _FAILED)
        return {row[0]: row[1] for row in self._connection.execute(query.group_by(table.c.version))}

    def traced(self, trace_ids: Collection[str]) -> dict[str, str]:
        """Give those of these ids under which a trace is kept, with the agent that it is of."""
        return dict(self._listed("SELECT id, agent FROM traces WHERE id IN", trace_ids))

    def agents_among(self, names: Collection[str]) -> set[str]:
        """Give those of these names that are agents."""
        return self._among("SELECT name FROM agents WHERE name IN", names)

    def evaluations(self, trace_ids: Collection[str], agents: Collection[str]) -> list[Span]:
        """Give what was said about these traces by evaluations of these agents, in the order of their arrival."""
        judged = self._among("SELECT trace_id FROM spans WHERE evaluation = 1 AND trace_id IN", trace_ids)
        if not judged:
            return []
        table = tables.spans
        query = sa.select(table).where(table.c.trace_id.in_(judged), table.c.evaluation == 1)
        query = query.where(_agent().in_(list(agents)))  # whoever floods a trace costs others nothing
        return self._read(query.order_by(table.c.seq))

    def forget(self, trace_ids: Collection[str]) -> int:
        """Delete the spans of these traces; gives how many there were."""
        ids, done = list(trace_ids), 0
        for at in range(0, len(ids), _CHUNK):
            done += delete(self._connection, tables.spans.c.trace_id.in_(ids[at : at + _CHUNK]))
        return done

    def _among(self, query: str, ids: Collection[str]) -> set[str]:
        """Those of these ids that a query with a list of them gives."""
        return {row[0] for row in self._listed(query, ids)}

    def _listed(self, query: str, ids: Collection[str]) -> Iterator[Any]:
        """The rows of a query with a list of ids; by the driver, a few hundred at a time."""
        raw, listed = self._raw, list(ids)
        for at in range(0, len(listed), _CHUNK):
            part = listed[at : at + _CHUNK]
            yield from raw.execute(f"{query} ({', '.join('?' * len(part))})", part)

    def _read(self, query: sa.Select[Any]) -> list[Span]:
        return read_all(self._connection.execute(query).mappings().all())


def spans_in(groups: sa.FromClause) -> sa.ColumnElement[int]:
    """How many spans there are in these groups."""
    return sa.func.coalesce(sa.func.sum(sa.func.length(groups.c.span_ids)), 0) / ID_CHARS


def delete(connection: sa.Connection, where: sa.ColumnElement[bool]) -> int:
    """Delete groups of spans; gives how many spans were in them."""
    gone = connection.execute(sa.delete(tables.spans).where(where).returning(sa.func.length(tables.spans.c.span_ids)))
    return sum(gone.scalars()) // ID_CHARS


def read_all(rows: Sequence[sa.RowMapping]) -> list[Span]:
    """Give the spans of rows that were read."""
    if not rows:
        return []
    from surefoot.adapters.otlp import body  # protobuf takes a while to import, and few commands need it

    return [span for one in rows for span in body.read(_group(one))]


def _agent() -> sa.ColumnElement[str]:
    """The agent of a span as no column, so that spans are looked up by their trace; `+agent` says the same."""
    return sa.func.ifnull(tables.spans.c.agent, "")


# Written out, since SQLite uses a partial index only where its condition stands word for word.
_FAILED = sa.literal_column("spans.failed") > sa.literal_column("0")


def _without(group: SpanGroup, known: Collection[str]) -> SpanGroup | None:
    from surefoot.adapters.otlp import body  # as in `read_all`

    return body.without(group, known)


def _newest_first(span: Span) -> int:
    return -span.started_ns


def _group(found: sa.RowMapping) -> SpanGroup:
    return SpanGroup._make(0 if name in ("started", "ended") else found[name] for name in SpanGroup._fields)

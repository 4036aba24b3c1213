"""Exporting: rows in the order in which they came, from where the page before ended, so that memory stays bounded.

Each page is a look at the store of its own; what is written meanwhile comes at the end, what is deleted is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import memory_tables, tables
from surefoot.adapters.store.finding import VERDICT
from surefoot.adapters.store.spans import read_all
from surefoot.core.case import Split
from surefoot.core.exported import ExportKind
from surefoot.core.sought import Spot
from surefoot.core.trace import GONE

Rows = tuple[list[Mapping[str, Any]], str]
_T = tables.traces.c


class SqlExporting:
    """Rows of one kind as documents; implements `ports.exporting.Exporting`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def page(
        self, kind: ExportKind, agent: str, *, after: str, limit: int, since: datetime | None, until: datetime | None,
        splits: Collection[Split],
    ) -> Rows:  # fmt: skip
        """Give at most `limit` rows after a place (empty = from the first), and the place of the last one."""
        match kind:
            case "traces":
                return self._traces(agent, after, limit, since, until)
            case "spans":
                return self._spans(agent, after, limit, since, until)
            case "memory":
                return self._memory(agent, after, limit)
            case "outcomes":
                said = tables.outcomes
                query = sa.select(said).join(tables.traces, _T.id == said.c.trace_id)
                where = [_T.agent == agent, _T.finish != GONE, *_within(said.c.at, since, until)]
                return self._numbered(query.where(*where), said, after, limit)
            case "failures":
                failed = tables.failures
                where = [failed.c.agent == agent, *_within(failed.c.at, since, until)]
                return self._numbered(sa.select(failed).where(*where), failed, after, limit)
            case "cases":
                cases = tables.cases
                where = [cases.c.agent == agent, cases.c.split.in_(splits)]
                return self._numbered(sa.select(cases).where(*where), cases, after, limit)
            case "audit":
                record = tables.audit
                subject = record.c.subject
                mine = sa.or_(subject == agent, subject.startswith(f"{agent}/", autoescape=True))
                where = [mine, *_within(record.c.at, since, until)]
                return self._numbered(sa.select(record).where(*where), record, after, limit)

    def _traces(self, agent: str, after: str, limit: int, since: datetime | None, until: datetime | None) -> Rows:
        where = [_T.agent == agent, _T.finish != GONE, *_within(_T.at, since, until)]
        if after:
            spot = Spot.read(after)
            where += [_T.at >= spot.at, sa.or_(_T.at > spot.at, _T.id > spot.id)]
        query = sa.select(tables.traces, VERDICT.label("verdict")).where(*where).order_by(_T.at, _T.id).limit(limit)
        rows = self._connection.execute(query).mappings().all()
        return [dict(row) for row in rows], str(Spot(rows[-1]["at"], rows[-1]["id"])) if rows else after

    def _spans(self, agent: str, after: str, limit: int, since: datetime | None, until: datetime | None) -> Rows:
        spans = tables.spans.c
        where = [spans.agent == agent, spans.seq > int(after or 0), *_within(spans.started, since, until)]
        rows = self._connection.execute(sa.select(tables.spans).where(*where).order_by(spans.seq).limit(limit))
        found = rows.mappings().all()
        documents = [
            {**asdict(span), "started_at": datetime.fromtimestamp(span.started_ns / 1e9, UTC),
             "latency_s": span.latency_s}
            for span in read_all(found)
        ]  # fmt: skip
        return [*documents], str(found[-1]["seq"]) if found else after

    def _memory(self, agent: str, after: str, limit: int) -> Rows:
        memory = memory_tables.memory.c
        where = [memory.scope == "agent", memory.owner == agent, memory.key > after]
        query = sa.select(memory_tables.memory).where(*where).order_by(memory.key).limit(limit)
        rows = self._connection.execute(query).mappings().all()
        return [dict(row) for row in rows], str(rows[-1]["key"]) if rows else after

    def _numbered(self, query: sa.Select[*tuple[Any, ...]], table: sa.Table, after: str, limit: int) -> Rows:
        page = query.where(table.c.seq > int(after or 0)).order_by(table.c.seq).limit(limit)
        rows = self._connection.execute(page).mappings().all()
        return [dict(row) for row in rows], str(rows[-1]["seq"]) if rows else after


def _within(at: sa.Column[Any], since: datetime | None, until: datetime | None) -> list[sa.ColumnElement[bool]]:
    bounds: list[sa.ColumnElement[bool]] = [] if since is None else [at >= since]
    return bounds if until is None else [*bounds, at < until]

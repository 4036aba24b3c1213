"""Deleting by age: rows go a few at a time, with all that hangs on them, and the counts stay right.

A label of a rollout is counted once a unit, at its earliest labelled request. That one request stays as a skeleton:
its id, version, arm, moment and verdict, no text and no name; so the counts of a rollout, recounted from the rows, are
what they were. Of all others the verdict is added to `deleted_counts`, and verdicts counted are rows plus those.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import api_tables, counts, eval_tables, memory_tables, process_tables, tables
from surefoot.adapters.store.finding import VERDICT
from surefoot.adapters.store.memories import SqlMemories
from surefoot.adapters.store.rows import unexpired
from surefoot.adapters.store.spans import delete, spans_in
from surefoot.core.execution import CHANNEL
from surefoot.core.memory import Place
from surefoot.core.retention import RetainedKind
from surefoot.core.trace import GONE, steps_id
from surefoot.ports.deleting import Gone

_T = tables.traces.c
_CHUNK = 500
BARE: dict[str, Any] = {
    "input": "", "output": "", "source": "", "session": "", "actor": "", "external_id": "", "slices": {},
    "finish": GONE, "cased": True,
}  # fmt: skip


class SqlDeleting:
    """Deleting by age; implements `ports.deleting.Deleting`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def old_traces(
        self, agent: str, before: datetime, *, limit: int, since: datetime | None = None
    ) -> list[tuple[str, datetime]]:
        """Give requests that are older, and of which no case is still to be made, with their times, oldest first."""
        where = [*_old(agent, before), *([] if since is None else [_T.at >= since])]
        query = sa.select(_T.id, _T.at).where(*where).order_by(_T.at).limit(limit)
        return [(row.id, row.at) for row in self._connection.execute(query)]

    def still_old(self, agent: str, before: datetime, ids: Sequence[str]) -> list[str]:
        """Give those of these requests that are older, as things stand now."""
        return list(self._connection.scalars(sa.select(_T.id).where(_T.id.in_(ids), *_old(agent, before))))

    def traces(self, ids: Sequence[str]) -> Gone:
        """Delete requests with all that hangs on them; skeletons stay where counts rest on them."""
        query = sa.select(_T.id, _T.agent, _T.version, VERDICT.label("verdict"), counted()).where(_T.id.in_(ids))
        rows = self._connection.execute(query).all()
        kept = [row.id for row in rows if row.counted]
        away = [row.id for row in rows if not row.counted]
        gone, every = Gone(), [*kept, *away]
        gone.add("failures", self._delete(tables.failures, tables.failures.c.trace_id.in_(every)))
        gone.add("spans", self._steps((row.agent, row.id) for row in rows))
        gone.add("executions", self.executions(every))
        self._bare(kept)
        gone.add("kept", len(kept))
        outcomes = self._delete(tables.outcomes, tables.outcomes.c.trace_id.in_(away))
        gone.add("outcomes", outcomes)
        gone.add("traces", self._delete(tables.traces, _T.id.in_(away)))
        self._count(Counter((row.agent, row.version, row.verdict) for row in rows if not row.counted))
        return gone

    def _steps(self, requests: Iterable[tuple[str, str]]) -> int:
        """Delete the spans of requests, by agent and id: those that another agent has in the same trace are its own."""
        named, spans, gone = defaultdict[str, list[str]](list), tables.spans, 0
        for agent, trace_id in requests:
            named[agent] += span_names(trace_id)
        for agent, names in named.items():
            for at in range(0, len(names), _CHUNK):
                here = spans.c.trace_id.in_(names[at : at + _CHUNK])
                theirs = sa.func.ifnull(spans.c.agent, "").in_((agent, ""))  # no column, so the ids are looked up
                gone += delete(self._connection, sa.and_(here, theirs))
        return gone

    def executions(self, ids: Sequence[str]) -> int:
        """Delete executions by the ids that they share with their requests, and what was told of them."""
        executions, notes = process_tables.executions, process_tables.execution_notes
        told = tables.notices
        if there := list(self._connection.scalars(sa.select(executions.c.id).where(executions.c.id.in_(ids)))):
            channels = [f"{CHANNEL}{one}" for one in there]
            self._delete(told, told.c.document["channel"].as_string().in_(channels))
        self._delete(notes, notes.c.execution.in_(ids))
        return self._delete(executions, executions.c.id.in_(ids))

    def old(self, kind: RetainedKind, before: datetime, *, limit: int) -> int:
        """Delete some rows of another kind that are older; gives how many."""
        match kind:
            case "spans":
                return self._spans(before, limit)
            case "memory":
                return self._memory(before, limit)
            case "notices":
                return self._some(tables.notices, tables.notices.c.id, _old_notices(before), limit)
            case "evals":
                return self._runs(before, limit)
            case "pauses":
                return self._pauses(before, limit)
            case "jobs":
                return self._some(api_tables.jobs, api_tables.jobs.c.id, _old_jobs(before), limit)
            case "traces":
                return 0

    def count(self, kind: RetainedKind, before: datetime, *, agent: str = "") -> int:
        """Count rows that are older."""
        where: dict[RetainedKind, tuple[sa.Table, list[sa.ColumnElement[bool]]]] = {
            "traces": (tables.traces, _old(agent, before)),
            "spans": (tables.spans, [tables.spans.c.started < before]),
            "memory": (memory_tables.memory, _old_memory(before)),
            "notices": (tables.notices, _old_notices(before)),
            "evals": (eval_tables.eval_runs, _old_runs(before)),
            "pauses": (tables.pauses, _old_pauses(before)),
            "jobs": (api_tables.jobs, _old_jobs(before)),
        }
        table, conditions = where[kind]
        number = spans_in(tables.spans) if kind == "spans" else sa.func.count()
        return self._connection.scalar(sa.select(number).select_from(table).where(*conditions)) or 0

    def counted_right(self, agent: str) -> bool:
        """Whether the verdicts counted are those of the rows and of what was deleted."""
        rows = sa.select(_T.version, VERDICT.label("verdict")).where(_T.agent == agent).subquery()
        found = sa.select(rows.c.version, rows.c.verdict, sa.func.count()).group_by(rows.c.version, rows.c.verdict)
        facts = Counter({(row[0], row[1]): row[2] for row in self._connection.execute(found)})
        facts.update(self._kept_counts(tables.deleted_counts, agent))
        return +facts == +self._kept_counts(tables.verdict_counts, agent)

    def _kept_counts(self, table: sa.Table, agent: str) -> Counter[tuple[int, str]]:
        query = sa.select(table.c.version, table.c.verdict, table.c.n).where(table.c.agent == agent)
        return Counter({(row.version, row.verdict): row.n for row in self._connection.execute(query)})

    def _bare(self, ids: Sequence[str]) -> None:
        """Leave nothing of a request but what counts rest on."""
        self._connection.execute(sa.update(tables.traces).where(_T.id.in_(ids)).values(**BARE))
        said = tables.outcomes
        self._connection.execute(
            sa.update(said).where(said.c.trace_id.in_(ids)).values(expected="", feedback="", source="")
        )

    def _count(self, many: Counter[tuple[str, int, str]]) -> None:
        rows = [
            {"agent": agent, "version": version, "verdict": verdict, "n": n}
            for (agent, version, verdict), n in many.items()
        ]
        if rows:
            self._connection.execute(counts.PLUS_DELETED, rows)

    def _spans(self, before: datetime, limit: int) -> int:
        """By agent, as the index has them: a look through all spans would hold everybody up."""
        spans, gone = tables.spans, 0
        for agent in self._connection.scalars(sa.select(tables.agents.c.name)).all():
            old = sa.select(spans.c.seq).where(spans.c.agent == agent, spans.c.started < before).limit(limit - gone)
            gone += delete(self._connection, spans.c.seq.in_(old.correlate(None)))
            if gone >= limit:
                break
        return gone

    def _memory(self, before: datetime, limit: int) -> int:
        memory = memory_tables.memory.c
        query = sa.select(memory.scope, memory.owner, memory.key, memory.written_at).where(*_old_memory(before))
        rows = self._connection.execute(query.limit(limit)).all()
        for row in rows:
            SqlMemories(self._connection).drop(Place(row.scope, row.owner), row.key, at=before, action="expire")
        return len(rows)

    def _runs(self, before: datetime, limit: int) -> int:
        runs = eval_tables.eval_runs
        old = list(self._connection.scalars(sa.select(runs.c.id).where(*_old_runs(before)).limit(limit)))
        for table in (eval_tables.eval_answers, eval_tables.eval_verdicts, eval_tables.eval_claims):
            self._delete(table, table.c.run.in_(old))
        return self._delete(runs, runs.c.id.in_(old))

    def _pauses(self, before: datetime, limit: int) -> int:
        pauses = tables.pauses
        old = sa.select(pauses.c.agent, pauses.c.name).where(*_old_pauses(before)).limit(limit)
        return self._delete(pauses, sa.tuple_(pauses.c.agent, pauses.c.name).in_(old.correlate(None)))

    def _some(
        self, table: sa.Table, key: sa.ColumnElement[Any], where: list[sa.ColumnElement[bool]], limit: int
    ) -> int:
        return self._delete(table, key.in_(sa.select(key).where(*where).limit(limit).correlate(None)))

    def _delete(self, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
        return self._connection.execute(sa.delete(table).where(where)).rowcount


def counted() -> sa.Label[bool]:
    """Whether a rollout counts a unit's label at this request."""
    labels = tables.unit_labels
    here = sa.exists().where(labels.c.rollout == _T.rollout, labels.c.unit == _T.unit, labels.c.trace_id == _T.id)
    return sa.and_(_T.rollout != "", here).label("counted")


def span_names(trace_id: str) -> tuple[str, ...]:
    """The names under which the spans of a request may be kept: instrumented code leaves out the dashes."""
    return (trace_id, bare) if (bare := steps_id(trace_id)) != trace_id else (trace_id,)


def _old(agent: str, before: datetime) -> list[sa.ColumnElement[bool]]:
    """Older requests, but for those whose right answer was said and that no case was made of yet."""
    said = sa.exists().where(tables.outcomes.c.trace_id == _T.id, tables.outcomes.c.expected != "")
    return [_T.agent == agent, _T.at < before, _T.finish != GONE, sa.or_(_T.cased, ~said)]


def _old_memory(before: datetime) -> list[sa.ColumnElement[bool]]:
    memory = memory_tables.memory.c
    return [memory.scope.in_(("session", "workflow")), memory.written_at < before]


def _old_notices(before: datetime) -> list[sa.ColumnElement[bool]]:
    return [tables.notices.c.state != "waiting", tables.notices.c.next_at < before]


def _old_pauses(before: datetime) -> list[sa.ColumnElement[bool]]:
    """Those asked for and over by then; one that waits has a moment at which it expires."""
    pauses = tables.pauses.c
    over = pauses.document["state"].as_string() != "pending"
    return [pauses.requested_at < before, sa.or_(over, ~unexpired(pauses.document, before))]


def _old_jobs(before: datetime) -> list[sa.ColumnElement[bool]]:
    jobs = api_tables.jobs.c
    return [jobs.at < before, jobs.state.in_(("done", "failed", "cancelled", "lost"))]


def _old_runs(before: datetime) -> list[sa.ColumnElement[bool]]:
    runs, labels = eval_tables.eval_runs.c, eval_tables.eval_labels.c
    return [
        runs.state.in_(("done", "stopped", "cancelled")),
        runs.started_at < before,
        ~sa.exists().where(labels.run == runs.id),
    ]

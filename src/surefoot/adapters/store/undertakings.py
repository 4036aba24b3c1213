"""Long work of three kinds in one list: eval runs, jobs that were asked for, and ticks.

They lie in three tables, so a page of the list is the newest few of each, put in one order. Ticks are entries of the
audit record, of which only the newest part is looked at, so that this costs the same whatever the store holds.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.api_tables import jobs
from surefoot.adapters.store.eval_tables import about, eval_answers, eval_runs
from surefoot.core.job import OPEN
from surefoot.core.worker import LEFT
from surefoot.ports.undertakings import Executor, WorkKind, WorkSpot

LOOKED_AT = 20_000
_WORKFLOWS = sa.table("workflow_status", sa.column("workflow_uuid"), sa.column("executor_id"), sa.column("status"))
_GOING = ("PENDING", "ENQUEUED")
_JOB_AGENT = jobs.c.document["agent"].as_string()


class SqlUndertakings:
    """Long work of all kinds."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def listed(
        self, *, limit: int, kinds: Collection[WorkKind], agents: Collection[str], after: WorkSpot | None = None,
        most: WorkSpot | None = None,
    ) -> list[WorkSpot]:  # fmt: skip
        """Give long work of these agents, newest first, behind one spot and none newer than another."""
        found: list[WorkSpot] = []
        for kind in kinds:
            at, name, where = _source(self._connection, kind, list(agents))
            where += [_older(kind, at, name, after)] if after else []
            where += [sa.or_(_older(kind, at, name, most), sa.and_(at == most.at, name == most.id))] if most else []
            query = sa.select(at, name).where(*where).order_by(at.desc(), name.desc()).limit(limit)
            found += [WorkSpot(at=moment, kind=kind, id=one) for moment, one in self._connection.execute(query)]
        return sorted(found, reverse=True)[:limit]

    def executor(self, workflow: str) -> Executor | None:
        """Give the process that carries a workflow out; the workflow engine makes its tables when it first runs."""
        if not sa.inspect(self._connection).has_table(_WORKFLOWS.name):
            return None
        columns = sa.select(_WORKFLOWS.c.executor_id, _WORKFLOWS.c.status)
        mine = self._connection.execute(columns.where(_WORKFLOWS.c.workflow_uuid == workflow)).one_or_none()
        if mine is None:
            return None
        if mine.status not in _GOING:
            return Executor(host="", pid=LEFT, seen_at=datetime.fromtimestamp(0, UTC), ended=True)
        row = self._connection.execute(
            sa.select(tables.executors).where(tables.executors.c.id == mine.executor_id)
        ).one_or_none()
        return None if row is None else Executor(host=row.host, pid=row.pid, seen_at=row.seen_at)


def _older(kind: WorkKind, at: Any, name: Any, spot: WorkSpot) -> sa.ColumnElement[bool]:
    """Whether a row of a kind stands behind a spot: by moment, then kind, then id, as spots are ordered."""
    if kind == spot.kind:
        return sa.or_(at < spot.at, sa.and_(at == spot.at, name < spot.id))
    return at <= spot.at if kind < spot.kind else at < spot.at


def _source(connection: sa.Connection, kind: WorkKind, agents: list[str]) -> tuple[Any, Any, list[Any]]:
    """Give the moment, the id and the conditions of one kind."""
    if kind == "eval":
        return eval_runs.c.started_at, eval_runs.c.id, [about.in_(agents)] if agents else []
    if kind == "job":
        return jobs.c.at, jobs.c.id, [_JOB_AGENT.in_(agents)] if agents else []
    audit = tables.audit.c
    last = connection.scalar(sa.select(sa.func.max(audit.seq))) or 0
    mine = [sa.or_(*(audit.subject.startswith(f"{one}/", autoescape=True) for one in agents))] if agents else []
    return audit.at, audit.subject, [audit.action == "tick-started", audit.seq > last - LOOKED_AT, *mine]


def progress(connection: sa.Connection) -> dict[str, int]:
    """Give how far each agent's unfinished work is, in one number that grows with each answer and change."""
    count = sa.select(sa.func.count()).where(eval_answers.c.run == eval_runs.c.id).scalar_subquery()
    evals = sa.select(about, eval_runs.c.revision + count).where(eval_runs.c.state.in_(("running", "cancelling")))
    asked = sa.select(_JOB_AGENT, jobs.c.revision + 1).where(jobs.c.state.in_(sorted(OPEN)))
    found: dict[str, int] = {}
    for query in (evals, asked):
        for agent, far in connection.execute(query):
            found[agent or ""] = found.get(agent or "", 0) + int(far) + 1
    return found

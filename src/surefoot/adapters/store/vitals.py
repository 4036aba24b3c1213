"""What an operator watches, counted by the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.codec import load
from surefoot.core.approval import Approval, state_at
from surefoot.core.health.counted import moment
from surefoot.core.health.stored import Doing, Letters, Waiting, Worker
from surefoot.ports.vitals import Totals

_WORKFLOWS = sa.table(
    "workflow_status", sa.column("status", sa.Text), sa.column("executor_id", sa.Text), sa.column("name", sa.Text),
    sa.column("workflow_uuid", sa.Text), sa.column("created_at", sa.BigInteger), sa.column("updated_at", sa.BigInteger),
)  # fmt: skip
_LETTERS = sa.text("""
    SELECT json_extract(document, '$.channel') LIKE '%:%' AS programs, state, COUNT(*) AS n,
           MIN(CASE state WHEN 'dead' THEN json_extract(document, '$.at') ELSE next_at END) AS oldest
    FROM notices WHERE state = 'dead' OR (state = 'waiting' AND next_at <= :now)
    GROUP BY programs, state
""")
_VERSION = sa.table("alembic_version", sa.column("version_num"))


class SqlVitals:
    """Counts over the whole store."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def schema(self) -> str:
        """Give the schema's revision."""
        return str(self._connection.scalar(sa.select(_VERSION.c.version_num)))

    def totals(self, now: datetime) -> Totals:
        """Give counts of now."""
        rollouts, verdicts, notices = tables.rollouts, tables.verdict_counts, tables.notices
        return Totals(
            rollouts=self._by(rollouts.c.agent, rollouts.c.state),
            verdicts=self._summed(verdicts.c.agent, verdicts.c.verdict, verdicts.c.n),
            approvals=self._approvals(now),
            notices=dict(self._rows(sa.select(notices.c.state, sa.func.count()).group_by(notices.c.state))),
            workflows=self._workflows(),
        )

    def bytes(self) -> int:
        """Give how large the store is: its pages, without what waits in its log."""
        pages = self._connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages) * int(self._connection.exec_driver_sql("PRAGMA page_size").scalar_one())

    def workers(self, since: datetime) -> list[Worker]:
        """Give the processes that worked on the loop since then and did not end in peace, with what each does."""
        table, doing, ended = tables.executors, dict[str, list[Doing]](), dict[str, datetime]()
        query = sa.select(table).where(table.c.seen_at >= since, table.c.host != "").order_by(table.c.id)
        rows = self._connection.execute(query).all()
        if rows and sa.inspect(self._connection).has_table(_WORKFLOWS.name):
            doing, ended = self._doing([row.id for row in rows])
        return [
            Worker(name=str(row.pid), seen_at=row.seen_at, doing=tuple(doing.get(row.id, ())),
                   ended_at=ended.get(row.id))
            for row in rows
        ]  # fmt: skip

    def _doing(self, executors: list[str]) -> tuple[dict[str, list[Doing]], dict[str, datetime]]:
        """What each executor does, and when it ended something last."""
        table, doing = _WORKFLOWS.c, dict[str, list[Doing]]()
        mine = table.executor_id.in_(executors)
        for row in self._connection.execute(
            sa.select(table.executor_id, table.workflow_uuid, table.name, table.created_at)
            .where(mine, table.status == "PENDING")
            .order_by(table.created_at)
        ):
            one = Doing(id=row.workflow_uuid, name=row.name, since=moment(row.created_at / 1000))
            doing.setdefault(row.executor_id, []).append(one)
        over = sa.select(table.executor_id, sa.func.max(table.updated_at)).where(mine, table.status != "PENDING")
        ended = {name: moment(at / 1000) for name, at in self._rows(over.group_by(table.executor_id)) if at}
        return doing, ended

    def letters(self, now: datetime) -> tuple[Letters, Letters]:
        """Give what did not arrive, or is late: at other systems, and at people."""
        found: dict[bool, dict[str, tuple[int, str]]] = {True: {}, False: {}}
        for programs, state, count, oldest in self._connection.execute(_LETTERS, {"now": _micros(now)}):
            found[bool(programs)][state] = (count, oldest)
        return _letters(found[True]), _letters(found[False])

    def day_costs(self, scopes: Collection[str]) -> Mapping[str, tuple[float, float]]:
        """Give the US dollars that were settled and are set aside in each of these ledgers."""
        table, found = tables.ledger, dict[str, tuple[float, float]]()
        query = sa.select(table.c.scope, table.c.settled, sa.func.sum(table.c.usd)).where(table.c.scope.in_(scopes))
        for scope, settled, usd in self._rows(query.group_by(table.c.scope, table.c.settled)):
            done, held = found.get(scope, (0.0, 0.0))
            found[scope] = (usd, held) if settled else (done, usd)
        return found

    def budget_set(self, agent: str) -> tuple[str, datetime] | None:
        """Give who set an agent's budget of a day last, and when."""
        table = tables.audit
        changed = sa.func.json_extract(table.c.payload, "$.changed.day_budget")
        query = (
            sa.select(table.c.actor, table.c.at)
            .where(table.c.subject == agent, table.c.action == "settings-changed", changed.is_not(None))
            .order_by(table.c.seq.desc())
            .limit(1)
        )
        row = self._connection.execute(query).one_or_none()
        return None if row is None else (row.actor, row.at)

    def incidents(self, agents: Collection[str]) -> Waiting:
        """Give how many incidents of these agents are open."""
        table = tables.incidents
        query = sa.select(sa.func.count(), sa.func.min(table.c.at)).where(table.c.state == "open")
        row = self._connection.execute(query.where(table.c.agent.in_(agents))).one()
        return Waiting(count=row[0], oldest=row[1])

    def _approvals(self, now: datetime) -> dict[str, int]:
        table, counts = tables.approvals, dict[str, int]()
        for (document,) in self._rows(sa.select(table.c.document).where(table.c.state == "pending")):
            one = load(Approval, document)
            if state_at(one, now) == "pending":
                counts[one.agent] = counts.get(one.agent, 0) + 1
        return counts

    def _workflows(self) -> dict[str, int]:
        """Those that have not ended; the workflow engine makes its tables when it first runs here."""
        if not sa.inspect(self._connection).has_table(_WORKFLOWS.name):
            return {}
        status = _WORKFLOWS.c.status
        waiting = status.in_(("PENDING", "ENQUEUED"))
        return dict(self._rows(sa.select(status, sa.func.count()).where(waiting).group_by(status)))

    def _by(self, first: sa.Column[Any], second: sa.Column[Any]) -> dict[tuple[str, str], int]:
        rows = self._rows(sa.select(first, second, sa.func.count()).group_by(first, second))
        return {(one, two): count for one, two, count in rows}

    def _summed(self, first: sa.Column[Any], second: sa.Column[Any], n: sa.Column[Any]) -> dict[tuple[str, str], int]:
        rows = self._rows(sa.select(first, second, sa.func.sum(n)).group_by(first, second))
        return {(one, two): int(count) for one, two, count in rows}

    def _rows(self, query: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._connection.execute(query)]


def _letters(found: Mapping[str, tuple[int, Any]]) -> Letters:
    dead, died = found.get("dead", (0, None))
    late, due = found.get("waiting", (0, None))
    return Letters(
        dead=dead, oldest_dead=None if died is None else datetime.fromisoformat(died), overdue=late,
        oldest_due=None if due is None else moment(due / 1e6),
    )  # fmt: skip


def _micros(at: datetime) -> int:
    return round(at.timestamp() * 1e6)

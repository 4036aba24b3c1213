"""What an operator watches, counted by the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.codec import load
from surefoot.core.approval import Approval, state_at
from surefoot.ports.vitals import Totals

_WORKFLOWS = sa.table("workflow_status", sa.column("status"))
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

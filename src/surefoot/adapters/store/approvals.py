"""Requests for a person's decision."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store import ranks, tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import page, unexpired
from surefoot.core.approval import Approval
from surefoot.core.errors import Conflict, NotFound


class SqlApprovals:
    """Approvals by id; a decision is written over the state it was made on."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, approval: Approval) -> None:
        """Store a new request."""
        self._connection.execute(sa.insert(tables.approvals).values(**_row(approval)))

    def get(self, approval_id: str) -> Approval:
        """Give a request."""
        table = tables.approvals
        row = self._connection.execute(sa.select(table.c.document).where(table.c.id == approval_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no approval {approval_id!r}", hint="surefoot approvals lists what waits")
        return load(Approval, row.document)

    def all(self, agent: str | None = None) -> list[Approval]:
        """Give all requests, of one agent or of all, oldest first."""
        table = tables.approvals
        query = sa.select(table.c.document).order_by(table.c.requested_at, table.c.id)
        rows = self._connection.execute(query if agent is None else query.where(table.c.agent == agent))
        return [load(Approval, row.document) for row in rows]

    def listed(
        self, *, agents: Collection[str], limit: int | None = None, after: str = "",
        waiting: datetime | None = None,
    ) -> list[Approval]:  # fmt: skip
        """Give requests, oldest first, behind the request `after`; of all agents if none is named.

        With `waiting` only those that nobody has decided and that have not expired by then.
        """
        table = tables.approvals.c
        where = [table.agent.in_(agents)] if agents else []
        where += [] if waiting is None else [table.state == "pending", unexpired(table.document, waiting)]
        found = page(self._connection, table.document, where, by=(table.requested_at, table.id), limit=limit,
                     after=table.id == after if after else None)  # fmt: skip
        return [load(Approval, one) for one in found]

    def swap(self, before: Approval, after: Approval) -> None:
        """Write a decision if the request is still in the state it was read in."""
        table = tables.approvals
        here = sa.and_(table.c.id == before.id, table.c.state == before.state)
        if self._connection.execute(sa.update(table).where(here).values(**_row(after))).rowcount != 1:
            raise Conflict(f"approval {before.id} was decided by somebody else meanwhile", hint="look at it again")

    def decided(self, now: datetime, *, agents: Collection[str], skip: int, limit: int) -> list[Approval]:
        """Give requests that wait no more, newest first."""
        return ranks.decided(self._connection, now, agents=agents, skip=skip, limit=limit)


def _row(approval: Approval) -> dict[str, object]:
    return {
        "id": approval.id,
        "agent": approval.agent,
        "state": approval.state,
        "requested_at": approval.requested_at,
        "document": dump(approval),
    }

"""Parts of long lists, picked and put in order by the database: levers by worth, decisions newest first.

A page shows a hundred of ten thousand; to read all of them into Python and drop most would cost more than all else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.codec import load
from surefoot.adapters.store.rows import unexpired
from surefoot.core.approval import Approval
from surefoot.core.backlog import Lever
from surefoot.core.rollout.standing import Reconcile

_L = tables.levers.c.document
_STATE = sa.func.json_extract(_L, "$.state")
_AT_WORK = _STATE.in_(("open", "doing"))
# As `core.backlog.Lever.worth` says it; a document from before a field was there has its default.
_WORTH = (
    sa.func.json_extract(_L, "$.impact") * sa.func.coalesce(sa.func.json_extract(_L, "$.severity"), 1.0)
    * sa.func.coalesce(sa.func.json_extract(_L, "$.trend"), 1.0)
    / sa.func.pow(2.0, sa.func.coalesce(sa.func.json_extract(_L, "$.tries"), 0))
)  # fmt: skip


def levers(connection: sa.Connection, agent: str, *, state: str, limit: int) -> list[Lever]:
    """Give levers: open ones first, then by worth, then by id; of all states if none is named."""
    table = tables.levers
    query = sa.select(_L).where(table.c.agent == agent).order_by(~_AT_WORK, _WORTH.desc(), table.c.id).limit(limit)
    rows = connection.execute(query.where(_STATE.in_([state])) if state else query)
    return [load(Lever, row[0]) for row in rows]


def lever_states(connection: sa.Connection, agent: str) -> dict[str, int]:
    """Count an agent's levers by state."""
    query = sa.select(_STATE, sa.func.count()).where(tables.levers.c.agent == agent).group_by(_STATE)
    return {row[0]: row[1] for row in connection.execute(query)}


def open_levers(connection: sa.Connection, agent: str) -> tuple[int, int]:
    """Give how many levers are open or being worked on, and how many failures they stand for."""
    failures = sa.func.coalesce(sa.func.sum(sa.func.json_extract(_L, "$.failures")), 0)
    row = connection.execute(sa.select(sa.func.count(), failures).where(tables.levers.c.agent == agent, _AT_WORK)).one()
    return row[0], row[1]


def levers_of(connection: sa.Connection, agent: str, gaps: Collection[str]) -> Mapping[str, Lever]:
    """Give the levers that answer some gaps, by gap."""
    gap = sa.func.json_extract(_L, "$.gap")
    rows = connection.execute(sa.select(_L).where(tables.levers.c.agent == agent, gap.in_(list(gaps))))
    return {one.gap: one for one in (load(Lever, row[0]) for row in rows)}


def decided(
    connection: sa.Connection, now: datetime, *, agents: Collection[str], skip: int, limit: int
) -> list[Approval]:  # fmt: skip
    """Give requests that wait no more (decided or expired), newest first, of these agents (none named: all)."""
    table = tables.approvals
    over = sa.or_(table.c.state != "pending", ~unexpired(table.c.document, now))
    where = [over, table.c.agent.in_(agents)] if agents else [over]
    newest = sa.select(table.c.id).where(*where).order_by(table.c.requested_at.desc(), table.c.id.desc())
    picked = newest.limit(limit).offset(skip).subquery()
    query = sa.select(table.c.document).where(table.c.id.in_(sa.select(picked.c.id)))
    rows = connection.execute(query.order_by(table.c.requested_at.desc(), table.c.id.desc()))
    return [load(Approval, row.document) for row in rows]


def moved(connection: sa.Connection, rollout: str) -> list[Reconcile]:
    """Give the looks at a rollout that changed something, in their order."""
    table = tables.reconciles
    query = sa.select(table.c.document).where(table.c.rollout == rollout, sa.text(tables.MOVED))
    return [load(Reconcile, row.document) for row in connection.execute(query.order_by(table.c.seq))]

"""What has moved, by the ends of a few indexes."""

from __future__ import annotations

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.undertakings import progress
from surefoot.ports.beat import Beat


class SqlBeats:
    """What has moved since somebody looked."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def now(self) -> Beat:
        """Give what has moved, by the ends of a few indexes."""
        scalar, rollouts = self._connection.scalar, tables.rollouts
        rows = self._connection.execute(
            sa.select(rollouts.c.id, rollouts.c.agent, rollouts.c.revision)
            .where(rollouts.c.active)
            .union_all(
                sa.select(rollouts.c.id, rollouts.c.agent, rollouts.c.revision).where(rollouts.c.state == "promoted")
            )
        )
        return Beat(
            audit=scalar(sa.select(sa.func.max(tables.audit.c.seq))) or 0,
            outcomes=scalar(sa.select(sa.func.max(tables.outcomes.c.seq))) or 0,
            rollouts={row.id: (row.agent, row.revision) for row in rows},
            work=progress(self._connection),
        )

"""Bounded answers for pages: an index gives the order, and no page reads more than it shows.

A stretch looks at the newest requests of a span and asks for each what is known of it; a curve lets SQLite pick the
few fields of a reconcile out of its document, for every n-th look and each that changed something.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import ranks, tables
from surefoot.adapters.store.audit import picked
from surefoot.adapters.store.codec import load
from surefoot.adapters.store.undertakings import executor, progress, work
from surefoot.core.approval import Approval
from surefoot.core.audit import Entry
from surefoot.core.backlog import Lever
from surefoot.core.rollout.standing import Reconcile
from surefoot.core.version import Version
from surefoot.ports.trends import AuditFilter, Beat, CurvePoint, Executor, Stretch, WorkKind, WorkSpot

MOST_NAMES = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SqlTrends:
    """What pages show of long lists and of time; implements `ports.trends.Trends`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def last_request(self, agent: str) -> datetime | None:
        """Give when the agent was asked last; one step down an index."""
        table = tables.traces
        query = sa.select(table.c.at).where(table.c.agent == agent).order_by(table.c.at.desc()).limit(1)
        return self._connection.scalar(query)

    def stretch(self, agent: str, since: datetime, until: datetime, *, most: int) -> Stretch:
        """Count the newest requests between two moments, at most so many."""
        row = self._connection.execute(_STRETCH, {
            "agent": agent, "since": _micros(since), "until": _micros(until), "most": most,
        }).one()  # fmt: skip
        return Stretch(
            since=since, until=until, requests=row.n, successes=row.successes or 0, failures=row.failures or 0,
            cost_usd=row.cost or 0.0,
        )  # fmt: skip

    def curve(self, rollout_id: str, *, most: int) -> Sequence[CurvePoint]:
        """Give looks at a rollout in their order: all that changed something, and of the others an even choice."""
        table = tables.reconciles
        last = self._connection.scalar(sa.select(sa.func.max(table.c.seq)).where(table.c.rollout == rollout_id)) or 0
        rows = self._connection.execute(_CURVE, {
            "rollout": rollout_id, "step": max(1, last // max(1, most)), "last": last,
        })  # fmt: skip
        return [
            CurvePoint(
                seq=row.seq, at=_EPOCH + timedelta(microseconds=row.at), action=row.action, reason=row.reason,
                sentence=row.sentence, weight_percent=row.weight, e_win=row.e_win or 0.0, e_guard=row.e_guard or 0.0,
                labels=row.labels or 0,
            )
            for row in rows
        ]  # fmt: skip

    def versions(self, agent: str, *, before: int | None, limit: int) -> list[Version]:
        """Give versions of an agent below a number, newest first."""
        table = tables.versions
        query = sa.select(table.c.document).where(table.c.agent == agent)
        if before is not None:
            query = query.where(table.c.number < before)
        rows = self._connection.execute(query.order_by(table.c.number.desc()).limit(limit))
        return [load(Version, row.document) for row in rows]

    def version_count(self, agent: str) -> int:
        """Count the versions of an agent."""
        table = tables.versions
        query = sa.select(sa.func.count()).select_from(table).where(table.c.agent == agent)
        return self._connection.execute(query).scalar_one()

    def audit(self, wanted: AuditFilter, *, before: int | None, limit: int) -> list[Entry]:
        """Give audit entries before one, newest first."""
        return picked(self._connection, wanted, before=before, limit=limit)

    def actors(self) -> list[str]:
        """Give who is named in the newest part of the audit record."""
        return self._names(tables.audit.c.actor)

    def actions(self) -> list[str]:
        """Give what was done in the newest part of the audit record."""
        return self._names(tables.audit.c.action)

    def _names(self, column: sa.Column[Any]) -> list[str]:
        newest = sa.select(column.label("name")).order_by(tables.audit.c.seq.desc()).limit(5000).subquery()
        names = self._connection.scalars(sa.select(newest.c.name).distinct().limit(MOST_NAMES))
        return sorted(names)

    def work(
        self, *, limit: int, kinds: Collection[WorkKind], agents: Collection[str] = (), after: WorkSpot | None = None,
        most: WorkSpot | None = None,
    ) -> list[WorkSpot]:  # fmt: skip
        """Give long work of these agents, newest first, behind one spot and none newer than another."""
        return work(self._connection, limit=limit, kinds=kinds, agents=agents, after=after, most=most)

    def executor(self, workflow: str) -> Executor | None:
        """Give the process that carries a workflow out; None where none does, or it is not known."""
        return executor(self._connection, workflow)

    def levers(self, agent: str, *, state: str, limit: int) -> list[Lever]:
        """Give levers, the most worthwhile first."""
        return ranks.levers(self._connection, agent, state=state, limit=limit)

    def lever_states(self, agent: str) -> dict[str, int]:
        """Count an agent's levers by state."""
        return ranks.lever_states(self._connection, agent)

    def open_levers(self, agent: str) -> tuple[int, int]:
        """Give how many levers are open or being worked on, and how many failures they stand for."""
        return ranks.open_levers(self._connection, agent)

    def levers_of(self, agent: str, gaps: Collection[str]) -> Mapping[str, Lever]:
        """Give the levers that answer some gaps, by gap."""
        return ranks.levers_of(self._connection, agent, gaps)

    def decided(self, now: datetime, *, agents: Collection[str], skip: int, limit: int) -> list[Approval]:
        """Give requests that wait no more, newest first."""
        return ranks.decided(self._connection, now, agents=agents, skip=skip, limit=limit)

    def moved(self, rollout: str) -> list[Reconcile]:
        """Give the looks at a rollout that changed something, in their order."""
        return ranks.moved(self._connection, rollout)

    def beat(self) -> Beat:
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


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


_STRETCH = sa.text("""
    SELECT COUNT(*) AS n, SUM(verdict = 'success') AS successes, SUM(verdict = 'failure') AS failures,
           AVG(cost_usd) AS cost
    FROM (
        SELECT t.cost_usd AS cost_usd, (
            SELECT o.verdict FROM outcomes o WHERE o.trace_id = t.id AND o.verdict <> 'unknown'
            ORDER BY o.seq DESC LIMIT 1
        ) AS verdict
        FROM traces t WHERE t.agent = :agent AND t.at >= :since AND t.at < :until ORDER BY t.at DESC LIMIT :most
    )
""")
_CURVE = sa.text(f"""
    SELECT seq, at, json_extract(document, '$.action') AS action, json_extract(document, '$.reason') AS reason,
           json_extract(document, '$.sentence') AS sentence, json_extract(document, '$.weight_after') AS weight,
           json_extract(document, '$.evidence.e_win') AS e_win, json_extract(document, '$.evidence.e_guard') AS e_guard,
           json_extract(document, '$.evidence.labels') AS labels
    FROM reconciles
    WHERE rollout = :rollout AND seq IN (
        SELECT seq FROM reconciles WHERE rollout = :rollout AND (seq % :step = 0 OR seq IN (1, :last))
        UNION SELECT seq FROM reconciles WHERE rollout = :rollout AND {tables.MOVED}
    )
    ORDER BY seq
""")  # noqa: S608  our own words

"""Rollouts, their reconciles, and the counts that decisions are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store import counts, ranks, tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import insert_or_keep, swap
from surefoot.core.errors import Conflict, NotFound
from surefoot.core.evidence.betting import MetricGuard, MetricState
from surefoot.core.evidence.rollout import Stratum
from surefoot.core.rollout.standing import Reconcile, Rollout
from surefoot.core.trace import Arm
from surefoot.ports.rollouts import CurvePoint


class SqlRollouts:
    """Rollouts by id; at most one per agent is active (a unique index says so)."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, rollout: Rollout) -> None:
        """Store a new rollout; Conflict if the agent has an active one."""
        if not insert_or_keep(self._connection, tables.rollouts, [_row(rollout)]):
            raise Conflict(
                f"agent {rollout.agent!r} already has a rollout in progress",
                hint="let it end, or end it: surefoot rollback AGENT",
            )

    def get(self, rollout_id: str) -> Rollout:
        """Give a rollout."""
        row = self._connection.execute(_BY_ID, {"b_id": rollout_id}).one_or_none()
        if row is None:
            raise NotFound(f"there is no rollout {rollout_id!r}", hint="surefoot rollout list AGENT shows them")
        return load(Rollout, row.document)

    def active(self, agent: str) -> Rollout | None:
        """Give the rollout in progress, if there is one."""
        row = self._connection.execute(_ACTIVE, {"b_agent": agent}).one_or_none()
        return None if row is None else load(Rollout, row.document)

    def queue(self, agent: str) -> list[Rollout]:
        """Give the rollouts that wait for their turn, oldest first."""
        table = tables.rollouts
        query = sa.select(table.c.document).where(
            table.c.agent == agent, table.c.state == "draft", table.c.active.is_(False)
        )
        rows = self._connection.execute(query.order_by(table.c.started_at, table.c.id))
        return [load(Rollout, row.document) for row in rows]

    def holdback(self, agent: str) -> Rollout | None:
        """Give the promoted rollout of which a holdback is still served."""
        row = self._connection.execute(_HOLDBACK, {"b_agent": agent}).one_or_none()
        return None if row is None else load(Rollout, row.document)

    def all(self, agent: str) -> list[Rollout]:
        """Give all rollouts of an agent, oldest first."""
        table = tables.rollouts
        query = sa.select(table.c.document).where(table.c.agent == agent).order_by(table.c.started_at, table.c.id)
        return [load(Rollout, row.document) for row in self._connection.execute(query)]

    def swap(self, rollout: Rollout) -> Rollout:
        """Write a rollout over the revision it was read at: a zombie cannot act twice."""
        after = replace(rollout, revision=rollout.revision + 1)
        what = f"rollout {rollout.id}"
        swap(self._connection, tables.rollouts, what, tables.rollouts.c.id == rollout.id, rollout.revision, _row(after))
        return after

    def strata(self, rollout_id: str) -> list[Stratum]:
        """Give labels by epoch, arm and outcome; one per unit, that of its earliest labelled request."""
        return counts.strata(self._connection, rollout_id).get(counts.WHOLE, [])

    def label_stream(self, scope: str) -> list[tuple[Arm, float, bool]]:
        """Give (arm, weight percent, failed) of each labelled unit, in the order in which their labels arrived.

        A unit's place is that of the first known outcome of its earliest labelled request, so that a correction
        changes what is said of it and not when.
        """
        rows = self._connection.execute(_STREAM, {"b_scope": scope})
        return [(row.arm, row.weight_percent, row.verdict == "failure") for row in rows]

    def slice_strata(self, rollout_id: str) -> dict[str, list[Stratum]]:
        """Give the same by slice, such as `label=billing`."""
        found = counts.strata(self._connection, rollout_id)
        return {name: rows for name, rows in found.items() if name != counts.WHOLE}

    def assigned(self, rollout_id: str) -> list[tuple[int, float, int, int]]:
        """Give pinned units by epoch: (epoch, weight percent, challenger units, incumbent units)."""
        return counts.assigned(self._connection, rollout_id)

    def miscounted(self, rollout_id: str) -> bool:
        """Whether the running counts differ from what traces, outcomes and pins say."""
        kept = self.strata(rollout_id), self.assigned(rollout_id)
        return kept != counts.recounted(self._connection, rollout_id)

    def metrics(self, rollout_id: str) -> list[MetricState]:
        """Give what each watched metric has shown."""
        return counts.metrics(self._connection, rollout_id)

    def watch_metric(self, rollout_id: str, guard: MetricGuard) -> None:
        """Begin to watch a metric."""
        counts.keep_metric(self._connection, rollout_id, MetricState(guard=guard))

    def violations(self, rollout_id: str) -> int:
        """Count zero-tolerance events of the challenger."""
        table = tables.violations
        return self._connection.scalar(sa.select(sa.func.count()).where(table.c.rollout == rollout_id)) or 0

    def violated(self, rollout_id: str, trace_id: str, what: str, at: datetime) -> None:
        """Append a zero-tolerance event."""
        row = {"rollout": rollout_id, "trace_id": trace_id, "what": what, "at": at}
        self._connection.execute(sa.insert(tables.violations).values(**row))

    def record(self, reconcile: Reconcile) -> None:
        """Append a reconcile."""
        self._connection.execute(sa.insert(tables.reconciles).values(
            rollout=reconcile.rollout, seq=reconcile.seq, at=reconcile.at, document=dump(reconcile)
        ))  # fmt: skip

    def history(self, rollout_id: str) -> list[Reconcile]:
        """Give all reconciles in order."""
        table = tables.reconciles
        query = sa.select(table.c.document).where(table.c.rollout == rollout_id).order_by(table.c.seq)
        return [load(Reconcile, row.document) for row in self._connection.execute(query)]

    def moved(self, rollout_id: str) -> list[Reconcile]:
        """Give the looks at a rollout that changed something, in their order."""
        return ranks.moved(self._connection, rollout_id)

    def curve(self, rollout_id: str, *, most: int) -> Sequence[CurvePoint]:
        """Give looks at a rollout in their order: all that changed something, and of the others an even choice."""
        table = tables.reconciles
        last = self._connection.scalar(sa.select(sa.func.max(table.c.seq)).where(table.c.rollout == rollout_id)) or 0
        rows = self._connection.execute(_CURVE, {
            "rollout": rollout_id, "step": max(1, last // max(1, most)), "last": last,
        })  # fmt: skip
        return [
            CurvePoint(
                seq=row.seq, at=row.at, action=row.action, reason=row.reason,
                sentence=row.sentence, weight_percent=row.weight, e_win=row.e_win or 0.0, e_guard=row.e_guard or 0.0,
                labels=row.labels or 0,
            )
            for row in rows
        ]  # fmt: skip


_arrived = (
    sa.select(sa.func.min(tables.outcomes.c.seq))
    .where(tables.outcomes.c.trace_id == tables.unit_labels.c.trace_id, tables.outcomes.c.verdict != "unknown")
    .scalar_subquery()
)
_STREAM = (
    sa.select(tables.pins.c.arm, tables.pins.c.weight_percent, tables.unit_labels.c.verdict)
    .join(
        tables.pins,
        sa.and_(tables.pins.c.rollout == tables.unit_labels.c.rollout, tables.pins.c.unit == tables.unit_labels.c.unit),
    )
    .where(tables.unit_labels.c.rollout == sa.bindparam("b_scope"))
    .order_by(_arrived)
)
_kept = tables.rollouts.c
_BY_ID = sa.select(_kept.document).where(_kept.id == sa.bindparam("b_id"))
_ACTIVE = sa.select(_kept.document).where(_kept.agent == sa.bindparam("b_agent"), _kept.active)
_HOLDBACK = (
    sa.select(_kept.document)
    .where(
        _kept.agent == sa.bindparam("b_agent"),
        _kept.state == "promoted",
        _kept.document["holdback_percent"].as_float() > 0,
    )
    .order_by(_kept.started_at.desc())
    .limit(1)
)
_CLOSED = frozenset({"promoted", "closed", "rolled_back", "inconclusive", "aborted"})


def _row(rollout: Rollout) -> dict[str, object]:
    return {
        "id": rollout.id,
        "agent": rollout.agent,
        "state": rollout.state,
        "active": rollout.state not in _CLOSED and not rollout.queued,
        "revision": rollout.revision,
        "started_at": rollout.started_at,
        "document": dump(rollout),
    }


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
""").columns(at=tables.Instant)  # noqa: S608  our own words

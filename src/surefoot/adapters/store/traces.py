"""Traces with their pins, outcomes, and the failures that follow from them. Everything here is appended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import bulk, counts, tables
from surefoot.adapters.store.rows import insert_or_keep
from surefoot.core.backlog import Failure
from surefoot.core.errors import NotFound
from surefoot.core.score import Outcome, normal
from surefoot.core.suboptimal import Measured
from surefoot.core.symptom import told
from surefoot.core.trace import Pin, Trace
from surefoot.core.week import Stretch
from surefoot.ports.traces import Verdicts


class SqlTraces:
    """Traces by id; pins by rollout and unit."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, trace: Trace) -> None:
        """Append a trace."""
        bulk.append(self._connection, [trace])

    def add_all(self, traces: Sequence[Trace]) -> None:
        """Append many traces at once, at the speed of the driver."""
        if traces:
            bulk.append(self._connection, traces)

    def get(self, trace_id: str) -> Trace:
        """Give a trace; NotFound if nobody recorded it."""
        row = self._connection.execute(_TRACE, {"b_id": trace_id}).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no trace {trace_id!r}", hint="every answer carries the id of its trace")
        return _trace(row)

    def pinned(self, rollout: str, unit: str) -> Pin | None:
        """Give what a unit was given at its first request, if it was seen before."""
        row = self._connection.execute(_PIN, {"b_rollout": rollout, "b_unit": unit}).mappings().one_or_none()
        return None if row is None else Pin(**row)

    def pin(self, pin: Pin) -> Pin:
        """Keep a pin unless the unit has one; give the one that stands."""
        if insert_or_keep(self._connection, tables.pins, [asdict(pin)]):
            counts.drawn(self._connection, pin)
        return self.pinned(pin.rollout, pin.unit) or pin

    def seen(self, agent: str, *, since: datetime) -> int:
        """Count the requests of an agent since then."""
        table = tables.traces
        query = sa.select(sa.func.count()).select_from(table).where(table.c.agent == agent, table.c.at >= since)
        return self._connection.execute(query).scalar_one()

    def uncased(self, agent: str, limit: int) -> list[tuple[Trace, Outcome]]:
        """Give traces whose latest expectation is known and which are not sorted into cases yet, oldest first."""
        traces, outcomes = tables.traces, tables.outcomes
        latest = (
            sa.select(outcomes.c.trace_id, sa.func.max(outcomes.c.seq).label("seq"))
            .where(outcomes.c.expected != "")
            .group_by(outcomes.c.trace_id)
            .subquery()
        )
        query = (
            sa.select(traces, *(outcomes.c[name].label(f"o_{name}") for name in _OUTCOME))
            .join(latest, latest.c.trace_id == traces.c.id)
            .join(outcomes, outcomes.c.seq == latest.c.seq)
            .where(traces.c.agent == agent, traces.c.cased.is_(False))
            .order_by(traces.c.at, traces.c.id)
            .limit(limit)
        )
        rows = self._connection.execute(query).mappings()
        return [(_trace(row), Outcome(**{name: row[f"o_{name}"] for name in _OUTCOME})) for row in rows]

    def usual(self, agent: str, version: int, last: int) -> dict[str, float]:
        """Give the mean latency (seconds) and cost (USD) of a version's last whole answers; 0 without any."""
        table = tables.traces
        recent = (
            sa.select(table.c.latency_s, table.c.cost_usd)
            .where(table.c.agent == agent, table.c.version == version, table.c.finish == "stop")
            .order_by(table.c.at.desc())
            .limit(last)
            .subquery()
        )
        row = self._connection.execute(sa.select(sa.func.avg(recent.c.latency_s), sa.func.avg(recent.c.cost_usd))).one()
        return {"latency_s": row[0] or 0.0, "cost_usd": row[1] or 0.0}

    def measured(self, agent: str, version: int, last: int) -> list[Measured]:
        """Give a version's last whole answers, newest first, with what was measured and said of each."""
        table = tables.traces
        said = (_known(name, table.c.id).label(f"o_{name}") for name in ("verdict", "score", "expected"))
        query = (
            sa.select(table, *said)
            .where(table.c.agent == agent, table.c.version == version, table.c.finish == "stop")
            .order_by(table.c.at.desc(), table.c.id.desc())
            .limit(last)
        )
        return [_measured(row) for row in self._connection.execute(query).mappings()]

    def cased(self, trace_ids: Iterable[str]) -> None:
        """Mark traces as sorted into cases."""
        ids = [{"b_id": trace_id} for trace_id in trace_ids]
        if ids:
            table = tables.traces
            self._connection.execute(sa.update(table).where(table.c.id == sa.bindparam("b_id")).values(cased=True), ids)

    def last_at(self, agent: str) -> datetime | None:
        """Give when the agent was asked last; one step down an index."""
        table = tables.traces
        query = sa.select(table.c.at).where(table.c.agent == agent).order_by(table.c.at.desc()).limit(1)
        return self._connection.scalar(query)

    def stretch(self, agent: str, since: datetime, until: datetime, *, most: int) -> Stretch:
        """Count the newest requests between two moments, at most so many."""
        between = {"agent": agent, "since": since, "until": until, "most": most}
        row = self._connection.execute(_STRETCH, between).one()
        return Stretch(
            since=since, until=until, requests=row.n, successes=row.successes or 0, failures=row.failures or 0,
            cost_usd=row.cost or 0.0,
        )  # fmt: skip


class SqlOutcomes:
    """Outcomes, appended; a failure gets a row of its own with what was asked and answered."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, outcome: Outcome) -> None:
        """Append an outcome, and a failure if it is one."""
        trace = SqlTraces(self._connection).get(outcome.trace_id)
        if outcome.verdict != "unknown":
            before = self._connection.scalar(_VERDICT, {"b_id": trace.id}) or "unknown"
            counts.judged(self._connection, trace, before, outcome.verdict)
        self._connection.execute(_ADD, {n: getattr(outcome, n) for n in _OUTCOME})
        counts.labelled(self._connection, trace, outcome)
        if outcome.verdict == "failure":
            self._connection.execute(_FAIL, {
                "agent": trace.agent, "version": trace.version, "trace_id": trace.id, "input": trace.input,
                "predicted": normal(trace.output), "expected": outcome.expected.strip(), "source": trace.source,
                "slices": dict(trace.slices), "at": outcome.at,
            })  # fmt: skip

    def fail_all(self, failed: Sequence[tuple[Trace, Outcome]]) -> None:
        """Append the failures of traces that are new in this transaction and in no rollout, at the driver's speed."""
        if failed:
            bulk.fail(self._connection, failed)

    def of(self, trace_id: str) -> list[Outcome]:
        """Give all outcomes of a trace in the order of their arrival."""
        table = tables.outcomes
        query = sa.select(table).where(table.c.trace_id == trace_id).order_by(table.c.seq)
        rows = self._connection.execute(query).mappings()
        return [Outcome(**{name: row[name] for name in _OUTCOME}) for row in rows]

    def failures(self, agent: str, *, limit: int, before: int | None = None) -> list[Failure]:
        """Give the last failures that no later outcome corrected, newest first, one per trace.

        With `before` only those that are older than the failure with this id.
        """
        failures = tables.failures
        later = failures.alias()
        again = sa.exists().where(later.c.trace_id == failures.c.trace_id, later.c.seq > failures.c.seq)
        query = (
            sa.select(failures, *(_known(name, failures.c.trace_id).label(f"o_{name}") for name in _SAID))
            .where(failures.c.agent == agent, _known_verdict(failures.c.trace_id) == "failure", ~again)
            .order_by(failures.c.seq.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(failures.c.seq < before)
        return [_failure(row) for row in self._connection.execute(query).mappings()]

    def labelled(self, agent: str, *, version: int | None = None) -> Verdicts:
        """Count traces by the outcome that counts for them; unknown are those without one."""
        return Verdicts(**counts.verdicts(self._connection, agent, version))


_OUTCOME = ("trace_id", "verdict", "score", "expected", "feedback", "source", "at")


_SAID = ("score", "feedback", "source")


def _known_verdict(trace_id: sa.ColumnElement[str]) -> sa.ScalarSelect[str]:
    """The verdict that counts for a trace."""
    return _known("verdict", trace_id)


def _known(name: str, trace_id: sa.ColumnElement[str]) -> sa.ScalarSelect[Any]:
    """A field of the outcome that counts for a trace: the last one that is not unknown; one step down an index."""
    table = tables.outcomes
    known = sa.select(table.c[name]).where(table.c.trace_id == trace_id, table.c.verdict != "unknown")
    return known.order_by(table.c.seq.desc()).limit(1).scalar_subquery()


# Run for every request or label: a statement that is made once costs less than half of one that is made anew.
_TRACE = sa.select(tables.traces).where(tables.traces.c.id == sa.bindparam("b_id"))
_PIN = sa.select(tables.pins).where(
    tables.pins.c.rollout == sa.bindparam("b_rollout"), tables.pins.c.unit == sa.bindparam("b_unit")
)
_VERDICT = sa.select(_known_verdict(sa.bindparam("b_id", type_=sa.Text)))
_ADD, _FAIL = sa.insert(tables.outcomes), sa.insert(tables.failures)


def _trace(row: sa.RowMapping) -> Trace:
    return Trace(**{name: row[name] for name in Trace.__slots__})


def _failure(row: sa.RowMapping) -> Failure:
    """Read a failure, with what the outcome that counts says broke."""
    check, tool_error = told(row["o_source"] or "", row["o_feedback"] or "")
    return Failure(
        id=row["seq"], trace_id=row["trace_id"], version=row["version"], input=row["input"],
        predicted=row["predicted"], expected=row["expected"], source=row["source"], slices=row["slices"],
        check=check, tool_error=tool_error, score=row["o_score"],
    )  # fmt: skip


def _measured(row: sa.RowMapping) -> Measured:
    return Measured(
        trace_id=row["id"], input=row["input"], output=row["output"], source=row["source"],
        verdict=row["o_verdict"] or "unknown", latency_s=row["latency_s"], cost_usd=row["cost_usd"],
        score=row["o_score"], expected=row["o_expected"] or "", version=row["version"], slices=row["slices"],
    )  # fmt: skip


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
""").bindparams(sa.bindparam("since", type_=tables.Instant), sa.bindparam("until", type_=tables.Instant))

"""Requests that both versions of a rollout answered, in the order in which they were chosen, and those still to ask."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import insert_or_keep
from surefoot.core.evidence.paired import Tally, tally
from surefoot.core.rollout.shadow import Shared, Spoken
from surefoot.core.trace import Trace


class SqlPairs:
    """Pairs by rollout and case; a pair that is there already stays, so nothing is counted twice."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, pairs: Iterable[Shared]) -> int:
        """Append the pairs that are new, in this order; gives how many were."""
        table, added = tables.pairs, 0
        for pair in pairs:
            last = sa.select(sa.func.max(table.c.seq)).where(table.c.rollout == pair.rollout)
            seq = (self._connection.scalar(last) or 0) + 1
            row = {"rollout": pair.rollout, "case": pair.case, "seq": seq, "at": pair.at, "document": dump(pair)}
            added += insert_or_keep(self._connection, table, [row])
        return added

    def all(self, rollout_id: str) -> list[Shared]:
        """Give the pairs of a rollout in the order in which they were added."""
        table = tables.pairs
        query = sa.select(table.c.document).where(table.c.rollout == rollout_id).order_by(table.c.seq)
        return [load(Shared, row.document) for row in self._connection.execute(query)]

    def differences(self, rollout_id: str) -> list[float]:
        """Give challenger minus incumbent for each pair, in the same order."""
        table = tables.pairs
        query = sa.select(table.c.document).where(table.c.rollout == rollout_id).order_by(table.c.seq)
        documents = (row.document for row in self._connection.execute(query))
        return [float(one["challenger"]["score"]) - float(one["incumbent"]["score"]) for one in documents]

    def tally(self, rollout_id: str) -> Tally:
        """Count the pairs that the challenger gained, that it lost, and all."""
        return tally(self.differences(rollout_id))

    def met(self, rollout_id: str) -> tuple[set[str], set[str]]:
        """Give the cases and the units that were asked in this rollout already."""
        table = tables.pairs
        query = sa.select(table.c.case, table.c.document["unit"].as_string()).where(table.c.rollout == rollout_id)
        rows = self._connection.execute(query).all()
        return {row[0] for row in rows}, {row[1] for row in rows if row[1]}

    def recorded(self, agent: str, *, since: datetime, before: datetime) -> Iterator[tuple[Trace, str]]:
        """Give requests recorded before `before` whose right answer was said, oldest first, with that answer.

        Left out are those that were sorted into cases before `since`, when the challenger was made.
        """
        traces, outcomes = tables.traces, tables.outcomes
        said = (
            sa.select(outcomes.c.expected)
            .where(outcomes.c.trace_id == traces.c.id, outcomes.c.expected != "")
            .order_by(outcomes.c.seq.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = (
            sa.select(traces, said.label("right"))
            .where(traces.c.agent == agent, traces.c.at < before, said.is_not(None))
            .where(sa.or_(traces.c.at >= since, traces.c.cased.is_(False)))
            .order_by(traces.c.at, traces.c.id)
        )
        for row in self._connection.execute(query).mappings():
            yield Trace(**{name: row[name] for name in Trace.__slots__}), row["right"]

    def waiting_since(self, agent: str, *, after: datetime) -> datetime | None:
        """Give when the oldest request after `after` was made that nobody has judged yet; None if there is none."""
        traces, outcomes = tables.traces, tables.outcomes
        judged = sa.exists().where(
            outcomes.c.trace_id == traces.c.id, sa.or_(outcomes.c.verdict != "unknown", outcomes.c.expected != "")
        )
        query = sa.select(traces.c.at).where(traces.c.agent == agent, traces.c.at > after, ~judged)
        return self._connection.scalar(query.order_by(traces.c.at).limit(1))

    def known_before(self, agent: str, texts: Collection[str], *, since: datetime) -> set[str]:
        """Give those of these texts that were cases, other than `later` ones, before `since`."""
        cases, traces = tables.cases, tables.traces
        given = sa.select(cases.c.input).where(
            cases.c.agent == agent,
            cases.c.input.in_(list(texts)),
            cases.c.split != "later",
            cases.c.origin != "traffic",
        )
        sorted_then = sa.select(traces.c.input).where(
            traces.c.agent == agent, traces.c.input.in_(list(texts)), traces.c.at < since, traces.c.cased
        )
        return set(self._connection.scalars(given)) | set(self._connection.scalars(sorted_then))

    def spoken(self, agent: str, *, since: datetime) -> Spoken:
        """Count requests since `since` by verdict, and those whose right answer was said."""
        traces, outcomes = tables.traces, tables.outcomes
        verdict = (
            sa.select(outcomes.c.verdict)
            .where(outcomes.c.trace_id == traces.c.id, outcomes.c.verdict != "unknown")
            .order_by(outcomes.c.seq.desc())
            .limit(1)
            .scalar_subquery()
        )
        said = sa.exists().where(outcomes.c.trace_id == traces.c.id, outcomes.c.expected != "")
        rows = (
            sa.select(verdict.label("verdict"), said.label("said"))
            .where(traces.c.agent == agent, sa.or_(traces.c.at >= since, traces.c.cased.is_(False)))
            .subquery()
        )
        query = sa.select(rows.c.verdict, rows.c.said, sa.func.count().label("n")).group_by(rows.c.verdict, rows.c.said)
        counts = {(row.verdict, bool(row.said)): row.n for row in self._connection.execute(query)}
        right, wrong = counts.get(("success", True), 0), counts.get(("failure", True), 0)
        return Spoken(
            right=right + counts.get(("success", False), 0), right_said=right,
            wrong=wrong + counts.get(("failure", False), 0), wrong_said=wrong,
        )  # fmt: skip

    def canary_at(self, rollout_id: str) -> datetime | None:
        """Give when the shadow of this rollout was won, and the canary began; None before that."""
        table = tables.reconciles
        query = sa.select(table.c.at).where(
            table.c.rollout == rollout_id, table.c.document["reason"].as_string() == "shadow_won"
        )
        return self._connection.scalar(query.order_by(table.c.seq).limit(1))

"""Cases with their splits, and the scores that genomes got on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.rows import insert_or_keep
from surefoot.core.case import Case, Split


class SqlCases:
    """Cases by agent and id; a case that is there already stays as it is."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, cases: Iterable[Case]) -> int:
        """Store the cases that are new; gives how many were."""
        rows = [
            {name: getattr(case, name) for name in Case.__slots__} | {"slices": dict(case.slices)} for case in cases
        ]
        return insert_or_keep(self._connection, tables.cases, rows)

    def of(self, agent: str, splits: Collection[Split], *, limit: int | None = None) -> list[Case]:
        """Give the cases of some splits, oldest first; with `limit` the newest ones, newest first."""
        table = tables.cases
        query = sa.select(table).where(table.c.agent == agent, table.c.split.in_(list(splits)))
        query = query.order_by(table.c.seq) if limit is None else query.order_by(table.c.seq.desc()).limit(limit)
        rows = self._connection.execute(query).mappings()
        return [Case(**{name: row[name] for name in Case.__slots__}) for row in rows]

    def groups(self, agent: str) -> list[tuple[str, str, Split]]:
        """Give (input, group, split) of every case, oldest first."""
        table = tables.cases
        query = (
            sa.select(table.c.input, table.c.group, table.c.split).where(table.c.agent == agent).order_by(table.c.seq)
        )
        return [(row[0], row[1], row[2]) for row in self._connection.execute(query)]

    def counts(self, agent: str) -> Mapping[Split, int]:
        """Count the cases per split."""
        table = tables.cases
        query = sa.select(table.c.split, sa.func.count()).where(table.c.agent == agent).group_by(table.c.split)
        return {row[0]: row[1] for row in self._connection.execute(query)}


class SqlScores:
    """What a genome answered on a case with a model, once per repeat, for ever."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def known(self, genome: str, model: str, cases: Collection[str]) -> Mapping[tuple[str, int], tuple[str, float]]:
        """Give the known ones among these cases: (case, repeat) → (answer, score)."""
        table = tables.scores
        wanted = set(cases)
        query = sa.select(table).where(table.c.genome == genome, table.c.model == model)
        rows = self._connection.execute(query)
        return {(row.case, row.repeat): (row.answer, row.score) for row in rows if row.case in wanted}

    def add(self, genome: str, model: str, rows: Iterable[tuple[str, int, str, float]]) -> None:
        """Store new answers; one that is known already stays."""
        documents = [
            {"genome": genome, "model": model, "case": case, "repeat": repeat, "answer": answer, "score": score}
            for case, repeat, answer, score in rows
        ]
        insert_or_keep(self._connection, tables.scores, documents)

"""Eval runs with their answers and verdicts, the labels of people, quarantine, and the cache of calls.

What is written by the thousand (answers and verdicts) goes to the driver as plain tuples: one statement for a batch.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from surefoot.adapters.store import eval_tables as tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import insert_or_keep, page, put, swap
from surefoot.core.errors import NotFound
from surefoot.core.exam.documents import suite_from
from surefoot.core.exam.label import Label
from surefoot.core.exam.observed import Observed, Taken, ToolCall
from surefoot.core.exam.run import EvalRun, Spent
from surefoot.core.exam.suite import Origin, Suite
from surefoot.core.exam.verdict import Verdict
from surefoot.core.proposal import Cost

_ANSWER = (
    'INSERT INTO eval_answers (run, "case", epoch, output, finish, calls, problem, asked, tokens, usd, latency_s) '
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_VERDICT = (
    'INSERT INTO eval_verdicts (run, "case", epoch, scorer, state, score, note) '
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

FEW = 50  # so many cases are looked up one by one; for more, the whole run is read
_VERDICTS = (
    'SELECT "case", epoch, scorer, state, score, note FROM eval_verdicts WHERE run = ? ORDER BY "case", epoch, scorer'
)
_TALLIES = """
    SELECT "case", SUM(bad = 0 AND open = 0), SUM(bad > 0) FROM (
        SELECT "case", epoch, SUM(state = 'failed') AS bad, SUM(state IN ('errored', 'abstained')) AS open
        FROM eval_verdicts WHERE run = ? GROUP BY "case", epoch
    ) GROUP BY "case"
"""


class SqlEvals:
    """All of evaluation; a verdict that is there already stays."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def begin(self, run: EvalRun, suite: Suite) -> None:
        """Store a run with its suite as it is now."""
        kept = {"suite": suite.document(), "origin": suite.origin, "root": suite.root}
        insert_or_keep(self._connection, tables.eval_suites, [{"digest": run.suite_digest, "document": kept}])
        self._connection.execute(sa.insert(tables.eval_runs).values(id=run.id, **_columns(run)))

    def run(self, run_id: str) -> EvalRun:
        """Give a run by its id, or by a beginning of it that no other run has."""
        table = tables.eval_runs
        found = self._connection.scalars(
            sa.select(table.c.document).where(table.c.id.startswith(run_id, autoescape=True)).limit(2)
        ).all()  # fmt: skip
        if len(found) != 1:
            what = "several eval runs" if found else "no eval run"
            raise NotFound(f"there is {what} {run_id!r}", hint="surefoot eval list shows them")
        return load(EvalRun, found[0])

    def runs(
        self, *, limit: int = 200, after: str = "", agents: Collection[str] = (), suite: str = ""
    ) -> list[EvalRun]:  # fmt: skip
        """Give runs, newest first, behind the run `after`; about these agents (none named: any) and of one suite."""
        table = tables.eval_runs.c
        where = ([tables.about.in_(list(agents))] if agents else []) + ([table.suite == suite] if suite else [])
        found = page(self._connection, table.document, where, by=(table.started_at, table.id), limit=limit,
                     newest=True, after=table.id == after if after else None)  # fmt: skip
        return [load(EvalRun, row) for row in found]

    def swap(self, run: EvalRun) -> EvalRun:
        """Write a run whose revision is the stored one; Conflict otherwise."""
        after = load(EvalRun, dump(run) | {"revision": run.revision + 1})
        table = tables.eval_runs
        swap(self._connection, table, f"eval run {run.id}", table.c.id == run.id, run.revision, _columns(after))
        return after

    def state(self, run_id: str) -> str:
        """Give just the state of a run."""
        table = tables.eval_runs
        return self._connection.scalar(sa.select(table.c.state).where(table.c.id == run_id)) or ""

    def suite(self, digest: str) -> Suite:
        """Give the suite of a run as it was when the run began."""
        kept = self._connection.scalar(
            sa.select(tables.eval_suites.c.document).where(tables.eval_suites.c.digest == digest)
        )
        if kept is None:
            raise NotFound(f"there is no suite {digest!r}", hint="surefoot eval list shows the runs there are")
        origin, root = cast("Origin", kept["origin"]), str(kept["root"])
        return suite_from(kept["suite"], name="stored", origin=origin, root=root)

    def record(self, run_id: str, answers: Sequence[Taken], verdicts: Sequence[Verdict]) -> None:
        """Append answers and verdicts; what is there already stays."""
        if answers:
            self._connection.exec_driver_sql(_ANSWER, [_answer_row(run_id, one) for one in answers])
        if verdicts:
            self._connection.exec_driver_sql(_VERDICT, [
                (run_id, one.case, one.epoch, one.scorer, one.state, one.score, one.note) for one in verdicts
            ])  # fmt: skip

    def finished(self, run_id: str) -> dict[tuple[str, int], frozenset[str]]:
        """Give the scorers that have spoken, by case and epoch."""
        found: dict[tuple[str, int], set[str]] = {}
        query = 'SELECT "case", epoch, scorer FROM eval_verdicts WHERE run = ?'
        for case, epoch, scorer in self._connection.exec_driver_sql(query, (run_id,)):
            found.setdefault((case, epoch), set()).add(scorer)
        return {key: frozenset(scorers) for key, scorers in found.items()}

    def verdicts(self, run_id: str, cases: Collection[str] | None = None) -> list[Verdict]:
        """Give the verdicts of a run, by case, epoch and scorer."""
        if cases is not None and len(cases) <= FEW:
            query = _VERDICTS.replace("WHERE run = ?", 'WHERE run = ? AND "case" = ?')
            return [Verdict(*row) for case in sorted(cases)
                    for row in self._connection.exec_driver_sql(query, (run_id, case))]  # fmt: skip
        rows = self._connection.exec_driver_sql(_VERDICTS, (run_id,)).cursor.fetchall()  # type: ignore[union-attr]
        return [Verdict(*row) for row in rows if cases is None or row[0] in cases]

    def tallies(self, run_id: str) -> dict[str, tuple[int, int]]:
        """Count by case the epochs in which all that spoke passed, and those in which something failed."""
        rows = self._connection.exec_driver_sql(_TALLIES, (run_id,))
        return {case: (passed, failed) for case, passed, failed in rows}

    def answers(self, run_id: str, keys: Collection[tuple[str, int]] | None = None) -> dict[tuple[str, int], Observed]:
        """Give what was observed, by case and epoch; of these keys, or all."""
        table = tables.eval_answers
        if keys is not None and not keys:
            return {}
        query = sa.select(table).where(table.c.run == run_id)
        if keys is not None and len(keys) <= FEW:
            query = query.where(table.c.case.in_({case for case, _ in keys}))
        rows = self._connection.execute(query)
        return {(row.case, row.epoch): _observed(row) for row in rows if keys is None or (row.case, row.epoch) in keys}

    def spent(self, run_id: str) -> Spent:
        """Sum up what the answers of a run cost."""
        answers = tables.eval_answers.c
        totals = (sa.func.count(), sa.func.sum(answers.asked), sa.func.sum(answers.tokens), sa.func.sum(answers.usd),
                  sa.func.count(answers.usd))  # fmt: skip
        n, calls, tokens, usd, known = self._connection.execute(
            sa.select(*totals).where(answers.run == run_id)
        ).one()  # fmt: skip
        cost = Cost(calls=int(calls or 0), tokens=int(tokens or 0), usd=float(usd or 0.0))
        return Spent(answers=n, cost=cost, known=known == n)

    def trials(self, suite: str, subject_digest: str, judge_pin: str, *, last: int = 10) -> list[EvalRun]:
        """Give the latest runs of this suite, subject and judge, oldest first."""
        same = [
            run for run in self.runs(suite=suite)
            if (run.subject_digest, run.judge_pin) == (subject_digest, judge_pin)
        ]  # fmt: skip
        return same[:last][::-1]

    def label(self, label: Label) -> None:
        """Keep what a person said; saying it again replaces it."""
        put(self._connection, tables.eval_labels, {name: getattr(label, name) for name in Label.__slots__})

    def labels(self, run_id: str | None = None) -> list[Label]:
        """Give the labels of a run, or of all, oldest first."""
        table = tables.eval_labels
        query = sa.select(table).order_by(table.c.at)
        if run_id is not None:
            query = query.where(table.c.run == run_id)
        return [Label(**{n: row[n] for n in Label.__slots__}) for row in self._connection.execute(query).mappings()]

    def quarantine(self, suite: str) -> dict[str, str]:
        """Give the cases in quarantine with the reason."""
        table = tables.eval_quarantine
        rows = self._connection.execute(sa.select(table.c.case, table.c.why).where(table.c.suite == suite))
        return {row.case: row.why for row in rows}

    def isolate(self, suite: str, cases: Mapping[str, str], *, run: str, at: datetime) -> None:
        """Put cases into quarantine, with the reason; one that is there already stays."""
        insert_or_keep(self._connection, tables.eval_quarantine, [
            {"suite": suite, "case": case, "run": run, "why": why, "at": at} for case, why in cases.items()
        ])  # fmt: skip

    def release(self, suite: str, cases: Iterable[str]) -> None:
        """Let cases out of quarantine."""
        table = tables.eval_quarantine
        self._connection.execute(sa.delete(table).where(table.c.suite == suite, table.c.case.in_(list(cases))))

    def claim(
        self, run_id: str, keys: Sequence[tuple[str, int]], *, by: str, now: datetime, until: datetime
    ) -> list[tuple[str, int]]:
        """Claim trials that nobody holds now; gives those that were got."""
        table = tables.eval_claims
        mine = insert(table)
        query = mine.on_conflict_do_update(
            index_elements=["run", "case", "epoch"], set_={"by": mine.excluded.by, "until": mine.excluded.until},
            where=sa.or_(table.c.until <= now, table.c.by == by),
        )  # fmt: skip
        got: list[tuple[str, int]] = []
        for case, epoch in keys:
            row = {"run": run_id, "case": case, "epoch": epoch, "by": by, "until": until}
            if self._connection.execute(query, row).rowcount:
                got.append((case, epoch))
        return got

    def renew(self, run_id: str, *, by: str, until: datetime) -> None:
        """Hold what is held for longer."""
        table = tables.eval_claims
        self._connection.execute(sa.update(table).where(table.c.run == run_id, table.c.by == by).values(until=until))

    def claimed(self, run_id: str, *, by: str) -> int:
        """Count what one worker holds of a run, however old its lease."""
        table = tables.eval_claims.c
        query = sa.select(sa.func.count()).where(table.run == run_id, table.by == by)
        return self._connection.execute(query).scalar_one()

    def held(self, run_id: str, *, now: datetime, besides: str = "") -> int:
        """Count what workers hold of a run now: trials, and being there; but for a process being there (`besides`)."""
        table = tables.eval_claims.c
        query = sa.select(sa.func.count()).where(table.run == run_id, table.until > now)
        if besides:
            query = query.where(~table.by.startswith(f"{besides} ", autoescape=True))
        return self._connection.execute(query).scalar_one()

    def unclaim(self, run_id: str, *, by: str) -> None:
        """Let go of what is held."""
        table = tables.eval_claims
        self._connection.execute(sa.delete(table).where(table.c.run == run_id, table.c.by == by))

    def answered(self, run_id: str, keys: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Give those of the trials that have an answer."""
        query = 'SELECT 1 FROM eval_answers WHERE run = ? AND "case" = ? AND epoch = ?'
        return {key for key in keys if self._connection.exec_driver_sql(query, (run_id, *key)).first()}

    def cached(self, keys: Collection[str]) -> dict[str, Observed]:
        """Give the answers that are cached under these keys."""
        table = tables.eval_cache
        rows = self._connection.execute(sa.select(table).where(table.c.key.in_(list(keys))))
        return {row.key: load(Observed, row.document) for row in rows}

    def cache(self, answers: Mapping[str, Observed]) -> None:
        """Keep answers under their keys; one that is there already stays."""
        insert_or_keep(self._connection, tables.eval_cache, [
            {"key": key, "document": dump(one)} for key, one in answers.items()
        ])  # fmt: skip


def _columns(run: EvalRun) -> dict[str, Any]:
    return {"suite": run.suite, "state": run.state, "started_at": run.started_at, "revision": run.revision,
            "document": dump(run)}  # fmt: skip


def _answer_row(run_id: str, taken: Taken) -> tuple[object, ...]:
    one = taken.observed
    calls = json.dumps([call.document() for call in one.calls], default=str) if one.calls else ""
    paid = (None, None, None) if one.cost is None else (one.cost.calls, one.cost.tokens, one.cost.usd)
    return (run_id, taken.case, taken.epoch, one.output, one.finish, calls, one.problem, *paid, one.latency_s)


def _observed(row: Any) -> Observed:
    cost = None if row.usd is None else Cost(calls=row.asked or 0, tokens=row.tokens or 0, usd=row.usd)
    calls = tuple(ToolCall(**call) for call in json.loads(row.calls)) if row.calls else ()
    return Observed(output=row.output, finish=row.finish, calls=calls, cost=cost, latency_s=row.latency_s,
                    problem=row.problem)  # fmt: skip

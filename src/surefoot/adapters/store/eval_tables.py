"""The tables of evaluation: suites as they were run, runs, answers, verdicts, labels of people, and quarantine."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store.tables import Instant, metadata


def _column(name: str, kind: Any, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=key, nullable=False)


eval_suites = sa.Table(
    "eval_suites", metadata, _column("digest", sa.Text, key=True), _column("document", sa.JSON)
)  # fmt: skip
eval_runs = sa.Table(
    "eval_runs",
    metadata,
    _column("id", sa.Text, key=True),
    _column("suite", sa.Text),
    _column("state", sa.Text),
    _column("started_at", Instant()),
    _column("revision", sa.Integer),
    _column("document", sa.JSON),
    sa.Index(None, "suite", "started_at"),
)
about: sa.ColumnElement[str] = sa.func.coalesce(  # the agent that a run examines, as `EvalRun.about` gives it
    sa.func.nullif(eval_runs.c.document["agent"].as_string(), ""), eval_runs.c.document["how"]["agent"].as_string(), ""
)
eval_answers = sa.Table(
    "eval_answers",
    metadata,
    _column("run", sa.Text, key=True),
    _column("case", sa.Text, key=True),
    _column("epoch", sa.Integer, key=True),
    _column("output", sa.Text),
    _column("finish", sa.Text),
    _column("calls", sa.Text),
    _column("problem", sa.Text),
    sa.Column("asked", sa.Integer, nullable=True),
    sa.Column("tokens", sa.Integer, nullable=True),
    sa.Column("usd", sa.Float, nullable=True),
    sa.Column("latency_s", sa.Float, nullable=True),
    sqlite_with_rowid=False,
)
eval_verdicts = sa.Table(
    "eval_verdicts",
    metadata,
    _column("run", sa.Text, key=True),
    _column("case", sa.Text, key=True),
    _column("epoch", sa.Integer, key=True),
    _column("scorer", sa.Text, key=True),
    _column("state", sa.Text),
    sa.Column("score", sa.Float, nullable=True),
    _column("note", sa.Text),
    sqlite_with_rowid=False,
)
eval_labels = sa.Table(
    "eval_labels",
    metadata,
    _column("run", sa.Text, key=True),
    _column("case", sa.Text, key=True),
    _column("epoch", sa.Integer, key=True),
    _column("scorer", sa.Text, key=True),
    _column("by", sa.Text, key=True),
    _column("passed", sa.Boolean),
    _column("drawn", sa.Text),
    _column("note", sa.Text),
    _column("at", Instant()),
)
eval_quarantine = sa.Table(
    "eval_quarantine",
    metadata,
    _column("suite", sa.Text, key=True),
    _column("case", sa.Text, key=True),
    _column("run", sa.Text),
    _column("why", sa.Text),
    _column("at", Instant()),
)
eval_claims = sa.Table(
    "eval_claims",
    metadata,
    _column("run", sa.Text, key=True),
    _column("case", sa.Text, key=True),
    _column("epoch", sa.Integer, key=True),
    _column("by", sa.Text),
    _column("until", Instant()),
    sqlite_with_rowid=False,
)
eval_cache = sa.Table(
    "eval_cache", metadata, _column("key", sa.Text, key=True), _column("document", sa.JSON)
)  # fmt: skip

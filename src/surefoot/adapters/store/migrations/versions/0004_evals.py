"""Evaluation: suites, runs, answers, verdicts, labels, quarantine, and the cache of calls."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from surefoot.adapters.store.tables import Instant

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _table("eval_suites", 1, _column("digest", sa.Text()), _column("document", sa.JSON()))
    _table("eval_runs", 1, _column("id", sa.Text()), _column("suite", sa.Text()), _column("state", sa.Text()),
           _column("started_at", Instant()), _column("revision", sa.Integer()),
           _column("document", sa.JSON()))  # fmt: skip
    _table("eval_answers", 3, *_place(), _column("output", sa.Text()), _column("finish", sa.Text()),
           _column("calls", sa.Text()), _column("problem", sa.Text()), _column("asked", sa.Integer(), null=True),
           _column("tokens", sa.Integer(), null=True), _column("usd", sa.Float(), null=True),
           _column("latency_s", sa.Float(), null=True), rowid=False)  # fmt: skip
    _table("eval_verdicts", 4, *_place(), _column("scorer", sa.Text()), _column("state", sa.Text()),
           _column("score", sa.Float(), null=True), _column("note", sa.Text()), rowid=False)  # fmt: skip
    _table("eval_labels", 5, *_place(), _column("scorer", sa.Text()), _column("by", sa.Text()),
           _column("passed", sa.Boolean()), _column("drawn", sa.Text()), _column("note", sa.Text()),
           _column("at", Instant()))  # fmt: skip
    _table("eval_quarantine", 2, _column("suite", sa.Text()), _column("case", sa.Text()), _column("run", sa.Text()),
           _column("why", sa.Text()), _column("at", Instant()))  # fmt: skip
    _table("eval_cache", 1, _column("key", sa.Text()), _column("document", sa.JSON()))
    op.create_index("ix_eval_runs_suite_started_at", "eval_runs", ["suite", "started_at"])


def _place() -> tuple[sa.Column[Any], ...]:
    return _column("run", sa.Text()), _column("case", sa.Text()), _column("epoch", sa.Integer())


def _column(name: str, kind: Any, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=null)


def _table(name: str, keys: int, *columns: sa.Column[Any], rowid: bool = True) -> None:
    key = sa.PrimaryKeyConstraint(*(column.name for column in columns[:keys]), name=f"pk_{name}")
    op.create_table(name, *columns, key, sqlite_with_rowid=rowid)

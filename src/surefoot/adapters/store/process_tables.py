"""The tables of versions that are processes: builds, instances, executions and their notes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store.tables import Instant, Serial, metadata


def _column(name: str, kind: Any, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=key, nullable=False)


builds = sa.Table(
    "builds",
    metadata,
    _column("agent", sa.Text, key=True),
    _column("version", sa.Text, key=True),
    _column("number", sa.Integer),
    _column("document", sa.JSON),
    sa.Index("ux_builds_number", "agent", "number", unique=True),
)
processes = sa.Table(
    "processes",
    metadata,
    _column("id", sa.Text, key=True),
    _column("agent", sa.Text),
    _column("number", sa.Integer),
    _column("revision", sa.Integer),
    _column("document", sa.JSON),
    sa.Index(None, "agent", "number"),
)
executions = sa.Table(
    "executions",
    metadata,
    _column("id", sa.Text, key=True),
    _column("agent", sa.Text),
    _column("state", sa.Text),
    _column("owner", sa.Text),
    sa.Column("held_until", Instant(), nullable=True),
    _column("workflow", sa.Text),
    _column("parent", sa.Text),
    _column("revision", sa.Integer),
    _column("document", sa.JSON),
    sa.Index(None, "agent", "id"),
    sa.Index(None, "state", "id"),
    sa.Index(None, "parent"),
    sa.Index(None, "workflow"),
)
execution_notes = sa.Table(
    "execution_notes",
    metadata,
    sa.Column("seq", Serial, primary_key=True, autoincrement=True),
    _column("execution", sa.Text),
    _column("document", sa.JSON),
    sa.Index(None, "execution", "seq"),
)

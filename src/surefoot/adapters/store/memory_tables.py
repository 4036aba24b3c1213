"""The tables of memory: entries by place and key, and the last changes."""

from __future__ import annotations

import sqlalchemy as sa

from surefoot.adapters.store.tables import Instant, Serial, metadata

memory = sa.Table(
    "memory",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True, nullable=False),
    sa.Column("owner", sa.Text, primary_key=True, nullable=False),
    sa.Column("key", sa.Text, primary_key=True, nullable=False),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("written_at", Instant(), nullable=False),
    sa.Column("expires_at", Instant(), nullable=True),
    sa.Index(None, "expires_at"),
)
memory_changes = sa.Table(
    "memory_changes",
    metadata,
    sa.Column("seq", Serial, primary_key=True, autoincrement=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("at", Instant(), nullable=False),
    sa.Index(None, "scope", "owner", "seq"),
    sqlite_autoincrement=True,
)

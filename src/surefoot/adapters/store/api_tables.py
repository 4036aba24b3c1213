"""The tables of the API: keys of requests, long work, and subscriptions to events."""

from __future__ import annotations

import sqlalchemy as sa

from surefoot.adapters.store.tables import Instant, metadata

request_keys = sa.Table(
    "request_keys",
    metadata,
    sa.Column("who", sa.Text, primary_key=True, nullable=False),
    sa.Column("key", sa.Text, primary_key=True, nullable=False),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Index(None, "at"),
)
jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Index(None, "at", "id"),
)
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)

"""The tables of who may come in: tokens by id, and proofs of logins."""

from __future__ import annotations

import sqlalchemy as sa

from surefoot.adapters.store.tables import Instant, metadata

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Text, primary_key=True, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("revoked", sa.Boolean, nullable=False),
    sa.Column("used_at", Instant(), nullable=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Index(None, "name"),
)
logins = sa.Table(
    "logins",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("at", Instant(), nullable=False),
)

"""The table of browsers that were let in."""

from __future__ import annotations

import sqlalchemy as sa

from surefoot.adapters.store.tables import Instant, metadata

visits = sa.Table(
    "visits",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True, nullable=False),
    sa.Column("token_sha256", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("until", Instant(), nullable=False),
)

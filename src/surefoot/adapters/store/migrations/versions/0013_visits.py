"""Browsers in which a person has shown their token, and an index on the looks at a rollout that changed something."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from surefoot.adapters.store.tables import Instant

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "visits",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_visits"),
    )
    op.create_index(
        "ix_reconciles_moved", "reconciles", ["rollout", "seq"],
        sqlite_where=sa.text("json_extract(document, '$.action') <> 'hold'"),
    )  # fmt: skip

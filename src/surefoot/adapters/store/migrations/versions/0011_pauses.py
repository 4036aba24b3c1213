"""Pauses: what an agent's program waits for a person to decide."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from surefoot.adapters.store.tables import Instant

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "pauses",
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("execution", sa.Text(), nullable=False),
        sa.Column("requested_at", Instant(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("agent", "name", name="pk_pauses"),
    )
    op.create_index("ix_pauses_name", "pauses", ["name"])
    op.create_index("ix_pauses_execution", "pauses", ["execution"])

"""Memory: entries by place and key, and the last changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from surefoot.adapters.store.tables import Instant, Serial

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "memory",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("written_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("scope", "owner", "key", name="pk_memory"),
    )
    op.create_index("ix_memory_expires_at", "memory", ["expires_at"])
    op.create_table(
        "memory_changes",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_memory_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_memory_changes_scope_owner_seq", "memory_changes", ["scope", "owner", "seq"])

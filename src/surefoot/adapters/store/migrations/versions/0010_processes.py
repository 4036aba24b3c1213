"""Versions that are processes, and their executions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from surefoot.adapters.store.tables import Instant, Serial

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "builds",
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("agent", "version", name="pk_builds"),
    )
    op.create_index("ux_builds_number", "builds", ["agent", "number"], unique=True)
    op.create_table(
        "processes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_processes"),
    )
    op.create_index("ix_processes_agent_number", "processes", ["agent", "number"])
    op.create_table(
        "executions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("held_until", Instant(), nullable=True),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_executions"),
    )
    for columns in (["agent", "id"], ["state", "id"], ["parent"], ["workflow"]):
        op.create_index(f"ix_executions_{'_'.join(columns)}", "executions", columns)
    op.create_table(
        "execution_notes",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("execution", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_execution_notes"),
    )
    op.create_index("ix_execution_notes_execution_seq", "execution_notes", ["execution", "seq"])

"""Spans: what instrumented agents sent, as it was sent and as it is searched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from surefoot.adapters.store.tables import Instant

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "spans",
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("trace_id", "span_id", "parent_id", "agent")),
        sa.Column("version", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "kind", "status")),
        *(sa.Column(name, Instant(), nullable=False) for name in ("started", "ended")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("session", "actor")),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ux_spans_span", "spans", ["trace_id", "span_id"], unique=True)
    op.create_index("ix_spans_agent_started", "spans", ["agent", "started"])
    op.create_index(
        "ix_spans_failures", "spans", ["agent", "version", "started"], sqlite_where=sa.text("status = 'error'")
    )
    op.create_index("ix_spans_evaluations", "spans", ["trace_id"], sqlite_where=sa.text("kind = 'evaluation'"))

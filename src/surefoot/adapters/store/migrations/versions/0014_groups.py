"""Spans of one trace that came together are kept together; those that are there become groups of one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from surefoot.adapters.store.tables import Instant

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    for name in ("ux_spans_span", "ix_spans_agent_started", "ix_spans_failures", "ix_spans_evaluations"):
        op.drop_index(name, "spans")
    op.rename_table("spans", "single_spans")
    op.create_table(
        "spans",
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("trace_id", "span_ids", "agent")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("version", "evaluation", "failed")),
        *(sa.Column(name, Instant(), nullable=False) for name in ("started", "ended")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("session", "actor")),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.execute(
        "INSERT INTO spans (seq, trace_id, span_ids, agent, version, evaluation, failed, started, ended, session,"
        " actor, body) SELECT seq, trace_id, span_id, agent, version, name = 'gen_ai.evaluation.result',"
        " status = 'error', started, ended, session, actor, body FROM single_spans"
    )
    op.drop_table("single_spans")
    op.create_index("ix_spans_trace_id", "spans", ["trace_id"])
    op.create_index("ix_spans_agent_started", "spans", ["agent", "started"])
    op.create_index("ix_spans_failures", "spans", ["agent", "version", "started"], sqlite_where=sa.text("failed > 0"))
    op.create_index("ix_spans_evaluations", "spans", ["trace_id"], sqlite_where=sa.text("evaluation = 1"))

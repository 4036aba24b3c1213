"""Finding traces: sessions, actors and ids of the app; and counts of those that were deleted.

Older traces get their session from the unit they were assigned by, and their actor from the source that was named.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
COLUMNS = ("session", "actor", "external_id")


def upgrade() -> None:
    """Columns with their indexes, and one table."""
    for name in COLUMNS:
        op.add_column("traces", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE traces SET session = substr(unit, 9) WHERE unit LIKE 'session:%'")
    op.execute("UPDATE traces SET actor = source WHERE source <> '' AND source NOT LIKE 'file:%'")
    named = {name: sa.text(f"{name} <> ''") for name in COLUMNS}
    op.create_index("ix_traces_session", "traces", ["session", "agent", "at"], sqlite_where=named["session"])
    op.create_index("ix_traces_actor", "traces", ["actor", "agent", "at"], sqlite_where=named["actor"])
    op.create_index("ux_traces_external", "traces", ["agent", "external_id"], unique=True,
                    sqlite_where=named["external_id"])  # fmt: skip
    op.create_index("ix_failures_trace_id", "failures", ["trace_id"])
    op.create_table(
        "deleted_counts",
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("agent", "version", "verdict", name="pk_deleted_counts"),
    )

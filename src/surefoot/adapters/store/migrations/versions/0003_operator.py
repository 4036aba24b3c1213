"""What the operator needs: running counts, the paired road, the sentinel, incidents, notices and switches.

The counts of rollouts that are there already are computed once from their pins and labels.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from surefoot.adapters.store.tables import Instant

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _table("unit_labels", 2, _text("rollout"), _text("unit"), _text("trace_id"), _instant("at"), _text("verdict"),
           _document("slices"), _document("observed"))  # fmt: skip
    _table("label_counts", 5, _text("rollout"), _text("slice"), _whole("epoch"), _text("arm"), _text("verdict"),
           _number("weight_percent"), _whole("n"))  # fmt: skip
    _table("unit_counts", 3, _text("rollout"), _whole("epoch"), _text("arm"), _number("weight_percent"), _whole("n"))
    _table("verdict_counts", 3, _text("agent"), _whole("version"), _text("verdict"), _whole("n"))
    _table("metric_states", 2, _text("rollout"), _text("metric"), _document("document"))
    _table("pairs", 2, _text("rollout"), _text("case"), _whole("seq"), _instant("at"), _document("document"))
    _table("banked", 3, _text("agent"), _text("window"), _text("case"), _whole("seq"), _whole("version"),
           _instant("at"), _document("document"))  # fmt: skip
    _table("incidents", 1, _text("id"), _text("agent"), _text("kind"), _text("state"), _instant("at"),
           _whole("revision"), _document("document"))  # fmt: skip
    _table("notices", 1, _text("id"), _text("state"), _instant("next_at"), _whole("revision"), _document("document"))
    _table("nonces", 1, _text("nonce"), _instant("at"))
    _table("switches", 1, _text("name"), _document("document"))
    op.create_index("ix_banked_agent_case", "banked", ["agent", "case"])
    op.create_index("ix_incidents_agent_at", "incidents", ["agent", "at"])
    op.create_index("ix_notices_state_next_at", "notices", ["state", "next_at"])
    for statement in COUNTING:
        op.execute(statement)


def _table(name: str, keys: int, *columns: sa.Column[object]) -> None:
    key = sa.PrimaryKeyConstraint(*(column.name for column in columns[:keys]), name=f"pk_{name}")
    op.create_table(name, *columns, key)


def _text(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text(), nullable=False)


def _whole(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _number(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Float(), nullable=False)


def _instant(name: str) -> sa.Column[object]:
    return sa.Column(name, Instant(), nullable=False)


def _document(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), nullable=False)


_UNITS = """
    INSERT INTO unit_counts (rollout, epoch, arm, weight_percent, n)
    SELECT rollout, epoch, arm, weight_percent, COUNT(*) FROM pins GROUP BY rollout, epoch, arm, weight_percent
"""
_UNIT_LABELS = """
    INSERT INTO unit_labels (rollout, unit, trace_id, at, verdict, slices, observed)
    SELECT rollout, unit, id, at, verdict, '[]', '{}' FROM (
        SELECT t.rollout, t.unit, t.id, t.at, o.verdict,
               ROW_NUMBER() OVER (PARTITION BY t.rollout, t.unit ORDER BY t.at, t.id) AS nth
        FROM traces t
        JOIN outcomes o ON o.seq = (
            SELECT MAX(x.seq) FROM outcomes x WHERE x.trace_id = t.id AND x.verdict <> 'unknown'
        )
        WHERE t.rollout <> ''
    ) AS labelled
    WHERE nth = 1
"""
_LABELS = """
    INSERT INTO label_counts (rollout, slice, epoch, arm, verdict, weight_percent, n)
    SELECT p.rollout, '', p.epoch, p.arm, l.verdict, p.weight_percent, COUNT(*)
    FROM unit_labels l JOIN pins p ON p.rollout = l.rollout AND p.unit = l.unit
    GROUP BY p.rollout, p.epoch, p.arm, l.verdict, p.weight_percent
"""
_VERDICTS = """
    INSERT INTO verdict_counts (agent, version, verdict, n)
    SELECT t.agent, t.version, COALESCE((
        SELECT o.verdict FROM outcomes o WHERE o.trace_id = t.id AND o.verdict <> 'unknown' ORDER BY o.seq DESC LIMIT 1
    ), 'unknown') AS verdict, COUNT(*)
    FROM traces t GROUP BY 1, 2, 3
"""
COUNTING = (_UNITS, _UNIT_LABELS, _LABELS, _VERDICTS)

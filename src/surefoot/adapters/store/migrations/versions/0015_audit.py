"""Who did what to which thing is found by an index, so that a page of a long record takes no longer than of a short.

Within one name an index holds the entries in the order of the record, so none of them has to be put in order.
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    for name in ("actor", "action", "subject"):
        op.create_index(f"ix_audit_{name}", "audit", [name])

"""Browsers that were let in; of their cookies only hashes are here."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store.visit_tables import visits
from surefoot.core.visit import Visit


class SqlVisits:
    """Visits by the SHA-256 of their cookie; implements `ports.visits.Visits`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, visit: Visit, *, forget_before: datetime) -> None:
        """Keep a visit; those that ended before are forgotten."""
        self._connection.execute(sa.delete(visits).where(visits.c.until < forget_before))
        self._connection.execute(sa.insert(visits).values(**asdict(visit)))

    def find(self, sha256: str) -> Visit | None:
        """Give the visit with this cookie; None if there is none."""
        row = self._connection.execute(sa.select(visits).where(visits.c.sha256 == sha256)).mappings().one_or_none()
        return None if row is None else Visit(**row)

    def end(self, sha256: str) -> bool:
        """End a visit; whether there was one."""
        return self._connection.execute(sa.delete(visits).where(visits.c.sha256 == sha256)).rowcount > 0

"""Money and calls: reservations and what they really cost, by scope (such as one day of an agent)."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.rows import insert_or_keep
from surefoot.core.budget import Budget, Ledger
from surefoot.core.proposal import Cost


class SqlLedgers:
    """Ledgers by scope; a reservation has a key, so that a repeated step reserves once."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def get(self, scope: str, budget: Budget) -> Ledger:
        """Give the ledger of a scope under a budget."""
        table, settled, reserved = tables.ledger, Cost(), list[tuple[str, Cost]]()
        for row in self._connection.execute(sa.select(table).where(table.c.scope == scope).order_by(table.c.at)):
            cost = Cost(calls=row.calls, tokens=row.tokens, usd=row.usd)
            if row.settled:
                settled += cost
            else:
                reserved.append((row.key, cost))
        return Ledger(budget=budget, settled=settled, reserved=tuple(reserved))

    def free_key(self, scope: str, key: str) -> str:
        """Give `key`, or `key+`, `key++` and so on: the first that was not settled yet."""
        table = tables.ledger
        while self._connection.scalar(sa.select(table.c.settled).where(table.c.scope == scope, table.c.key == key)):
            key += "+"
        return key

    def reserve(self, scope: str, key: str, worst: Cost, at: datetime) -> None:
        """Set the worst case aside, once per key."""
        row = {"scope": scope, "key": key, "settled": False, "at": at} | _cost(worst)
        insert_or_keep(self._connection, tables.ledger, [row])

    def settle(self, scope: str, key: str, actual: Cost) -> None:
        """Replace a reservation by what it cost."""
        table = tables.ledger
        here = sa.and_(table.c.scope == scope, table.c.key == key)
        self._connection.execute(sa.update(table).where(here).values(settled=True, **_cost(actual)))


def _cost(cost: Cost) -> dict[str, object]:
    return {"calls": cost.calls, "tokens": cost.tokens, "usd": cost.usd}

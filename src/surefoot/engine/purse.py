"""A purse: what an eval run may spend, reserved before each call and settled with what came of it.

It keeps its ledgers in the store, under the run and, for an agent, under the agent's day. Where no ledger limits what
a call would cost, nothing is reserved and nothing is waited for. A process that dies leaves its reservations behind,
and they stay spent: nobody knows how far those calls got.
"""

from __future__ import annotations

from dataclasses import dataclass

from surefoot.core.budget import Budget
from surefoot.core.proposal import Cost
from surefoot.ports import Ports, Tx


@dataclass(frozen=True, slots=True)
class Reserved:
    """What was set aside for one call, by ledger; nothing if no ledger limits it."""

    keys: tuple[tuple[str, str], ...] = ()


class Purse:
    """The ledgers of one run."""

    def __init__(self, ports: Ports, ledgers: dict[str, Budget]) -> None:
        self._ports = ports
        self._ledgers = ledgers

    @property
    def bounded(self) -> bool:
        """Whether any ledger limits anything."""
        return any(budget != Budget() for budget in self._ledgers.values())

    async def reserve(self, key: str, worst: Cost) -> Reserved:
        """Set the worst case aside; BudgetExhausted if a ledger has no room for it."""
        bound = {name: budget for name, budget in self._ledgers.items() if _limits(budget, worst)}
        if not bound:
            return Reserved()
        now = self._ports.clock()

        def work(tx: Tx) -> Reserved:
            keys: list[tuple[str, str]] = []
            for ledger, budget in bound.items():
                free = tx.ledgers.free_key(ledger, f"{key}/{self._ports.new_id()}")
                tx.ledgers.get(ledger, budget).reserve(free, worst)
                tx.ledgers.reserve(ledger, free, worst, now)
                keys.append((ledger, free))
            return Reserved(tuple(keys))

        return await self._ports.store.write(work)


def settled(tx: Tx, held: Reserved, actual: Cost) -> None:
    """Replace a reservation by what it really cost."""
    for ledger, key in held.keys:
        tx.ledgers.settle(ledger, key, actual)


def _limits(budget: Budget, worst: Cost) -> bool:
    return any(getattr(budget, side) is not None and getattr(worst, side) > 0 for side in ("calls", "tokens", "usd"))

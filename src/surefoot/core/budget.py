"""Budgets: reserved before spending, settled after, never exceeded.

A check after the call overshoots by one call, so every call first reserves its worst case (prompt and completion at
list price). What is reserved counts as spent until it is settled with the true cost. A limit of 0 allows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from surefoot.core.errors import BudgetExhausted, Conflict, Invalid
from surefoot.core.proposal import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that one piece of work may cost; None means that this side is not limited."""

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "usd"):
            limit = getattr(self, name)
            if limit is not None and not limit >= 0:
                raise Invalid(f"a budget of {limit} {name} makes no sense", hint="use 0 or more, or leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A budget with what is settled and what is still reserved, by the key of each reservation."""

    budget: Budget
    settled: Cost = field(default_factory=Cost)
    reserved: tuple[tuple[str, Cost], ...] = ()

    @property
    def committed(self) -> Cost:
        """Settled and reserved together: what counts against the budget."""
        total = self.settled
        for _, cost in self.reserved:
            total += cost
        return total

    def reserve(self, key: str, worst: Cost) -> Ledger:
        """Set `worst` aside under `key`; BudgetExhausted if it does not fit.

        The same key twice is one reservation, and a Conflict if the two are not of the same amount.
        """
        for known, cost in self.reserved:
            if known == key and cost != worst:
                raise Conflict(f"{key!r} is already reserved, for another amount", hint="give each call its own key")
            if known == key:
                return self
        after = self.committed + worst
        for name in ("calls", "tokens", "usd"):
            limit = getattr(self.budget, name)
            if limit is not None and getattr(after, name) > limit:
                raise BudgetExhausted(
                    f"the next step needs {getattr(worst, name):g} {name}, "
                    f"but {getattr(self.committed, name):g} of {limit:g} are already committed",
                    hint=f"raise the budget of {name}, or wait for the next cycle",
                )
        return Ledger(budget=self.budget, settled=self.settled, reserved=(*self.reserved, (key, worst)))

    def settle(self, key: str, actual: Cost) -> Ledger:
        """Replace the reservation `key` by what it really cost; an unknown key changes nothing but the sum."""
        rest = tuple((known, cost) for known, cost in self.reserved if known != key)
        return Ledger(budget=self.budget, settled=self.settled + actual, reserved=rest)

"""The door to an improver: a brief in, a proposal out, nothing to hold on to."""

from __future__ import annotations

from typing import Protocol

from surefoot.core.budget import Budget
from surefoot.core.proposal import Brief, Cost, Proposal


class Improver(Protocol):
    """Writes proposals; sees a brief, gives a proposal, holds nothing."""

    @property
    def name(self) -> str: ...

    def price(self, budget: Budget) -> Cost:
        """Give the most that one proposal can cost within this budget; Invalid if the budget sets no bound."""
        ...

    async def propose(self, brief: Brief, budget: Budget) -> Proposal:
        """Give edits for the brief's gap within the budget, or a proposal without edits."""
        ...

"""The door to a writer of probes: clauses in, questions out, and the price before it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from surefoot.core.budget import Budget
from surefoot.core.clauses import Clause
from surefoot.core.probe import Probe
from surefoot.core.proposal import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSheet:
    """All that a writer may know: the numbered clauses of an agent's instructions, its tools and its labels."""

    agent: str
    clauses: tuple[Clause, ...]
    tools: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    most: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenProbes:
    """What a writer wrote, what it cost, and why it is less than was asked for."""

    probes: tuple[Probe, ...]
    cost: Cost = field(default_factory=Cost)
    note: str = ""


class ProbeWriter(Protocol):
    """Writes probes; they are examined before one is used, and it never sees an answer."""

    @property
    def name(self) -> str: ...

    def price(self, budget: Budget) -> Cost:
        """Give the most that one writing can cost within this budget."""
        ...

    async def write(self, sheet: ProbeSheet, budget: Budget) -> WrittenProbes:
        """Write probes; Unavailable, Invalid or BudgetExhausted only while nothing is spent."""
        ...

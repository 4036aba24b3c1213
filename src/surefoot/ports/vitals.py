"""What an operator watches: whether the store is the one this program knows, and how much lies in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from surefoot.core.health.stored import Letters, Waiting, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts of now: rollouts by agent and state, verdicts by agent, open approvals by agent, workflows by state."""

    rollouts: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    verdicts: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    approvals: Mapping[str, int] = field(default_factory=dict[str, int])
    notices: Mapping[str, int] = field(default_factory=dict[str, int])
    workflows: Mapping[str, int] = field(default_factory=dict[str, int])


class Vitals(Protocol):
    def schema(self) -> str:
        """Give the schema's revision."""
        ...

    def totals(self, now: datetime) -> Totals: ...
    def bytes(self) -> int:
        """Give how large the store is."""
        ...

    def workers(self, since: datetime) -> list[Worker]:
        """Give the processes that worked on the loop since then and did not end in peace, with what each does."""
        ...

    def letters(self, now: datetime) -> tuple[Letters, Letters]:
        """Give what did not arrive, or is late: at other systems, and at people."""
        ...

    def day_costs(self, scopes: Collection[str]) -> Mapping[str, tuple[float, float]]:
        """Give the US dollars that were settled and are set aside in each of these ledgers."""
        ...

    def budget_set(self, agent: str) -> tuple[str, datetime] | None:
        """Give who set an agent's budget of a day last, and when."""
        ...

    def incidents(self, agents: Collection[str]) -> Waiting:
        """Give how many incidents of these agents are open."""
        ...

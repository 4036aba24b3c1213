"""What an operator watches: whether the store is the one this program knows, and how much lies in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


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

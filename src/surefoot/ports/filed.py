"""A proposal on file, with what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from surefoot.core.proposal import Proposal

ProposalState = Literal["proposed", "refused", "accepted", "rejected", "inconclusive", "outdone", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A proposal as it is kept: where it came from, what the gate said of it, and the evidence."""

    id: str
    agent: str
    tick: int
    lever: str
    on: int
    proposal: Proposal
    state: ProposalState
    at: datetime
    evidence: Mapping[str, object] = field(default_factory=dict[str, object])

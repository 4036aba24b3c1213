"""A person's decision, bound to exactly what they saw.

A request carries the hash of the version and the hash of the evidence. A decision must quote both: if either has
moved on, the approval is stale and counts for nothing. Whoever proposed the version cannot approve it, an expired
request is never a success, and a request is decided once.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from surefoot.core.errors import Conflict, Forbidden, Invalid

ApprovalState = Literal["pending", "approved", "rejected", "changes_requested", "expired"]
Decision = Literal["approved", "rejected", "changes_requested"]
DEFAULT_EXPIRY = timedelta(hours=72)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A request for a decision and, later, the decision; times are aware datetimes."""

    id: str
    agent: str
    rollout: str
    version: int
    version_digest: str
    evidence_digest: str
    proposers: tuple[str, ...]
    requested_at: datetime
    expires_at: datetime
    state: ApprovalState = "pending"
    decided_by: str = ""
    decided_at: datetime | None = None
    feedback: str = ""


def state_at(approval: Approval, now: datetime) -> ApprovalState:
    """Give the state as of `now`: a pending request past its expiry is expired, whoever is still asleep."""
    return "expired" if approval.state == "pending" and now >= approval.expires_at else approval.state


def identity(name: str) -> str:
    """Give the form in which names are compared: case, width, white space and invisible characters do not count."""
    seen = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return " ".join(seen.casefold().split())


def decide(
    approval: Approval,
    decision: Decision,
    *,
    actor: str,
    version_digest: str,
    evidence_digest: str,
    now: datetime,
    feedback: str = "",
) -> Approval:
    """Give the decided request, or raise.

    Invalid (no such decision, nobody's name), Forbidden (own proposal), Conflict (decided, expired, stale).
    """
    if decision not in get_args(Decision):
        raise Invalid(f"{decision!r} decides nothing", hint=f"use one of {', '.join(get_args(Decision))}")
    if not identity(actor):
        raise Invalid(f"approval {approval.id} needs a person's name", hint="say who decides (--by NAME)")
    if identity(actor) in {identity(name) for name in approval.proposers}:
        raise Forbidden(
            f"{actor} proposed {approval.agent} v{approval.version} and cannot decide on it",
            hint="another person has to look at it",
        )
    if (state := state_at(approval, now)) != "pending":
        raise Conflict(f"approval {approval.id} is {state}", hint="ask for a new decision on the current evidence")
    if (version_digest, evidence_digest) != (approval.version_digest, approval.evidence_digest):
        raise Conflict(
            f"the evidence of approval {approval.id} has changed since you looked at it",
            hint="read the current evidence and quote its hashes",
        )
    return replace(approval, state=decision, decided_by=actor.strip(), decided_at=now, feedback=feedback)

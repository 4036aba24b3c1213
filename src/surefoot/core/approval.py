"""A person's decision, bound to exactly what they saw.

A request carries the hash of the version and the hash of the evidence. A decision must quote both: if either has
moved on, the approval is stale and counts for nothing. Whoever proposed the version cannot approve it, an expired
request is never a success, and a request is decided once. Where two people are needed, the first yes leaves it
pending, the same person counts once however they write their name, and anybody's no ends it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from surefoot.core.errors import Conflict, Forbidden, Invalid
from surefoot.core.policy import ChangeLevel, Policy

ApprovalState = Literal["pending", "approved", "rejected", "changes_requested", "expired"]
Decision = Literal["approved", "rejected", "changes_requested"]
DEFAULT_EXPIRY = timedelta(hours=72)
FEEDBACK_CHARS = 2000
# Characters that show nothing and are no format characters by their category (Unicode: Default_Ignorable_Code_Point).
_UNSEEN = frozenset(map(chr, (
    0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, 0x2800,
    *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0),
)))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """One person's yes."""

    by: str
    at: datetime
    feedback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A request for a decision and, later, the decision; times are aware datetimes.

    `people_needed` different people must say yes; `consents` are those who did, in their order.
    """

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
    people_needed: int = 1
    consents: tuple[Consent, ...] = ()

    @property
    def signed(self) -> int:
        """How many different people have said yes."""
        return len({identity(one.by) for one in self.consents})


def people_needed(policy: Policy, level: ChangeLevel, *, house: int = 1) -> int:
    """Give how many people must approve: the agent's or the house's number, and two where the stakes are high.

    Those are changes of level 3 (tools) and above, and agents whose policy says so.
    """
    risky = level >= 3 or policy.stakes == "high"
    return max(2 if risky else 1, policy.people_needed, house)


def state_at(approval: Approval, now: datetime) -> ApprovalState:
    """Give the state as of `now`: a pending request past its expiry is expired, whoever is still asleep."""
    return "expired" if approval.state == "pending" and now >= approval.expires_at else approval.state


def identity(name: str) -> str:
    """Give the form in which names are compared: case, width, white space and invisible characters do not count."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(char for char in folded if not _unseen(char)).split())


def whose(name: str, people: Mapping[str, str]) -> str:
    """Give the identity of the person that a name stands for: that of a token, or the name itself."""
    return identity(people.get(identity(name), name))


def among(by: str, names: Iterable[str], people: Mapping[str, str]) -> bool:
    """Whether the person behind a name is behind one of the others: who proposed or asked does not decide."""
    return whose(by, people) in {whose(name, people) for name in names}


def _unseen(char: str) -> bool:
    return char in _UNSEEN or (unicodedata.category(char) in ("Cf", "Cc") and not char.isspace())


def decide(
    approval: Approval,
    decision: Decision,
    *,
    actor: str,
    version_digest: str,
    evidence_digest: str,
    now: datetime,
    feedback: str = "",
    people: Mapping[str, str] | None = None,
) -> Approval:
    """Give the decided request (still pending while more people are needed), or raise.

    `people` says which person is behind the name of a token, by identity; one person with several is one person.
    Saying yes twice changes nothing. Invalid (no such decision, nobody's name, changes without saying which),
    Forbidden (own proposal), Conflict (decided, expired, stale).
    """
    behind = people or {}
    _must_be_able(approval, decision, actor, feedback, behind)
    if (state := state_at(approval, now)) != "pending":
        raise Conflict(f"approval {approval.id} is {state}", hint="ask for a new decision on the current evidence")
    if (version_digest, evidence_digest) != (approval.version_digest, approval.evidence_digest):
        raise Conflict(
            f"the evidence of approval {approval.id} has changed since you looked at it",
            hint="read the current evidence and quote its hashes",
        )
    by = behind.get(identity(actor), actor).strip()
    if decision != "approved":
        return replace(approval, state=decision, decided_by=by, decided_at=now, feedback=feedback)
    if among(by, (one.by for one in approval.consents), behind):
        return approval
    after = replace(approval, consents=(*approval.consents, Consent(by=by, at=now, feedback=feedback)))
    if len({whose(one.by, behind) for one in after.consents}) < approval.people_needed:
        return after
    everyone = ", ".join(one.by for one in after.consents)
    said = "; ".join(one.feedback for one in after.consents if one.feedback)
    return replace(after, state="approved", decided_by=everyone, decided_at=now, feedback=said)


def _must_be_able(
    approval: Approval, decision: Decision, actor: str, feedback: str, people: Mapping[str, str]
) -> None:  # fmt: skip
    """Raise for what is wrong with a decision whatever the request stands at."""
    if decision not in get_args(Decision):
        raise Invalid(f"{decision!r} decides nothing", hint=f"use one of {', '.join(get_args(Decision))}")
    if not identity(actor):
        raise Invalid(f"approval {approval.id} needs a person's name", hint="say who decides (--by NAME)")
    if among(actor, approval.proposers, people):
        raise Forbidden(
            f"{actor} proposed {approval.agent} v{approval.version} and cannot decide on it",
            hint="another person has to look at it",
        )
    if len(feedback) > FEEDBACK_CHARS:
        raise Invalid(
            f"the feedback has {len(feedback)} characters, {FEEDBACK_CHARS} are read", hint="say the most important"
        )
    if decision == "changes_requested" and not feedback.strip():
        raise Invalid("a request for changes says which", hint="say what should be different (--feedback TEXT)")

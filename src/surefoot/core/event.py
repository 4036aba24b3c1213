"""An event: an entry of the audit log as others are told of it, and who wants to hear which.

Its kind is the entry's action with a dot after the first word, so that `rollout.*` names everything about rollouts.
Its agent is the first part of the subject, where that is an agent's name; whatever is about no agent is told only to
those who are held to none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from surefoot.core.audit import Entry
from surefoot.core.errors import Invalid

_PATTERN = re.compile(r"\*|[a-z0-9*_-]+(\.[a-z0-9*_-]+)*")
MOST_PATTERNS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of state; `seq` is that of the audit log, `agent` is empty where it is about none."""

    seq: int
    kind: str
    agent: str
    subject: str
    actor: str
    at: datetime
    facts: Mapping[str, object] = field(default_factory=dict[str, object])

    def document(self) -> dict[str, object]:
        """Give it JSON-shaped."""
        return {
            "seq": self.seq, "kind": self.kind, "agent": self.agent or None, "subject": self.subject,
            "actor": self.actor, "at": self.at.isoformat(), "facts": dict(self.facts),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events somebody hears: of these agents, of kinds that fit one of these patterns; nothing named is all."""

    agents: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = ()

    def fits(self, event: Event) -> bool:
        """Whether an event is one of them."""
        if self.agents and event.agent not in self.agents:
            return False
        return not self.kinds or any(fits(pattern, event.kind) for pattern in self.kinds)


def event_of(entry: Entry, agents: Collection[str]) -> Event:
    """Give an entry as an event; `agents` are the names there are."""
    first = entry.subject.partition("/")[0]
    named = entry.payload.get("agent")
    agent = first if first in agents else str(named) if named in agents else ""
    return Event(
        seq=entry.seq, kind=kind_of(entry.action), agent=agent, subject=entry.subject, actor=entry.actor, at=entry.at,
        facts=entry.payload,
    )  # fmt: skip


def kind_of(action: str) -> str:
    """Give the kind of an action: `rollout-await_approval` is `rollout.await_approval`."""
    return action.replace("-", ".", 1)


def fits(pattern: str, kind: str) -> bool:
    """Whether a kind fits a pattern, in which a star stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), kind) is not None


def patterns(given: Collection[str]) -> tuple[str, ...]:
    """Check patterns of kinds; Invalid for one that could never fit."""
    if len(given) > MOST_PATTERNS:
        raise Invalid(f"{len(given)} kinds are named", hint=f"name at most {MOST_PATTERNS}, or use a star")
    for one in given:
        if len(one) > 100 or one.count("*") > 5 or not _PATTERN.fullmatch(one):
            raise Invalid(f"{one[:100]!r} is no kind of event", hint="write rollout.promote, rollout.* or *")
    return tuple(dict.fromkeys(given))

"""Attend: what waits for a person now, across all agents, the most pressing first.

An open incident comes before a frozen rollout, that before a decision, and that before what only needs a word. Within
a kind the oldest comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from surefoot.core.agent import Agent
from surefoot.core.approval import state_at
from surefoot.core.rollout.standing import Rollout
from surefoot.engine.halt import ALL
from surefoot.ports import Ports, Tx

NeedKind = Literal["incident", "frozen", "stopped", "approval", "expired", "worse"]
_ORDER: tuple[NeedKind, ...] = get_args(NeedKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing that waits for a person; `id` is that of the incident, the rollout or the approval (empty: none)."""

    kind: NeedKind
    agent: str
    id: str
    title: str
    sentence: str
    at: datetime | None
    until: datetime | None = None


async def attention(ports: Ports, sees: Callable[[str], bool]) -> list[Need]:
    """Give what waits for a person, of the agents that are seen."""
    now = ports.clock()
    found = await ports.store.read(lambda tx: needs(tx, now, sees))
    return sorted(found, key=lambda one: (_ORDER.index(one.kind), one.at or now, one.id))


def needs(tx: Tx, now: datetime, sees: Callable[[str], bool]) -> list[Need]:
    """Gather what waits, in no order."""
    found = _stopped_all(tx)
    for agent in tx.agents.all():
        if sees(agent.name):
            active = tx.rollouts.active(agent.name)
            found += _stopped(agent) + _incidents(tx, agent) + ([] if active is None else _rollout(tx, active, now))
    return found


def _stopped_all(tx: Tx) -> list[Need]:
    switch = tx.switches.get(ALL)
    if switch is None:
        return []
    sentence = f"{switch['by']} stopped all agents" + (f": {switch['reason']}" if switch.get("reason") else ".")
    at = datetime.fromisoformat(str(switch["at"])) if switch.get("at") else None
    return [Need(kind="stopped", agent="", id="", title="All agents are stopped", sentence=sentence, at=at)]


def _stopped(agent: Agent) -> list[Need]:
    if not agent.stopped:
        return []
    sentence = "Only the live version serves, and nothing changes until a person resumes it."
    return [Need(kind="stopped", agent=agent.name, id="", title=f"{agent.name} is stopped", sentence=sentence, at=None)]


def _incidents(tx: Tx, agent: Agent) -> list[Need]:
    return [
        Need(kind="incident", agent=agent.name, id=one.id, title=f"Incident with v{one.version}",
             sentence=one.sentence, at=one.at)
        for one in tx.incidents.all(agent.name, state="open")
    ]  # fmt: skip


def _rollout(tx: Tx, rollout: Rollout, now: datetime) -> list[Need]:
    match rollout.state:
        case "frozen":
            sentence = "Its share is gone until a person has looked and lets it go on, or ends it."
            return [_need("frozen", rollout, f"v{rollout.challenger} is frozen", sentence)]
        case "awaiting_approval" if rollout.approval:
            asked = tx.approvals.get(rollout.approval)
            if state_at(asked, now) == "expired":
                sentence = (
                    "Nobody answered in time, which is no approval. The next look asks again; or end the rollout."
                )
                return [_need("expired", rollout, f"v{rollout.challenger}: the request expired", sentence)]
            left = asked.people_needed - asked.signed
            more = "one more person has" if left == 1 else f"{left} people have"
            who = "a person has" if asked.people_needed == 1 else more
            sentence = f"It won its canary; {who} to decide."
            return [Need(kind="approval", agent=rollout.agent, id=asked.id, title=f"Promote v{rollout.challenger}?",
                         sentence=sentence, at=asked.requested_at, until=asked.expires_at)]  # fmt: skip
        case _ if rollout.reason == "watched_guard":
            sentence = "A watched slice or metric looks worse. Accept it by name, or end the rollout."
            return [_need("worse", rollout, f"v{rollout.challenger} waits for a word", sentence)]
        case _:
            return []


def _need(kind: NeedKind, rollout: Rollout, title: str, sentence: str) -> Need:
    return Need(kind=kind, agent=rollout.agent, id=rollout.id, title=title, sentence=sentence, at=None)

"""Agents at a glance, and what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from surefoot.core.agent import Agent
from surefoot.core.dossier import Rate
from surefoot.core.rollout.standing import Rollout
from surefoot.core.trend import Trend
from surefoot.core.week import Week
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.lately import Lately, lately
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.dashboard.recent import Recent
from surefoot.engine.attend import Need, attention
from surefoot.engine.halt import halted
from surefoot.engine.incident import close
from surefoot.ports import Tx

Tone = Literal["ok", "canary", "asks", "frozen", "stop", "idle", "wait"]
_RECENT = Recent()
FIRST_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How an agent is, in two words and with a sign."""

    tone: Tone
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the store says of an agent, read in one go."""

    agent: Agent
    rollout: Rollout | None
    held: Rollout | None
    halted: bool
    levers: int
    failures: int
    changed: tuple[int, datetime, str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCard:
    """One agent at a glance; `success` counts the labels of the newest requests of each of seven days.

    `today` counts the requests of the last 24 hours, as far as they are counted (600 at most).
    """

    name: str
    live: str
    status: Status
    success: Rate
    requests: int
    trend: Trend
    until: datetime | None
    is_now: bool
    today: int
    today_usd: float
    cost_usd: float | None
    levers: int
    failures: int
    changed_at: datetime | None
    changed: str
    rollout: str
    days: tuple[Rate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    """The first page: the agents, what waits for a person, and what happened lately."""

    agents: tuple[AgentCard, ...]
    needs: tuple[Need, ...]
    lately: Lately
    begin: Copies


async def screen(asking: Asking) -> Page:
    """Show all agents that the visitor sees, those that need somebody first."""
    needs = await attention(asking.ports, asking.visitor.sees)
    standings = await asking.ports.store.read(lambda tx: _standings(tx, asking))
    weeks = await _RECENT.weeks(asking.ports, [one.agent.name for one in standings])
    waiting = {one.agent for one in needs}
    cards = sorted(
        (_card(one, weeks[one.agent.name], one.agent.name in waiting) for one in standings),
        key=lambda one: (one.status.tone != "asks", one.name),
    )
    begin = copies(("init", "my-agent", "--labels", "billing,refund,other"), "GET", "/api/v1/agents")
    names = {one.agent.name for one in standings}
    held = bool(asking.visitor.token.agents)
    past = await asking.ports.store.read(
        lambda tx: lately(tx, names, asking.now, held=held, reads=asking.visitor.reads)
    )
    first = any(not one.requests for one in cards)  # a first request is no event, so the page has to look by itself
    live = ("audit", "rollouts", *((f"every:{FIRST_S}",) if first else ()))
    model = Agents(agents=tuple(cards), needs=tuple(needs), lately=past, begin=begin)
    return Page(template="agents.html", model=model, title="Agents", place="agents", live=live)


async def close_incident(asking: Asking, fields: dict[str, str]) -> str:
    """Close an incident in the visitor's name, with a note."""
    found = await asking.ports.store.read(lambda tx: tx.incidents.get(asking.part("incident")))
    asking.must_see(found.agent, f"incident {found.id!r}")
    asking.visitor.must("decide", found.agent)
    await close(asking.ports, found.id, by=asking.visitor.name, note=fields.get("reason", "").strip())
    return "/?done=closed"


def status_of(one: Standing, *, waits: bool) -> Status:
    """Say how an agent is; what needs somebody comes first, then what goes on, then how it usually is."""
    rollout = one.rollout
    if one.halted:
        return Status(tone="stop", word="stopped")
    if rollout is not None and rollout.state == "frozen":
        return Status(tone="frozen", word="frozen")
    if waits:
        return Status(tone="asks", word="needs you")
    if rollout is not None and rollout.state == "shadow":
        return Status(tone="canary", word="shadow")
    if rollout is not None:
        return Status(tone="canary", word=f"canary {rollout.weight_percent:g} %")
    if one.held is not None:
        return Status(tone="canary", word=f"holdback {one.held.holdback_percent:g} %")
    return Status(tone="ok", word="healthy")


def _standings(tx: Tx, asking: Asking) -> list[Standing]:
    return [standing(tx, agent) for agent in tx.agents.all() if asking.visitor.sees(agent.name)]


def standing(tx: Tx, agent: Agent) -> Standing:
    """Read what stands in an agent's row."""
    levers, failures = tx.levers.opened(agent.name)
    lineage = tx.agents.lineage(agent.name)
    return Standing(
        agent=agent, rollout=tx.rollouts.active(agent.name), held=tx.rollouts.holdback(agent.name),
        halted=halted(tx, agent), levers=levers, failures=failures,
        changed=lineage[-1] if lineage else None,
    )  # fmt: skip


def _card(one: Standing, week: Week, waits: bool) -> AgentCard:
    name, rollout = one.agent.name, one.rollout or one.held
    status = status_of(one, waits=waits)
    if not week.requests and status.tone == "ok":
        status = Status(tone="wait", word="new" if week.until is None else "quiet")
    whole, today = week.whole, week.days[-1] if week.days and week.is_now else None
    return AgentCard(
        trend=week.trend, today=today.requests if today else 0,
        today_usd=today.cost_usd * today.requests if today else 0.0,
        name=name, live=f"v{one.agent.live}", status=status, success=whole, requests=week.requests, until=week.until,
        is_now=week.is_now, cost_usd=week.cost_usd, levers=one.levers, failures=one.failures,
        changed_at=one.changed[1] if one.changed else None, rollout=rollout.id if rollout else "",
        changed=f"v{one.changed[0]} by {one.changed[2]}" if one.changed else "", days=week.rates,
    )  # fmt: skip

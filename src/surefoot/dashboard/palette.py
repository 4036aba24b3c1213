"""The palette: every place that a visitor can go to, by name, for whoever types faster than they point."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from surefoot.core.approval import Approval
from surefoot.core.errors import SurefootError
from surefoot.dashboard.asking import house_of, refused
from surefoot.dashboard.pages import as_json
from surefoot.dashboard.visitor import ANYONE, Visitor, visitor_of
from surefoot.ports import Tx

MOST_EACH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place: what it is called, what it is, and where."""

    label: str
    hint: str
    href: str


async def palette(request: Request) -> Response:
    """Give all places."""
    house = house_of(request)
    try:
        visitor, now = await visitor_of(request, house), house.ports.clock()
        return as_json({"places": await house.ports.store.read(lambda tx: places(tx, visitor, now))})
    except SurefootError as error:
        return await refused(request, house, Visitor(token=ANYONE), error)


def _approvals(tx: Tx, visitor: Visitor, now: datetime) -> list[Approval]:
    seen = visitor.token.agents
    waiting = tx.approvals.listed(limit=MOST_EACH, agents=seen, waiting=now)
    return [*waiting, *tx.approvals.decided(now, agents=seen, skip=0, limit=MOST_EACH - len(waiting))]


def places(tx: Tx, visitor: Visitor, now: datetime) -> list[Place]:
    """Gather the pages of everything that the visitor sees; of each agent the newest versions and rollouts."""
    found = [
        Place(label="Agents", hint="page", href="/"), Place(label="Approvals", hint="page", href="/approvals"),
        Place(label="Audit", hint="page", href="/audit"),
        Place(label="Runs", hint="page", href="/runs"), Place(label="Health", hint="page", href="/status"),
    ]  # fmt: skip
    for agent in tx.agents.all():
        if visitor.sees(agent.name):
            here = f"/agents/{agent.name}"
            found += [Place(label=f"{agent.name}: {tab}", hint="agent", href=f"{here}/{tab}")
                      for tab in ("versions", "rollouts", "evals", "traces", "failures", "levers",
                                  "lessons")]  # fmt: skip
            found += [
                Place(label=f"{agent.name} v{one.challenger} against v{one.incumbent}", hint=f"rollout, {one.state}",
                      href=f"/rollouts/{one.id}")
                for one in tx.rollouts.all(agent.name)[: -MOST_EACH - 1 : -1]
            ]  # fmt: skip
    found += [
        Place(label=f"{one.suite}: {one.subject}", hint=f"eval, {one.state}", href=f"/evals/{one.id}")
        for one in tx.evals.runs(limit=MOST_EACH, agents=visitor.token.agents)
    ]
    found += [
        Place(label=f"{one.agent} v{one.version}: {one.id}", hint=f"approval, {one.state}", href=f"/approvals/{one.id}")
        for one in _approvals(tx, visitor, now)
    ]  # fmt: skip
    return found

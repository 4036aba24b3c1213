"""Versions: who came from whom, what became of each, and any two of them side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from markupsafe import Markup

from surefoot.core.agent import Agent
from surefoot.core.dossier import Rate, rate_of
from surefoot.core.version import Version, VersionState
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.blocks import Difference, difference
from surefoot.dashboard.charts import Node, lineage
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.engine.weigh import shares
from surefoot.ports import Tx

ROWS = 40
TONES: dict[VersionState, str] = {
    "live": "ok", "retired": "idle", "canary": "canary", "candidate": "wait", "rejected": "bad", "rolled_back": "back",
    "inconclusive": "idle",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """One version in the list; `failing` counts what people and checks said of its answers."""

    number: int
    label: str
    state: VersionState
    tone: str
    author: str
    rationale: str
    created_at: datetime
    parent: int | None
    share_percent: float
    failing: Rate
    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """A page of versions, newest first, and what differs between two of them."""

    agent: str
    live: int
    rows: tuple[VersionRow, ...]
    total: int
    older: int | None
    newest: bool
    base: int | None
    head: int | None
    difference: Difference | None
    copies: Copies | None
    graph: Markup


async def screen(asking: Asking) -> Page:
    """Show a page of the lineage; `base` and `head` name the two that are compared, else the newest and its parent."""
    agent = await asking.agent()
    before, base, head = asking.number("before"), asking.number("base"), asking.number("head")
    model = await asking.ports.store.read(lambda tx: _versions(tx, agent, before, base, head))
    return Page(
        template="versions.html", model=model, title=f"Versions of {agent.name}", place="agents", agent=agent.name,
        tab="versions", live=("audit",),
    )  # fmt: skip


def _versions(tx: Tx, agent: Agent, before: int | None, base: int | None, head: int | None) -> Versions:
    found = tx.trends.versions(agent.name, before=before, limit=ROWS + 1)
    given, lineage_of = shares(tx, agent.name), {number for number, *_ in tx.agents.lineage(agent.name)}
    rows = _with_lanes([_row(tx, one, given) for one in found[:ROWS]], lineage_of)
    base, head = _pair(tx, agent, base, head)
    compared = base is not None and head is not None and base != head
    return Versions(
        agent=agent.name, live=agent.live, rows=tuple(rows), total=tx.trends.version_count(agent.name),
        older=rows[-1].number if len(found) > ROWS else None, newest=before is None, base=base, head=head,
        difference=_difference(tx, agent.name, base, head) if compared else None, graph=_graph(rows),
        copies=copies(
            ("diff", agent.name, f"v{base}", f"v{head}"), "GET",
            f"/api/v1/agents/{agent.name}/diff?before=v{base}&after=v{head}",
        ) if compared else None,
    )  # fmt: skip


def _difference(tx: Tx, agent: str, base: int | None, head: int | None) -> Difference | None:
    if base is None or head is None:
        return None
    old, new = (tx.versions.genome(tx.versions.get(agent, one).genome) for one in (base, head))
    return difference(tx, agent, old, new, base=base, head=head)


def _pair(tx: Tx, agent: Agent, base: int | None, head: int | None) -> tuple[int | None, int | None]:
    """The two that are compared: those named, else the newest with its parent; a lone one with the live version."""
    if head is None and base is None:
        newest = tx.trends.versions(agent.name, before=None, limit=1)[0]
        return (None, None) if newest.parent is None else (newest.parent, newest.number)
    if head is None:
        head = agent.live
    if base is None:
        base = tx.versions.get(agent.name, head).parent or agent.live
    return base, head


def _row(tx: Tx, one: Version, given: dict[int, float]) -> VersionRow:
    seen = tx.outcomes.labelled(one.agent, version=one.number)
    return VersionRow(
        number=one.number, label=one.label, state=one.state, tone=TONES[one.state], author=one.author,
        rationale=one.rationale, created_at=one.created_at, parent=one.parent,
        share_percent=given.get(one.number, 0.0), failing=rate_of(seen.failure, seen.failure + seen.success), lane=0,
    )  # fmt: skip


def _with_lanes(rows: list[VersionRow], lived: set[int]) -> list[VersionRow]:
    """Give each version its lane: those that ever served stand in the first, the others beside it, as few as fit."""
    busy: dict[int, int] = {}
    found: list[VersionRow] = []
    for one in reversed(rows):  # oldest first: a lane is free again above a version that nothing came from
        if one.number in lived:
            found.append(one)
            continue
        lane = next(lane for lane in range(1, len(rows) + 2) if busy.get(lane, 0) < (one.parent or 0) or lane == 4)
        busy[lane] = one.number
        found.append(replace(one, lane=min(lane, 4)))
    return found[::-1]


def _graph(rows: list[VersionRow]) -> Markup:
    at = {one.number: index for index, one in enumerate(rows)}
    lanes = {one.number: one.lane for one in rows}
    return lineage([
        Node(row=at[one.number], lane=one.lane, tone=one.tone, has_parent=one.parent is not None,
             parent_row=at.get(one.parent) if one.parent is not None else None,
             parent_lane=lanes.get(one.parent, 0) if one.parent is not None else 0)
        for one in rows
    ], len(rows))  # fmt: skip

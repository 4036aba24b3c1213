"""Versions: who came from whom, what became of each, and any two of them side by side."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import datetime

from markupsafe import Markup

from surefoot.core.agent import Agent
from surefoot.core.dossier import Rate, rate_of
from surefoot.core.mask import masked_quotes
from surefoot.core.version import Version, VersionState
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.blocks import Difference, difference
from surefoot.dashboard.charts import Node, lineage
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.engine.weigh import shares
from surefoot.ports import Tx

ROWS, LANES = 40, 5
TONES: dict[VersionState, str] = {
    "live": "ok", "retired": "idle", "canary": "canary", "candidate": "wait", "rejected": "bad", "rolled_back": "back",
    "inconclusive": "idle",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """One version in the list; `lane` is where it stands in the picture of the lineage."""

    number: int
    label: str
    state: VersionState
    tone: str
    author: str
    rationale: str
    created_at: datetime
    parent: int | None
    share_percent: float
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
    picked: VersionRow | None
    rates: tuple[tuple[int, Rate], ...]
    most: float
    difference: Difference | None
    copies: Copies | None
    graph: Markup


async def screen(asking: Asking) -> Page:
    """Show a page of the lineage; `base` and `head` name the two that are compared, else the newest and its parent.

    `at` goes to one version, wherever it stands.
    """
    agent = await asking.agent()
    before, base, head = asking.number("before"), asking.number("base"), asking.number("head")
    if (at := asking.number("at")) is not None:
        before, base, head = at + 1, None, at
    reads = asking.visitor.reads(agent.name)
    model = await asking.ports.store.read(lambda tx: _versions(tx, agent, before, base, head, reads))
    return Page(
        template="versions.html", model=model, title=f"Versions of {agent.name}", place="agents", agent=agent.name,
        tab="versions", live=("audit",),
    )  # fmt: skip


def _versions(
    tx: Tx, agent: Agent, before: int | None, base: int | None, head: int | None, reads: bool
) -> Versions:  # fmt: skip
    found = tx.versions.listed(agent.name, before=before, limit=ROWS + 1)
    given, lineage_of = shares(tx, agent.name), {number for number, *_ in tx.agents.lineage(agent.name)}
    rows = with_lanes([_row(one, given, reads=reads) for one in found[:ROWS]], lineage_of)
    buses = buses_of(rows)
    base, head = _pair(tx, agent, base, head)
    compared = base is not None and head is not None and base != head
    rates = tuple((one, _failing(tx, agent.name, one)) for one in (head, base) if compared and one is not None)
    return Versions(
        agent=agent.name, live=agent.live, rows=tuple(rows), total=tx.versions.count(agent.name),
        older=rows[-1].number if len(found) > ROWS else None, newest=before is None, base=base, head=head, rates=rates,
        picked=_row(tx.versions.get(agent.name, head), given, reads=reads) if compared and head is not None else None,
        most=max([0.05, *(rate.high for _, rate in rates if rate.labels)]),
        difference=_difference(tx, agent.name, base, head, reads) if compared else None, graph=_graph(rows, buses),
        copies=copies(
            ("diff", agent.name, f"v{base}", f"v{head}"), "GET",
            f"/api/v1/agents/{agent.name}/diff?before=v{base}&after=v{head}",
        ) if compared else None,
    )  # fmt: skip


def _difference(tx: Tx, agent: str, base: int | None, head: int | None, reads: bool) -> Difference | None:
    if base is None or head is None:
        return None
    old, new = (tx.versions.genome(tx.versions.get(agent, one).genome) for one in (base, head))
    return difference(tx, agent, old, new, base=base, head=head, reads=reads)


def _pair(tx: Tx, agent: Agent, base: int | None, head: int | None) -> tuple[int | None, int | None]:
    """The two that are compared: those named, else the newest with its parent; a lone one with the live version."""
    if head is None and base is None:
        newest = tx.versions.listed(agent.name, before=None, limit=1)[0]
        return (None, None) if newest.parent is None else (newest.parent, newest.number)
    if head is None:
        head = agent.live
    if base is None:
        base = tx.versions.get(agent.name, head).parent or agent.live
    return base, head


def _row(one: Version, given: dict[int, float], *, reads: bool) -> VersionRow:
    return VersionRow(
        number=one.number, label=one.label, state=one.state, tone=TONES[one.state], author=one.author,
        rationale=one.rationale if reads else masked_quotes(one.rationale), created_at=one.created_at,
        parent=one.parent,
        share_percent=given.get(one.number, 0.0), lane=0,
    )  # fmt: skip


def _failing(tx: Tx, agent: str, number: int) -> Rate:
    seen = tx.outcomes.labelled(agent, version=number)
    return rate_of(seen.failure, seen.failure + seen.success)


def with_lanes(rows: list[VersionRow], lived: set[int]) -> list[VersionRow]:
    """Give each version its lane: the first and all that ever served stand in the trunk, the others beside it."""
    trunk = [replace(one, lane=int(one.parent is not None and one.number not in lived)) for one in rows]
    buses = buses_of(trunk)
    return [replace(one, lane=buses[one.number] if one.lane else 0) for one in trunk]


def buses_of(rows: list[VersionRow]) -> dict[int, int]:
    """Give the lane in which each version's line goes down to its parent; children of one parent share theirs.

    A line of the trunk that would pass another version of the trunk goes beside it as well.
    """
    at = {one.number: index for index, one in enumerate(rows)}
    trunk = [one.number for one in rows if not one.lane]
    below = dict(itertools.pairwise(trunk))
    groups: dict[int, list[VersionRow]] = {}
    for one in rows:
        if one.parent is not None and (one.lane or below.get(one.number, one.parent) != one.parent):
            groups.setdefault(one.parent, []).append(one)
    busy: list[list[tuple[int, int]]] = [[] for _ in range(LANES)]
    found = {one.number: 0 for one in rows}
    for parent, children in groups.items():
        span = (at[children[0].number], at.get(parent, len(rows)))
        free = (
            lane for lane, spans in enumerate(busy, 1) if all(span[1] <= top or end <= span[0] for top, end in spans)
        )
        lane = next(free, LANES)
        busy[lane - 1].append(span)
        found |= {one.number: lane for one in children}
    return found


def _graph(rows: list[VersionRow], buses: dict[int, int]) -> Markup:
    at = {one.number: index for index, one in enumerate(rows)}
    lanes = {one.number: one.lane for one in rows}
    return lineage([
        Node(row=at[one.number], lane=one.lane, bus=buses[one.number], tone=one.tone, has_parent=one.parent is not None,
             parent_row=at.get(one.parent) if one.parent is not None else None,
             parent_lane=lanes.get(one.parent, 0) if one.parent is not None else 0)
        for one in rows
    ], len(rows))  # fmt: skip

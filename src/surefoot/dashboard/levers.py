"""Levers: the ranked moves of an agent, what became of each, and what was tried."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from surefoot.core.backlog import Lever, LeverState
from surefoot.core.errors import NotFound
from surefoot.core.mask import masked_lever, masked_step
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.dashboard.texts import reading
from surefoot.engine.inspect import failing
from surefoot.ports import Filed, Tx

TONES: dict[LeverState, str] = {
    "open": "wait", "doing": "canary", "drafted": "canary", "shipped": "ok", "failed": "bad", "closed": "idle",
}  # fmt: skip
MOST_ROWS, MOST_TRIED = 100, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverRow:
    """One lever; `share` is its worth beside that of the best."""

    lever: Lever
    tone: str
    rank: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A proposal for a lever: who wrote it, what became of it, and why."""

    filed: Filed
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Levers:
    """The backlog by worth, and the lever whose story is open; `hold` says why there is none yet."""

    agent: str
    rows: tuple[LeverRow, ...]
    state: str
    states: tuple[tuple[str, int], ...]
    hold: str
    shown: LeverRow | None
    log: tuple[tuple[datetime, str], ...]
    tried: tuple[Tried, ...]
    copies: Copies
    hidden: bool = False


async def screen(asking: Asking) -> Page:
    """Show an agent's levers, the most worthwhile first; `lever` opens one, `state` keeps those of one state."""
    agent = await asking.agent()
    some = await asking.ports.store.read(lambda tx: tx.levers.states(agent.name))
    hold = "" if some else (await failing(asking.ports, agent.name, limit=1)).hold
    model = await asking.ports.store.read(
        lambda tx: _levers(tx, agent.name, asking.query("lever"), asking.query("state"), some, hold)
    )
    model = without_texts(model) if reading(asking, agent.name).hidden else model
    return Page(template="levers.html", model=model, title=f"Levers of {agent.name}", place="agents",
                agent=agent.name, tab="levers", live=("audit",))  # fmt: skip


def without_texts(model: Levers) -> Levers:
    """Give the page as it is for who may look, but not read what people wrote: edits and reasons may quote it."""
    return replace(
        model, hidden=True, rows=tuple(map(_without_texts, model.rows)),
        shown=_without_texts(model.shown) if model.shown else None,
        log=tuple((at, masked_step(said)) for at, said in model.log),
        tried=tuple(
            replace(one, filed=replace(
                one.filed, evidence={}, proposal=replace(one.filed.proposal, rationale="", edits=()),
            ))
            for one in model.tried
        ),
    )  # fmt: skip


def _without_texts(row: LeverRow) -> LeverRow:
    return replace(row, lever=masked_lever(row.lever))


def _asked_for(tx: Tx, agent: str, lever: str) -> LeverRow | None:
    """The lever that is asked for by name and not in the list; there may be none."""
    if not lever:
        return None
    with suppress(NotFound):
        one = tx.levers.get(agent, lever)
        return LeverRow(lever=one, tone=TONES[one.state], rank=0, share=0.0)
    return None


def _levers(tx: Tx, agent: str, lever: str, state: str, counts: Mapping[str, int], hold: str) -> Levers:
    found = tx.levers.ranked(agent, state=state, limit=MOST_ROWS)
    best = max((one.worth for one in found), default=0.0) or 1.0
    rows = [LeverRow(lever=one, tone=TONES[one.state], rank=rank, share=one.worth / best)
            for rank, one in enumerate(found, 1)]  # fmt: skip
    shown = next((one for one in rows if one.lever.id == lever), None) or _asked_for(tx, agent, lever)
    filed = [one for one in reversed(tx.proposals.all(agent)) if shown and one.lever == shown.lever.id][:MOST_TRIED]
    return Levers(
        agent=agent, rows=tuple(rows), state=state,
        states=tuple(sorted(counts.items())), hold=hold, shown=shown,
        log=tuple(reversed(tx.levers.log(agent, shown.lever.id))) if shown else (),
        tried=tuple(Tried(filed=one, sentence=str(one.evidence.get("sentence") or "")) for one in filed),
        copies=copies(("levers", agent), "GET", f"/api/v1/agents/{agent}/levers"),
    )  # fmt: skip

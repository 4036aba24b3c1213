"""The audit record, newest first, and whether its chain holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from surefoot.core.audit import Checked, Entry, Verification
from surefoot.core.errors import Forbidden
from surefoot.core.event import event_of
from surefoot.core.mask import masked_payload
from surefoot.core.signature import Unauthenticated
from surefoot.core.story import said_of
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.engine.verify import chain as chain_of
from surefoot.ports import Tx
from surefoot.ports.audit import AuditFilter

ROWS = 100
NAMED = 1000
WAIT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry, with the agent it is about (empty: none) and its sentence where it has one."""

    entry: Entry
    agent: str
    sentence: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """A page of the record; `older` is the cursor of the next one, `shown` the entry whose details are open."""

    lines: tuple[Line, ...]
    wanted: AuditFilter
    actors: tuple[str, ...]
    actions: tuple[str, ...]
    agents: tuple[str, ...]
    older: int | None
    newest: bool
    last: int
    shown: Line | None
    payload: str
    copies: Copies


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditChain:
    """How the chain stands: what was found, what was not walked `left`, and who `kept` walked all of it last.

    `going` says that somebody has asked for a walk along all of it that has not ended.
    """

    found: Verification
    left: int
    kept: Checked
    going: bool
    may_walk: bool
    copies: Copies


async def screen(asking: Asking) -> Page:
    """Show a page of the record, as filtered; a visitor held to some agents sees what is about them."""
    wanted = AuditFilter(agent=asking.query("agent"), actor=asking.query("actor"), action=asking.query("action"))
    if asking.visitor.token.agents and not wanted.agent:
        wanted = AuditFilter(agent=asking.visitor.token.agents[0], actor=wanted.actor, action=wanted.action)
    if wanted.agent:
        asking.must_see(wanted.agent, f"agent {wanted.agent!r}")
    before, entry = asking.number("before"), asking.number("entry")
    model = await asking.ports.store.read(lambda tx: _audit(tx, asking, wanted, before, entry))
    return Page(
        template="audit.html", model=model, title="Audit", place="audit", live=() if before else ("chip:audit",)
    )


async def chain(asking: Asking) -> Page:
    """Say how the chain stands; Forbidden for a visitor held to some agents, since it is of all."""
    _must_see_all(asking)
    stands = await chain_of(asking.ports)
    found = stands.found
    ways = copies(("audit", "verify", "--head", f"{found.entries}:{found.head}"), "GET", "/api/v1/audit/verify")
    model = AuditChain(
        found=found, left=stands.left, kept=stands.kept, going=asking.house.walking.going, copies=ways,
        may_walk=bool(asking.visitor.cookie),
    )  # fmt: skip
    return Page(template="chain.html", model=model, title="Audit chain", place="audit")


async def walk(asking: Asking, _: dict[str, str]) -> str:
    """Walk along all of the chain; one that takes long goes on, and the page says so."""
    _must_see_all(asking)
    if not asking.visitor.known:
        raise Unauthenticated("this takes a token", hint="log in with the token that surefoot token create made")
    ended = await asking.house.walking.asked(by=asking.visitor.name, wait_s=WAIT_S)
    if ended is None:
        return "/audit?done=walking"
    return "/audit?done=walked" if ended.intact else "/audit"  # whose chain says what is wrong


def _must_see_all(asking: Asking) -> None:
    if asking.visitor.token.agents:
        raise Forbidden("this token is held to some agents, and the record is of all", hint="use one that is not")


def _seen(one: Entry, *, reads: bool) -> Entry:
    return one if reads else replace(one, payload=masked_payload(one.payload))


def _audit(tx: Tx, asking: Asking, wanted: AuditFilter, before: int | None, entry: int | None) -> Audit:
    agents = [one.name for one in tx.agents.all() if asking.visitor.sees(one.name)]
    reads = asking.visitor.reads(wanted.agent)
    rows = [_seen(one, reads=reads) for one in tx.audit.listed(wanted, before=before, limit=ROWS + 1)]
    opened = [] if entry is None else tx.audit.after(entry - 1, limit=1)
    shown = _seen(opened[0], reads=reads) if opened else None
    line = _line(shown, agents) if shown is not None else None
    if line is not None and asking.visitor.token.agents and not line.agent:
        line = None
    actors, actions = _names(tx, asking, wanted)
    return Audit(
        lines=tuple(_line(one, agents) for one in rows[:ROWS]), wanted=wanted, actors=tuple(actors),
        actions=tuple(actions), agents=tuple(agents), newest=before is None, last=tx.audit.last(),
        older=rows[ROWS - 1].seq if len(rows) > ROWS else None, shown=line,
        payload=json.dumps(line.entry.payload, indent=2, ensure_ascii=False, default=str) if line else "",
        copies=copies(("audit", "show"), "GET", "/api/v1/audit"),
    )  # fmt: skip


def _names(tx: Tx, asking: Asking, wanted: AuditFilter) -> tuple[list[str], list[str]]:
    """Whom and what one can filter by; a visitor held to some agents is offered what is about the one that is shown."""
    if not asking.visitor.token.agents:
        return tx.audit.actors(), tx.audit.actions()
    rows = tx.audit.listed(AuditFilter(agent=wanted.agent), before=None, limit=NAMED)
    return sorted({one.actor for one in rows}), sorted({one.action for one in rows})


def _line(entry: Entry, agents: list[str]) -> Line:
    told = event_of(entry, agents)
    return Line(entry=entry, agent=told.agent, sentence=said_of(entry), tone=tone_of(entry.action))


def tone_of(action: str) -> str:
    """Say by a tone how an action is meant."""
    if action.startswith(("rolled-", "rollout-roll_back", "wish-")):
        return "back"
    if "reject" in action or "incident-opened" in action or action in ("gate-fail", "stopped", "stopped-all"):
        return "bad"
    if action.startswith("approval-approved") or "promote" in action or action == "lever-accepted":
        return "ok"
    return "asks" if "await" in action else "canary" if action.startswith("rollout-") else "idle"

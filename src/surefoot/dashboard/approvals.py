"""Approvals: what waits for a decision, and everything that a careful person reads before they take it.

A decision quotes the hashes of what was on the page. If the evidence has moved since, the engine refuses, and the page
comes back with what stands now, saying so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from surefoot.core.approval import Approval, Decision, among, state_at
from surefoot.core.dossier import Dossier
from surefoot.core.errors import Conflict, Forbidden, Invalid
from surefoot.core.mask import masked_quotes
from surefoot.core.policy import ChangeLevel, level_between
from surefoot.core.session import needs_fresh
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.blocks import Difference, difference
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page, status_of
from surefoot.dashboard.words import sentence
from surefoot.engine.approve import approve
from surefoot.engine.inspect import Request, request
from surefoot.engine.issue import log_in, people
from surefoot.engine.operate import take_effect
from surefoot.ports import Tx

ROWS, MOST_WAITING = 50, 200
TONES = {"pending": "asks", "approved": "ok", "rejected": "bad", "changes_requested": "back", "expired": "idle"}
LEVELS = {1: "preference", 2: "prompt", 3: "tool", 4: "core"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRow:
    """One request in the list."""

    id: str
    agent: str
    version: int
    state: str
    tone: str
    requested_at: datetime
    expires_at: datetime
    signed: int
    needed: int
    decided_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One request with everything beside it; `seen` are the hashes that a decision will quote."""

    approval: Approval
    state: str
    tone: str
    author: str
    rationale: str
    incumbent: int
    rollout_state: str
    level: ChangeLevel
    level_name: str
    fresh_login: bool
    difference: Difference
    dossier: Dossier
    most: float
    slices_most: float
    evidence: Mapping[str, Any]
    at: datetime | None
    own: bool
    signed_already: bool
    copies: tuple[tuple[str, Copies], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """The list, and the request that is being read if there is one."""

    waiting: tuple[ApprovalRow, ...]
    decided: tuple[ApprovalRow, ...]
    older: int | None
    reading: Reading | None
    open_id: str
    said: str


async def screen(asking: Asking) -> Page:
    """Show what waits, and the request of the path, else the one that waits longest."""
    return await _shown(asking, str(asking.request.path_params.get("approval", "")).removesuffix(".json"))


async def _shown(asking: Asking, chosen: str, *, told: str = "", status: int = 200, said: str = "") -> Page:
    after = asking.number("after") or 0
    waiting, decided = await asking.ports.store.read(lambda tx: _rows(tx, asking, after))
    chosen = chosen or (waiting[0].id if waiting else "")
    reading = await _reading(asking, chosen) if chosen else None
    model = Approvals(
        waiting=waiting, decided=decided[:ROWS], reading=reading, open_id=chosen, said=said,
        older=after + ROWS if len(decided) > ROWS else None,
    )  # fmt: skip
    agent = reading.approval.agent if reading else ""
    title = f"Promote {agent} v{reading.approval.version}?" if reading else "Approvals"
    return Page(template="approvals.html", model=model, title=title, place="approvals", live=("audit",), told=told,
                status=status, tone="bad" if told else "ok")  # fmt: skip


async def decide(asking: Asking, fields: dict[str, str]) -> str | Page:
    """Record a decision, bound to the hashes that the form quotes, and carry it out."""
    chosen, word = asking.part("approval"), fields.get("decision", "")
    found = await asking.ports.store.read(lambda tx: tx.approvals.get(chosen))
    asking.must_see(found.agent, f"approval {chosen!r}")
    asking.visitor.must("decide", found.agent)
    said = fields.get("feedback", "").strip()
    try:
        if not fields.get("version_hash") or not fields.get("evidence_hash"):
            raise Invalid("a decision quotes what was seen", hint="reload the page and decide there")
        proof = ""
        if word == "approved" and fields.get("token"):
            proof, _ = await log_in(asking.ports, asking.visitor.token, fields["token"].strip())
        after = await approve(
            asking.ports, chosen, cast("Decision", word), by=asking.visitor.name, version_digest=fields["version_hash"],
            evidence=fields["evidence_hash"], feedback=said, door="dashboard", login=proof,
        )  # fmt: skip
    except (Conflict, Invalid, Forbidden) as error:
        return await _shown(asking, chosen, told=f"{sentence(error.message)} {sentence(error.hint)}",
                            status=status_of(error), said=said)  # fmt: skip
    await take_effect(asking.ports, after)
    return f"/approvals/{chosen}?done={'signed' if after.state == 'pending' else after.state}"


def _rows(tx: Tx, asking: Asking, after: int) -> tuple[tuple[ApprovalRow, ...], tuple[ApprovalRow, ...]]:
    """What waits, oldest first, and what was decided, newest first, behind the first `after` of these."""
    seen = asking.visitor.token.agents
    waiting = tx.approvals.listed(limit=MOST_WAITING, agents=seen, waiting=asking.now)
    decided = tx.approvals.decided(asking.now, agents=seen, skip=after, limit=ROWS + 1)
    return tuple(_row(one, asking.now) for one in waiting), tuple(_row(one, asking.now) for one in decided)


def _row(one: Approval, now: datetime) -> ApprovalRow:
    state = state_at(one, now)
    return ApprovalRow(
        id=one.id, agent=one.agent, version=one.version, state=state, tone=TONES[state],
        requested_at=one.requested_at, expires_at=one.expires_at, signed=one.signed, needed=one.people_needed,
        decided_by=one.decided_by,
    )  # fmt: skip


async def _reading(asking: Asking, chosen: str) -> Reading:
    found = await request(asking.ports, chosen)
    asking.must_see(found.approval.agent, f"approval {chosen!r}")
    return await asking.ports.store.read(lambda tx: _read(tx, asking, found))


def _read(tx: Tx, asking: Asking, found: Request) -> Reading:
    asked, me, known = found.approval, asking.visitor.name, people(tx, asking.ports)
    rollout = tx.rollouts.get(asked.rollout)
    numbers = (found.incumbent, asked.version)
    before, after = (tx.versions.genome(tx.versions.get(asked.agent, one).genome) for one in numbers)
    level, reads = level_between(before, after), asking.visitor.reads(asked.agent)
    dossier = found.dossier
    return Reading(
        approval=asked, state=found.state, tone=TONES[found.state], author=found.version.author,
        rationale=found.version.rationale if reads else masked_quotes(found.version.rationale),
        incumbent=found.incumbent, rollout_state=rollout.state, level=level,
        level_name=LEVELS[level], fresh_login=needs_fresh(level), dossier=dossier,
        difference=difference(tx, asked.agent, before, after, base=found.incumbent, head=asked.version,
                              reads=reads),
        most=max(0.05, dossier.challenger.high, dossier.incumbent.high) if dossier.challenger.labels else 1.0,
        slices_most=max([0.1, *(max(abs(one.low), abs(one.high)) for one in dossier.slices)]),
        evidence=found.evidence, at=found.at, own=among(me, asked.proposers, known),
        signed_already=among(me, (one.by for one in asked.consents), known), copies=tuple(_ways(asked)),
    )  # fmt: skip


def _ways(asked: Approval) -> list[tuple[str, Copies]]:
    """Each decision as a command and as a request."""
    hashes = ("--version-hash", asked.version_digest[:12], "--evidence-hash", asked.evidence_digest[:12])
    words = {"approve": "approved", "reject": "rejected", "request-changes": "changes_requested"}
    found: list[tuple[str, Copies]] = []
    for command, word in words.items():
        more = () if command == "approve" else ("--feedback", "TEXT")
        body = {"decision": word, "version_hash": asked.version_digest, "evidence_hash": asked.evidence_digest}
        found.append((command, copies(
            (command, asked.id, "--by", "NAME", *hashes, *more), "POST", f"/api/v1/approvals/{asked.id}/decision",
            body | ({} if command == "approve" else {"feedback": "why"}),
        )))  # fmt: skip
    return found

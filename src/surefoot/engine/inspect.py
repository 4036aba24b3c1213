"""Inspect: what stands where, gathered for people to look at. Nothing here changes anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from surefoot.core.agent import Agent, among
from surefoot.core.approval import Approval, state_at
from surefoot.core.backlog import Failure, hold_reason, sources
from surefoot.core.case import Split
from surefoot.core.diff import Change, changes
from surefoot.core.dossier import Dossier
from surefoot.core.draft import Draft
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.genome import Genome
from surefoot.core.rollout.standing import Reconcile, Rollout
from surefoot.core.version import Version
from surefoot.engine.approve import waiting
from surefoot.engine.dossier import dossier
from surefoot.engine.dossier import shown as dossier_shown
from surefoot.engine.look import evidence_digest
from surefoot.engine.triage import standing
from surefoot.ports import Ports, Tx, Verdicts

_NUMBER = re.compile(r"v?([1-9]\d{0,8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One agent at a glance; `rollout` is the one in progress, `waits` the requests for a person."""

    agent: Agent
    verdicts: Verdicts
    cases: Mapping[Split, int]
    draft: Draft
    rollout: Rollout | None
    waits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A genome under the name it was asked for; `version` is None for the draft."""

    name: str
    genome: Genome
    version: Version | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """The failures that stand, newest first, how much traffic there was, and why the loop would hold (empty = not)."""

    failures: tuple[Failure, ...]
    verdicts: Verdicts
    standing: int
    sources: int
    hold: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person is shown before a decision: the changes, the evidence it is bound to, and its state now.

    The dossier says what could go wrong, for whom, and how to undo it.
    """

    approval: Approval
    state: str
    version: Version
    incumbent: int
    changes: tuple[Change, ...]
    dossier: Dossier
    evidence: Mapping[str, object] = field(default_factory=dict[str, object])
    at: datetime | None = None


async def agent_named(ports: Ports, name: str, *, sees: Callable[[str], bool]) -> Agent:
    """Give an agent; NotFound, as `core.agent.among` says it, where the asker does not see one of this name."""
    return among(await ports.store.read(lambda tx: tx.agents.all()), name, sees=sees)


async def overview(ports: Ports) -> list[Overview]:
    """Give every agent at a glance."""
    waits = await waiting(ports)

    def work(tx: Tx) -> list[Overview]:
        return [_glance(tx, agent, waits) for agent in tx.agents.all()]

    return await ports.store.read(work)


async def glance(ports: Ports, name: str) -> Overview:
    """Give one agent at a glance."""
    waits = await waiting(ports, name)
    return await ports.store.read(lambda tx: _glance(tx, tx.agents.get(name), waits))


def _glance(tx: Tx, agent: Agent, waits: list[Approval]) -> Overview:
    _, draft, _ = standing(tx, agent.name)
    return Overview(
        agent=agent, verdicts=tx.outcomes.labelled(agent.name), cases=tx.cases.counts(agent.name), draft=draft,
        rollout=tx.rollouts.active(agent.name), waits=tuple(one.id for one in waits if one.agent == agent.name),
    )  # fmt: skip


async def picture(ports: Ports, name: str, which: str) -> Picture:
    """Give the genome called `which`: `live`, `draft`, or a number such as 3 or v3."""
    return await ports.store.read(lambda tx: _picture(tx, name, which))


def number_of(which: str) -> int:
    """Read a version's number; Invalid if it is none."""
    found = _NUMBER.fullmatch(which.strip().lower())
    if found is None:
        raise Invalid(f"{which!r} is not the number of a version", hint="write 3 or v3, `live` or `draft`")
    return int(found[1])


def _picture(tx: Tx, name: str, which: str) -> Picture:
    if which == "draft":
        _, draft, genome = standing(tx, name)
        if not draft.edits:
            raise NotFound(f"the draft of {name} is empty", hint="surefoot tick adds to it")
        return Picture(name="draft", genome=genome, version=None)
    agent = tx.agents.get(name)
    version = tx.versions.get(name, agent.live if which == "live" else number_of(which))
    return Picture(name=version.label, genome=tx.versions.genome(version.genome), version=version)


async def base_of(ports: Ports, name: str, which: str) -> str:
    """Give what `which` is compared with when nothing is named: its parent, or the live version for the draft."""
    if which == "draft":
        return "live"
    here = await picture(ports, name, which)
    if here.version is None or here.version.parent is None:
        raise Conflict(f"{name} {here.name} has no parent", hint="name a second version to compare it with")
    return str(here.version.parent)


async def failing(ports: Ports, name: str, *, limit: int) -> Failing:
    """Give the last failures that stand, and whether there are enough of them to act on."""

    def work(tx: Tx) -> Failing:
        agent = tx.agents.get(name)
        window = tx.outcomes.failures(name, limit=agent.habits.window)
        found = sources(window)
        hold = hold_reason(len(window), agent.policy.min_failures)
        if not hold and found < agent.policy.min_sources:
            hold = f"the failures come from {found} source(s), {agent.policy.min_sources} are needed to share a rule"
        return Failing(
            failures=tuple(window[:limit] if limit <= len(window) else tx.outcomes.failures(name, limit=limit)),
            verdicts=tx.outcomes.labelled(name), standing=len(window), sources=found, hold=hold,
        )  # fmt: skip

    return await ports.store.read(work)


async def rollout_of(ports: Ports, name: str, rollout_id: str = "") -> Rollout:
    """Give a rollout of an agent: the one named, else the one in progress, else the last."""

    def work(tx: Tx) -> Rollout:
        tx.agents.get(name)
        found = tx.rollouts.all(name)
        if rollout_id:
            found = [one for one in found if one.id.startswith(rollout_id)]
        active = [one for one in found if one.closed_at is None and not one.queued]
        if not found:
            what = f"has no rollout {rollout_id!r}" if rollout_id else "had no rollout yet"
            raise NotFound(
                f"agent {name!r} {what}", hint=f"surefoot rollout list {name} shows them; rollout start opens one"
            )
        return (active or found)[-1]

    return await ports.store.read(work)


async def history(ports: Ports, rollout_id: str) -> list[Reconcile]:
    """Give every look that was taken at a rollout."""
    return await ports.store.read(lambda tx: tx.rollouts.history(rollout_id))


async def miscounted(ports: Ports) -> list[str]:
    """Give the rollouts whose running counts differ from their traces, outcomes and pins; there should be none.

    Nothing of it is kept: a count that was remembered would hide what this is to find. Each rollout is read on its own,
    so that no read is held for as long as all of them take.
    """

    def scopes(tx: Tx) -> list[str]:
        rollouts = [one for agent in tx.agents.all() for one in tx.rollouts.all(agent.name)]
        return [scope for one in rollouts for scope in (one.id, one.holdback_scope)]

    every = await ports.store.read(scopes)
    return [one for one in every if await ports.store.read(lambda tx, scope=one: tx.rollouts.miscounted(scope))]


async def requests(
    ports: Ports, name: str | None = None, *, agents: Collection[str], all_of_them: bool = False,
    limit: int | None = None, after: str = "",
) -> list[Request]:  # fmt: skip
    """Give the requests that wait for a person, or all there ever were, with what they are about.

    At most `limit`, behind the request `after`, of one agent or of these (none named is all).
    """
    now = ports.clock()

    def work(tx: Tx) -> list[Request]:
        if name is not None:
            tx.agents.get(name)
        kept = tx.approvals.listed(limit=limit, after=after, agents=agents if name is None else [name],
                                   waiting=None if all_of_them else now)  # fmt: skip
        return [_request(tx, one, now) for one in kept]

    return await ports.store.read(work)


async def request(ports: Ports, approval_id: str) -> Request:
    """Give one request."""
    now = ports.clock()
    return await ports.store.read(lambda tx: _request(tx, tx.approvals.get(approval_id), now))


def _request(tx: Tx, approval: Approval, now: datetime) -> Request:
    rollout, version = tx.rollouts.get(approval.rollout), tx.versions.get(approval.agent, approval.version)
    incumbent = tx.versions.get(approval.agent, rollout.incumbent)
    seen = [row for row in tx.rollouts.moved(rollout.id) if _is(row, approval.evidence_digest)]
    shown = seen or [row for row in tx.rollouts.history(rollout.id) if _is(row, approval.evidence_digest)]
    evidence = shown[0].evidence if shown else dict[str, object]()
    return Request(
        approval=approval, state=state_at(approval, now), version=version, incumbent=rollout.incumbent,
        changes=changes(tx.versions.genome(incumbent.genome), tx.versions.genome(version.genome)),
        dossier=dossier(tx, rollout, evidence, now), evidence=evidence, at=shown[0].at if shown else None,
    )  # fmt: skip


def request_document(one: Request) -> dict[str, Any]:
    """Give a request as a JSON-shaped document, the same at every door."""
    asked, seen = one.approval, dict[str, Any](one.evidence)
    return {
        "id": asked.id, "agent": asked.agent, "rollout": asked.rollout, "version": asked.version,
        "incumbent": one.incumbent, "state": one.state, "version_hash": asked.version_digest,
        "evidence_hash": asked.evidence_digest, "proposers": list(asked.proposers),
        "rationale": one.version.rationale, "requested_at": asked.requested_at, "expires_at": asked.expires_at,
        "people_needed": asked.people_needed,
        "consents": [{"by": yes.by, "at": yes.at, "feedback": yes.feedback} for yes in asked.consents],
        "decided_by": asked.decided_by, "decided_at": asked.decided_at, "feedback": asked.feedback,
        "changes": [
            {"id": change.id, "kind": change.kind, "lines": change.lines(),
             "before": change.before.document() if change.before else None,
             "after": change.after.document() if change.after else None}
            for change in one.changes
        ],
        "failure_rates": seen.get("failure_rates", {}), "e_win": seen.get("e_win"),
        "win_at": seen.get("thresholds", {}).get("win"), "labels": seen.get("labels"),
        "challenger_labels": seen.get("challenger_labels"), "at": one.at, **dossier_shown(one.dossier),
    }  # fmt: skip


def _is(row: Reconcile, evidence: str) -> bool:
    return "e_win" in row.evidence and evidence_digest(row.rollout, row.evidence) == evidence

"""Propose: give a brief to an improver that works elsewhere, and take its proposal.

The brief is made from what is on record, and costs nothing: the failures of one lever's gap, the shown cases, what the
live version is known to say to them. What comes back is read against the same brief, and judged by the same guardrails
as every edit; what passes whole becomes a candidate version in the name of whoever proposed it, without traffic. One
refused edit refuses all of them, since nobody but the improver knows what the rest is worth alone. Whether an edit
quotes a case the improver must not have seen is one of the reasons, so all refusals are told alike, are on record, and
are few in a day (`core.patience`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from surefoot.core.agent import Agent
from surefoot.core.approval import identity
from surefoot.core.backlog import Gap, Lever, quota, top
from surefoot.core.budget import Budget
from surefoot.core.cluster import clusters
from surefoot.core.errors import Conflict, Invalid, NotFound, SurefootError
from surefoot.core.genome import Genome
from surefoot.core.guardrail import judge
from surefoot.core.improver_wire import brief_document, read_proposal
from surefoot.core.patience import must_be_patient, refusal
from surefoot.core.proposal import Brief, Cost, Proposal
from surefoot.core.version import Version
from surefoot.engine.evaluate import Run, Sheet
from surefoot.engine.halt import must_run
from surefoot.engine.improve import brief_of, surroundings, visible
from surefoot.engine.object import objections
from surefoot.engine.register import offer_version
from surefoot.engine.worth import values
from surefoot.ports import Ports, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A brief, with the lever it is about and the hash of the genome that its edits would change."""

    lever: Lever
    brief: Brief
    budget: Budget

    @property
    def document(self) -> Mapping[str, object]:
        """Give it as it goes to the improver (docs/reference/improver-protocol.md)."""
        return brief_document(self.brief, self.budget)


async def brief_for(ports: Ports, name: str, *, lever: str = "") -> Asked:
    """Give the brief of a lever, by default of the one that is most worth it.

    NotFound for a lever that is not open, Conflict where nothing waits to be mended or the agent is stopped.
    """
    return await ports.store.read(lambda tx: _asked(tx, ports, name, lever))


async def proposed(ports: Ports, name: str, *, lever: str, genome: str, text: str, by: str) -> tuple[Version, Proposal]:
    """Take the proposal `text` to a lever's brief and give the candidate version it makes.

    Conflict when the live genome is no longer the one that the brief showed, Invalid for what is no proposal,
    Forbidden for edits that a guardrail refuses, TooMany for an improver that was refused too often.
    """
    asked = await brief_for(ports, name, lever=lever)
    if asked.brief.genome.digest != genome:
        raise Conflict(f"the live version of {name} is no longer the one of the brief", hint="ask for the brief again")
    proposal = read_proposal(text, improver=by, brief=asked.brief)
    if not proposal.edits:
        raise Invalid("the proposal holds no edits", hint="say nothing at all where there is nothing to propose")
    candidate = await _admitted(ports, name, asked, proposal)
    why = proposal.rationale or f"answers “{asked.brief.title}”"
    return await offer_version(ports, name, candidate, by=by, rationale=why), proposal


async def _admitted(ports: Ports, name: str, asked: Asked, proposal: Proposal) -> Genome:
    """The genome that an improver's edits make; a refusal is set aside beforehand, so that a crowd has no more."""
    now, by, lever = ports.clock(), proposal.improver, asked.lever.id
    scope, key = f"{name}/refused/{lever}/{identity(by)}/{now:%Y-%m-%d}", ports.new_id()

    def began(tx: Tx) -> None:
        must_be_patient(int(tx.ledgers.get(scope, Budget()).committed.calls), lever=lever, now=now)
        tx.ledgers.reserve(scope, key, Cost(calls=1), now)

    def refused(tx: Tx) -> None:
        tx.ledgers.settle(scope, key, Cost(calls=1))
        tx.audit.append(at=now, actor=by, action="proposal-refused", subject=name,
                        payload={"lever": lever, "edits": len(proposal.edits)})  # fmt: skip

    await ports.store.write(began)
    candidate = await _judged(ports, name, asked.brief, proposal)
    if candidate is None:
        await ports.store.write(refused)
        raise refusal()
    await ports.store.write(lambda tx: tx.ledgers.settle(scope, key, Cost()))
    return candidate


async def _judged(ports: Ports, name: str, brief: Brief, proposal: Proposal) -> Genome | None:
    """The genome that the edits make, or None where any of them is refused or was tried in vain."""
    agent, base, held_out, worths = await ports.store.read(lambda tx: _measures(tx, name, brief.genome))
    found = judge(base, brief.genome, proposal.edits, agent.bounds, held_out=held_out, worths=worths)
    if found.refusals or any(edit.fingerprint in brief.tried for edit in found.allowed):
        return None
    scope = f"outside/{identity(proposal.improver)}"
    if await objections(ports, agent, base, found.allowed, scope=scope):
        return None
    return found.genome


def _measures(tx: Tx, name: str, genome: Genome) -> tuple[Agent, Genome, frozenset[str], Mapping[str, float]]:
    agent = tx.agents.get(name)
    base, held_out, _ = surroundings(tx, agent)
    return agent, base, held_out, values(tx, name, genome)


def _asked(tx: Tx, ports: Ports, name: str, wanted: str) -> Asked:
    agent = tx.agents.get(name)
    must_run(tx, agent)
    lever, gap = _lever(tx, ports, agent, wanted)
    genome = tx.versions.genome(tx.versions.get(name, agent.live).genome)
    shown, lessons = visible(tx, agent)
    known = tx.scores.known(genome.digest, _model(ports, agent), [case.id for case in shown])
    sheet: Sheet = {case.id: [_run(known, case.id)] for case in shown}
    brief = brief_of(ports, agent, genome, gap, tried=surroundings(tx, agent)[2], shown=shown, sheet=sheet,
                     lessons=lessons)  # fmt: skip
    return Asked(lever=lever, brief=replace(brief, kinds=()), budget=agent.habits.improver_budget)


def _model(ports: Ports, agent: Agent) -> str:
    """The name under which answers of the agent's model are kept; nothing is asked, so it need not be set up here."""
    try:
        return ports.model_named(agent.habits.model).name
    except SurefootError:
        return agent.habits.model


def _run(known: Mapping[tuple[str, int], tuple[str, float]], case: str) -> Run:
    return Run(*known[case, 0]) if (case, 0) in known else Run("", None)


def _lever(tx: Tx, ports: Ports, agent: Agent, wanted: str) -> tuple[Lever, Gap]:
    """The open lever that is asked for, with its gap as the failures of now show it."""
    levers = tx.levers.all(agent.name)
    opened = [one for one in levers if one.state == "open" and not one.for_people]
    lever = next((one for one in opened if one.id == wanted), None) if wanted else top(opened)
    if lever is None and wanted:
        raise NotFound(f"agent {agent.name} has no open lever {wanted!r}", hint="ask without one for the first of them")
    gap = None if lever is None else next((one for one in _gaps(tx, ports, agent) if one.key == lever.gap), None)
    if lever is None or gap is None:
        raise Conflict(
            f"nothing of {agent.name} waits to be mended", hint="a tick looks for levers when there are failures"
        )
    return lever, gap


def _gaps(tx: Tx, ports: Ports, agent: Agent) -> Sequence[Gap]:
    failures = tx.outcomes.failures(agent.name, limit=agent.habits.window)
    counts = tx.outcomes.labelled(agent.name)
    kept = quota(failures) if agent.policy.min_sources > 1 else failures
    return clusters(kept, counts.success + counts.failure, redact=ports.redact)

"""Vet: put a candidate that somebody offered before the gate, and record what the gate said.

A contradiction judge may object first, where one is configured. Then the search gate on cases that cost nothing to
look at: harm there rejects without spending a look at the sealed split. Then the one counted look at the sealed
cases, and whether the gain is also there where the improver could not look. A version that does not pass can still be
offered by a person who takes the responsibility, and everything about its rollout will say so.
"""

from __future__ import annotations

from dataclasses import dataclass

from surefoot.core.agent import Agent
from surefoot.core.divergence import Divergence
from surefoot.core.edit import edits_between
from surefoot.core.errors import Conflict, Unavailable
from surefoot.core.gate import SearchVerdict, search_verdict
from surefoot.core.genome import Genome
from surefoot.core.guardrail import Refusal
from surefoot.core.version import Version
from surefoot.engine.evaluate import examine, pairs
from surefoot.engine.object import CONTRADICTS, objections
from surefoot.engine.release import look_at_sealed, summary
from surefoot.engine.suspect import accuse, suspicion
from surefoot.engine.verdict import remember
from surefoot.ports import Ports, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Vetted:
    """What the gate said of a candidate: pass, fail or inconclusive, why, and the evidence (JSON-shaped)."""

    version: int
    verdict: str
    sentence: str
    evidence: dict[str, object]


async def vet(ports: Ports, name: str, number: int) -> Vetted:
    """Judge a candidate against the live version."""
    agent, version, live, genome = await ports.store.read(lambda tx: _versions(tx, name, number))
    if version.state != "candidate":
        raise Conflict(f"{name} {version.label} is {version.state}", hint="only a candidate can be put before the gate")
    suspected = None
    if (objection := await _objection(ports, agent, live, genome)) is not None:
        evidence: dict[str, object] = {"verdict": "fail", "reason": objection.code, "sentence": objection.sentence}
        result = Vetted(version=number, verdict="fail", sentence=objection.sentence, evidence=evidence)
    elif (found := await _open_cases(ports, agent, live, genome, seed=version.genome)).verdict == "veto":
        result = Vetted(version=number, verdict="fail", sentence=found.sentence, evidence=_facts(found))
    else:
        look, suspected = await look_at_sealed(ports, agent, live, genome), await suspicion(ports, agent, live, genome)
        result = Vetted(
            version=number, verdict=look.verdict, evidence={**summary(look), "suspicion": suspected.document()},
            sentence=f"{look.sentence} {suspected.sentence}" if suspected.suspected else look.sentence,
        )  # fmt: skip
    await ports.store.write(lambda tx: _recorded(tx, ports, name, version, result, suspected))
    return result


async def _objection(ports: Ports, agent: Agent, live: Genome, genome: Genome) -> Refusal | None:
    """Give what the contradiction judge has against it; Unavailable where it could not be asked, so nothing passes."""
    objected = await objections(ports, agent, live, edits_between(live, genome))
    said = next((one for one in objected if one.code == CONTRADICTS), None)
    if said is None and objected:
        raise Unavailable(objected[0].sentence, hint="nothing was decided; ask again when the judge answers")
    return said


def _versions(tx: Tx, name: str, number: int) -> tuple[Agent, Version, Genome, Genome]:
    agent, version = tx.agents.get(name), tx.versions.get(name, number)
    live = tx.versions.get(name, agent.live)
    return agent, version, tx.versions.genome(live.genome), tx.versions.genome(version.genome)


async def _open_cases(ports: Ports, agent: Agent, live: Genome, genome: Genome, *, seed: str) -> SearchVerdict:
    cases = await ports.store.read(lambda tx: tx.cases.of(agent.name, ("shown", "hidden", "val")))
    before, after = await examine(ports, agent, [live, genome], cases)
    compared = pairs(cases, before, after, by_answer=True)
    split = {case.id: case.split for case in cases}
    sets = {name: [p for p in compared if split[p.case_id] == name] for name in ("val", "hidden", "shown")}
    return search_verdict(sets["val"], sets["hidden"], shown=sets["shown"], seed=seed)


def _facts(found: SearchVerdict) -> dict[str, object]:
    return {
        "verdict": found.verdict, "reason": found.reason, "sentence": found.sentence, "e_gain": found.e_gain,
        "e_harm": found.e_harm, "gained": found.tally.gained, "lost": found.tally.lost, "cases": found.tally.n,
    }  # fmt: skip


def _recorded(tx: Tx, ports: Ports, name: str, version: Version, result: Vetted, suspected: Divergence | None) -> None:
    if suspected is not None:
        accuse(tx, ports, version, suspected)
    if result.verdict == "fail" and tx.versions.get(name, version.number).state == "candidate":
        tx.versions.move(name, version.number, "rejected")
    remember(tx, version, result.verdict, ports.clock())
    tx.audit.append(
        at=ports.clock(), actor="gate", action=f"gate-{result.verdict}", subject=f"{name}/{version.label}",
        payload=result.evidence,
    )  # fmt: skip

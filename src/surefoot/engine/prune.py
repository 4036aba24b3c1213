"""Prune: measure what each learned block of the live version buys, and propose to retire what buys nothing.

Gather: the live genome, its base, and the hidden and val cases. Decide: with and without each block on the same
cases, `core.attribution` says what it is worth. Record: the worths, always; and with `apply` one ordinary proposal
of typed edits. Its blocks are taken away one after another, each measured again without the ones before, because two
rules that say the same thing are each worth nothing and both together a lot. What is left passes the guardrails and
the veto on harm, and waits in the draft for the next release: nothing goes live here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from surefoot.core.agent import Agent
from surefoot.core.attribution import Ablated, Worth, learned, prunable, undoing, worth
from surefoot.core.backlog import Lever
from surefoot.core.case import Case
from surefoot.core.draft import PRUNING, Accepted, Draft
from surefoot.core.edit import Edit, apply_edits
from surefoot.core.figure import figure
from surefoot.core.gate import VETO_AT, SearchVerdict, search_verdict
from surefoot.core.genome import Block, Genome, render
from surefoot.core.guardrail import judge
from surefoot.core.policy import may_tick
from surefoot.core.proposal import Proposal
from surefoot.engine.evaluate import Run, Sheet, examine, pairs
from surefoot.engine.halt import must_run
from surefoot.engine.triage import standing
from surefoot.engine.worth import keep
from surefoot.ports import Filed, Ports, Tx

LEVER = "L-prune"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was measured on `cases` hidden and val cases, and what of it was proposed.

    `edits` are in the draft when `proposal` names one; without `apply` they are what would be proposed.
    """

    agent: str
    version: int
    cases: int
    worths: tuple[Worth, ...]
    edits: tuple[Edit, ...]
    refusals: tuple[str, ...]
    proposal: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What every measurement of one pruning shares."""

    ports: Ports
    agent: Agent
    base: Genome
    live: Genome
    draft: Draft
    standing: Genome
    cases: Sequence[Case]
    provenance: Mapping[str, Collection[str]]


async def prune(ports: Ports, name: str, *, apply: bool = False) -> Pruned:
    """Measure the learned blocks of an agent's live version; with `apply`, put what no longer helps into the draft.

    Errors: Forbidden for a report-only agent and Conflict for a stopped one (`apply` only); BudgetExhausted when the
    day's budget does not reach.
    """
    bench = await ports.store.read(lambda tx: _bench(tx, ports, name, apply))
    worths = [await _worth(bench, bench.live, block) for block in learned(bench.base, bench.live)]
    await ports.store.write(lambda tx: _measured(tx, bench, worths))
    edits = await _edits(bench, worths)
    judgement = judge(bench.base, bench.standing, edits, bench.agent.bounds)
    refusals = tuple(one.sentence for one in judgement.refusals)
    allowed, verdict = await _harmless(bench, judgement.allowed)
    proposal = ""
    if apply and allowed and verdict is not None:
        found, agreed = verdict, allowed
        proposal = await ports.store.write(lambda tx: _drafted(tx, bench, agreed, found))
    return Pruned(
        agent=name, version=bench.agent.live, cases=len(bench.cases), worths=tuple(worths), edits=allowed,
        refusals=refusals, proposal=proposal, sentence=_sentence(worths, allowed, verdict, proposal),
    )  # fmt: skip


def _bench(tx: Tx, ports: Ports, name: str, apply: bool) -> _Bench:
    agent, draft, genome = standing(tx, name)
    if apply:
        must_run(tx, agent)
        may_tick(agent.policy, None, ports.clock())
    live = tx.versions.genome(tx.versions.get(name, agent.live).genome)
    base = tx.versions.genome(agent.base)
    shown = {case.id: case.expected for case in tx.cases.of(name, ("shown",))}
    written = [edit for filed in tx.proposals.all(name) for edit in filed.proposal.edits]
    return _Bench(
        ports=ports, agent=agent, base=base, live=live, draft=draft, standing=genome,
        cases=tx.cases.of(name, ("hidden", "val")),
        provenance={block.id: _labels(block, shown, written) for block in learned(base, live)},
    )  # fmt: skip


def _labels(block: Block, shown: Mapping[str, str], written: Sequence[Edit]) -> set[str]:
    """The right answers that a block was learned for: of the cases it cites, of its gap, and an example's own."""
    cited = [shown[case] for case in block.evidence if case in shown]
    words = (block.id, block.text, block.answer)
    gaps = [edit.gap.partition(":")[2] for edit in written if (edit.target, edit.text, edit.answer) == words]
    own = [block.answer] if block.kind == "example" else []
    return {label.strip().lower() for label in (*cited, *gaps, *own)} - {""}


async def _worth(bench: _Bench, genome: Genome, block: Block) -> Worth:
    """Measure one block of a genome by taking it away; cases whose prompt stays the same byte for byte cost nothing."""
    without = apply_edits(genome, [undoing(bench.base, block)], learned_at="pruned")
    touched = [case for case in bench.cases if render(genome, case.slices) != render(without, case.slices)]
    repeats = bench.agent.habits.repeats
    before, after = await examine(bench.ports, bench.agent, [genome, without], touched, repeats=repeats)
    found = [_ablated(case, before[case.id], after[case.id]) for case in touched]
    return worth(block, found, bench.provenance.get(block.id, ()), measured=len(bench.cases))


def _ablated(case: Case, before: Sequence[Run], after: Sequence[Run]) -> Ablated:
    return Ablated(
        case_id=case.id, expected=case.expected, with_it=_mean(before), without=_mean(after),
        changed=[run.answer for run in before] != [run.answer for run in after], must_pass=case.must_pass,
    )  # fmt: skip


def _mean(runs: Sequence[Run]) -> float | None:
    """Give the mean score; unknown if any run has none."""
    scores = [run.score for run in runs if run.score is not None]
    return sum(scores) / len(scores) if scores and len(scores) == len(runs) else None


async def _edits(bench: _Bench, worths: Sequence[Worth]) -> list[Edit]:
    """Take away what does not help, each measured again on the draft without those before it."""
    genome, edits = bench.standing, list[Edit]()
    for one in prunable(worths, bench.standing):
        if len(edits) >= bench.agent.bounds.edits:
            break
        block = genome.block(one.block)
        again = await _worth(bench, genome, block)
        if prunable([again], genome):
            edits.append(undoing(bench.base, block))
            genome = apply_edits(genome, edits[-1:], learned_at="pruned")
    return edits


async def _harmless(bench: _Bench, edits: tuple[Edit, ...]) -> tuple[tuple[Edit, ...], SearchVerdict | None]:
    """Give as many of the edits, from the first on, as the veto on harm lets through, with its verdict."""
    cases = await bench.ports.store.read(lambda tx: tx.cases.of(bench.agent.name, ("shown", "hidden", "val")))
    while edits:
        genome = apply_edits(bench.standing, edits, learned_at="pruned")
        before, after = await examine(bench.ports, bench.agent, [bench.standing, genome], cases)
        verdict = _veto(cases, before, after, seed=genome.digest)
        if verdict.verdict != "veto":
            return edits, verdict
        edits = edits[:-1]
    return (), None


def _veto(cases: Sequence[Case], before: Sheet, after: Sheet, *, seed: str) -> SearchVerdict:
    sets = {
        split: pairs([case for case in cases if case.split == split], before, after, by_answer=True)
        for split in ("val", "hidden", "shown")
    }
    # All of it is watched for harm and none of it for gain: taking away is not meant to win.
    return search_verdict((), (*sets["val"], *sets["hidden"]), shown=sets["shown"], seed=seed)


def _measured(tx: Tx, bench: _Bench, worths: Sequence[Worth]) -> None:
    now, name = bench.ports.clock(), bench.agent.name
    keep(tx, name, bench.agent.live, worths, now)
    tx.audit.append(
        at=now, actor=PRUNING, action="blocks-measured", subject=f"{name}/v{bench.agent.live}",
        payload={"cases": len(bench.cases), "verdicts": {one.block: one.verdict for one in worths}},
    )  # fmt: skip


def _drafted(tx: Tx, bench: _Bench, edits: tuple[Edit, ...], verdict: SearchVerdict) -> str:
    """File the proposal, and add it to the draft that was measured; Conflict if the draft moved meanwhile."""
    now, name = bench.ports.clock(), bench.agent.name
    number = 1 + sum(filed.lever == LEVER for filed in tx.proposals.all(name))
    why = f"They no longer help: {', '.join(edit.target for edit in edits)}"
    evidence = f"{why}. Evidence that removing them harms: {figure(verdict.e_harm)}, allowed {VETO_AT:g}."
    filed = Filed(
        id=f"P-{name}-prune-{number}", agent=name, tick=bench.agent.tick, lever=LEVER, on=bench.agent.live,
        proposal=Proposal(improver=PRUNING, edits=edits, rationale=why), state="accepted", at=now,
        evidence={"sentence": evidence, "e_harm": verdict.e_harm},
    )  # fmt: skip
    tx.proposals.put(filed)
    tx.levers.put(Lever(id=LEVER, agent=name, gap=PRUNING, title="Blocks that no longer help", impact=0.0, failures=0,
                        state="drafted"))  # fmt: skip
    tx.levers.note(name, LEVER, now, evidence)
    part = Accepted(proposal=filed.id, lever=LEVER, improver=PRUNING, edits=edits, evidence=evidence, rationale=why)
    tx.drafts.swap(replace(bench.draft, accepted=(*bench.draft.accepted, part)))
    tx.audit.append(at=now, actor=PRUNING, action="prune-drafted", subject=f"{name}/{filed.id}",
                    payload={"edits": [edit.document() for edit in edits]})  # fmt: skip
    return filed.id


def _sentence(
    worths: Sequence[Worth], edits: Sequence[Edit], verdict: SearchVerdict | None, proposal: str
) -> str:  # fmt: skip
    if not worths:
        return "Nothing was learned yet, so there is nothing to prune."
    if not edits:
        spent = [one for one in worths if one.verdict in ("harms", "no longer helps")]
        return "What looks useless is needed together." if spent and verdict is None else "Nothing is to be retired."
    named = ", ".join(edit.target for edit in edits)
    return f"{'In the draft, to be' if proposal else 'Could be'} retired: {named}."

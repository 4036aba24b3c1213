"""Improve: write a brief from shown cases, ask an improver, and let the guardrails judge what comes back.

The brief is the only thing an improver ever sees. What it may cost is reserved before it starts; its edits are
judged before anything is run; and the proposal is kept whatever becomes of it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from surefoot.core.agent import Agent
from surefoot.core.arms import LEVER_KINDS, LeverKind, drawn, kind_of
from surefoot.core.backlog import Gap, Lever
from surefoot.core.case import Case
from surefoot.core.digest import digest
from surefoot.core.edit import Edit
from surefoot.core.errors import SurefootError
from surefoot.core.genome import Genome
from surefoot.core.guardrail import Bounds, Judgement, judge, ngrams
from surefoot.core.lesson import Lesson
from surefoot.core.proposal import Brief, Cost, Example, Proposal
from surefoot.core.similar import nearest
from surefoot.engine.evaluate import Hold, Sheet, examine, reserve, settled
from surefoot.engine.halve import halve
from surefoot.engine.object import objections
from surefoot.engine.serve import storable
from surefoot.engine.triage import Triage
from surefoot.engine.worth import values
from surefoot.ports import Filed, Ports, ProposalState, Tx

OTHERS = 600
_LOST: tuple[ProposalState, ...] = ("rejected", "refused", "inconclusive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A proposal on file, with what of it may be tested."""

    filed: Filed
    judgement: Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """What every proposal of a tick is asked under and judged by."""

    ports: Ports
    found: Triage
    lever: Lever
    gap: Gap
    tick: int
    scope: str
    base: Genome
    held_out: frozenset[str]
    tried: frozenset[str]
    known: Mapping[str, Filed]
    worths: Mapping[str, float]


async def improve(ports: Ports, found: Triage, lever: Lever, *, tick: int, scope: str) -> Written:
    """Ask the agent's improver for edits that answer a lever; the same tick asks once.

    Where several arms may compete, each is asked for, and a few shown cases choose the one that goes on.
    """
    agent = found.agent
    gap = next(gap for gap in found.gaps if gap.key == lever.gap)
    known = await ports.store.read(lambda tx: {filed.id: filed for filed in tx.proposals.all(agent.name)})
    base, held_out, tried = await ports.store.read(lambda tx: surroundings(tx, agent))
    worths = await ports.store.read(lambda tx: values(tx, agent.name, found.genome))
    setting = _Setting(ports=ports, found=found, lever=lever, gap=gap, tick=tick, scope=scope, base=base,
                       held_out=held_out, tried=tried, known=known, worths=worths)  # fmt: skip
    arms = [await _written(setting, number, kinds) for number, kinds in enumerate(_kinds(setting), 1)]
    return await _winner(setting, arms)


def _kinds(setting: _Setting) -> list[tuple[LeverKind, ...]]:
    """Give what each arm may write: anything, then one kind each, drawn by what became of earlier ticks."""
    agent, genome = setting.found.agent, setting.found.genome
    history: dict[LeverKind, tuple[int, int]] = {}
    for filed in setting.known.values():
        if filed.tick != setting.tick and filed.state in ("accepted", *_LOST):
            kinds: set[LeverKind] = {kind_of(edit, genome) for edit in filed.proposal.edits}
            for kind in kinds:
                won, lost = history.get(kind, (0, 0))
                history[kind] = (won + (filed.state == "accepted"), lost + (filed.state != "accepted"))
    draw = random.Random(f"{agent.salt}/{agent.name}/{setting.tick}").betavariate
    return [(), *((kind,) for kind in drawn(history, LEVER_KINDS, agent.habits.arms - 1, draw))]


async def _written(setting: _Setting, number: int, kinds: tuple[LeverKind, ...]) -> Written:
    ports, found, agent = setting.ports, setting.found, setting.found.agent
    proposal_id = f"P-{agent.name}-{setting.tick}" + (f"-{number}" if number > 1 else "")
    filed = setting.known.get(proposal_id)
    if filed is None:
        brief = replace(await _brief(ports, found, setting.gap, setting.tried, setting.scope), kinds=kinds)
        proposal, hold = await _asked(ports, agent, brief, setting.scope)
        if kinds:
            wanted = tuple(edit for edit in proposal.edits if kind_of(edit, found.genome) in kinds)
            proposal = replace(proposal, edits=wanted)
        judgement = await _judged(setting, proposal)
        mine = Filed(
            id=proposal_id, agent=agent.name, tick=setting.tick, lever=setting.lever.id, on=agent.live,
            proposal=replace(proposal, rationale=ports.redact_note(storable(proposal.rationale))), state="proposed",
            at=ports.clock(), evidence=_findings(judgement),
        )  # fmt: skip
        filed = await ports.store.write(lambda tx: _on_file(tx, mine, hold))
    return Written(filed=filed, judgement=await _judged(setting, filed.proposal))


async def _judged(setting: _Setting, proposal: Proposal) -> Judgement:
    """Judge by the guardrails, then ask the contradiction judge about what they let through."""
    found = _by_guardrails(setting, proposal.edits)
    objected = await objections(
        setting.ports, setting.found.agent, setting.base, found.allowed, scope=setting.scope
    )  # fmt: skip
    if not objected:
        return found
    gone = [one.edit for one in objected]
    rest = _by_guardrails(setting, [edit for edit in found.allowed if edit not in gone])
    return replace(rest, refusals=(*found.refusals, *objected, *rest.refusals))


def _by_guardrails(setting: _Setting, edits: Sequence[Edit]) -> Judgement:
    return judge(setting.base, setting.found.genome, edits, setting.found.agent.bounds,
                 held_out=setting.held_out, worths=setting.worths)  # fmt: skip


async def _winner(setting: _Setting, arms: Sequence[Written]) -> Written:
    """Let the arms that may be tested compete; what loses is filed as outdone, and may be proposed again."""
    able = [arm for arm in arms if arm.judgement.allowed] or arms[:1]
    different = list({arm.judgement.genome.digest: arm for arm in reversed(able)}.values())[::-1]
    cases = await _contest(setting) if len(different) > 1 else []
    genomes = [arm.judgement.genome for arm in different]
    best = different[await halve(setting.ports, setting.found.agent, genomes, cases, scope=setting.scope)]
    outdone = [replace(arm.filed, state="outdone") for arm in arms if arm.filed.id != best.filed.id]
    if outdone:
        await setting.ports.store.write(lambda tx: [tx.proposals.put(filed) for filed in outdone])
    return best


async def _contest(setting: _Setting) -> list[Case]:
    """Give the shown cases that choose between arms: failures of the gap, in an order that favours nobody."""
    failing = {failure.input for failure in setting.gap.failures}
    shown = await setting.ports.store.read(lambda tx: tx.cases.of(setting.found.agent.name, ("shown",)))
    mine = [case for case in shown if case.input in failing]
    return sorted(mine, key=lambda case: digest([setting.tick, case.id]))


def _on_file(tx: Tx, mine: Filed, hold: Hold) -> Filed:
    """File a proposal with what it cost, so that it is never asked for again; one that is there already stands."""
    settled(tx, hold, mine.proposal.cost)
    known = {filed.id: filed for filed in tx.proposals.all(mine.agent)}
    if mine.id not in known:
        tx.proposals.put(mine)
    return known.get(mine.id, mine)


def surroundings(tx: Tx, agent: Agent) -> tuple[Genome, frozenset[str], frozenset[str]]:
    """Give the base genome, the 8-grams of everything held out, and the fingerprints of what did not work before."""
    held_out = tx.cases.of(agent.name, ("hidden", "val", "sealed", "later", "untouched"))
    tried = frozenset(
        edit.fingerprint
        for filed in tx.proposals.all(agent.name)
        if filed.state in _LOST or _not_promoted(tx, agent, filed)
        for edit in filed.proposal.edits
    )
    grams = frozenset(gram for case in held_out for gram in ngrams(case.input))
    return tx.versions.genome(agent.base), grams, tried


def _not_promoted(tx: Tx, agent: Agent, filed: Filed) -> bool:
    """Whether accepted edits have left the draft and did not become live; the same again would spend another look."""
    draft = tx.drafts.get(agent.name)
    drafted = () if draft is None or draft.on != agent.live else draft.accepted
    return filed.state == "accepted" and filed.on == agent.live and filed.id not in {one.proposal for one in drafted}


async def _brief(ports: Ports, found: Triage, gap: Gap, tried: frozenset[str], scope: str) -> Brief:
    """Show the gap with what the genome says now to each shown case."""
    agent, genome = found.agent, found.genome
    shown, lessons = await ports.store.read(lambda tx: visible(tx, agent))
    (sheet,) = await examine(ports, agent, [genome], shown, scope=scope)
    return brief_of(ports, agent, genome, gap, tried=tried, shown=shown, sheet=sheet, lessons=lessons)


def visible(tx: Tx, agent: Agent) -> tuple[list[Case], list[Lesson]]:
    """Give what an improver may be shown: shown cases, and the last lessons."""
    return tx.cases.of(agent.name, ("shown",), limit=OTHERS * 2), tx.lessons.all(agent.name)[-10:]


def brief_of(
    ports: Ports, agent: Agent, genome: Genome, gap: Gap, *, tried: frozenset[str], shown: Sequence[Case],
    sheet: Sheet, lessons: Sequence[Lesson],
) -> Brief:  # fmt: skip
    """Show the last failures of the gap and the ones most like them, and shown cases that must stay right."""
    failing = {failure.input for failure in gap.failures}
    mine = [case for case in shown if case.input in failing]
    rest = [case for case in shown if case.input not in failing][:OTHERS]
    bounds = agent.bounds
    return Brief(
        agent=agent.name, genome=genome, gap=gap.key, title=gap.title,
        failures=_examples(_chosen(mine, agent.habits.recent), sheet, ports), others=_examples(rest, sheet, ports),
        labels=agent.labels, tried=tried, lessons=tuple(lesson.text for lesson in lessons),
        max_edits=bounds.edits, rule_room=_room(genome, bounds, "rule"), example_room=_room(genome, bounds, "example"),
        rule_chars=bounds.rule_chars, model=agent.habits.model,
    )  # fmt: skip


def _chosen(cases: Sequence[Case], recent: int) -> list[Case]:
    """The `recent` newest, and as many older ones again that are most like them (newest first)."""
    last, older = list(cases[:recent]), list(cases[recent:])
    return last + [older[at] for at in nearest([c.input for c in last], [c.input for c in older], recent)]


def _examples(cases: Sequence[Case], sheet: Sheet, ports: Ports) -> tuple[Example, ...]:
    """Give cases as an improver sees them: redacted once more, since an operator's own file was kept as it came."""
    return tuple(
        _example(
            replace(case, input=ports.redact(case.input), expected=ports.redact(case.expected),
                    slices=ports.redact_slices(case.slices)),
            None if (said := _answer(sheet, case)) is None else ports.redact(said),
        )
        for case in cases
    )  # fmt: skip


def _example(case: Case, predicted: str | None) -> Example:
    return Example(
        case_id=case.id, input=case.input, expected=case.expected, predicted=predicted, slices=case.slices
    )  # fmt: skip


def _answer(sheet: Sheet, case: Case) -> str | None:
    run = sheet[case.id][0]
    return None if run.score is None else run.answer


def _room(genome: Genome, bounds: Bounds, kind: str) -> int:
    cap = bounds.active_rules if kind == "rule" else bounds.examples
    return max(0, cap - len(genome.of_kind("rule" if kind == "rule" else "example")))


async def _asked(ports: Ports, agent: Agent, brief: Brief, scope: str) -> tuple[Proposal, Hold]:
    improver = ports.improver_named(agent.habits.improver)
    worst = improver.price(agent.habits.improver_budget)
    hold = await reserve(ports, agent, scope, "improver", worst)
    try:
        return await improver.propose(brief, agent.habits.improver_budget), hold
    except SurefootError:  # what an improver raises it raises while nothing is spent
        await ports.store.write(lambda tx: settled(tx, hold, Cost()))
        raise


def _findings(judgement: Judgement) -> dict[str, object]:
    return {
        "refusals": [{"code": r.code, "sentence": r.sentence, "target": r.edit.target} for r in judgement.refusals],
        "evicted": list(judgement.evicted),
        "drift": judgement.drift,
        "allowed": len(judgement.allowed),
    }

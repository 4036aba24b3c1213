"""Triage: from failures to cases, gaps and a ranked backlog.

Labelled traffic is sorted into cases first, by group and hash, before anyone asks who was right. Failures are then
run again on the draft as it stands: those that are gone close their lever, those that flicker never make a rule
alone. What is left is limited per source, clustered into gaps, and each gap becomes or updates one lever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from surefoot.core.agent import Agent
from surefoot.core.backlog import Failure, Gap, Lever, gaps, hold_reason, nothing_to_fix, quota, sources
from surefoot.core.case import Case, Split, case_id, groups, split_of
from surefoot.core.digest import digest
from surefoot.core.draft import Draft
from surefoot.core.edit import apply_edits
from surefoot.core.evidence.comparison import MAX_UNSCORED
from surefoot.core.genome import Genome
from surefoot.engine.evaluate import examine
from surefoot.ports import Ports, Tx

BATCH = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """What triage found: the gaps with their failures and the backlog, or why to hold, or that nothing needs fixing."""

    agent: Agent
    genome: Genome
    draft: Draft
    gaps: tuple[Gap, ...]
    levers: tuple[Lever, ...]
    hold: str = ""
    spare: str = ""


async def triage(ports: Ports, name: str, *, scope: str = "") -> Triage:
    """Bring the backlog of an agent up to date."""
    while await ports.store.write(lambda tx: sort_into_cases(tx, name)):
        pass
    agent, draft, genome = await ports.store.read(lambda tx: standing(tx, name))
    failures, labelled, served = await ports.store.read(
        lambda tx: (tx.outcomes.failures(name, limit=agent.habits.window), tx.outcomes.labelled(name),
                    tx.outcomes.labelled(name, version=agent.live))
    )  # fmt: skip
    if spare := nothing_to_fix(served.failure, served.success + served.failure, agent.habits.headroom):
        return Triage(agent=agent, genome=genome, draft=draft, gaps=(), levers=(), spare=spare)
    known = labelled.success + labelled.failure
    hold = hold_reason(len(failures), agent.policy.min_failures) or _source_hold(agent, failures)
    if hold:
        return Triage(agent=agent, genome=genome, draft=draft, gaps=(), levers=(), hold=hold)
    lasting, unanswered = await _reproduced(ports, agent, genome, failures, scope)
    if unanswered:
        return Triage(agent=agent, genome=genome, draft=draft, gaps=(), levers=(), hold=unanswered)
    kept = quota(lasting) if agent.policy.min_sources > 1 else lasting
    found = gaps([*kept, *await _unlearned(ports, agent, genome, draft, kept, scope)], known)
    levers = await ports.store.write(lambda tx: _backlog(tx, ports, agent, found))
    return Triage(agent=agent, genome=genome, draft=draft, gaps=found, levers=tuple(levers))


def standing(tx: Tx, name: str) -> tuple[Agent, Draft, Genome]:
    """Give an agent, its draft, and the genome that the draft amounts to."""
    agent = tx.agents.get(name)
    live = tx.versions.get(name, agent.live)
    draft = tx.drafts.get(name)
    if draft is None or draft.on != agent.live:
        draft = Draft(agent=name, on=agent.live, revision=0 if draft is None else draft.revision)
    return agent, draft, apply_edits(tx.versions.genome(live.genome), draft.edits, learned_at="draft")


def _source_hold(agent: Agent, failures: Sequence[Failure]) -> str:
    found, wanted = sources(failures), agent.policy.min_sources
    if found >= wanted:
        return ""
    return f"the failures come from {found} source(s), {wanted} are needed before a rule may be shared"


def sort_into_cases(tx: Tx, name: str) -> int:
    """Turn one batch of labelled traces into cases, and give how many traces it was.

    Near-duplicates join the group, and so the split, of the case they resemble.
    """
    agent = tx.agents.get(name)
    fresh = tx.traces.uncased(name, BATCH)
    if not fresh:
        return 0
    known = tx.cases.groups(name)
    group_of = groups([text for text, _, _ in known] + [trace.input for trace, _ in fresh])
    settled: dict[str, tuple[str, Split]] = {}
    splits: dict[str, set[Split]] = {}
    for found, (_, group, split) in zip(group_of, known, strict=False):
        settled.setdefault(found, (group, split))
        splits.setdefault(found, set()).add(split)
    cases: list[Case] = []
    for (trace, outcome), found in zip(fresh, group_of[len(known) :], strict=True):
        if len(splits.get(found, ())) > 1:
            continue  # it resembles cases of several splits, and in each of them it would give the others away
        group, split = settled.get(found) or (found, split_of(agent.salt, found, agent.habits.shares))
        cases.append(Case(
            id=case_id(name, trace.input, outcome.expected), agent=name, group=group, input=trace.input,
            expected=outcome.expected, split=split, slices=trace.slices, origin="traffic",
        ))  # fmt: skip
    tx.cases.add(cases)
    tx.traces.cased(trace.id for trace, _ in fresh)
    return len(fresh)


async def _reproduced(
    ports: Ports, agent: Agent, genome: Genome, failures: Sequence[Failure], scope: str
) -> tuple[list[Failure], str]:
    """Run each failure again on the genome; keep, with its present answer, what still fails every time.

    The second value says why nothing can be told from that: no answer says neither that a failure lasts nor that it
    is gone.
    """
    cases = {_case_of(agent, failure): failure for failure in failures if failure.expected}
    known = {case.id: case for case in await ports.store.read(lambda tx: tx.cases.of(agent.name, ("shown", "hidden")))}
    again = [known[case] for case in cases if case in known]
    (sheet,) = await examine(ports, agent, [genome], again, repeats=agent.habits.repeats, scope=scope)
    unanswered = sum(any(run.score is None for run in sheet[case.id]) for case in again)
    if unanswered > MAX_UNSCORED * len(again):
        return [], f"{agent.habits.model} gave no answer to {unanswered} of {len(again)} failures that were run again"
    lasting = [
        replace(cases[case.id], predicted=sheet[case.id][-1].answer.strip().lower())
        for case in again
        if all(run.score == 0.0 for run in sheet[case.id])
    ]
    return lasting, ""


async def _unlearned(
    ports: Ports, agent: Agent, genome: Genome, draft: Draft, failures: Sequence[Failure], scope: str
) -> list[Failure]:
    """Give the cases that the draft would get wrong though nobody has complained: what it unlearned comes back first.

    Live traffic shows only the live version's failures; what an accepted edit broke is found on the known cases.
    """
    if not draft.edits:
        return []
    named = {_case_of(agent, failure) for failure in failures}
    cases = [
        case for case in await ports.store.read(lambda tx: tx.cases.of(agent.name, ("shown", "hidden")))
        if case.id not in named
    ]  # fmt: skip
    (sheet,) = await examine(ports, agent, [genome], cases, scope=scope)
    return [
        Failure(
            id=0, trace_id="", version=agent.live, input=case.input, predicted=sheet[case.id][0].answer.strip().lower(),
            expected=case.expected, source=f"case:{case.id}", slices=case.slices,
        )
        for case in cases
        if sheet[case.id][0].score == 0.0
    ]  # fmt: skip


def _case_of(agent: Agent, failure: Failure) -> str:
    return case_id(agent.name, failure.input, failure.expected)


def _backlog(tx: Tx, ports: Ports, agent: Agent, found: Sequence[Gap]) -> list[Lever]:
    """Open a lever per gap, refresh those there are, and close those whose gap is gone."""
    now, known = ports.clock(), {lever.gap: lever for lever in tx.levers.all(agent.name)}
    levers: list[Lever] = []
    for gap in found:
        lever = known.get(gap.key) or Lever(
            id=f"L-{digest([agent.name, gap.key])[:6]}", agent=agent.name, gap=gap.key, title=gap.title,
            impact=gap.impact, failures=len(gap.failures),
        )  # fmt: skip
        fresh = replace(lever, title=gap.title, impact=gap.impact, failures=len(gap.failures), state="open")
        if fresh != known.get(gap.key):
            tx.levers.put(fresh)
            tx.levers.note(
                agent.name, lever.id, now, f"{fresh.state}: {gap.title}, {gap.impact:.1%} of labelled traffic"
            )
        levers.append(fresh)
    for gone in (lever for key, lever in known.items() if key not in {gap.key for gap in found}):
        if gone.state == "open":
            tx.levers.put(replace(gone, state="closed"))
            tx.levers.note(agent.name, gone.id, now, "closed: its failures are gone")
    return sorted(levers, key=lambda lever: (-lever.worth, lever.gap))

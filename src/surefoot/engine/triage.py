"""Triage: from failures to cases, gaps and a ranked backlog.

Labelled traffic is sorted into cases first, by group and hash, before anyone asks who was right. Failures are then
run again on the draft as it stands: those that are gone close their lever, those that flicker never make a rule
alone. What is left is limited per source, clustered into gaps, and each gap becomes or updates one lever. What no
edit can mend (tools that break, answers that are slow, costly or weak) becomes a lever for people on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from surefoot.core.agent import Agent
from surefoot.core.backlog import (
    ERASED_GAP,
    Failure,
    Gap,
    Lever,
    gaps,
    hold_reason,
    lever_of,
    missed_by,
    nothing_to_fix,
    quota,
    sources,
)
from surefoot.core.case import Case, Split, case_id, groups, split_of
from surefoot.core.cluster import clusters, merged
from surefoot.core.draft import Draft
from surefoot.core.edit import apply_edits
from surefoot.core.evidence.comparison import MAX_UNSCORED
from surefoot.core.figure import percent
from surefoot.core.genome import Genome
from surefoot.core.reproduce import Reproduction, reproduction, tallied
from surefoot.core.score import Outcome
from surefoot.core.suboptimal import suboptimal
from surefoot.core.trace import Trace
from surefoot.engine.evaluate import examine
from surefoot.ports import Ports, Tx

BATCH = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """What triage found: the gaps with their failures and the backlog, or why to hold, or that nothing needs fixing.

    What holds is `passing` where it is a model that did not answer, which it may do in a moment.
    `noted` are gaps for people, which no tick takes; `again` says what became of the failures that were run again.
    """

    agent: Agent
    genome: Genome
    draft: Draft
    gaps: tuple[Gap, ...]
    levers: tuple[Lever, ...]
    hold: str = ""
    passing: bool = False
    spare: str = ""
    noted: tuple[Gap, ...] = ()
    again: Mapping[Reproduction, int] = field(default_factory=dict[Reproduction, int])

    def texts(self, key: str) -> frozenset[str]:
        """Give the texts of a gap that no missed answer names, so that its hidden cases can be found."""
        if missed_by(key):
            return frozenset()
        return frozenset(one.input for gap in self.gaps if gap.key == key for one in gap.failures)


async def triage(ports: Ports, name: str, *, scope: str = "") -> Triage:
    """Bring the backlog of an agent up to date."""
    while await ports.store.write(lambda tx: sort_into_cases(tx, name)):
        pass
    agent, draft, genome = await ports.store.read(lambda tx: standing(tx, name))
    failures, labelled, served = await ports.store.read(
        lambda tx: (tx.outcomes.failures(name, limit=agent.habits.window), tx.outcomes.labelled(name),
                    tx.outcomes.labelled(name, version=agent.live))
    )  # fmt: skip
    noted = await _noted(ports, agent, failures)
    found = Triage(agent=agent, genome=genome, draft=draft, gaps=(), levers=(), noted=noted)
    if spare := nothing_to_fix(served.failure, served.success + served.failure, agent.habits.headroom):
        return replace(found, spare=spare)
    known = labelled.success + labelled.failure
    hold = hold_reason(len(failures), agent.policy.min_failures) or _source_hold(agent, failures)
    if hold:
        return replace(found, hold=hold)
    lasting, again, unanswered = await _reproduced(ports, agent, genome, failures, scope)
    found = replace(found, again=tallied(again))
    if unanswered:
        return replace(found, hold=unanswered, passing=True)
    kept = quota(lasting) if agent.policy.min_sources > 1 else lasting
    wrong = [*kept, *await _unlearned(ports, agent, genome, draft, kept, scope)]
    gaps_ = clusters(wrong, known, redact=ports.redact)
    levers = await ports.store.write(lambda tx: _backlog(tx, ports, agent, gaps_))
    return replace(found, gaps=gaps_, levers=tuple(lever for lever in levers if not lever.for_people))


async def _noted(ports: Ports, agent: Agent, failures: Sequence[Failure]) -> tuple[Gap, ...]:
    """Keep levers for people: tools that break, and answers that nobody called wrong but that are not well done."""

    def work(tx: Tx) -> tuple[tuple[Gap, ...], bool]:
        version, labelled = tx.versions.get(agent.name, agent.live), tx.outcomes.labelled(agent.name)
        last, known = agent.habits.window, labelled.success + labelled.failure
        mine = tx.traces.measured(agent.name, agent.live, last)
        before = [] if version.parent is None else tx.traces.measured(agent.name, version.parent, last)
        noted = (*gaps([one for one in failures if one.tool_error], known), *suboptimal(mine, before))
        return noted, any(lever.for_people for lever in tx.levers.all(agent.name))

    noted, listed = await ports.store.read(work)
    if noted or listed:
        await ports.store.write(lambda tx: _backlog(tx, ports, agent, noted, for_people=True))
    return noted


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
    if fresh:
        tx.cases.add(cases_of(tx, agent, fresh))
        tx.traces.cased(trace.id for trace, _ in fresh)
    return len(fresh)


def cases_of(tx: Tx, agent: Agent, fresh: Sequence[tuple[Trace, Outcome]]) -> list[Case]:
    """Give the cases that labelled traces make, each in the split of its group; nobody chooses which.

    One that resembles cases of several splits makes none.
    """
    name = agent.name
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
    return cases


async def _reproduced(
    ports: Ports, agent: Agent, genome: Genome, failures: Sequence[Failure], scope: str
) -> tuple[list[Failure], list[Reproduction], str]:
    """Run each failure again on the genome; keep, with its present answer, what still fails every time.

    The second value says what became of each, the third why nothing can be told from that: no answer says neither
    that a failure lasts nor that it is gone. What a broken tool did is not run again: no edit mends it.
    """
    mendable = [one for one in failures if one.expected and not one.tool_error]
    cases = {_case_of(agent, failure): failure for failure in merged(mendable, lambda one: _case_of(agent, one))}
    known = {case.id: case for case in await ports.store.read(lambda tx: tx.cases.of(agent.name, ("shown", "hidden")))}
    again = [known[case] for case in cases if case in known]
    (sheet,) = await examine(ports, agent, [genome], again, repeats=agent.habits.repeats, scope=scope)
    became: list[Reproduction] = [reproduction([run.score for run in sheet[case.id]]) for case in again]
    unanswered = sum(any(run.score is None for run in sheet[case.id]) for case in again)
    if unanswered > MAX_UNSCORED * len(again):
        return [], became, f"{agent.habits.model} gave no answer to {unanswered} of {len(again)} failures, run again"
    lasting = [
        replace(cases[case.id], predicted=sheet[case.id][-1].answer.strip().lower())
        for case, what in zip(again, became, strict=True)
        if what == "deterministic"
    ]
    return lasting, became, ""


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


def _backlog(tx: Tx, ports: Ports, agent: Agent, found: Sequence[Gap], *, for_people: bool = False) -> list[Lever]:
    """Open a lever per gap, refresh those there are, and close those whose gap is gone; of one sort at a time."""
    known = {
        lever.gap: lever for lever in tx.levers.all(agent.name)
        if lever.for_people == for_people and not lever.gap.startswith(ERASED_GAP)
    }  # fmt: skip
    now, levers = ports.clock(), list[Lever]()
    for gap in found:
        lever = known.get(gap.key) or lever_of(agent.name, gap, gap.title)
        fresh = replace(
            lever, title=ports.redact(gap.title), impact=gap.impact, failures=len(gap.failures), state="open",
            severity=gap.severity, trend=gap.trend,
        )  # fmt: skip
        if fresh != known.get(gap.key):
            tx.levers.put(fresh)
            tx.levers.note(
                agent.name, lever.id, now, f"{fresh.state}: {fresh.title}, {percent(gap.impact)} of labelled traffic"
            )
        levers.append(fresh)
    for gone in (lever for key, lever in known.items() if key not in {gap.key for gap in found}):
        if gone.state == "open":
            tx.levers.put(replace(gone, state="closed"))
            tx.levers.note(agent.name, gone.id, now, "closed: its failures are gone")
    return sorted(levers, key=lambda lever: (-lever.worth, lever.gap))

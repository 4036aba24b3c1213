"""Probe: write questions that test what an agent's instructions promise, and ask them.

Gather the instructions of a version, cut them into promises, let a writer write (a model, if one is given, within
the agent's day budget; templates fill what it left open), examine what was written, and list what no probe tests.
A run of them is an eval run like any other, so its verdicts are durable and can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from surefoot.core.agent import Agent
from surefoot.core.clauses import Clause, instructions_of, tools_of
from surefoot.core.errors import Invalid, SurefootError
from surefoot.core.exam.report import Report
from surefoot.core.exam.verdict import Verdict
from surefoot.core.genome import Genome
from surefoot.core.probe import MOST, Dropped, ProbeSet, judged, missing_first, probe_set, suite_from_probes
from surefoot.core.probe_templates import template_probes
from surefoot.core.proposal import Cost
from surefoot.core.root_cause import RootCause, root_cause
from surefoot.core.token import any_agent
from surefoot.engine.evaluate import reserve, settled
from surefoot.engine.inspect import agent_named
from surefoot.engine.reported import report
from surefoot.engine.run import Terms, begin, carry_out
from surefoot.ports import Ports
from surefoot.ports.exam import Exams, Subject
from surefoot.ports.prober import ProbeSheet, ProbeWriter, WrittenProbes

# So many are left to the templates when a model writes: what it forgets is usually an attack.
RESERVED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The probes of one version, with what they were written from."""

    agent: Agent
    version: int
    genome: Genome
    found: ProbeSet
    cost: Cost
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A promise that an answer broke, or of which nobody knows: the probe, what it points at, and what was said."""

    probe: str
    promise: int
    standing: str
    cause: RootCause
    notes: tuple[str, ...]


async def probe(
    ports: Ports, name: str, *, version: int = 0, tools: Sequence[str] = (), most: int = MOST,
    writer: ProbeWriter | None = None,
) -> Probed:  # fmt: skip
    """Write the probes of a version (0: the live one); Invalid if its instructions promise nothing."""
    if not 1 <= most <= 200:
        raise Invalid(f"{most} probes make no sense", hint="8 to 12 are usual, 200 the most")
    agent = await agent_named(ports, name, sees=any_agent)
    number = version or agent.live
    genome = await ports.store.read(lambda tx: tx.versions.genome(tx.versions.get(agent.name, number).genome))
    found, names = instructions_of(genome, tools=tools, labels=agent.labels), tools_of(genome, tools)
    written = WrittenProbes(probes=())
    if writer is not None:
        sheet = ProbeSheet(agent=agent.name, clauses=found, tools=names, labels=agent.labels, most=most)
        written = await _paid(ports, agent, writer, sheet)
    kept = _together(agent, found, written, names, genome.digest, most, "" if writer is None else writer.name)
    suite_from_probes(kept)
    return Probed(agent=agent, version=number, genome=genome, found=kept, cost=written.cost, note=written.note)


async def _paid(ports: Ports, agent: Agent, writer: ProbeWriter, sheet: ProbeSheet) -> WrittenProbes:
    budget = agent.habits.improver_budget
    hold = await reserve(ports, agent, "", "probes", writer.price(budget))
    try:
        written = await writer.write(sheet, budget)
    except SurefootError:  # what a writer raises it raises while nothing is spent
        await ports.store.write(lambda tx: settled(tx, hold, Cost()))
        raise
    await ports.store.write(lambda tx: settled(tx, hold, written.cost))
    return written


def _together(
    agent: Agent, found: Sequence[Clause], written: WrittenProbes, tools: Sequence[str], seed: str, most: int,
    writer: str,
) -> ProbeSet:  # fmt: skip
    """Keep what a model wrote where it stands up to examination; templates fill the kinds and promises it left."""
    text = "\n".join(clause.text for clause in found)
    room = max(1, most - RESERVED) if written.probes else 0
    mine = probe_set(agent.name, found, written.probes, instructions=text, tools=tools, labels=agent.labels,
                     most=room, strict=True)  # fmt: skip
    plain = template_probes(found, labels=agent.labels, tools=tools, seed=seed, most=most)
    wanted = missing_first(plain, mine.probes)
    rest = probe_set(agent.name, found, [*mine.probes, *wanted[: most - len(mine.probes)]], instructions=text,
                     tools=tools, labels=agent.labels, most=most)  # fmt: skip
    dropped: tuple[Dropped, ...] = (*mine.dropped, *rest.dropped)
    return replace(rest, dropped=dropped, writer=f"{writer} and templates" if writer else "templates")


async def run_probes(ports: Ports, exams: Exams, found: ProbeSet, subject: Subject, terms: Terms,
                     how: Mapping[str, object] | None = None) -> tuple[Report, tuple[Broken, ...]]:  # fmt: skip
    """Ask the probes of a subject; gives the report of the run, and every promise that was not kept.

    Without a judge only those are asked that checks can decide; Invalid if that leaves none.
    """
    if exams.judge is None:
        found, waiting = judged(found)
        if waiting and not found.probes:
            raise Invalid("all probes need a judge", hint="name a model with --judge")
    suite = suite_from_probes(found)
    run = await begin(ports, exams, suite, subject, terms, how=how)
    await carry_out(ports, exams, subject, run.id, terms, suite=suite)
    seen = await report(ports, run.id)
    said: dict[str, list[Verdict]] = {}
    for verdict in seen.verdicts:
        said.setdefault(verdict.case, []).append(verdict)
    broken = [
        Broken(probe=one.id, promise=one.promise, standing=result.standing, notes=result.notes,
               cause=root_cause(one, result.standing, said.get(one.id, ())))
        for one in found.probes
        if (result := seen.results.get(one.id)) is not None and result.standing != "passed"
    ]  # fmt: skip
    return seen, tuple(broken)

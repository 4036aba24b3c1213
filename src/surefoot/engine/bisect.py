"""Bisect: name the first bad version between a good and a bad one, and inside it the first bad edit.

First the two ends are compared on random cases (`hidden` and `val`), because only they can say that something is
worse. Then the versions between are asked, those first that halve what is left; failures that are known as cases help
to locate, but prove nothing, since whoever made them looks bad on them. Answers given before are reused, calls are
counted against a limit, and "inconclusive" is an answer. Nothing that was asked is shown: `val` is held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from surefoot.core.agent import Agent
from surefoot.core.bisect import Span, Standing, level, span, standing, worse_p
from surefoot.core.case import Case, case_id
from surefoot.core.edit import Edit, apply_edits, edits_between
from surefoot.core.errors import Invalid, SurefootError
from surefoot.core.genome import Genome
from surefoot.core.version import Version
from surefoot.engine.evaluate import Sheet, examine
from surefoot.engine.triage import sort_into_cases
from surefoot.ports import Ports, Tx

Among = Literal["all", "held", "failing"]
CALLS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was asked of one version or edit: its place, its right answers out of the cases, and how it stands."""

    name: str
    right: int
    cases: int
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisected:
    """What came of it: the first bad version and edit where they are known, else the versions it lies between.

    `calls` were made for it. `p` is that of the two ends being equal, on `cases` cases.
    """

    agent: str
    good: int
    bad: int
    sentence: str
    first_bad: int | None = None
    after: int | None = None
    edit: Edit | None = None
    probes: tuple[Probe, ...] = ()
    p: float = 1.0
    cases: int = 0
    calls: int = 0


@dataclass
class _Search:
    """A search in progress: what may still be asked, and what was answered."""

    ports: Ports
    agent: Agent
    left: int
    calls: int = 0
    spent: bool = False
    probes: list[Probe] = field(default_factory=list[Probe])

    async def sheets(self, genomes: Sequence[Genome], cases: Sequence[Case]) -> list[Sheet] | None:
        """Let genomes answer; None when it would take more calls than are left."""
        model = self.ports.model_named(self.agent.habits.model).name
        ids = [case.id for case in cases]

        def known(tx: Tx) -> int:
            return sum(
                sum(repeat == 0 for _, repeat in tx.scores.known(one, model, ids))
                for one in {g.digest for g in genomes}
            )

        missing = len({genome.digest for genome in genomes}) * len(ids) - await self.ports.store.read(known)
        if missing > self.left:
            self.spent = True
            return None
        self.left, self.calls = self.left - missing, self.calls + missing
        return await examine(self.ports, self.agent, genomes, cases)

    async def run(self, chain: Sequence[tuple[str, Genome]], cases: Sequence[Case]) -> Span:
        """Ask what lies between the ends of a chain until the first bad step is known, or nothing is left to ask."""
        steps, seen = len(chain) - 1, dict[int, Standing]()
        while (now := span(steps, seen)).next is not None:
            name, genome = chain[now.next]
            sheets = await self.sheets([chain[0][1], genome, chain[-1][1]], cases)
            if sheets is None:
                return now
            good, here, bad = sheets
            seen[now.next] = standing(
                _differences(cases, good, here), _differences(cases, here, bad), alpha=level(steps)
            )
            self.probes.append(Probe(name=name, right=_right(here), cases=len(cases), standing=seen[now.next]))
        return now


async def bisect(
    ports: Ports, name: str, *, good: int | None = None, bad: int | None = None, among: Among = "all",
    calls: int = CALLS,
) -> Bisected:  # fmt: skip
    """Search between two versions, by default the first ancestor of what serves (or had an incident) and that one.

    Raises Invalid when `good` is no ancestor of `bad`, or when there are no cases to ask.
    """
    while await ports.store.write(lambda tx: sort_into_cases(tx, name)):
        pass
    agent, chain = await ports.store.read(lambda tx: (tx.agents.get(name), _chain(tx, name, good, bad)))
    proof, more = await ports.store.read(lambda tx: _cases(tx, agent, chain, among))
    versions = [one for one, _ in chain]
    search = _Search(ports, agent, calls)
    ends = await search.sheets([chain[0][1], chain[-1][1]], proof)
    p = 1.0 if ends is None else worse_p(_differences(proof, *ends))
    done = _Ending(name, versions, search, p, len(proof))
    if ends is None:
        return done.told(f"{calls} calls are too few to compare {versions[0].label} with {versions[-1].label}.")
    if p > level(len(chain) - 1):
        return done.told(
            f"{versions[-1].label} is not shown to be worse than {versions[0].label} on {len(proof)} cases (p {p:.3g})."
        )
    here = await search.run([(one.label, genome) for one, genome in chain], [*proof, *more])
    before, first = versions[here.good], versions[here.bad]
    if not here.found:
        why = "the calls are spent" if search.spent else "the cases cannot tell them apart"
        return done.told(f"It became worse after {before.label} and at latest in {first.label}; {why}.", after=before)
    edit = await _first_edit(search, chain[here.good][1], chain[here.bad][1], [*proof, *more])
    what = f"by the edit {edit.kind} on block {edit.target!r}" if edit else "by which of its edits cannot be told"
    return done.told(f"It became worse in {first.label}, {what}.", after=before, first=first, edit=edit)


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a result is told."""

    name: str
    versions: Sequence[Version]
    search: _Search
    p: float
    cases: int

    def told(
        self, sentence: str, *, after: Version | None = None, first: Version | None = None, edit: Edit | None = None
    ) -> Bisected:
        return Bisected(
            agent=self.name, good=self.versions[0].number, bad=self.versions[-1].number, sentence=sentence,
            after=after.number if after else None, first_bad=first.number if first else None, edit=edit,
            probes=tuple(self.search.probes), p=self.p, cases=self.cases, calls=self.search.calls,
        )  # fmt: skip


async def _first_edit(search: _Search, before: Genome, after: Genome, cases: Sequence[Case]) -> Edit | None:
    """Apply the edits of a version one by one, and find the first with which it is bad; None when none can be named."""
    edits = edits_between(before, after, may_retire=[block.id for block in before.blocks])
    chain = [("before", before)]
    for at, edit in enumerate(edits):
        try:
            chain.append((f"{edit.kind} {edit.target}", apply_edits(before, edits[: at + 1])))
        except SurefootError:  # what a rewrite cannot express, such as a changed lock
            return None
    if not edits:
        return None
    ends = await search.sheets([before, chain[-1][1]], cases)
    if ends is None or worse_p(_differences(cases, *ends)) > level(len(edits)):
        return None
    here = await search.run(chain, cases)
    return edits[here.bad - 1] if here.found else None


def _chain(tx: Tx, name: str, good: int | None, bad: int | None) -> list[tuple[Version, Genome]]:
    """The versions from good to bad, each the parent of the next."""
    suspects = [one.version for one in tx.incidents.all(name) if one.state == "open" and one.kind != "sentinel"]
    at = bad if bad is not None else suspects[-1] if suspects else tx.agents.get(name).live
    chain = [tx.versions.get(name, at)]
    while chain[0].parent is not None and chain[0].number != good:
        chain.insert(0, tx.versions.get(name, chain[0].parent))
    if (good is not None and chain[0].number != good) or len(chain) < 2:
        known = ", ".join(one.label for one in chain[:-1]) or "it has none"
        asked = f"v{good}" if good is not None else "another version"
        raise Invalid(f"{asked} is no ancestor of {name} v{at}", hint=f"its ancestors: {known}")
    return [(one, tx.versions.genome(one.genome)) for one in chain]


def _cases(
    tx: Tx, agent: Agent, chain: Sequence[tuple[Version, Genome]], among: Among
) -> tuple[list[Case], list[Case]]:
    """Give the cases that can prove, and the failures of these versions that help to locate (never a sealed one)."""
    cases = tx.cases.of(agent.name, ("shown", "hidden", "val"))
    suspects = {one.number for one, _ in chain[1:]}
    failures = tx.outcomes.failures(agent.name, limit=agent.habits.window)
    failed = {case_id(agent.name, one.input, one.expected) for one in failures if one.version in suspects}
    held = [case for case in cases if case.split != "shown"]
    failing = [case for case in cases if case.id in failed]
    proof = failing if among == "failing" else held
    if not proof:
        raise Invalid(f"agent {agent.name} has no such cases to ask", hint="surefoot import adds some")
    ids = {case.id for case in proof}
    return proof, [case for case in failing if case.id not in ids] if among == "all" else []


def _differences(cases: Sequence[Case], earlier: Sheet, later: Sheet) -> list[float]:
    """Later minus earlier on each case that both answered."""
    pairs = [(earlier[case.id][0].score, later[case.id][0].score) for case in cases]
    return [after - before for before, after in pairs if before is not None and after is not None]


def _right(sheet: Sheet) -> int:
    return sum(runs[0].score == 1.0 for runs in sheet.values())

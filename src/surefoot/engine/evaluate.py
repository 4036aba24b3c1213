"""Evaluate: run genomes on the same cases, interleaved, and remember every answer.

An answer is kept under (genome, model, case, repeat), so a killed run goes on where it stopped and nothing is paid
twice. Genomes that ask a case in the same words share one answer: what a rule does not apply to, it cannot harm, and
no luck of the model can make it look so. Before a chunk of calls starts, its worst case is reserved in the ledgers of
the tick and of the day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from surefoot.core.agent import Agent
from surefoot.core.budget import Budget, Ledger
from surefoot.core.case import Case
from surefoot.core.digest import digest
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.evidence.comparison import Pair
from surefoot.core.genome import Genome
from surefoot.core.proposal import Cost
from surefoot.core.score import judged, value
from surefoot.engine.serve import question
from surefoot.ports import Model, Ports, Question, Tx

CHUNK = 64


@dataclass(frozen=True, slots=True)
class Run:
    """One answer: what came, and its score (None = no complete answer came)."""

    answer: str
    score: float | None


Sheet = Mapping[str, Sequence[Run]]


@dataclass(frozen=True, slots=True)
class _Call:
    """One question still to ask, for all genomes that put it in these words."""

    genomes: tuple[str, ...]
    case: Case
    repeat: int
    question: Question


async def examine(
    ports: Ports, agent: Agent, genomes: Sequence[Genome], cases: Sequence[Case], *, repeats: int = 1, scope: str = ""
) -> list[Sheet]:
    """Give, per genome, the runs of each case by case id; budgets are those of the agent's tick `scope` and day."""
    model = ports.model_named(agent.habits.model)
    named = [(genome.digest, genome) for genome in genomes]
    known = await ports.store.read(lambda tx: _known(tx, [name for name, _ in named], model.name, cases))
    calls = [call for case in cases for r in range(repeats) for call in _calls(named, case, r, known)]
    for start in range(0, len(calls), CHUNK):
        known |= await _chunk(ports, agent, model, calls[start : start + CHUNK], scope)
    return [
        {case.id: [known.get((name, case.id, r), Run("", None)) for r in range(repeats)] for case in cases}
        for name, _ in named
    ]


def _calls(
    named: Sequence[tuple[str, Genome]], case: Case, repeat: int, known: dict[tuple[str, str, int], Run]
) -> list[_Call]:
    """Give what is to be asked about a case; a genome whose question was answered for another gets that answer."""
    if all((name, case.id, repeat) in known for name, _ in named):
        return []
    asked: dict[tuple[object, ...], tuple[Question, list[str]]] = {}
    for name, genome in named:
        one = question(genome, case.input, case.slices, case_id=case.id)
        asked.setdefault((one.system, *sorted(one.params.items())), (one, []))[1].append(name)
    calls: list[_Call] = []
    for one, names in asked.values():
        answered = [known[name, case.id, repeat] for name in names if (name, case.id, repeat) in known]
        missing = tuple(dict.fromkeys(name for name in names if (name, case.id, repeat) not in known))
        if answered:
            known |= {(name, case.id, repeat): answered[0] for name in missing}
        else:
            calls.append(_Call(missing, case, repeat, one))
    return calls


def _known(tx: Tx, genomes: Sequence[str], model: str, cases: Sequence[Case]) -> dict[tuple[str, str, int], Run]:
    ids = [case.id for case in cases]
    return {
        (genome, case, repeat): Run(answer, score)
        for genome in genomes
        for (case, repeat), (answer, score) in tx.scores.known(genome, model, ids).items()
    }


async def _chunk(
    ports: Ports, agent: Agent, model: Model, calls: Sequence[_Call], scope: str
) -> dict[tuple[str, str, int], Run]:
    key = digest([[*call.genomes, call.case.id, call.repeat] for call in calls])[:24]
    worst = _sum([model.price(call.question) for call in calls])
    hold = await reserve(ports, agent, scope, key, worst)
    gate = asyncio.Semaphore(agent.habits.concurrency)
    runs = await asyncio.gather(*(_run(model, call, gate) for call in calls))
    rows = [(call, run) for call, (run, _) in zip(calls, runs, strict=True) if run.score is not None]

    def remember(tx: Tx) -> None:  # with what it cost: an answer that is paid for is never asked for again
        settled(tx, hold, _sum([cost for _, cost in runs]))
        for genome in {name for call, _ in rows for name in call.genomes}:
            tx.scores.add(genome, model.name, [
                (call.case.id, call.repeat, run.answer, run.score or 0.0)
                for call, run in rows if genome in call.genomes
            ])  # fmt: skip

    await ports.store.write(remember)
    return {(name, call.case.id, call.repeat): run for call, run in rows for name in call.genomes}


async def _run(model: Model, call: _Call, gate: asyncio.Semaphore) -> tuple[Run, Cost]:
    """Ask once; an answer that is missing or cut short has no score, because unknown is not failure here."""
    async with gate:
        try:
            answer = await model.answer(call.question)
        except (Unavailable, Invalid) as problem:  # of one question; the others go on
            return Run("", None), getattr(problem, "cost", Cost(calls=1))
    if answer.finish != "stop":
        return Run(answer.text, 0.0 if answer.finish in ("length", "refused") else None), answer.cost
    return Run(answer.text, value(judged(answer.text, call.case.expected))), answer.cost


def _sum(costs: Sequence[Cost]) -> Cost:
    total = Cost()
    for cost in costs:
        total += cost
    return total


@dataclass(frozen=True, slots=True)
class Hold:
    """What was set aside: in each ledger under the key that is in force there."""

    keys: tuple[tuple[str, str], ...]


async def reserve(ports: Ports, agent: Agent, scope: str, key: str, worst: Cost) -> Hold:
    """Set the worst case aside in the tick's and the day's ledger; BudgetExhausted if either has no room for it.

    A step that is repeated after a crash finds its own reservation again; work that was settled before and is done
    anew is reserved anew.
    """
    now, named = ports.clock(), f"{scope or 'by-hand'}/{key}"

    def work(tx: Tx) -> Hold:
        keys: list[tuple[str, str]] = []
        for ledger, budget in _scopes(agent, scope, f"{now:%Y-%m-%d}"):
            free = tx.ledgers.free_key(ledger, named)
            tx.ledgers.get(ledger, budget).reserve(free, worst)
            tx.ledgers.reserve(ledger, free, worst, now)
            keys.append((ledger, free))
        return Hold(tuple(keys))

    return await ports.store.write(work)


def settled(tx: Tx, hold: Hold, actual: Cost) -> None:
    """Replace a reservation by what it really cost, in the ledgers it was made in."""
    for ledger, key in hold.keys:
        tx.ledgers.settle(ledger, key, actual)


async def spent(ports: Ports, name: str) -> tuple[str, Ledger]:
    """Give today (UTC) and its ledger of an agent: what was spent and is reserved, under the day's budget."""
    day = f"{ports.clock():%Y-%m-%d}"

    def work(tx: Tx) -> Ledger:
        scope, budget = _scopes(tx.agents.get(name), "", day)[0]
        return tx.ledgers.get(scope, budget)

    return day, await ports.store.read(work)


def _scopes(agent: Agent, scope: str, day: str) -> list[tuple[str, Budget]]:
    scopes = [(f"{agent.name}/day/{day}", agent.habits.day_budget)]
    return scopes + ([(f"{agent.name}/{scope}", agent.habits.tick_budget)] if scope else [])


def pairs(cases: Sequence[Case], incumbent: Sheet, candidate: Sheet, *, by_answer: bool = False) -> list[Pair]:
    """Give one pair per case and repeat for the gate; a side without a score is unknown, never a success.

    With `by_answer` the expected answer is a slice too. A release is judged so; a tick is not, because a draft that
    has taught some labels only pulls requests from the others until the next tick.
    """
    found: list[Pair] = []
    for case in cases:
        slices = {"expected": case.expected, **case.slices} if by_answer else dict(case.slices)
        sides = zip(incumbent[case.id], candidate[case.id], strict=True)
        found += [
            Pair(case_id=case.id, group=case.group, incumbent=one.score, candidate=other.score,
                 slices=slices, must_pass=case.must_pass)
            for one, other in sides
        ]  # fmt: skip
    return found


def accuracy(sheet: Sheet) -> float:
    """Give the mean score over all runs; a run without a score counts as wrong. Invalid for no cases."""
    scores = [run.score or 0.0 for runs in sheet.values() for run in runs]
    if not scores:
        raise Invalid("there are no cases to measure", hint="import some, or collect labelled traffic first")
    return sum(scores) / len(scores)

"""The house that engine tests work in: a real SQLite file, a story clock, and a model and an improver that obey.

The scripted model answers with the label after `#` in the text if its prompt says `KNOW label`, else with the first
label; so an edit is worth exactly what its rule says, and nothing else moves a score.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.agent import Agent, Habits
from surefoot.core.budget import Budget
from surefoot.core.case import Case, Split, case_id
from surefoot.core.edit import Edit
from surefoot.core.genome import Block, Genome, render
from surefoot.core.proposal import Brief, Cost, Proposal
from surefoot.core.rollout import RolloutSettings
from surefoot.core.rollout.standing import Reconcile, Rollout
from surefoot.core.score import Outcome, judged
from surefoot.core.starter import starting_genome
from surefoot.core.trace import Trace
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import add_cases, create_agent, offer_version
from surefoot.engine.serve import Served, serve
from surefoot.engine.serve import _new_seat as new_seat
from surefoot.engine.tick import tick
from surefoot.engine.verdict import remember
from surefoot.ports import Answer, Improver, Ports, Question
from surefoot.rehearsal.clock import SeededIds, StoryClock

LABELS = ("other", "billing", "refund")
# Quickly won, hard to stop: for tests about what follows a win.
EAGER = RolloutSettings(
    win_threshold=2, ledger_slots=None, min_fresh_labels=1, hard_guard=1e6, soft_guard=1e6, holdback_percent=0
)
HABITS = Habits(
    model="scripted", improver="scripted", slots=5, release_ticks=1, release_power=None, headroom=0.0, rollout=EAGER
)
NAME = "support"


def obeyed(system: str, right: str) -> str:
    """What the scripted model answers under a prompt where `right` is right."""
    if f"BREAK {right}" in system:
        return "broken"
    return right if f"KNOW {right}" in system else LABELS[0]


class ScriptedModel:
    """Answers right what its prompt KNOWs, wrong what it BREAKs; `trouble` may interfere with any answer."""

    name = "scripted"

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.cost = Cost(calls=1, tokens=10, usd=0.001)
        self.worst = self.cost
        self.trouble: Callable[[Question], Answer | None] = lambda _: None
        self.before: Callable[[Question], Awaitable[None]] | None = None

    def price(self, question: Question) -> Cost:
        return self.worst

    async def answer(self, question: Question) -> Answer:
        self.asked.append(question)
        if self.before is not None:
            await self.before(question)
        if (other := self.trouble(question)) is not None:
            return other
        right = question.user.rpartition("#")[2].strip()
        return Answer(text=obeyed(question.system, right), cost=self.cost)


class ScriptedImprover:
    """Proposes what `plan` says, by default the one rule that answers the gap; keeps every brief it saw."""

    name = "scripted"

    def __init__(self) -> None:
        self.briefs: list[Brief] = []
        self.plan: Callable[[Brief], Iterable[Edit]] = lambda brief: [know(brief.gap.partition(":")[2])]
        self.worst = Cost(calls=6, usd=0.50)
        self.cost = Cost(calls=2, usd=0.09)

    def price(self, budget: Budget) -> Cost:
        return self.worst

    async def propose(self, brief: Brief, budget: Budget) -> Proposal:
        self.briefs.append(brief)
        return Proposal(improver=self.name, edits=tuple(self.plan(brief)), rationale="as planned", cost=self.cost)


def know(label: str, *, target: str = "") -> Edit:
    """The edit that teaches a label."""
    return Edit(
        kind="add", target=target or f"know-{label}", text=f"KNOW {label} when you see it.", gap=f"missed:{label}"
    )


def breaks(label: str) -> Edit:
    """The edit that spoils a label."""
    return Edit(kind="add", target=f"break-{label}", text=f"BREAK {label} when you see it.")


def taught(genome: Genome, *labels: str) -> Genome:
    """A genome with a rule for each label; `BREAK x` and the like are given as they are."""
    rules = [
        Block(id=label.lower().replace(" ", "-"), kind="rule", text=label if " " in label else f"KNOW {label}")
        for label in labels
    ]
    return Genome((*genome.blocks, *rules))


def say(number: int | str, label: str) -> str:
    """A request about a label that shares no three words in a row with any other."""
    return " ".join(sha256(f"{number}/{at}".encode()).hexdigest()[:7] for at in range(9)) + f" #{label}"


def paid(calls: int, proposals: int = 0) -> Cost:
    """What this many answers of the scripted model and proposals of the scripted improver cost."""
    return Cost(calls=calls + 2 * proposals, tokens=10 * calls, usd=round(0.001 * calls + 0.09 * proposals, 6))


@dataclass
class House:
    """An app on one file, and short ways to set a scene on it."""

    app: App
    clock: StoryClock
    model: ScriptedModel
    improver: ScriptedImprover

    @property
    def ports(self) -> Ports:
        return self.app.ports

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return await self.app.store.read(work)

    async def write(self, work: Callable[[Any], Any]) -> Any:
        return await self.app.store.write(work)

    def later(self, **time: float) -> None:
        """Let time pass."""
        self.clock.advance(self.clock() + timedelta(**time))

    async def agent(
        self, name: str = NAME, *, genome: Genome | None = None, habits: Habits = HABITS, **given: Any
    ) -> Agent:
        """An agent that answers everything with the first label."""
        start = genome or taught(starting_genome(LABELS), "other")
        given = {"by": "founder", "labels": LABELS, "salt": f"salt-{name}", **given}
        return await create_agent(self.ports, name, start, habits=habits, **given)

    async def change(self, name: str = NAME, **fields: Any) -> Agent:
        """Write other fields into the agent's record."""
        return await self.write(lambda tx: tx.agents.swap(replace(tx.agents.get(name), **fields)))

    async def history(
        self,
        count: int,
        *,
        name: str = NAME,
        labels: Sequence[str] = LABELS,
        start: int = 0,
        sources: int = 0,
        text: Callable[[int, str], str] = say,
    ) -> list[str]:
        """Labelled traffic of the past in one transaction, answered as version 1 would; gives the traces."""
        now, ids = self.clock(), [self.ports.new_id() for _ in range(count)]

        def work(tx: Any) -> None:
            agent = tx.agents.get(name)
            known = "".join(block.text for block in tx.versions.genome(tx.versions.get(name, agent.live).genome).blocks)
            for at, trace_id in enumerate(ids):
                number = start + at
                label = labels[number % len(labels)]
                output = label if f"KNOW {label}" in known else LABELS[0]
                moment = now + timedelta(microseconds=at)
                tx.traces.add(Trace(
                    id=trace_id, agent=name, version=agent.live, unit=trace_id, input=text(number, label),
                    output=output, finish="stop", at=moment,
                    source=f"user-{number % sources if sources else number}",
                ))  # fmt: skip
                tx.outcomes.add(Outcome(
                    trace_id=trace_id, verdict=judged(output, label), at=moment, source="test", expected=label
                ))  # fmt: skip

        await self.write(work)
        self.later(seconds=1)
        return ids

    async def cases(self, count: int, split: Split, *, labels: Sequence[str] = LABELS, start: int = 50_000,
                    name: str = NAME, **more: Any) -> list[Case]:  # fmt: skip
        """Cases that an operator supplied."""
        made: list[Case] = []
        for number in range(start, start + count):
            label = labels[number % len(labels)]
            text = say(f"{split}{number}", label)
            made.append(Case(
                id=case_id(name, text, label), agent=name, group=f"{split}-{number}", input=text, expected=label,
                split=split, **more,
            ))  # fmt: skip
        await add_cases(self.ports, made, by="founder")
        return made

    async def serve(self, number: int | str, label: str = "refund", *, name: str = NAME, **given: Any) -> Served:
        """Ask one thing."""
        return await serve(self.ports, name, say(number, label), **{"source": f"user-{number}", **given})

    async def traffic(self, count: int, *, start: int = 0, labels: Sequence[str] = LABELS, name: str = NAME) -> None:
        """Requests of as many users, each labelled at once: what `serve` and `observe` do, in one transaction."""
        now, ids = self.clock(), [self.ports.new_id() for _ in range(count)]

        def work(tx: Any) -> None:
            for at, trace_id in enumerate(ids):
                label = labels[(start + at) % len(labels)]
                seat = new_seat(tx, name, f"unit-{start + at}")
                output = obeyed(render(seat.genome), label)
                moment = now + timedelta(microseconds=at)
                tx.traces.add(Trace(
                    id=trace_id, agent=name, version=seat.version, unit=f"unit-{start + at}",
                    input=say(start + at, label), output=output, finish="stop", at=moment, rollout=seat.rollout,
                    arm=seat.arm, weight_percent=seat.assignment.weight_percent, epoch=seat.assignment.epoch,
                    source=f"user-{start + at}",
                ))  # fmt: skip
                tx.outcomes.add(Outcome(
                    trace_id=trace_id, verdict=judged(output, label), at=moment, source="test", expected=label
                ))  # fmt: skip

        await self.write(work)
        self.later(seconds=1)

    async def tick(self, *, name: str = NAME, **given: Any) -> dict[str, Any]:
        """Run the next tick."""
        self.later(hours=1)
        agent = await self.read(lambda tx: tx.agents.get(name))
        return await tick(self.ports, name, agent.tick + 1, **given)

    async def offer(self, *labels: str, by: str = "ann", name: str = NAME) -> int:
        """A candidate by a person: what is live, with rules for more labels."""

        def live(tx: Any) -> Genome:
            return tx.versions.genome(tx.versions.get(name, tx.agents.get(name).live).genome)

        version = await offer_version(
            self.ports, name, taught(await self.read(live), *labels), by=by, rationale="more labels"
        )
        now = self.ports.clock()
        await self.ports.store.write(lambda tx: remember(tx, version, "inconclusive", now))
        return version.number

    async def rollout(
        self, *labels: str, by: str = "bob", name: str = NAME, open_it: bool = True, **given: Any
    ) -> Rollout:
        """A candidate in its canary (in its draft with `open_it=False`)."""
        number = await self.offer(*(labels or ("billing", "refund")), name=name)
        rollout = await start_rollout(self.ports, name, number, by=by, **given)
        if open_it:
            await reconcile(self.ports, rollout.id)
        return await self.standing(rollout.id)

    async def standing(self, rollout_id: str) -> Rollout:
        return await self.read(lambda tx: tx.rollouts.get(rollout_id))

    async def weigh(self, rollout_id: str, percent: float) -> None:
        """Set the challenger's share, as a reconcile would."""

        def work(tx: Any) -> None:
            now = tx.rollouts.get(rollout_id)
            tx.rollouts.swap(replace(now, state="canary", weight_percent=percent, epoch=now.epoch + 1))

        await self.write(work)

    async def won(self, rollout_id: str, *, start: int = 0) -> Rollout:
        """Traffic until a person is asked."""
        for turn in range(60):
            row = await reconcile(self.ports, rollout_id)
            if row.evidence["state"] == "awaiting_approval":
                return await self.standing(rollout_id)
            await self.traffic(30, start=start + 1000 * turn)
        raise AssertionError(f"no win: {row}")

    async def last(self, rollout_id: str) -> Reconcile:
        return (await self.read(lambda tx: tx.rollouts.history(rollout_id)))[-1]

    async def live(self, name: str = NAME) -> int:
        return (await self.read(lambda tx: tx.agents.get(name))).live

    async def states(self, name: str = NAME) -> dict[int, str]:
        """The state of each version."""
        return {version.number: version.state for version in await self.read(lambda tx: tx.versions.all(name))}

    async def actions(self) -> list[str]:
        """What the audit record says was done, in order."""
        return [entry.action for entry in await self.read(lambda tx: tx.audit.all())]

    async def spent(self, scope: str, name: str = NAME) -> Cost:
        """What counts against a ledger, in whole millionths of a dollar."""
        found = (await self.read(lambda tx: tx.ledgers.get(f"{name}/{scope}", Budget()))).committed
        return replace(found, usd=round(found.usd, 6))


def opened(path: Path, seed: int, clock: StoryClock | None = None, *, improver: Improver | None = None) -> House:
    """Open a house on a file; another seed for each opening, since an id is never given twice."""
    clock, model = clock or StoryClock(), ScriptedModel()
    writer = improver or ScriptedImprover()
    app = build(Settings(store=path), environ={}, clock=clock, new_id=SeededIds(seed), models={"scripted": model})
    ids = app.ports.new_id
    ports = replace(
        app.ports, improvers=ChainMap({"scripted": writer}, app.ports.improvers), new_id=lambda: f"{seed}-{ids()}"
    )
    return House(replace(app, ports=ports), clock, model, writer)  # type: ignore[arg-type]


class Builder:
    """Opens houses on one file, and closes them at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._houses: list[House] = []

    def open(self, **given: Any) -> House:
        clock = self._houses[-1].clock if self._houses else None
        house = opened(self.path, len(self._houses), clock, **given)
        self._houses.append(house)
        return house

    def close(self) -> None:
        for house in self._houses:
            house.app.close()

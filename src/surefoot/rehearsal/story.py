"""The story of one agent: live traffic, ticks, a canary, a person, and what it was all worth.

Every step is taken by the engine; this file only sends traffic, moves the story clock and passes on what happened.
`tell` hears each event as (name, facts), so that a terminal, a JSON report and a test can listen to the same story.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol

from surefoot.core.agent import Agent, Habits
from surefoot.core.approval import Approval, Decision
from surefoot.core.audit import verify
from surefoot.core.case import Case, Split, case_id
from surefoot.core.genome import Genome
from surefoot.core.policy import Policy
from surefoot.core.rollout import RolloutSettings
from surefoot.core.score import judged
from surefoot.core.starter import starting_bounds, starting_genome
from surefoot.engine.accept import accept_guards
from surefoot.engine.approve import approve
from surefoot.engine.operate import ENDED, start_rollout
from surefoot.engine.register import add_cases, create_agent, offer_version
from surefoot.engine.rollback import rollback
from surefoot.engine.serve import question
from surefoot.engine.vet import Vetted, vet
from surefoot.ports import Tx
from surefoot.rehearsal.rows import SHARES, Row, partition
from surefoot.rehearsal.sabotage import RATIONALE, sabotaged
from surefoot.rehearsal.stage import Stage
from surefoot.rehearsal.traffic import Traffic, Weather

Tell = Callable[[str, Mapping[str, Any]], None]
Word = Literal["accept", "reject", "wait"]
LOOK = timedelta(hours=2)
# A rehearsal is one rollout of one agent, so no error is shared out over a quarter's rollouts.
SETTINGS = RolloutSettings(ledger_slots=None, holdback_percent=0)
LIVE: tuple[Split, ...] = ("shown", "hidden", "val")


class Person(Protocol):
    """Who decides in a story; each word comes with a name."""

    async def decide(self, approval: Approval, evidence: Mapping[str, Any]) -> tuple[Decision, str]:
        """Decide on the majority."""
        ...

    async def accepts(self, names: Sequence[str], evidence: Mapping[str, Any]) -> tuple[Word, str]:
        """Say whether the rollout may go on although these watched slices look worse."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """What a story plays with: the rows by split, the labels, and who speaks for the people."""

    name: str
    parts: Mapping[Split, Sequence[Row]]
    labels: tuple[str, ...]
    task: str
    seed: int
    model: str = "local-lexical"
    ticks: int = 5
    weather: Weather = field(default_factory=Weather)
    descriptions: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """How a rollout ended: its state and reason, the weights passed through, the largest e_win, the requests served."""

    state: str
    weights: tuple[float, ...]
    e_win: float
    requests: int
    reason: str


def cast_of(
    name: str,
    rows: Sequence[Row],
    *,
    seed: int,
    task: str,
    model: str,
    ticks: int,
    weather: Weather,
    descriptions: Mapping[str, str] | None = None,
) -> Cast:
    """Split rows for a story; labels are named in alphabetical order."""
    labels = tuple(sorted({row.expected for row in rows}))
    return Cast(
        name=name, parts=partition(rows, f"seed-{seed}"), labels=labels, task=task, seed=seed, model=model,
        ticks=ticks, weather=weather, descriptions=descriptions or {},
    )  # fmt: skip


class Story:
    """One story on one app; the methods are its chapters, in the order in which they are told."""

    def __init__(self, stage: Stage, cast: Cast, tell: Tell) -> None:
        self._app, self._worker, self._clock = stage.app, stage.worker, stage.clock
        self._cast = cast
        self._tell = tell
        self._last: dict[str, Any] = {}
        self._verdict = ""
        self._traffic = Traffic(stage.app.ports, stage.clock, cast.name, cast.weather, str(cast.seed))

    async def begin(self) -> Agent:
        """Create the agent from a prompt that only names the labels, and lock the sealed cases away."""
        cast = self._cast
        genome = starting_genome(cast.labels, task=cast.task, descriptions=cast.descriptions)
        habits = Habits(
            model=cast.model, slots=5, release_ticks=cast.ticks, release_power=None, shares=SHARES, rollout=SETTINGS
        )
        agent = await create_agent(
            self._app.ports, cast.name, genome, by="founder", labels=cast.labels, policy=Policy(),
            bounds=starting_bounds(cast.labels), habits=habits, salt=f"seed-{cast.seed}",
        )  # fmt: skip
        await add_cases(
            self._app.ports, [_case(cast.name, row, "sealed") for row in cast.parts["sealed"]], by="founder"
        )
        self._tell("begun", {"agent": cast.name, "labels": list(cast.labels), "model": cast.model,
                             "splits": {split: len(rows) for split, rows in cast.parts.items()}})  # fmt: skip
        return agent

    async def measure(self, genome: Genome) -> float:
        """Give the accuracy of a genome on the untouched rows; nothing of it enters the store."""
        model, rows = self._app.ports.model_named(self._cast.model), self._cast.parts["untouched"]
        right = 0
        for row in rows:
            asked = question(genome, row.input, {"slice": row.slice} if row.slice else {})
            right += judged((await model.answer(asked)).text, row.expected) == "success"
        return right / len(rows) if rows else 0.0

    async def live(self) -> Genome:
        """Give the genome that serves now."""

        def work(tx: Tx) -> Genome:
            agent = tx.agents.get(self._cast.name)
            return tx.versions.genome(tx.versions.get(agent.name, agent.live).genome)

        return await self._app.store.read(work)

    async def live_traffic(self) -> None:
        """Let version 1 serve every row that is not held back; labels come late, some never."""
        rows = [row for split in LIVE for row in self._cast.parts[split]]
        self._tell("traffic", {"requests": len(rows)})
        passed = await self._traffic.each(rows, lambda n: self._tell("progress", {"done": n, "of": len(rows)}))
        name = self._cast.name
        seen = await self._app.store.read(lambda tx: tx.outcomes.labelled(name))
        self._tell("served", {"requests": passed.requests, "labels": passed.labels, "failures": seen.failure,
                              "successes": seen.success, "unlabelled": seen.unknown})  # fmt: skip

    async def tally(self) -> dict[str, Any]:
        """Count what the improver proposed and what became of it, with the last reason not to go on."""
        name = self._cast.name
        filed = await self._app.store.read(lambda tx: tx.proposals.all(name))
        kept = sum(one.state == "accepted" for one in filed)
        return {
            "proposals": sum(bool(one.proposal.edits) for one in filed), "accepted": kept,
            "rejected": sum(bool(one.proposal.edits) for one in filed) - kept,
            "nothing_to_fix": self._last.get("outcome") == "nothing_to_fix" and not kept,
            "reason": self._reason(),
        }  # fmt: skip

    def _reason(self) -> str:
        release: dict[str, Any] = self._last.get("release") or {}
        looks: list[dict[str, Any]] = release.get("looks") or []
        if self._verdict:
            return self._verdict.rstrip(".")
        words: str = looks[-1]["sentence"] if looks else self._last.get("reason") or self._last.get("sentence") or ""
        return words.rstrip(".")

    async def improve(self) -> str | None:
        """Run the ticks; gives the rollout that a release opened, if one passed."""
        for index in range(self._cast.ticks):
            self._clock.advance(self._clock() + timedelta(hours=1))
            self._tell(
                "busy", {"text": f"tick {index + 1} of {self._cast.ticks}: triage, improve, test on unseen cases …"}
            )
            report = await self._worker.tick(self._cast.name, ask_release=index == self._cast.ticks - 1)
            self._last = report
            self._tell("tick", report)
            if report.get("release"):
                self._tell("release", {**report["release"], "waits": report.get("waits", "")})
            if report.get("rollout") or report["outcome"] in ("hold", "nothing_to_fix"):
                return report.get("rollout")
        return None

    async def canary(self, rollout_id: str, person: Person) -> Canary:
        """Send traffic from the later pool, look every two hours, ask the person about a win or a worse slice."""
        weights, best, requests, row = [0.0], 0.0, 0, dict[str, Any]()
        heard = set[str]()
        pool = self._cast.parts["later"]
        while True:
            row = await self._worker.reconcile(rollout_id)
            best = max(best, row["e_win"])
            if row["weight_after"] != weights[-1]:
                weights.append(row["weight_after"])
            self._tell("step", {**row, "requests": requests, "at": self._clock().isoformat()})
            if row["state"] == "awaiting_approval":
                row = await self._asked(rollout_id, person)
                weights.append(row["weight_after"])
            if row["state"] in ENDED:
                break
            if row["reason"] == "watched_guard" and not heard.issuperset(row["names"]):
                heard.update(row["names"])
                await self._worse(rollout_id, row, person)
                continue
            requests += (await self._traffic.stretch(pool, LOOK)).requests
        ended = Canary(
            state=row["state"], weights=tuple(weights[1:]), e_win=best, requests=requests, reason=row["reason"]
        )
        self._verdict = f"the canary ended {row['state'].replace('_', ' ')}: {row['sentence']}"
        self._tell("canary-ended", {"state": ended.state, "requests": requests, "sentence": row["sentence"]})
        return ended

    async def _worse(self, rollout_id: str, row: dict[str, Any], person: Person) -> None:
        """Ask about watched slices that look worse, once each."""
        names: list[str] = row["names"]
        word, who = await person.accepts(names, row)
        self._tell("worse", {"names": names, "word": word, "by": who})
        if word == "accept":
            await accept_guards(self._app.ports, rollout_id, names, by=who, why="accepted in a rehearsal")
        elif word == "reject":
            await rollback(self._app.ports, self._cast.name, by=who, reason=f"{', '.join(names)} got worse")

    async def _asked(self, rollout_id: str, person: Person) -> dict[str, Any]:
        """Let the operator wait durably for a person, and wake it with the decision."""
        ports = self._app.ports
        await self._worker.operate(rollout_id, interval_s=3600)
        rollout = await ports.store.read(lambda tx: tx.rollouts.get(rollout_id))
        approval = await ports.store.read(lambda tx: tx.approvals.get(rollout.approval))
        history = await ports.store.read(lambda tx: tx.rollouts.history(rollout_id))
        decision, who = await person.decide(approval, history[-1].evidence)
        await approve(ports, approval.id, decision, by=who)
        self._tell("decided", {"decision": decision, "by": who, "approval": approval.id})
        await self._worker.wake(rollout_id)
        return await self._worker.operated(rollout_id)

    async def offer_sabotage(self) -> Vetted:
        """Let a saboteur offer a version that reads well, and put it before the gate."""
        genome = sabotaged(await self.live(), self._cast.parts["shown"])
        version = await offer_version(self._app.ports, self._cast.name, genome, by="saboteur", rationale=RATIONALE)
        found = await vet(self._app.ports, self._cast.name, version.number)
        self._tell("vetted", {"version": version.number, "verdict": found.verdict, "sentence": found.sentence,
                              "rationale": RATIONALE})  # fmt: skip
        return found

    async def force(self, version: int, *, by: str) -> str:
        """Let a person force a version past the gate; gives its rollout."""
        rollout = await start_rollout(self._app.ports, self._cast.name, version, by=by, forced_by=by)
        self._tell("forced", {"version": version, "by": by})
        return rollout.id

    async def step_back_and_forward(self, *, by: str) -> None:
        """Roll back to the version before, and forward again; both are events of the record."""
        ports, name = self._app.ports, self._cast.name
        back = await rollback(ports, name, by=by, reason="a rehearsal: can we step back?")
        self._tell(
            "moved", {"live": back.live, "before": back.before, "accuracy": await self.measure(await self.live())}
        )
        forward = await rollback(ports, name, by=by, to=back.before, reason="and forward again")
        self._tell("moved", {"live": forward.live, "before": forward.before,
                             "accuracy": await self.measure(await self.live())})  # fmt: skip

    async def audited(self) -> bool:
        """Verify the audit record."""
        found = await self._app.store.read(lambda tx: verify(tx.audit.all()))
        self._tell("audit", {"intact": found.intact, "entries": found.entries, "head": found.head})
        return found.intact


def _case(agent: str, row: Row, split: Split) -> Case:
    return Case(
        id=case_id(agent, row.input, row.expected), agent=agent, group=row.group, input=row.input,
        expected=row.expected, split=split, slices={"slice": row.slice} if row.slice else {}, origin="file",
    )  # fmt: skip

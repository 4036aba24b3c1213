"""Tick: one cycle, one lever.

Begin (policy, cooldown, one tick at a time) → triage → pick the top lever → improve → search → settle the draft →
perhaps release → end. Each step can be repeated: what it wrote is found again under the tick's number, so a killed
tick goes on where it was and nothing is applied, asked or paid twice. `run` carries a step out; the workflow engine
hands in one that remembers finished steps. Somebody may cancel a tick (`engine.cancel`): it stops within a second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

from surefoot.core.agent import Agent
from surefoot.core.backlog import Lever, top
from surefoot.core.draft import Accepted
from surefoot.core.errors import Conflict, Forbidden
from surefoot.core.figure import percent
from surefoot.core.gate import SearchVerdict
from surefoot.core.lesson import Lesson
from surefoot.core.policy import may_tick
from surefoot.core.rollout.standing import Rollout
from surefoot.engine.advise import advised, tell
from surefoot.engine.cancel import CANCELLED, close_tick, end_mark, heeding, must_go_on
from surefoot.engine.evaluate import accuracy, examine
from surefoot.engine.halt import must_run
from surefoot.engine.improve import Written, improve
from surefoot.engine.operate import started
from surefoot.engine.release import due, release, summary
from surefoot.engine.search import Trial, kept, search
from surefoot.engine.triage import Triage, standing, triage
from surefoot.ports import Ports, ProposalState, Tx

TickOutcome = Literal["hold", "nothing_to_fix", "no_proposal", "refused", "accepted", "rejected", "cancelled"]
Facts = Mapping[str, Any]


class Step(Protocol):
    """Carries a named step out and gives its JSON-shaped result, from memory if it was finished before."""

    def __call__(self, name: str, work: Callable[[], Awaitable[dict[str, Any]]], /) -> Awaitable[dict[str, Any]]: ...


async def at_once(_name: str, work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Carry a step out without remembering it."""
    return await work()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cycle:
    """A tick in progress."""

    ports: Ports
    name: str
    number: int

    @property
    def scope(self) -> str:
        """The ledger of this tick."""
        return f"tick/{self.number}"


async def tick(
    ports: Ports, name: str, number: int, *, run: Step = at_once, ask_release: bool = False
) -> dict[str, Any]:
    """Run tick `number` of an agent and give its report (JSON-shaped: outcome, lever, proposal, release, rollout)."""
    cycle = _Cycle(ports=ports, name=name, number=number)
    await run("begin", lambda: _begin(cycle))
    report = await run("lever", lambda: heeding(ports, name, number, lambda: _lever(cycle)))
    idle, outcome = report["outcome"] == "nothing_to_fix", report
    if report["outcome"] != CANCELLED:
        releasing = partial(_release, cycle, ask_release, idle)
        outcome = await run("release", lambda: heeding(ports, name, number, releasing))
    if outcome.get("outcome") == CANCELLED:
        return await run("end", lambda: _closed(cycle))
    return await run("end", lambda: _end(cycle, {**report, **outcome}))


async def next_number(ports: Ports, name: str) -> int:
    """Give the number that the next tick will have; Forbidden or Conflict when policy does not allow one now."""
    agent = await ports.store.read(lambda tx: _running(tx, name))
    may_tick(agent.policy, agent.last_tick_at, ports.clock())
    return agent.tick + 1


def _running(tx: Tx, name: str) -> Agent:
    agent = tx.agents.get(name)
    must_run(tx, agent)
    return agent


async def _begin(cycle: _Cycle) -> dict[str, Any]:
    """Take the tick number, by compare-and-set; a repeat finds it taken by itself."""
    now = cycle.ports.clock()

    def work(tx: Tx) -> dict[str, Any]:
        agent = tx.agents.get(cycle.name)
        if agent.tick == cycle.number:
            return {"tick": cycle.number}
        if agent.tick != cycle.number - 1:
            raise Conflict(f"tick {cycle.number} of {cycle.name} is over (now at {agent.tick})", hint="start a new one")
        must_run(tx, agent)
        may_tick(agent.policy, agent.last_tick_at, now)
        tx.agents.swap(replace(agent, tick=cycle.number, last_tick_at=now))
        tx.audit.append(
            at=now, actor="loop", action="tick-started", subject=f"{cycle.name}/tick-{cycle.number}", payload={}
        )
        return {"tick": cycle.number}

    return await cycle.ports.store.write(work)


async def _lever(cycle: _Cycle) -> dict[str, Any]:
    """Triage, pick, improve, search, settle: all of it is found again by number if it is repeated."""
    done = await cycle.ports.store.read(lambda tx: tx.marks.get(f"{cycle.name}/{cycle.scope}/lever"))
    if done is not None:
        return dict(done)
    found = await triage(cycle.ports, cycle.name, scope=cycle.scope)
    if found.spare:
        return {"outcome": "nothing_to_fix", "reason": found.spare}
    if found.hold:
        return {"outcome": "hold", "reason": found.hold} | ({"passing": True} if found.passing else {})
    if (spare := await _headroom(cycle, found)) is not None:
        return {"outcome": "nothing_to_fix", "reason": spare}
    begun = await cycle.ports.store.read(lambda tx: _begun(tx, cycle, found))
    lever = begun or top(found.levers)
    if begun is None and (done := await _enough(cycle, found)) is not None:
        return {"outcome": "nothing_to_fix", "reason": done}
    if lever is None:
        return {"outcome": "nothing_to_fix", "reason": "no failure of the last window comes back on the current draft"}
    written = await improve(cycle.ports, found, lever, tick=cycle.number, scope=cycle.scope)
    if not written.judgement.allowed:
        return await _settled(cycle, found, lever, written, [])
    edits = (*written.judgement.allowed, *written.judgement.evictions)
    trials = await search(
        cycle.ports,
        found.agent,
        found.genome,
        edits,
        gap=lever.gap,
        seed=written.filed.id,
        scope=cycle.scope,
        texts=found.texts(lever.gap),
    )
    return await _settled(cycle, found, lever, written, trials)


async def _enough(cycle: _Cycle, found: Triage) -> str | None:
    """Say that improving is to stop, where the policy makes that advice an order; None otherwise."""
    if found.agent.policy.when_done != "stop":
        return None
    advice = await cycle.ports.store.read(lambda tx: advised(tx, cycle.ports, cycle.name))
    return advice.sentence if advice else None


def _begun(tx: Tx, cycle: _Cycle, found: Triage) -> Lever | None:
    """The lever that this tick has a proposal for already (a killed tick left it), if its gap is still there."""
    filed = [one.lever for one in tx.proposals.all(cycle.name) if one.tick == cycle.number]
    return next((lever for lever in found.levers if lever.id in filed), None)


async def _headroom(cycle: _Cycle, found: Triage) -> str | None:
    """Say that there is nothing to fix when the draft gets val right but for the headroom; None otherwise."""
    val = await cycle.ports.store.read(lambda tx: tx.cases.of(cycle.name, ("val",)))
    if not val:
        return None
    (sheet,) = await examine(cycle.ports, found.agent, [found.genome], val, scope=cycle.scope)
    right = accuracy(sheet)
    if 1 - right >= found.agent.habits.headroom:
        return None
    return f"the agent gets {percent(right)} of {len(val)} cases right"


async def _settled(cycle: _Cycle, found: Triage, lever: Lever, written: Written, trials: list[Trial]) -> dict[str, Any]:
    """Record what became of the proposal: on the draft, the lever, the lessons and the proposal itself, at once."""
    keep = kept(trials)
    outcome: TickOutcome = "accepted" if keep else "rejected" if trials else "refused"
    if not written.filed.proposal.edits:
        outcome = "no_proposal"
    report = _report(lever, written, trials, outcome)

    def work(tx: Tx) -> dict[str, Any]:
        key = f"{cycle.name}/{cycle.scope}/lever"
        if (done := tx.marks.get(key)) is not None:
            return dict(done)
        must_go_on(tx, cycle.name, cycle.number)
        now = cycle.ports.clock()
        draft = replace(found.draft, ticks=found.draft.ticks + 1)
        if keep is not None:
            draft = replace(draft, accepted=(*draft.accepted, _accepted(lever, written, keep)))
        tx.drafts.swap(draft)
        tries = lever.tries + (keep is None)
        tx.levers.put(replace(lever, state="drafted" if keep else "open", tries=tries, note=report["sentence"]))
        tx.levers.note(cycle.name, lever.id, now, f"tick {cycle.number}: {outcome}. {report['sentence']}")
        state: ProposalState = outcome if outcome in ("accepted", "rejected") else "refused"
        filed = replace(written.filed, state=state, evidence={**written.filed.evidence, **report})
        tx.proposals.put(filed)
        if keep is None and trials:
            tx.lessons.add(_lesson(cycle, lever, report, now))
        tx.audit.append(
            at=now, actor="loop", action=f"lever-{outcome}", subject=f"{cycle.name}/{lever.id}", payload=report
        )
        tx.marks.add(key, report, now)
        return report

    return await cycle.ports.store.write(work)


def _lesson(cycle: _Cycle, lever: Lever, report: Facts, now: Any) -> Lesson:
    return Lesson(
        agent=cycle.name, text=f"Edits for “{lever.title}” did not help: {report['sentence']}",
        evidence=str(report["proposal"]), tick=cycle.number, at=now,
    )  # fmt: skip


def _accepted(lever: Lever, written: Written, keep: Trial) -> Accepted:
    return Accepted(
        proposal=written.filed.id, lever=lever.id, improver=written.filed.proposal.improver, edits=keep.edits,
        evidence=keep.verdict.sentence, rationale=written.filed.proposal.rationale,
    )  # fmt: skip


def _report(lever: Lever, written: Written, trials: list[Trial], outcome: TickOutcome) -> dict[str, Any]:
    keep, refusals = kept(trials), [refusal.sentence for refusal in written.judgement.refusals]
    why = (
        trials[-1].verdict.sentence if trials else (refusals[0] if refusals else "the improver had nothing to propose")
    )
    return {
        "outcome": outcome, "lever": lever.id, "title": lever.title, "proposal": written.filed.id,
        "rationale": written.filed.proposal.rationale, "sentence": why, "refusals": refusals,
        "edits": [edit.document() for edit in (keep.edits if keep else written.filed.proposal.edits)],
        "trials": [_trial(trial.verdict, len(trial.edits)) for trial in trials],
        "cost_usd": written.filed.proposal.cost.usd,
    }  # fmt: skip


def _trial(verdict: SearchVerdict, edits: int) -> dict[str, Any]:
    return {
        "edits": edits, "verdict": verdict.verdict, "reason": verdict.reason, "sentence": verdict.sentence,
        "e_gain": verdict.e_gain, "e_harm": verdict.e_harm, "gained": verdict.tally.gained,
        "lost": verdict.tally.lost, "cases": verdict.tally.n,
    }  # fmt: skip


async def _release(cycle: _Cycle, ask: bool, idle: bool) -> dict[str, Any]:
    """Release the draft if it is due, and open a rollout for what passed, as far as policy lets the loop do so.

    `idle`: there is nothing else to do, which is a reason to release what is meant to be better.
    """
    agent, draft, _ = await cycle.ports.store.read(lambda tx: standing(tx, cycle.name))
    busy = await cycle.ports.store.read(lambda tx: tx.rollouts.active(cycle.name))
    pending = await cycle.ports.store.read(lambda tx: _pending_candidate(tx, agent))
    if busy is not None:
        return {"release": None, "rollout": busy.id}
    if pending is not None:
        return await _offered(cycle, agent, pending, {"reason": "resumed", "version": pending})
    asked = ask or (idle and draft.seeks_gain)
    reason = await due(cycle.ports, agent, draft, asked=asked, scope=cycle.scope)
    if reason in ("not-yet", "empty"):
        return {"release": None, "rollout": None, "draft": len(draft.accepted)}
    result = await release(
        cycle.ports, agent, draft, reason=reason, scope=cycle.scope,
        allowed=lambda tx: must_go_on(tx, cycle.name, cycle.number),
    )  # fmt: skip
    facts = {
        "reason": result.reason, "version": result.version, "slots_left": result.slots_left,
        "looks": [summary(verdict) for verdict in result.verdicts],
    }  # fmt: skip
    if result.version is None:
        return {"release": facts, "rollout": None}
    return await _offered(cycle, agent, result.version, facts)


def _pending_candidate(tx: Tx, agent: Agent) -> int | None:
    """A candidate that the loop made on the live version and that passed (a killed tick, or policy, left it waiting).

    The look that it passed is what tells it from one that somebody offered under an improver's name.
    """
    passed = {look.digest for look in tx.looks.all(agent.name) if look.verdict == "pass"}
    waiting = [v for v in tx.versions.all(agent.name) if v.state == "candidate" and v.author.startswith("improver:")]
    mine = [v.number for v in waiting if v.parent == agent.live and v.genome in passed]
    return mine[-1] if mine else None


async def _offered(cycle: _Cycle, agent: Agent, version: int, facts: Facts) -> dict[str, Any]:
    def begin(tx: Tx) -> Rollout:
        must_go_on(tx, cycle.name, cycle.number)
        return started(tx, cycle.ports, agent.name, version, by="loop")

    try:
        rollout = await cycle.ports.store.write(begin)
    except (Forbidden, Conflict) as reason:
        return {"release": dict(facts), "rollout": None, "waits": reason.message}
    return {"release": dict(facts), "rollout": rollout.id}


async def _closed(cycle: _Cycle) -> dict[str, Any]:
    """Write the end of a tick that somebody cancelled, once."""
    now = cycle.ports.clock()
    return await cycle.ports.store.write(lambda tx: dict(close_tick(tx, cycle.name, cycle.number, now)))


async def _end(cycle: _Cycle, report: dict[str, Any]) -> dict[str, Any]:
    """Write the report of the tick, once."""
    key = end_mark(cycle.name, cycle.number)

    def work(tx: Tx) -> dict[str, Any]:
        if (done := tx.marks.get(key)) is not None:
            return dict(done)
        now, advice = cycle.ports.clock(), advised(tx, cycle.ports, cycle.name)
        full = {"tick": cycle.number, **report, "advice": advice.document() if advice else None}
        if advice is not None:
            tell(tx, cycle.ports, cycle.name, advice)
        tx.marks.add(key, full, now)
        tx.audit.append(at=now, actor="loop", action="tick-ended", subject=f"{cycle.name}/tick-{cycle.number}",
                        payload={"outcome": full["outcome"], "rollout": full.get("rollout")})  # fmt: skip
        return full

    return await cycle.ports.store.write(work)

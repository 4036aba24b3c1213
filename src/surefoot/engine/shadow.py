"""Shadow: let both versions of a rollout answer the same requests, while the incumbent alone serves every user.

Which requests: first the cases of split `later`, which are kept for traffic that no improver saw, then recorded
requests whose right answer was said, oldest first, and what arrives while the shadow runs. Left out is whatever was
sorted into cases before the challenger was made: `shown` and `hidden` cases taught it, `val` chose its edits, `sealed`
ones released it, and on all of these it looks better than it is; `untouched` ones are for people. One request a unit
and one a text counts. A request that nobody has judged yet holds up those after it for a day, because right answers
may be confirmed sooner than wrong ones, and then the first to be judged are no fair sample.

Both versions are asked through the `Model`, which answers in text: no tool is ever carried out. Who is asked first is
drawn by hash. An answer that does not come whole counts as a failure of its version, as it does live; when neither
answers, the model is down and nothing is learned. Pairs are added once, in order; evidence is computed from them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from surefoot.core.agent import Agent
from surefoot.core.case import case_id
from surefoot.core.digest import digest, unit_interval
from surefoot.core.errors import Conflict, Invalid, Unavailable
from surefoot.core.genome import Genome
from surefoot.core.proposal import Cost
from surefoot.core.rollout import PairedEvidence
from surefoot.core.rollout.shadow import Reply, ShadowVerdict, Shared, paired_evidence, shadow_verdict
from surefoot.core.rollout.standing import Rollout
from surefoot.core.score import judged, value
from surefoot.core.trace import Trace
from surefoot.engine.evaluate import Hold, reserve, settled
from surefoot.engine.halt import halted
from surefoot.engine.serve import question
from surefoot.ports import Model, Ports, Question, Tx

BATCH = 32
PAGE = 200
TRIES = 2
SETTLED_AFTER = timedelta(hours=24)
FAILED = Reply(text="", score=0.0)
_Replies = tuple[Reply | None, Reply | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Where a shadow stands: how many pairs this call added, the evidence, the verdict, and why it waits (if it does).

    `waits` is `""` when there is more to ask or a verdict, else `not_in_shadow`, `stopped`, `no_requests`, `unjudged`,
    `lopsided` or `no_answers`.
    """

    rollout: str
    added: int
    evidence: PairedEvidence
    verdict: ShadowVerdict
    waits: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One request that both versions are to answer."""

    case: str
    input: str
    expected: str
    slices: dict[str, str]
    trace: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What a batch is asked from."""

    rollout: Rollout
    agent: Agent
    incumbent: Genome
    challenger: Genome
    requests: tuple[_Request, ...]
    evidence: PairedEvidence
    waits: str


async def shadow(ports: Ports, rollout_id: str, *, limit: int = BATCH) -> Shadow:
    """Let both versions answer up to `limit` more requests, unless a verdict is there; BudgetExhausted when broke."""
    now, added = ports.clock(), 0
    while True:
        size = min(BATCH, limit - added)
        scene = await ports.store.read(lambda tx, size=size: _scene(tx, rollout_id, size, now))
        verdict = shadow_verdict(scene.evidence, scene.rollout.settings)
        if scene.waits or verdict != "collecting" or size <= 0:
            waits = scene.waits if verdict == "collecting" else ""
            return Shadow(rollout=rollout_id, added=added, evidence=scene.evidence, verdict=verdict, waits=waits)
        fresh = await _asked(ports, scene)
        added += fresh
        if not fresh:
            return Shadow(rollout=rollout_id, added=added, evidence=scene.evidence, verdict=verdict, waits="no_answers")


def paired_of(tx: Tx, rollout: Rollout) -> PairedEvidence | None:
    """Give what the pairs of a rollout have shown; None on the canary road."""
    if rollout.settings.road != "paired":
        return None
    return paired_evidence(tx.pairs.differences(rollout.id), rollout.settings)


def canary_since(tx: Tx, rollout: Rollout) -> datetime | None:
    """Give when a rollout on the paired road got its first share, from which its quiet day is counted."""
    return tx.pairs.canary_at(rollout.id) if rollout.settings.road == "paired" else None


def _scene(tx: Tx, rollout_id: str, size: int, now: datetime) -> _Scene:
    rollout = tx.rollouts.get(rollout_id)
    if rollout.settings.road != "paired":
        raise Conflict(
            f"rollout {rollout_id} takes the canary road, which has no shadow",
            hint="surefoot rollout start --road paired starts one that has",
        )
    agent = tx.agents.get(rollout.agent)
    waits = "not_in_shadow" if rollout.state != "shadow" else "stopped" if halted(tx, agent) else ""
    evidence = paired_evidence(tx.pairs.differences(rollout_id), rollout.settings)
    requests: tuple[_Request, ...] = ()
    if not waits and size > 0 and shadow_verdict(evidence, rollout.settings) == "collecting":
        requests, waits = _next(tx, rollout, size, now)
    return _Scene(
        rollout=rollout, agent=agent, incumbent=_genome(tx, rollout, rollout.incumbent),
        challenger=_genome(tx, rollout, rollout.challenger), requests=requests, evidence=evidence, waits=waits,
    )  # fmt: skip


def _genome(tx: Tx, rollout: Rollout, number: int) -> Genome:
    return tx.versions.genome(tx.versions.get(rollout.agent, number).genome)


def _next(tx: Tx, rollout: Rollout, size: int, now: datetime) -> tuple[tuple[_Request, ...], str]:
    """Choose the next requests, in the order in which they count, and say why there are none."""
    name = rollout.agent
    made = tx.versions.get(name, rollout.challenger).created_at
    room = min(size, rollout.settings.paired_cap - len(tx.pairs.differences(rollout.id)))
    asked, units = tx.pairs.met(rollout.id)
    kept = [
        _Request(case=one.id, input=one.input, expected=one.expected, slices=dict(one.slices))
        for one in tx.cases.of(name, ("later",))
        if one.id not in asked
    ]
    if len(kept) >= room:
        return tuple(kept[:room]), ""
    if tx.pairs.spoken(name, since=made).lopsided:
        return tuple(kept), "" if kept else "lopsided"
    unjudged = tx.pairs.waiting_since(name, after=now - SETTLED_AFTER)
    recorded = tx.pairs.recorded(name, since=made, before=unjudged or now)
    chosen, cases = list(kept), asked | {one.case for one in kept}
    while len(chosen) < room and (page := [_request(name, *one) for one in islice(recorded, PAGE)]):
        met = tx.pairs.known_before(name, {one.input for one in page}, since=made)
        for one in page:  # one request a unit and one a text: a user who repeats himself is one user
            if one.unit not in units and one.case not in cases and one.input not in met:
                chosen.append(one)
                units.add(one.unit)
                cases.add(one.case)
    return tuple(chosen[:room]), "" if chosen else "unjudged" if unjudged else "no_requests"


def _request(agent: str, trace: Trace, right: str) -> _Request:
    return _Request(
        case=case_id(agent, trace.input, right), input=trace.input, expected=right, slices=dict(trace.slices),
        trace=trace.id, unit=trace.unit,
    )  # fmt: skip


async def _asked(ports: Ports, scene: _Scene) -> int:
    """Ask one batch, pay for it, and add its pairs, all in one write; gives how many pairs were added."""
    model, agent = ports.model_named(scene.agent.habits.model), scene.agent
    known = await ports.store.read(lambda tx: _known(tx, scene, model.name))
    asking = [one for one in scene.requests if one.case not in known]
    asked = [(question(scene.incumbent, one.input, one.slices, case_id=one.case),
              question(scene.challenger, one.input, one.slices, case_id=one.case)) for one in asking]  # fmt: skip
    hold = await _reserved(ports, scene, model, asking, asked)
    gate = asyncio.Semaphore(agent.habits.concurrency)
    answers = await asyncio.gather(
        *(_both(model, one, ask, scene.rollout.salt, gate) for one, ask in zip(asking, asked, strict=True))
    )
    spent, replies = Cost(), dict(known)
    for one, (cost, both) in zip(asking, answers, strict=True):
        spent += cost
        replies[one.case] = both
    if all(both == (None, None) for both in replies.values()):
        replies = {}  # the model is down, which says nothing about either version
    now = ports.clock()
    pairs = [_pair(scene.rollout, one, replies[one.case], now) for one in scene.requests if one.case in replies]

    def record(tx: Tx) -> int:
        if hold is not None:
            settled(tx, hold, spent)
        return tx.pairs.add(pairs) if tx.rollouts.get(scene.rollout.id).state == "shadow" else 0

    return await ports.store.write(record)


async def _reserved(
    ports: Ports, scene: _Scene, model: Model, asking: Sequence[_Request], asked: Sequence[tuple[Question, Question]]
) -> Hold | None:
    """Set the worst case of a batch aside in the day's ledger; each side may be asked twice."""
    if not asking:
        return None
    worst = Cost()
    for one in (side for both in asked for side in both):
        for _ in range(TRIES):
            worst += model.price(one)
    key = f"shadow-{digest([scene.rollout.id, [one.case for one in asking]])[:24]}"
    return await reserve(ports, scene.agent, "", key, worst)


def _known(tx: Tx, scene: _Scene, model: str) -> dict[str, _Replies]:
    """Give the requests that both versions have answered already, say in a tick; their cost is not known any more."""
    ids = [one.case for one in scene.requests]
    before = tx.scores.known(scene.incumbent.digest, model, ids)
    after = tx.scores.known(scene.challenger.digest, model, ids)
    return {
        case: (Reply(text=before[case, 0][0], score=before[case, 0][1]),
               Reply(text=after[case, 0][0], score=after[case, 0][1]))
        for case in ids
        if (case, 0) in before and (case, 0) in after
    }  # fmt: skip


async def _both(
    model: Model, request: _Request, asked: tuple[Question, Question], salt: str, gate: asyncio.Semaphore
) -> tuple[Cost, _Replies]:
    """Ask both versions one after the other, who first by hash."""
    first = int(unit_interval("shadow", salt, request.case) < 0.5)
    replies: dict[int, Reply | None] = {}
    spent = Cost()
    async with gate:
        for side in (first, 1 - first):
            cost, replies[side] = await _reply(model, asked[side], request.expected)
            spent += cost
    return spent, (replies[0], replies[1])


async def _reply(model: Model, asked: Question, expected: str) -> tuple[Cost, Reply | None]:
    """Ask one version, a second time when no answer came; None when none came then either."""
    spent = Cost()
    for _ in range(TRIES):
        try:
            answer = await model.answer(asked)
        except Invalid as problem:  # of this question under this prompt; asking again changes nothing
            return spent + getattr(problem, "cost", Cost(calls=1)), FAILED
        except Unavailable as problem:
            spent += getattr(problem, "cost", Cost(calls=1))
            continue
        spent += answer.cost
        if answer.finish == "error":
            continue
        score = value(judged(answer.text, expected)) if answer.finish == "stop" else 0.0
        return spent, Reply(text=answer.text, score=score or 0.0, cost_usd=answer.cost.usd, latency_s=answer.latency_s)
    return spent, None


def _pair(rollout: Rollout, request: _Request, replies: _Replies, now: datetime) -> Shared:
    incumbent, challenger = (reply or FAILED for reply in replies)
    return Shared(
        rollout=rollout.id, case=request.case, at=now, input=request.input, expected=request.expected,
        incumbent=incumbent, challenger=challenger, trace=request.trace, unit=request.unit, slices=request.slices,
    )  # fmt: skip

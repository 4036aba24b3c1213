"""Sentinel: night after night the live version answers banked cases, and is compared with its own history.

The bank is a random sample, by hash, of labelled traffic: cases of split `val`, topped up with `shown` ones where
these are few. It never takes `sealed` cases, whose every look is counted and spent by releases, nor `untouched` ones,
which are for people, nor `later` ones, which the shadow needs fresh. That `val` chose edits does no harm here: a
version is compared with itself. Nothing is read from or written to the scores that ticks remember, because those
would hide that a provider changed the model underneath; and nothing of this reaches an improver. Records name cases
by id, since `val` is held out.

Each case is answered once per window (a night), those with the shortest history first; a run that was cut short goes
on, one that is repeated asks nothing. An alarm says what moved, and freezes the agent's rollouts until a person has
looked; from then on what is now is the new history.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from surefoot.core.agent import Agent
from surefoot.core.case import Case
from surefoot.core.digest import digest
from surefoot.core.errors import Conflict, Invalid, Unavailable
from surefoot.core.figure import percent
from surefoot.core.genome import Genome
from surefoot.core.incident import Incident, closed
from surefoot.core.proposal import Cost
from surefoot.core.score import judged, value
from surefoot.core.sentinel import ALARM_AT, BANK, Banked, Move, against_history, bank, drift_evidence, move, tonight
from surefoot.engine.evaluate import reserve, settled
from surefoot.engine.serve import question
from surefoot.ports import Model, Ports, Tx

CHUNK = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What a window showed: cases asked by this call and without an answer, those compared with their history so far.

    `before` and `after` are the mean scores of tonight's compared cases (None when none has a history yet);
    `evidence` is to be held against `limit`; `alarm` is the alarm that is open now, empty if there is none.
    """

    agent: str
    window: str
    version: int
    model: str
    banked: int
    asked: int
    unanswered: int
    compared: int
    before: float | None
    after: float | None
    evidence: float
    limit: float
    alarm: str
    moved: Move | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    agent: Agent
    version: int
    genome: Genome
    cases: tuple[Case, ...]


async def sentinel(ports: Ports, agent: str, *, window: str | None = None) -> Night:
    """Run tonight's window (by default the day of today in UTC) and say whether anything moved.

    Raises Invalid for an agent without cases, BudgetExhausted when the day's budget has no room.
    """
    night = window or f"{ports.clock():%Y-%m-%d}"
    name = await ports.store.read(lambda tx: tx.agents.get(agent).habits.model)
    model = ports.model_named(name)
    scene = await ports.store.read(lambda tx: _scene(tx, agent, night, model.name))
    unanswered = 0
    for start in range(0, len(scene.cases), CHUNK):
        unanswered += await _asked(ports, scene, model, night, scene.cases[start : start + CHUNK])
    now = ports.clock()
    return await ports.store.write(
        lambda tx: _judged(tx, scene, night, model.name, asked=len(scene.cases), unanswered=unanswered, now=now)
    )


def open_alarm(tx: Tx, agent: str) -> str:
    """Give the sentence of the sentinel's alarm that no person has looked at yet; empty if there is none."""
    return next((one.sentence for one in _alarms(tx, agent, state="open")), "")


async def seen(ports: Ports, agent: str, *, by: str, why: str = "") -> str:
    """Close the alarm, because a person has looked; gives its sentence. Conflict when there is none."""
    now = ports.clock()

    def work(tx: Tx) -> str:
        tx.agents.get(agent)
        sentence = open_alarm(tx, agent)
        if not sentence:
            raise Conflict(f"no alarm of the sentinel is open for {agent}", hint="there is nothing to look at")
        for one in tx.incidents.all(agent, state="open"):  # also those that a rollout opened when it froze
            if one.kind == "sentinel":
                tx.incidents.swap(closed(one, by=by, note=why, at=now))
        tx.audit.append(at=now, actor=by, action="sentinel-seen", subject=agent,
                        payload={"alarm": sentence, "why": why})  # fmt: skip
        return sentence

    return await ports.store.write(work)


def _alarms(tx: Tx, agent: str, *, state: str = "") -> list[Incident]:
    """The alarms that were raised here, oldest first; only those in one state if it is named."""
    return [one for one in tx.incidents.all(agent, state=state) if one.kind == "sentinel" and "window" in one.facts]


def _since(tx: Tx, agent: str) -> str:
    """The window from which history counts: that of the last alarm that a person looked at and let stand."""
    return max((str(one.facts["window"]) for one in _alarms(tx, agent, state="closed")), default="")


def _scene(tx: Tx, name: str, window: str, model: str) -> _Scene:
    agent = tx.agents.get(name)
    version = tx.versions.get(name, agent.live)
    cases = _bank(tx, agent)
    if not cases:
        raise Invalid(f"agent {name} has no cases to bank", hint="import some, or collect labelled traffic and tick")
    done = tx.banked.in_window(name, window)
    history = Counter(row.case for row in _rows(tx, name, version.number, model) if row.window != window)
    chosen = tonight([case.id for case in cases], history, done)
    known = {case.id: case for case in cases}
    return _Scene(
        agent=agent, version=version.number, genome=tx.versions.genome(version.genome),
        cases=tuple(known[case] for case in chosen),
    )  # fmt: skip


def _bank(tx: Tx, agent: Agent) -> list[Case]:
    """The banked cases: of `val` by hash, and where these do not fill the bank, of `shown`."""
    found: list[Case] = []
    for split in ("val", "shown"):
        cases = {case.id: case for case in tx.cases.of(agent.name, (split,))}
        found += [cases[case] for case in bank(cases, agent.salt, size=BANK - len(found))]
    return found


def _rows(tx: Tx, agent: str, version: int, model: str) -> list[Banked]:
    since = _since(tx, agent)
    return [row for row in tx.banked.of(agent, version) if row.model == model and row.window >= since]


async def _asked(ports: Ports, scene: _Scene, model: Model, window: str, cases: Sequence[Case]) -> int:
    """Ask a few cases afresh and bank what came; gives how many had no answer."""
    agent = scene.agent
    questions = [question(scene.genome, case.input, case.slices, case_id=case.id) for case in cases]
    worst = Cost()
    for one in questions:
        worst += model.price(one)
    key = f"sentinel-{digest([window, scene.version, [case.id for case in cases]])[:24]}"
    hold = await reserve(ports, agent, "", key, worst)
    gate, spent, rows = asyncio.Semaphore(agent.habits.concurrency), [Cost()], dict[str, Banked]()

    async def ask(case: Case, at: int) -> None:
        async with gate:
            try:
                answer = await model.answer(questions[at])
            except (Unavailable, Invalid) as problem:
                spent[0] += getattr(problem, "cost", Cost(calls=1))
                return
        spent[0] += answer.cost
        whole = answer.finish == "stop"
        if whole or answer.finish in ("length", "refused"):  # else nothing is known, which is no failure here
            score = value(judged(answer.text, case.expected)) if whole else 0.0
            rows[case.id] = _banked(scene, model.name, window, case, answer.text, score or 0.0, ports.clock())

    await asyncio.gather(*(ask(case, at) for at, case in enumerate(cases)))

    def record(tx: Tx) -> None:
        settled(tx, hold, spent[0])
        tx.banked.add(rows[case.id] for case in cases if case.id in rows)

    await ports.store.write(record)
    return len(cases) - len(rows)


def _banked(scene: _Scene, model: str, window: str, case: Case, answer: str, score: float, now: datetime) -> Banked:
    return Banked(
        agent=scene.agent.name, window=window, case=case.id, version=scene.version, model=model, at=now,
        answer=answer.strip().lower(), score=score, slices={"label": case.expected.strip().lower(), **case.slices},
    )  # fmt: skip


def _judged(tx: Tx, scene: _Scene, window: str, model: str, *, asked: int, unanswered: int, now: datetime) -> Night:
    """Compare, decide and, if something moved, raise the alarm: in one transaction."""
    name = scene.agent.name
    rows = _rows(tx, name, scene.version, model)
    compared = against_history(rows)
    evidence = drift_evidence(compared)
    here = [one for one in compared if one.row.window == window]
    moved = move(compared) if evidence >= ALARM_AT else None
    if moved is not None and not open_alarm(tx, name):
        _alarm(tx, scene, window, model, evidence, moved, now)
    return Night(
        agent=name, window=window, version=scene.version, model=model, asked=asked, unanswered=unanswered,
        banked=sum(row.window == window for row in rows), compared=len(compared),
        before=sum(one.before for one in here) / len(here) if here else None,
        after=sum(one.row.score for one in here) / len(here) if here else None,
        evidence=evidence, limit=ALARM_AT, alarm=open_alarm(tx, name), moved=moved,
    )  # fmt: skip


def _alarm(tx: Tx, scene: _Scene, window: str, model: str, evidence: float, moved: Move, now: datetime) -> None:
    name = scene.agent.name
    slices = ", ".join(f"{one.name} {percent(one.before, 0)} → {percent(one.after, 0)}" for one in moved.slices[:3])
    sentence = (
        f"The answers of {name} v{scene.version} on {model} have moved since {moved.since}, though nobody changed it: "
        f"{percent(moved.before, 0)} right before, {percent(moved.after, 0)} now, on {moved.cases} banked answers"
        + (f"; most in {slices}." if slices else ".")
    )
    facts: dict[str, object] = {
        "window": window, "model": model, "evidence": evidence, "limit": ALARM_AT, "moved": asdict(moved),
    }  # fmt: skip
    number = len(_alarms(tx, name)) + 1
    tx.incidents.add(Incident(
        id=f"sentinel-{name}-{number}", agent=name, kind="sentinel", at=now, version=scene.version, sentence=sentence,
        facts=facts,
    ))  # fmt: skip
    tx.audit.append(at=now, actor="sentinel", action="sentinel-alarm", subject=f"{name}/v{scene.version}",
                    payload={"sentence": sentence, **facts})  # fmt: skip

"""Operate: one reconcile of a rollout. Read everything once, decide purely, write everything once.

The write is one transaction: the rollout by compare-and-set, the states of both versions, the live pointer, the
request for a person, the row of this reconcile, and the audit entry. Of two operators, or of an operator and the
zombie of a killed one, exactly one wins; the other gets a Conflict and looks again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime

from surefoot.core.agent import Agent
from surefoot.core.approval import DEFAULT_EXPIRY, Approval, state_at
from surefoot.core.errors import Conflict
from surefoot.core.evidence.betting import MetricGuard
from surefoot.core.incident import kind_of
from surefoot.core.policy import ChangeLevel, level_between, may_canary
from surefoot.core.rollout import RolloutSettings, Step, next_step
from surefoot.core.rollout.settings import Road
from surefoot.core.rollout.standing import Reconcile, Rollout
from surefoot.core.version import Version, transition
from surefoot.engine.approve import ask
from surefoot.engine.halt import must_run
from surefoot.engine.incident import opened, taken_back
from surefoot.engine.look import Look, evidence_digest, evidence_of, look_at
from surefoot.engine.suspect import must_be_above_suspicion
from surefoot.engine.terms import terms_now
from surefoot.engine.verdict import must_be_judged
from surefoot.ports import Ports, Tx

ENDED = frozenset({"promoted", "closed", "rolled_back", "inconclusive", "aborted"})
ALARMS_BEFORE_END = 3  # one for each reason to call a person, and the end


async def take_effect(ports: Ports, decided: Approval) -> None:
    """Let a decision take effect now, unless more people have to say yes; an operator that is faster does the same."""
    if decided.state != "pending":
        with contextlib.suppress(Conflict):
            await reconcile(ports, decided.rollout)


async def start_rollout(
    ports: Ports, name: str, number: int, *, by: str, settings: RolloutSettings | None = None, forced_by: str = "",
    road: Road | None = None, queue: bool = False, metrics: Sequence[MetricGuard] = (),
) -> Rollout:  # fmt: skip
    """Offer a candidate to live traffic, at its floor share, or (on the `paired` road) first to recorded requests.

    `by` is whoever starts it: the loop itself (held to the agent's policy) or a person. `forced_by` names the person
    who offers a version that the gate did not pass; everything about it says "no guarantee" from then on. While
    another rollout is in progress it is a Conflict; with `queue`, and for the loop, it waits for its turn instead.
    """
    return await ports.store.write(lambda tx: started(
        tx, ports, name, number, by=by, settings=settings, forced_by=forced_by, road=road, queue=queue, metrics=metrics
    ))  # fmt: skip


def started(
    tx: Tx, ports: Ports, name: str, number: int, *, by: str, settings: RolloutSettings | None = None,
    forced_by: str = "", road: Road | None = None, queue: bool = False, metrics: Sequence[MetricGuard] = (),
) -> Rollout:  # fmt: skip
    """Start a rollout as `start_rollout` does, inside a transaction that does more."""
    now, rollout_id = ports.clock(), ports.new_id()
    agent, version = tx.agents.get(name), tx.versions.get(name, number)
    must_run(tx, agent)
    if version.number == agent.live:
        raise Conflict(f"{name} {version.label} is live already", hint="offer another version")
    if by == "loop":
        may_canary(agent.policy, _level(tx, agent, version))
    waits = (queue or by == "loop") and bool(tx.rollouts.active(name) or tx.rollouts.queue(name))
    if waits:
        _may_queue(tx, version, forced_by)
    else:
        tx.versions.move(name, number, "canary", forced_by=forced_by)
    must_be_judged(tx, version, forced_by=forced_by)
    must_be_above_suspicion(tx, version, forced_by=forced_by)
    terms = settings or terms_now(tx, agent, now, road)
    terms = replace(terms, metrics=tuple(metrics) or terms.metrics)
    rollout = Rollout(
        id=rollout_id, agent=name, challenger=number, incumbent=agent.live, state="draft", weight_percent=0.0,
        epoch=0, started_at=now, salt=rollout_id, proposers=(version.author,), forced_by=forced_by,
        settings=terms, queued=waits,
    )  # fmt: skip
    tx.rollouts.add(rollout)
    for metric in terms.metrics:
        tx.rollouts.watch_metric(rollout_id, metric)
    if not waits:
        supersede(tx, ports, name, rollout_id)
        if tx.agents.get(name).live != agent.live:
            raise Conflict(f"{name} {version.label} would build on a version that steps back now", hint="look again")
    tx.audit.append(
        at=now, actor=forced_by or by, action="rollout-queued" if waits else "rollout-started",
        subject=f"{name}/{version.label}",
        payload={"rollout": rollout_id, "settings": asdict(rollout.settings), "forced_by": forced_by},
    )  # fmt: skip
    return rollout


def _may_queue(tx: Tx, version: Version, forced_by: str) -> None:
    """Refuse to queue what could not begin, or waits already."""
    transition(version, "canary", forced_by=forced_by)
    if any(one.challenger == version.number for one in tx.rollouts.queue(version.agent)):
        raise Conflict(
            f"{version.agent} {version.label} is in the queue already", hint="surefoot rollout list shows it"
        )


def _level(tx: Tx, agent: Agent, version: Version) -> ChangeLevel:
    live = tx.versions.get(agent.name, agent.live)
    return level_between(tx.versions.genome(live.genome), tx.versions.genome(version.genome))


async def reconcile(ports: Ports, rollout_id: str) -> Reconcile:
    """Take the next step of a rollout, whatever it is; Conflict if somebody else took it meanwhile."""
    now = ports.clock()
    look = await ports.store.read(lambda tx: look_at(tx, rollout_id, now))
    step, row = _decided(look, now)
    rollout, still = look.rollout, (step.state, step.weight_percent)
    if rollout.state in ENDED and not rollout.watched and still == (rollout.state, rollout.weight_percent):
        return row
    await ports.store.write(lambda tx: _record(tx, ports, look, step, row))
    return row


def _decided(look: Look, now: datetime) -> tuple[Step, Reconcile]:
    step, rollout = next_step(look.facts, now), look.rollout
    return step, Reconcile(
        rollout=rollout.id, seq=rollout.steps + 1, at=now, action=step.action, reason=step.reason,
        sentence=step.sentence, weight_before=rollout.weight_percent, weight_after=step.weight_percent,
        evidence=evidence_of(look, step),
    )  # fmt: skip


def over(row: Mapping[str, object]) -> bool:
    """Whether nothing is left to look at after this step (its state and holdback): the operator may go."""
    return row["state"] in ENDED and not row.get("holdback_percent")


def step_within(
    tx: Tx, ports: Ports, rollout_id: str, *, successor: str = "", rollback_by: str = "", because: str = "",
    moved: bool = False,
) -> Step:  # fmt: skip
    """Take a rollout's next step inside a transaction, because of something that this transaction does."""
    look = look_at(tx, rollout_id, ports.clock())
    facts = replace(
        look.facts, successor=successor, rollback_by=rollback_by or look.facts.rollback_by,
        base_moved=moved or look.facts.base_moved,
    )  # fmt: skip
    rollout = replace(look.rollout, wish_reason=because) if because else look.rollout
    look = replace(look, facts=facts, rollout=rollout)
    step, row = _decided(look, ports.clock())
    _record(tx, ports, look, step, row)
    return step


def _record(tx: Tx, ports: Ports, look: Look, step: Step, row: Reconcile) -> None:
    now, rollout = row.at, look.rollout
    if rollout.queued and step.state not in ("draft", *ENDED):
        _takes_turn(tx, ports, rollout)
    after = _after(rollout, step, row.seq, now)
    if step.action == "await_approval" or step.reason in ("approval_expired", "approval_stale"):
        after = _ask(tx, ports, look, step, after)
    if step.action == "thaw":
        _withdraw(tx, look)
    tx.rollouts.swap(after)
    tx.rollouts.record(row)
    _settle(tx, ports, look, step, now)
    if step.action != "hold" or step.state != rollout.state:
        tx.audit.append(
            at=now, actor=step.by or "operator", action=f"rollout-{step.action}",
            subject=f"{rollout.agent}/{look.challenger.label}",
            payload={"rollout": rollout.id, "reason": step.reason, "sentence": step.sentence,
                     "weight": [row.weight_before, row.weight_after], **row.evidence},
        )  # fmt: skip
    if (kind := kind_of(rollout.state, step)) is not None:
        opened(tx, rollout.agent, kind, version=rollout.challenger, sentence=step.sentence, at=now,
               rollout=rollout.id, facts=row.evidence)  # fmt: skip
    if step.state in ENDED and rollout.state not in ENDED and not rollout.queued:
        next_turn(tx, ports, rollout.agent)


def _after(rollout: Rollout, step: Step, seq: int, now: datetime) -> Rollout:
    """The row that follows from a step."""
    begins = rollout.queued and step.state not in ("draft", *ENDED)
    thawed, over_now = step.action == "thaw", step.state in ENDED and not step.holdback_percent
    return replace(
        rollout, state=step.state, weight_percent=step.weight_percent, epoch=step.epoch, steps=seq,
        reason=step.reason, wish="" if step.by or step.state in ENDED or rollout.wish == "share" else rollout.wish,
        approval="" if thawed else rollout.approval, thawed_epoch=step.epoch if thawed else rollout.thawed_epoch,
        started_at=now if begins else rollout.started_at, queued=rollout.queued and step.state == "draft",
        promoted_at=now if step.action == "promote" else rollout.promoted_at, holdback_percent=step.holdback_percent,
        alarms=(*rollout.alarms, step.reason) if step.action == "alarm" else rollout.alarms,
        closed_at=(rollout.closed_at or now) if over_now else None,
    )  # fmt: skip


def _withdraw(tx: Tx, look: Look) -> None:
    """End a request that was open when the rollout was frozen; what follows the thaw is other evidence."""
    if look.approval is not None and look.approval.state == "pending":
        tx.approvals.swap(look.approval, replace(look.approval, state="expired"))


def _ask(tx: Tx, ports: Ports, look: Look, step: Step, rollout: Rollout) -> Rollout:
    """Open a request for a person, bound to this version and this evidence; an open one stays, an expired one ends."""
    now = ports.clock()
    if look.approval is not None and state_at(look.approval, now) == "pending":
        return rollout
    if look.approval is not None and look.approval.state == "pending":
        tx.approvals.swap(look.approval, replace(look.approval, state="expired"))
    asked = sum(one.version == rollout.challenger for one in tx.approvals.all(rollout.agent))
    approval = Approval(
        id=f"promote-{rollout.agent}-v{rollout.challenger}-{asked + 1}", agent=rollout.agent, rollout=rollout.id,
        version=rollout.challenger, version_digest=look.challenger.genome,
        evidence_digest=evidence_digest(rollout.id, evidence_of(look, step)), proposers=rollout.proposers,
        requested_at=now, expires_at=now + DEFAULT_EXPIRY,
    )  # fmt: skip
    ask(tx, ports, approval, step.sentence)
    return replace(rollout, approval=approval.id)


def _settle(tx: Tx, ports: Ports, look: Look, step: Step, now: datetime) -> None:
    """Carry a verdict over to the versions and the live pointer."""
    rollout, name = look.rollout, look.rollout.agent
    if step.state == rollout.state:
        return
    if step.state == "promoted":
        if look.agent.live != rollout.incumbent:
            raise Conflict(f"{name} moved to v{look.agent.live} while this rollout ran", hint="start it anew")
        tx.versions.move(name, rollout.challenger, "live")
        tx.versions.move(name, rollout.incumbent, "retired")
        tx.agents.swap(replace(look.agent, live=rollout.challenger))
        why = f"{step.reason}: {step.sentence}"
        tx.agents.moved_live(name, rollout.challenger, at=now, by=_approver(look, step), why=why)
    elif rollout.state in ("promoted", "closed"):
        if step.state == "rolled_back":
            _taken_back(tx, ports, look, step, now)
    elif step.state in ENDED and not rollout.queued:
        undecided = step.state == "inconclusive" or step.reason == "stale_base"
        tx.versions.move(name, rollout.challenger, "inconclusive" if undecided else "rolled_back")


def _taken_back(tx: Tx, ports: Ports, look: Look, step: Step, now: datetime) -> None:
    """Give the live pointer back to the incumbent of a rollout that was promoted, unless it has moved on since.

    A rollout that is compared with the version that steps back has lost its base, and ends.
    """
    rollout, name = look.rollout, look.rollout.agent
    if look.agent.live != rollout.challenger:
        return
    tx.versions.move(name, rollout.challenger, "rolled_back")
    tx.versions.move(name, rollout.incumbent, "live")
    tx.agents.swap(replace(look.agent, live=rollout.incumbent))
    told = f"{step.sentence} ({rollout.wish_reason})" if step.by and rollout.wish_reason else step.sentence
    tx.agents.moved_live(name, rollout.incumbent, at=now, by=step.by or "operator", why=f"{step.reason}: {told}")
    taken_back(tx, name, rollout.challenger, sentence=told, evidence=rollout.id, at=now)
    if (active := tx.rollouts.active(name)) is not None:
        step_within(tx, ports, active.id, moved=True)


def supersede(tx: Tx, ports: Ports, name: str, successor: str) -> None:
    """End the holdback of an agent, because another rollout begins; an alarm that is due comes first."""
    for _ in range(ALARMS_BEFORE_END):
        if (held := tx.rollouts.holdback(name)) is None:
            return
        step_within(tx, ports, held.id, successor=successor)


def _takes_turn(tx: Tx, ports: Ports, rollout: Rollout) -> None:
    """Make a queued rollout the one in progress."""
    name = rollout.agent
    if tx.rollouts.active(name) is not None:
        raise Conflict(f"agent {name!r} already has a rollout in progress", hint="the queue goes on when it has ended")
    supersede(tx, ports, name, rollout.id)
    if tx.agents.get(name).live != rollout.incumbent:
        raise Conflict(f"{name} moved away from v{rollout.incumbent} meanwhile", hint="look again")
    version = tx.versions.move(name, rollout.challenger, "canary", forced_by=rollout.forced_by)
    must_be_judged(tx, version, forced_by=rollout.forced_by)


def next_turn(tx: Tx, ports: Ports, name: str) -> None:
    """Let the queue go on: abort what lost its base, and begin the first that did not."""
    for one in tx.rollouts.queue(name):
        if step_within(tx, ports, one.id).state not in ENDED:
            return


def _approver(look: Look, step: Step) -> str:
    return step.by or (look.approval.decided_by if look.approval else "") or "operator"

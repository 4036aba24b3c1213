"""Operate: one reconcile of a rollout. Read everything once, decide purely, write everything once.

The write is one transaction: the rollout by compare-and-set, the states of both versions, the live pointer, the
request for a person, the row of this reconcile, and the audit entry. Of two operators, or of an operator and the
zombie of a killed one, exactly one wins; the other gets a Conflict and looks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from surefoot.core.agent import Agent
from surefoot.core.approval import DEFAULT_EXPIRY, Approval, state_at
from surefoot.core.digest import digest
from surefoot.core.errors import Conflict
from surefoot.core.evidence.rollout import guard_evidence
from surefoot.core.evidence.sampling import Assigned
from surefoot.core.policy import ChangeLevel, level_between, may_canary
from surefoot.core.rollout import RolloutFacts, RolloutSettings, Step, next_step
from surefoot.core.rollout.standing import Reconcile, Rollout
from surefoot.core.version import Version, VersionState
from surefoot.engine.verdict import must_be_judged
from surefoot.ports import Ports, Tx

ENDED = frozenset({"promoted", "closed", "rolled_back", "inconclusive", "aborted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a reconcile read: the rollout, its agent, the challenger, the facts, and the request that is open."""

    rollout: Rollout
    agent: Agent
    challenger: Version
    facts: RolloutFacts
    approval: Approval | None


async def start_rollout(
    ports: Ports, name: str, number: int, *, by: str, settings: RolloutSettings | None = None, forced_by: str = ""
) -> Rollout:
    """Offer a candidate to live traffic, at its floor share.

    `by` is whoever starts it: the loop itself (held to the agent's policy) or a person. `forced_by` names the person
    who offers a version that the gate did not pass; everything about it says "no guarantee" from then on.
    """
    now, rollout_id = ports.clock(), ports.new_id()

    def work(tx: Tx) -> Rollout:
        agent, version = tx.agents.get(name), tx.versions.get(name, number)
        if version.number == agent.live:
            raise Conflict(f"{name} {version.label} is live already", hint="offer another version")
        if agent.stopped:
            raise Conflict(f"agent {name} is stopped", hint="surefoot resume lets it change again")
        if by == "loop":
            may_canary(agent.policy, _level(tx, agent, version))
        tx.versions.move(name, number, "canary", forced_by=forced_by)
        must_be_judged(tx, version, forced_by=forced_by)
        rollout = Rollout(
            id=rollout_id, agent=name, challenger=number, incumbent=agent.live, state="draft", weight_percent=0.0,
            epoch=0, started_at=now, salt=rollout_id, proposers=(version.author,), forced_by=forced_by,
            settings=settings or _terms(tx, agent),
        )  # fmt: skip
        tx.rollouts.add(rollout)
        tx.audit.append(
            at=now, actor=forced_by or by, action="rollout-started", subject=f"{name}/{version.label}",
            payload={"rollout": rollout_id, "settings": asdict(rollout.settings), "forced_by": forced_by},
        )  # fmt: skip
        return rollout

    return await ports.store.write(work)


def _terms(tx: Tx, agent: Agent) -> RolloutSettings:
    """The terms of a rollout: the agent's, with each label watched and the incumbent's failure rate frozen now."""
    seen = tx.outcomes.labelled(agent.name, version=agent.live)
    labels = seen.success + seen.failure
    rate = None if labels < 50 else min(0.98, max(0.005, seen.failure / labels))
    terms = agent.habits.rollout
    guards = terms.guards or tuple(f"label={label.lower()}" for label in agent.labels)
    return replace(terms, guards=guards, baseline_rate=terms.baseline_rate if rate is None else rate)


def _level(tx: Tx, agent: Agent, version: Version) -> ChangeLevel:
    live = tx.versions.get(agent.name, agent.live)
    return level_between(tx.versions.genome(live.genome), tx.versions.genome(version.genome))


async def reconcile(ports: Ports, rollout_id: str) -> Reconcile:
    """Take the next step of a rollout, whatever it is; Conflict if somebody else took it meanwhile."""
    now = ports.clock()
    look = await ports.store.read(lambda tx: _look(tx, rollout_id, now))
    step = next_step(look.facts, now)
    row = Reconcile(
        rollout=rollout_id, seq=look.rollout.steps + 1, at=now, action=step.action, reason=step.reason,
        sentence=step.sentence, weight_before=look.rollout.weight_percent, weight_after=step.weight_percent,
        evidence=_evidence(look, step),
    )  # fmt: skip
    if (
        look.rollout.state in ENDED
        and step.state == look.rollout.state
        and step.weight_percent == look.rollout.weight_percent
    ):
        return row
    await ports.store.write(lambda tx: _record(tx, ports, look, step, row))
    return row


def _look(tx: Tx, rollout_id: str, now: datetime) -> Look:
    rollout = tx.rollouts.get(rollout_id)
    agent, challenger = tx.agents.get(rollout.agent), tx.versions.get(rollout.agent, rollout.challenger)
    approval = tx.approvals.get(rollout.approval) if rollout.approval else None
    facts = RolloutFacts(
        settings=rollout.settings, state=rollout.state, weight_percent=rollout.weight_percent, epoch=rollout.epoch,
        started_at=rollout.started_at, strata=tuple(tx.rollouts.strata(rollout_id)),
        assigned=tuple(Assigned(epoch=e, weight_percent=w, challenger=c, incumbent=i)
                       for e, w, c, i in tx.rollouts.assigned(rollout_id)),
        zero_tolerance_events=tx.rollouts.violations(rollout_id),
        guards=_guards(tx, rollout), accepted_guards=frozenset(rollout.accepted_guards),
        approval=None if approval is None else state_at(approval, now),
        approval_is_current=approval is not None and _current(approval, challenger),
        kill_switch=agent.stopped,
        abort_by=rollout.wished_by if rollout.wish == "abort" else "",
        rollback_by=rollout.wished_by if rollout.wish == "roll_back" else "",
        override_by=rollout.wished_by if rollout.wish == "promote" else "",
    )  # fmt: skip
    return Look(rollout=rollout, agent=agent, challenger=challenger, facts=facts, approval=approval)


def _guards(tx: Tx, rollout: Rollout) -> dict[str, float]:
    """Give the evidence against the challenger in each slice that is watched."""
    if not rollout.settings.guards:
        return {}
    seen = tx.rollouts.slice_strata(rollout.id)
    return {name: guard_evidence(seen.get(name, ())) for name in rollout.settings.guards}


def _current(approval: Approval, challenger: Version) -> bool:
    """An approval holds for one version; its evidence hash was compared when the decision was taken."""
    return approval.version == challenger.number and approval.version_digest == challenger.genome


def _evidence(look: Look, step: Step) -> dict[str, object]:
    """Give what a step was decided from, as people and records see it."""
    seen = step.evidence
    return {
        "state": step.state, "epoch": step.epoch, "by": step.by,
        "guarantee": step.guarantee and not look.rollout.forced_by,
        "e_win": seen.e_win, "e_guard": seen.e_guard, "e_sample_ratio": seen.e_sample_ratio,
        "relative_risk": seen.relative_risk, "interval": [seen.interval.low, seen.interval.high],
        "labels": seen.labels, "challenger_labels": seen.challenger_labels, "fresh_labels": seen.fresh_labels,
        "labels_needed": seen.labels_needed, "thresholds": dict(seen.thresholds),
        "failure_rates": _rates(look.facts), "names": list(step.names),
        "guards": {name: e for name, e in look.facts.guards.items() if e >= 1},
    }  # fmt: skip


def _rates(facts: RolloutFacts) -> dict[str, float | None]:
    failed = (sum(s.challenger_failures for s in facts.strata), sum(s.incumbent_failures for s in facts.strata))
    labels = (facts.challenger_labels, facts.labels - facts.challenger_labels)
    rates = [f / n if n else None for f, n in zip(failed, labels, strict=True)]
    return {"challenger": rates[0], "incumbent": rates[1]}


def _record(tx: Tx, ports: Ports, look: Look, step: Step, row: Reconcile) -> None:
    now, rollout = row.at, look.rollout
    after = replace(
        rollout, state=step.state, weight_percent=step.weight_percent, epoch=step.epoch, steps=row.seq,
        reason=step.reason, wish="" if step.by or step.state in ENDED else rollout.wish,
        closed_at=now if step.state in ENDED else None,
    )  # fmt: skip
    if step.action == "await_approval" or step.reason in ("approval_expired", "approval_stale"):
        after = _ask(tx, ports, look, step, after)
    tx.rollouts.swap(after)
    tx.rollouts.record(row)
    _settle(tx, look, step, now)
    if step.action != "hold" or step.state != rollout.state:
        tx.audit.append(
            at=now, actor=step.by or "operator", action=f"rollout-{step.action}",
            subject=f"{rollout.agent}/{look.challenger.label}",
            payload={"rollout": rollout.id, "reason": step.reason, "sentence": step.sentence,
                     "weight": [row.weight_before, row.weight_after], **row.evidence},
        )  # fmt: skip


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
        evidence_digest=evidence_digest(rollout.id, _evidence(look, step)), proposers=rollout.proposers,
        requested_at=now, expires_at=now + DEFAULT_EXPIRY,
    )  # fmt: skip
    tx.approvals.add(approval)
    return replace(rollout, approval=approval.id)


def evidence_digest(rollout_id: str, evidence: Mapping[str, object]) -> str:
    """Name the evidence a person is shown."""
    return digest([rollout_id, evidence["e_win"], evidence["e_guard"], evidence["labels"], evidence["failure_rates"]])


def _settle(tx: Tx, look: Look, step: Step, now: datetime) -> None:
    """Carry a verdict over to the versions and the live pointer."""
    rollout, name = look.rollout, look.rollout.agent
    if step.state == rollout.state:
        return
    outcome: dict[str, VersionState] = {
        "rolled_back": "rolled_back", "inconclusive": "inconclusive", "aborted": "rolled_back",
    }  # fmt: skip
    if step.state == "promoted":
        if look.agent.live != rollout.incumbent:
            raise Conflict(f"{name} moved to v{look.agent.live} while this rollout ran", hint="start it anew")
        tx.versions.move(name, rollout.challenger, "live")
        tx.versions.move(name, rollout.incumbent, "retired")
        tx.agents.swap(replace(look.agent, live=rollout.challenger))
        why = f"{step.reason}: {step.sentence}"
        tx.agents.moved_live(name, rollout.challenger, at=now, by=_approver(look, step), why=why)
    elif rollout.state == "promoted":
        _taken_back(tx, look, step, now)
    elif step.state in outcome:
        tx.versions.move(name, rollout.challenger, outcome[step.state])


def _taken_back(tx: Tx, look: Look, step: Step, now: datetime) -> None:
    """Give the live pointer back to the incumbent of a rollout that was promoted, unless it has moved on since."""
    rollout, name = look.rollout, look.rollout.agent
    if look.agent.live != rollout.challenger:
        return
    if tx.rollouts.active(name) is not None:
        raise Conflict(
            f"{name} v{rollout.challenger} must step back, but another rollout builds on it",
            hint=f"surefoot rollback {name} ends that one first",
        )
    tx.versions.move(name, rollout.challenger, "rolled_back")
    tx.versions.move(name, rollout.incumbent, "live")
    tx.agents.swap(replace(look.agent, live=rollout.incumbent))
    why = f"{step.reason}: {step.sentence}"
    tx.agents.moved_live(name, rollout.incumbent, at=now, by=step.by or "operator", why=why)


def _approver(look: Look, step: Step) -> str:
    return step.by or (look.approval.decided_by if look.approval else "") or "operator"

"""Look: everything that one reconcile of a rollout decides from, read in one go, and what of it people are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from surefoot.core.agent import Agent
from surefoot.core.approval import Approval, state_at
from surefoot.core.digest import digest
from surefoot.core.evidence.betting import metric_guard_evidence
from surefoot.core.evidence.rollout import guard_evidence
from surefoot.core.evidence.sampling import Assigned
from surefoot.core.rollout import RolloutFacts, Step
from surefoot.core.rollout.shadow import paired_shown
from surefoot.core.rollout.standing import Rollout
from surefoot.core.version import Version
from surefoot.engine.halt import halted
from surefoot.engine.sentinel import open_alarm
from surefoot.engine.shadow import canary_since, paired_of
from surefoot.engine.watch import ahead_of, base_moved, holdback_seen, holdback_shown
from surefoot.ports import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a reconcile read: the rollout, its agent, the challenger, the facts, and the request that is open."""

    rollout: Rollout
    agent: Agent
    challenger: Version
    facts: RolloutFacts
    approval: Approval | None


def look_at(tx: Tx, rollout_id: str, now: datetime) -> Look:
    """Read everything that one reconcile decides from."""
    rollout = tx.rollouts.get(rollout_id)
    agent, challenger = tx.agents.get(rollout.agent), tx.versions.get(rollout.agent, rollout.challenger)
    approval = tx.approvals.get(rollout.approval) if rollout.approval else None
    facts = RolloutFacts(
        settings=rollout.settings, state=rollout.state, weight_percent=rollout.weight_percent, epoch=rollout.epoch,
        started_at=rollout.started_at, strata=tuple(tx.rollouts.strata(rollout_id)),
        assigned=tuple(Assigned(epoch=e, weight_percent=w, challenger=c, incumbent=i)
                       for e, w, c, i in tx.rollouts.assigned(rollout_id) if e >= rollout.thawed_epoch),
        zero_tolerance_events=tx.rollouts.violations(rollout_id),
        paired=paired_of(tx, rollout), canary_at=canary_since(tx, rollout),
        guards=_guards(tx, rollout), accepted_guards=frozenset(rollout.accepted_guards),
        approval=None if approval is None else state_at(approval, now),
        approval_is_current=approval is not None and _current(approval, challenger),
        kill_switch=halted(tx, agent), alarm=open_alarm(tx, agent.name),
        queued=rollout.queued, ahead=ahead_of(tx, rollout), base_moved=base_moved(rollout, agent),
        holdback=holdback_seen(tx, rollout), alarmed=frozenset(rollout.alarms),
        abort_by=rollout.wished_by if rollout.wish == "abort" else "",
        rollback_by=rollout.wished_by if rollout.wish == "roll_back" else "",
        override_by=rollout.wished_by if rollout.wish == "promote" else "",
        thaw_by=rollout.wished_by if rollout.wish == "thaw" else "",
        share_by=rollout.wished_by if rollout.wish == "share" else "", share_percent=rollout.wish_percent,
    )  # fmt: skip
    return Look(rollout=rollout, agent=agent, challenger=challenger, facts=facts, approval=approval)


def _guards(tx: Tx, rollout: Rollout) -> dict[str, float]:
    """Give the evidence against the challenger in each slice and metric that is watched."""
    found: dict[str, float] = {}
    if rollout.settings.guards:
        seen = tx.rollouts.slice_strata(rollout.id)
        found |= {name: guard_evidence(seen.get(name, ())) for name in rollout.settings.guards}
    if rollout.settings.metrics:
        found |= {one.guard.name: metric_guard_evidence(one) for one in tx.rollouts.metrics(rollout.id)}
    return found


def _current(approval: Approval, challenger: Version) -> bool:
    """An approval holds for one version; its evidence hash was compared when the decision was taken."""
    return approval.version == challenger.number and approval.version_digest == challenger.genome


def evidence_of(look: Look, step: Step) -> dict[str, object]:
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
        "guards": {name: e for name, e in look.facts.guards.items() if e >= 1}, **paired_shown(look.facts),
        "page": step.page, "holdback_percent": step.holdback_percent, **holdback_shown(look.facts.holdback),
    }  # fmt: skip


def _rates(facts: RolloutFacts) -> dict[str, float | None]:
    failed = (sum(s.challenger_failures for s in facts.strata), sum(s.incumbent_failures for s in facts.strata))
    labels = (facts.challenger_labels, facts.labels - facts.challenger_labels)
    rates = [f / n if n else None for f, n in zip(failed, labels, strict=True)]
    return {"challenger": rates[0], "incumbent": rates[1]}


def evidence_digest(rollout_id: str, evidence: Mapping[str, object]) -> str:
    """Name the evidence a person is shown."""
    return digest([rollout_id, evidence["e_win"], evidence["e_guard"], evidence["labels"], evidence["failure_rates"]])

"""Watch: what is read about a rollout beyond its own labels: the holdback after it, its turn, and what a worker is due.

A holdback's units, traces and labels are kept under a scope of their own (`Rollout.holdback_scope`), drawn anew at
the promotion, so that nothing of the canary weighs on it and no unit stays where the canary had pinned it.
"""

from __future__ import annotations

from surefoot.core.agent import Agent
from surefoot.core.rollout.facts import Holdback
from surefoot.core.rollout.holdback import holdback_of
from surefoot.core.rollout.standing import Rollout
from surefoot.ports import Tx


def holdback_seen(tx: Tx, rollout: Rollout) -> Holdback | None:
    """Give what the holdback of a promoted rollout has shown; None where nothing is held back."""
    if not rollout.watched:
        return None
    return holdback_of(
        tx.rollouts.label_stream(rollout.holdback_scope), percent=rollout.holdback_percent,
        since=rollout.promoted_at or rollout.started_at, run=rollout.settings.alarm_run,
        baseline_rate=rollout.settings.frozen_rate,
    )  # fmt: skip


def holdback_shown(held: Holdback | None) -> dict[str, object]:
    """Give it as people and records see it; nothing where nothing is held back."""
    if held is None:
        return {}
    return {"holdback": {
        "since": held.since.isoformat(), "evidence": held.evidence, "labels": held.labels,
        "new_failures": held.new_failures, "new_labels": held.new_labels,
        "old_failures": held.old_failures, "old_labels": held.old_labels,
    }}  # fmt: skip


def ahead_of(tx: Tx, rollout: Rollout) -> str:
    """Give the rollout that a queued one waits for: the one in progress, else the one queued before it."""
    if not rollout.queued:
        return ""
    if (active := tx.rollouts.active(rollout.agent)) is not None:
        return active.id
    earlier = [one.id for one in tx.rollouts.queue(rollout.agent)]
    return "" if earlier[0] == rollout.id else earlier[0]


def base_moved(rollout: Rollout, agent: Agent) -> bool:
    """Whether a queued rollout would be compared with a version that is no longer live."""
    return rollout.queued and agent.live != rollout.incumbent


def due(tx: Tx, name: str) -> list[Rollout]:
    """Give what a worker looks at: the rollout in progress, or the one whose turn it is, and the holdback."""
    active, held = tx.rollouts.active(name), tx.rollouts.holdback(name)
    turn = [active] if active is not None else tx.rollouts.queue(name)[:1]
    return [*turn, *([held] if held is not None else [])]

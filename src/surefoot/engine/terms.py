"""Terms: what a rollout promises before it begins, frozen from what the agent, its traffic and its quarter say now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from surefoot.core.agent import Agent
from surefoot.core.rollout import RolloutSettings
from surefoot.core.rollout.ledger import Past, granted_margin, ledger_factor
from surefoot.core.rollout.settings import Road
from surefoot.core.rollout.standing import Rollout
from surefoot.ports import Tx


def terms_now(tx: Tx, agent: Agent, now: datetime, road: Road | None = None) -> RolloutSettings:
    """Give the terms of a rollout that begins now.

    They are the agent's, with each label watched, the incumbent's failure rate frozen, and the ledger's price of a win.
    """
    seen = tx.outcomes.labelled(agent.name, version=agent.live)
    labels = seen.success + seen.failure
    rate = None if labels < 50 else min(0.98, max(0.005, seen.failure / labels))
    terms = agent.habits.rollout
    guards = terms.guards or tuple(f"label={label.lower()}" for label in agent.labels)
    rate = terms.baseline_rate if rate is None else rate
    return priced(tx, agent.name, replace(terms, guards=guards, baseline_rate=rate, road=road or terms.road), now)


def priced(tx: Tx, name: str, terms: RolloutSettings, now: datetime) -> RolloutSettings:
    """Give the terms with what the quarter's ledger asks of a win; Conflict when it has nothing left."""
    past = [_past(one) for one in tx.rollouts.all(name) if not one.queued and not one.forced_by]
    if terms.noninferior:
        granted_margin(terms.null_risk, past=past, now=now)
    mode = "off" if terms.ledger_slots is None else terms.ledger
    return replace(terms, ledger_factor=ledger_factor(mode, slots=terms.ledger_slots or 1, past=past, now=now))


def _past(rollout: Rollout) -> Past:
    """A request for a person means that the evidence had won."""
    terms, lost = rollout.settings, rollout.state in ("rolled_back", "inconclusive", "aborted")
    return Past(
        started_at=rollout.started_at, factor=terms.win_at / terms.win_threshold, won=bool(rollout.approval),
        stands=not lost, margin=terms.null_risk,
    )  # fmt: skip

"""Plan: before a rollout starts, say what its traffic can decide and in how many days, and fix what it watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from surefoot.core.evidence.betting import MetricGuard
from surefoot.core.evidence.planner import Plan, Ramp, outlook, plans
from surefoot.core.metric import metric_guard
from surefoot.core.rollout import RolloutSettings
from surefoot.engine.terms import terms_now
from surefoot.ports import Ports, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What traffic can decide: the terms a rollout would begin with, the traffic they are planned for, and the words.

    `baseline_rate` is the failure rate planned with; `assumed` says that it is not known yet. `sentence` is for people.
    """

    settings: RolloutSettings
    labels_a_day: float
    baseline_rate: float
    assumed: bool
    plans: tuple[Plan, ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A metric that a person wants watched: how much worse it may get, and where values are cut off.

    Both are in the metric's unit. Without `clip` it is 1 for scores and 20 times the usual value for the others.
    """

    name: str
    margin: float
    clip: float | None = None


ASSUMED_RATE = 0.15
USUAL = 500
"""How many of the live version's last traces say what is usual."""


async def metric_terms(ports: Ports, name: str, watched: Sequence[Watched]) -> tuple[MetricGuard, ...]:
    """Freeze the terms of watched metrics around what is usual for the live version; Invalid for unknown ones."""

    def work(tx: Tx) -> tuple[MetricGuard, ...]:
        usual = {**tx.traces.usual(name, tx.agents.get(name).live, USUAL), "score": 0.5}
        return tuple(_terms(one, usual.get(one.name, 0.0)) for one in watched)

    return await ports.store.read(work)


def _terms(one: Watched, usual: float) -> MetricGuard:
    clip = one.clip or (1.0 if one.name == "score" else max(20 * usual, 20 * one.margin))
    return metric_guard(one.name, margin=one.margin, clip=clip, centre=usual)


async def planned(ports: Ports, name: str, *, labels_a_day: float | None = None) -> Outlook:
    """Plan a rollout of an agent that would start now; without `labels_a_day` its live version's own traffic counts."""
    now = ports.clock()

    def work(tx: Tx) -> Outlook:
        agent = tx.agents.get(name)
        settings = terms_now(tx, agent, now)
        daily = labels_a_day
        if daily is None:
            seen = tx.outcomes.labelled(name, version=agent.live)
            since = tx.agents.lineage(name)[-1][1]
            daily = (seen.success + seen.failure) / max(1.0, (now - since) / timedelta(days=1))
        rate = settings.baseline_rate or ASSUMED_RATE
        found = plans(
            baseline_rate=rate, labels_a_day=daily, threshold=settings.win_at, null_risk=settings.null_risk,
            ramp=Ramp(shares_percent=settings.shares_percent, fresh_labels=settings.min_fresh_labels),
        )  # fmt: skip
        sentence = outlook(
            found, labels_a_day=daily, horizon_days=settings.horizon_days, horizon_labels=settings.horizon_labels
        )
        return Outlook(
            settings=settings, labels_a_day=daily, baseline_rate=rate, assumed=settings.baseline_rate is None,
            plans=found, sentence=sentence,
        )  # fmt: skip

    return await ports.store.read(work)

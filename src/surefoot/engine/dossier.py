"""Dossier: gather what a person is shown beside the change and its evidence.

The failure rates are those of the evidence that the decision is bound to; the slices and the traffic are counted now,
because what went wrong since is worth knowing too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from surefoot.core.dossier import Dossier, Rate, Reach, rate_of, slice_changes
from surefoot.core.rollout.standing import Rollout
from surefoot.ports import Tx

WEEK = timedelta(days=7)
_SHORTEST = timedelta(hours=1)  # nothing is said about a day from less


def dossier(tx: Tx, rollout: Rollout, evidence: Mapping[str, Any], now: datetime) -> Dossier:
    """Gather the dossier of a rollout that waits for a person."""
    challenger, incumbent = _rates(evidence)
    name = rollout.agent
    return Dossier(
        challenger=challenger, incumbent=incumbent, slices=slice_changes(tx.rollouts.slice_strata(rollout.id)),
        reach=_reach(tx, rollout, now), undo=f"surefoot rollback {name} --by NAME",
        after_undo=f"v{rollout.incumbent} serves everything again at once, before the promotion and after it",
    )  # fmt: skip


def _rates(evidence: Mapping[str, Any]) -> tuple[Rate, Rate]:
    """The failure rates of both versions, from what the evidence says: rates and labels."""
    ours = int(evidence.get("challenger_labels") or 0)
    theirs = int(evidence.get("labels") or 0) - ours
    said: Mapping[str, float | None] = evidence.get("failure_rates") or {}
    return (
        rate_of(round((said.get("challenger") or 0.0) * ours), ours),
        rate_of(round((said.get("incumbent") or 0.0) * theirs), theirs),
    )


def _reach(tx: Tx, rollout: Rollout, now: datetime) -> Reach:
    born = tx.agents.get(rollout.agent).created_at
    units = sum(ours + theirs for _, _, ours, theirs in tx.rollouts.assigned(rollout.id))
    since = max(born, now - WEEK)
    return Reach(
        share_now_percent=rollout.weight_percent, share_after_percent=100 - rollout.settings.holdback_percent,
        requests_per_day=_per_day(tx.traces.seen(rollout.agent, since=since), now - since),
        units_per_day=_per_day(units, now - rollout.started_at),
    )  # fmt: skip


def _per_day(count: int, span: timedelta) -> float:
    return count / (max(span, _SHORTEST) / timedelta(days=1))


def shown(found: Dossier) -> dict[str, Any]:
    """Give a dossier as a JSON-shaped document."""
    slices = [asdict(one) for one in found.slices]
    return {
        "rates": {"challenger": asdict(found.challenger), "incumbent": asdict(found.incumbent)},
        "worst_slice": slices[0] if slices else None, "slices": slices, "reach": asdict(found.reach),
        "rollback": {"command": found.undo, "then": found.after_undo},
    }  # fmt: skip

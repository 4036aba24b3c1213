"""Metrics that a rollout can watch beside its failures: what one labelled request says about each of them."""

from __future__ import annotations

from collections.abc import Mapping

from surefoot.core.errors import Invalid
from surefoot.core.evidence.betting import MetricGuard, Worse
from surefoot.core.score import Outcome
from surefoot.core.trace import Trace

METRICS: Mapping[str, Worse] = {"latency_s": "higher", "cost_usd": "higher", "score": "lower"}
"""What can be watched, and which way is worse: seconds to the answer, USD it cost, score in [0, 1]."""

NEVER = 1e12
"""The latency of an answer that did not come whole; every clip is below it."""


def observed(trace: Trace, outcome: Outcome) -> dict[str, float]:
    """Give what is known of each metric; a score only where somebody gave one."""
    found = {"latency_s": trace.latency_s if trace.finish == "stop" else NEVER, "cost_usd": trace.cost_usd}
    return found if outcome.score is None else {**found, "score": outcome.score}


def metric_guard(name: str, *, margin: float, clip: float, centre: float) -> MetricGuard:
    """Give the terms of one metric; Invalid for a metric that is not recorded."""
    if name not in METRICS:
        raise Invalid(f"{name!r} is no metric that is recorded", hint=f"watch {', '.join(METRICS)}")
    centre = min(max(centre, 0.0), clip)
    return MetricGuard(name=name, worse=METRICS[name], clip=clip, centre=centre, margin=margin)

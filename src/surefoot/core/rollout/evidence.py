"""The numbers behind a step, all of them from counts: what is decided on is what is shown and stored."""

from __future__ import annotations

from surefoot.core.evidence.relative import labels_needed, mantel_haenszel, risk_interval
from surefoot.core.evidence.rollout import guard_evidence, noninferior_evidence, win_evidence
from surefoot.core.evidence.sampling import sample_ratio_evidence
from surefoot.core.rollout.facts import RolloutFacts, StepEvidence


def step_evidence(facts: RolloutFacts) -> StepEvidence:
    """Compute every number of a step from counts alone."""
    settings, strata = facts.settings, facts.strata
    if settings.noninferior and settings.baseline_rate is not None:
        rate = settings.baseline_rate
        e_win = noninferior_evidence(strata, baseline_rate=rate, use_successes=settings.success_labels)
    else:
        e_win = win_evidence(strata, baseline_rate=settings.frozen_rate)
    return StepEvidence(
        e_win=e_win,
        e_guard=guard_evidence(strata, baseline_rate=settings.frozen_rate),
        e_sample_ratio=sample_ratio_evidence(facts.assigned),
        relative_risk=(risk := mantel_haenszel(strata)),
        interval=risk_interval(strata),
        labels=facts.labels,
        challenger_labels=facts.challenger_labels,
        fresh_labels=facts.fresh_labels,
        labels_needed=_labels_needed(facts, risk, e_win),
        thresholds={
            "win": settings.win_at,
            "hard_guard": settings.hard_guard,
            "soft_guard": settings.soft_guard,
            "watched_guard": settings.guard_at(len(facts.guards)),
            "sample_ratio": settings.sample_ratio_at,
            "relative_risk": settings.mh_limit,
            "fresh_labels": settings.min_fresh_labels,
        },
    )


def _labels_needed(facts: RolloutFacts, risk: float | None, e_win: float) -> int | None:
    settings = facts.settings
    labels = sum(one.incumbent_labels for one in facts.strata)
    failures = sum(one.incumbent_failures for one in facts.strata)
    rate = settings.baseline_rate or (failures / labels if labels else 0.0)
    if risk is None or not 0 < rate < 1 or not 0 < facts.weight_percent < 100:
        return None
    return labels_needed(
        baseline_rate=rate,
        weight_percent=facts.weight_percent,
        relative_risk=risk,
        null_risk=settings.null_risk,
        threshold=settings.win_at,
        e_now=e_win,
    )

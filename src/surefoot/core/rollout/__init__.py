"""A rollout: who serves a unit, the terms frozen at the start, and the next step."""

from surefoot.core.rollout.assign import Assignment, RolloutView, assign, shares, unit_share
from surefoot.core.rollout.facts import Holdback, PairedEvidence, RolloutFacts, Step, StepEvidence
from surefoot.core.rollout.settings import RolloutSettings, RolloutState
from surefoot.core.rollout.steps import next_step

__all__ = [
    "Assignment",
    "Holdback",
    "PairedEvidence",
    "RolloutFacts",
    "RolloutSettings",
    "RolloutState",
    "RolloutView",
    "Step",
    "StepEvidence",
    "assign",
    "next_step",
    "shares",
    "unit_share",
]

"""The view of one reconcile: the facts, the numbers computed from them, and a short way to say a step.

A question is a function from the view to a step, or None when it has nothing to say. Which questions a state asks,
and in which order, is the promise; it stands in `steps`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from surefoot.core.rollout.facts import Action, RolloutFacts, Step, StepEvidence, StepReason
from surefoot.core.rollout.settings import RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Facts with their evidence at one moment."""

    facts: RolloutFacts
    evidence: StepEvidence
    now: datetime

    def say(
        self,
        action: Action,
        reason: StepReason,
        sentence: str,
        *,
        state: RolloutState | None = None,
        weight: float | None = None,
        names: tuple[str, ...] = (),
        by: str = "",
        page: bool = False,
        guarantee: bool = True,
        holdback: float = 0.0,
    ) -> Step:
        """Give a step that keeps state and weight unless told otherwise; a new weight begins a new epoch."""
        facts = self.facts
        weight = facts.weight_percent if weight is None else weight
        return Step(
            action=action,
            state=facts.state if state is None else state,
            weight_percent=weight,
            epoch=facts.epoch + (weight != facts.weight_percent),
            reason=reason,
            sentence=sentence,
            evidence=self.evidence,
            names=names,
            by=by,
            page=page,
            guarantee=guarantee,
            holdback_percent=holdback,
        )

    def promoted(self, reason: StepReason, sentence: str, *, by: str = "", guarantee: bool = True) -> Step:
        """Give the promotion: everything for the challenger, but for the holdback that was declared."""
        held = self.facts.settings.holdback_percent
        text = f"{sentence} {held:g} % of the units stay with the old version, to compare with." if held else sentence
        return self.say(
            "promote", reason, text, state="promoted", weight=100, by=by, guarantee=guarantee, holdback=held
        )  # fmt: skip


Question = Callable[[View], Step | None]


def first(view: View, *questions: Question) -> Step:
    """Give the answer of the first question that has one."""
    for question in questions:
        if (step := question(view)) is not None:
            return step
    raise AssertionError("the last question of a state always answers")

"""After the promotion: a few units stay with the old version, so that a regression is seen by comparison.

Watched is what the promoted version became, not what it was: the evidence is a detector that expects a change at any
label, and a drift that hits both versions is none. An alarm calls a person, once per reason, and by policy steps back
at once. Labels of the canary that arrive late count too: they may still show what the win did not. Quiet, superseded
or stopped, the holdback ends, and the promoted version serves every unit.
"""

from __future__ import annotations

from datetime import timedelta

from surefoot.core.figure import figure, percent
from surefoot.core.rollout.facts import Holdback, Step, StepReason
from surefoot.core.rollout.stops import finished, roll_back_requested, zero_tolerance
from surefoot.core.rollout.view import View, first


def promoted(view: View) -> Step:
    """Decide what happens to a rollout whose challenger serves everything, or everything but the holdback."""
    held = view.facts.holdback
    if view.facts.state == "closed" or held is None:
        return first(view, roll_back_requested, zero_tolerance, finished)
    step = roll_back_requested(view) or zero_tolerance(view) or _kill_switch(view)
    return step or _worse(view, held) or _superseded(view) or _quiet(view, held) or _watch(view, held)


def _kill_switch(view: View) -> Step | None:
    if not view.facts.kill_switch:
        return None
    sentence = "The kill switch is on; the live version serves every unit, and the holdback is over."
    return view.say("close", "kill_switch", sentence, state="closed")


def _worse(view: View, held: Holdback) -> Step | None:
    """Step back, or call a person once, when the holdback or late labels of the canary say that it is worse."""
    settings, alarmed = view.facts.settings, view.facts.alarmed
    if held.alarm and "holdback_alarm" not in alarmed:
        return _alarmed(view, held, "holdback_alarm", f"It fails more often than the version before ({_rates(held)})")
    if view.evidence.e_guard >= settings.hard_guard and "hard_guard" not in alarmed:
        seen = f"Late labels say that it fails more often (evidence {figure(view.evidence.e_guard)})"
        return _alarmed(view, held, "hard_guard", seen)
    return None


def _alarmed(view: View, held: Holdback, reason: StepReason, seen: str) -> Step:
    if view.facts.settings.swap_back == "perform":
        sentence = f"{seen}; by policy the version before is live again."
        return view.say("roll_back", reason, sentence, state="rolled_back", weight=0, page=True)
    sentence = f"{seen}; a person decides whether to step back."
    return view.say("alarm", reason, sentence, page=True, holdback=held.percent)


def _superseded(view: View) -> Step | None:
    if not (successor := view.facts.successor):
        return None
    return view.say("close", "superseded", f"The holdback is over, because {successor} begins.", state="closed")


def _quiet(view: View, held: Holdback) -> Step | None:
    settings = view.facts.settings
    late = view.now - held.since >= timedelta(days=settings.holdback_days)
    if not late and held.labels < settings.holdback_labels:
        return None
    if view.facts.alarmed:
        sentence = f"The holdback is over and nobody has decided ({_rates(held)}); the promoted version stays."
        return view.say("close", "holdback_alarm", sentence, state="closed", page=True)
    shown = _rates(held) if held.labels else "no outcome was labelled, so nothing was learned"
    return view.say("close", "holdback_quiet", f"The holdback is over without an alarm ({shown}).", state="closed")


def _watch(view: View, held: Holdback) -> Step:
    if view.facts.alarmed:
        sentence = f"A person was called and has not decided yet ({_rates(held)})."
        return view.say("hold", "holdback_alarm", sentence, holdback=held.percent)
    sentence = f"{held.percent:g} % of the units stay with the version before: {_rates(held)}."
    return view.say("hold", "holdback_watch", sentence, holdback=held.percent)


def _rates(held: Holdback) -> str:
    new, old = (
        f"{percent(failures / labels)} of {labels}" if labels else "no label yet"
        for failures, labels in ((held.new_failures, held.new_labels), (held.old_failures, held.old_labels))
    )
    return f"failing now {new}, before {old}, evidence {figure(held.evidence)}"

"""What can stop a rollout, and how a stopped one goes on: the questions that are asked before anything good.

A person's request comes first, then what no version may do, a broken split of traffic, the hard guard, an alarm about
the agent itself, and the watched slices and metrics. Freezing takes the share away and decides nothing; a person
looks, and ends the rollout or thaws it. What was learned before stays, only the split is counted anew.
"""

from __future__ import annotations

from datetime import timedelta

from surefoot.core.figure import figure
from surefoot.core.rollout.facts import Action, Step
from surefoot.core.rollout.view import Question, View


def stop_requested(view: View) -> Step | None:
    """Abort, freeze under the kill switch, or roll back."""
    facts = view.facts
    if facts.abort_by:
        sentence = f"{facts.abort_by} aborted the rollout; the incumbent serves everything."
        return view.say("abort", "abort_requested", sentence, state="aborted", weight=0, by=facts.abort_by)
    if facts.kill_switch and facts.state != "frozen":
        sentence = "The kill switch is on; the incumbent serves everything until a person turns it off."
        return view.say("freeze", "kill_switch", sentence, state="frozen", weight=0)
    return roll_back_requested(view)


def roll_back_requested(view: View) -> Step | None:
    """Roll back because a person says so."""
    if not (by := view.facts.rollback_by):
        return None
    sentence = f"{by} rolled the challenger back; the incumbent serves everything."
    return view.say("roll_back", "rollback_requested", sentence, state="rolled_back", weight=0, by=by)


def stale_base(view: View) -> Step | None:
    """Abort what would be compared with a version that is not live any more."""
    if not view.facts.base_moved:
        return None
    sentence = "The version it was to be compared with is not live any more; offer the challenger anew."
    return view.say("abort", "stale_base", sentence, state="aborted", weight=0)


def zero_tolerance(view: View) -> Step | None:
    """Roll back at once after what no version may do."""
    if not (events := view.facts.zero_tolerance_events):
        return None
    sentence = f"The challenger did what no version may do (times: {events}); it gets no traffic any more."
    return view.say("roll_back", "zero_tolerance", sentence, state="rolled_back", weight=0, page=True)


def _sample_ratio(view: View) -> Step | None:
    evidence = view.evidence.e_sample_ratio
    if evidence < view.facts.settings.sample_ratio_at:
        return None
    sentence = f"Traffic was not split as declared (evidence {figure(evidence)}), so no number here can be trusted."
    return view.say("freeze", "sample_ratio", sentence, state="frozen", weight=0, page=True)


def _hard_guard(view: View) -> Step | None:
    evidence, limit = view.evidence.e_guard, view.facts.settings.hard_guard
    if evidence < limit:
        return None
    sentence = f"The challenger fails more often (evidence {figure(evidence)}, limit {limit:g}); it is rolled back."
    return view.say("roll_back", "hard_guard", sentence, state="rolled_back", weight=0)


def _alarm(view: View) -> Step | None:
    """Freeze while something moved that both versions stand on: a comparison made meanwhile is about something else."""
    if not (alarm := view.facts.alarm):
        return None
    sentence = f"Frozen until a person has looked: {alarm.rstrip('.')}."
    return view.say("freeze", "alarm", sentence, state="frozen", weight=0, page=True)


def override(view: View) -> Step | None:
    """Promote because a person says so, which is marked as being without guarantee."""
    if not (by := view.facts.override_by):
        return None
    sentence = f"{by} promoted the challenger against the evidence shown: no guarantee."
    return view.promoted("override", sentence, by=by, guarantee=False)


def _watched_guards(view: View) -> Step | None:
    """Hold at the floor and ask when a watched metric or slice looks worse; a person may accept it by name."""
    facts = view.facts
    limit = facts.settings.guard_at(len(facts.guards))
    fired = sorted((e, name) for name, e in facts.guards.items() if e >= limit and name not in facts.accepted_guards)
    if not fired:
        return None
    if facts.state == "canary" and (over := horizon(view)) is not None:
        return over  # nobody decided in time
    names = tuple(name for _, name in reversed(fired))
    floor = min(facts.weight_percent, facts.settings.floor_percent)
    sentence = (
        f"{', '.join(names)} looks worse (evidence {figure(fired[-1][0])}, limit {limit:g}); a person must decide."
    )
    action: Action = "to_floor" if floor < facts.weight_percent else "hold"
    return view.say(action, "watched_guard", sentence, weight=floor, names=names, page=True)


ALARMS: tuple[Question, ...] = (
    stop_requested, stale_base, zero_tolerance, _sample_ratio, _hard_guard, _alarm, override, _watched_guards
)  # fmt: skip


def share_requested(view: View) -> Step | None:
    """Move the share because a person says so; 0 takes it away until somebody gives it back."""
    facts = view.facts
    if not (by := facts.share_by) or facts.share_percent == facts.weight_percent:
        return None
    if not facts.share_percent:
        sentence = f"{by} took the challenger's share away; the incumbent serves everything."
        return view.say("freeze", "share_requested", sentence, state="frozen", weight=0, by=by)
    if facts.state == "awaiting_approval":
        return None
    sentence = f"{by} gave the challenger {facts.share_percent:g} % of traffic, which the incumbent lost."
    return view.say("share", "share_requested", sentence, state="canary", weight=facts.share_percent, by=by)


def horizon(view: View) -> Step | None:
    """End undecided when the time or the labels that were agreed on are spent."""
    settings, started = view.facts.settings, view.facts.started_at
    late = started is not None and view.now - started >= timedelta(days=settings.horizon_days)
    if not late and view.evidence.labels < settings.horizon_labels:
        return None
    sentence = f"Not decided after {view.evidence.labels} labels; ties go to the incumbent."
    return view.say("inconclusive", "horizon", sentence, state="inconclusive", weight=0)


def leftover_share(view: View) -> Step | None:
    """Take away a share that an ended rollout still has, say after a crash between two writes."""
    if view.facts.weight_percent == 0:
        return None
    sentence = f"A rollout that is {view.facts.state.replace('_', ' ')} must serve nobody; its share is taken away."
    return view.say("roll_back", "leftover_share", sentence, weight=0)


def thaw(view: View) -> Step | None:
    """Go on because a person has looked: at the floor in a new epoch, or in the shadow where it had not been won.

    Nobody thaws under the kill switch or an open alarm; the request is answered, and has to be made again.
    """
    facts = view.facts
    by = facts.thaw_by or (facts.share_by if facts.share_percent else "")
    if not by:
        return None
    if facts.kill_switch:
        sentence = f"{by} cannot thaw it while the kill switch is on; the incumbent serves everything."
        return view.say("hold", "kill_switch", sentence, by=by)
    if facts.alarm:
        return view.say("hold", "alarm", f"{by} cannot thaw it before the alarm is closed: {facts.alarm}", by=by)
    if facts.settings.road == "paired" and facts.canary_at is None:
        sentence = f"{by} has looked; both versions answer recorded requests again."
        return view.say("thaw", "thawed", sentence, state="shadow", weight=0, by=by)
    share = facts.settings.floor_percent if facts.thaw_by else facts.share_percent
    sentence = f"{by} has looked; the challenger gets {share:g} % of traffic, and what was learned before stays."
    return view.say("thaw", "thawed", sentence, state="canary", weight=share, by=by)


def frozen(view: View) -> Step:
    """Wait for a person."""
    return view.say("hold", "frozen", "The rollout is frozen; the incumbent serves everything until a person looks.")


def finished(view: View) -> Step:
    """Say that there is nothing left to do."""
    return view.say("hold", "finished", f"The rollout has ended: {view.facts.state.replace('_', ' ')}.")

"""The next step of a rollout: one pure function from facts and `now` to a decision.

The order is the promise: a person's request to stop, a zero-tolerance event, the sample ratio, the hard guard, an
override, the watched metrics and slices, the win, the soft guard, the ramp, the horizon. So nothing good is looked at
before everything that can stop the rollout. A win only asks; a promotion takes a person's approval of this very
version and evidence, or a named person's override, which is marked as being without guarantee. No data means wait.
The weight may move as it likes without harming the evidence; the ramp's own limits are operational. Source:
evidence.md §1, traps S1-29 to S1-47.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from surefoot.core.errors import Invalid
from surefoot.core.evidence.mixture import LARGEST
from surefoot.core.rollout.evidence import step_evidence
from surefoot.core.rollout.facts import Action, RolloutFacts, Step, StepEvidence, StepReason
from surefoot.core.rollout.settings import RolloutState


def next_step(facts: RolloutFacts, now: datetime) -> Step:
    """Decide what happens to a rollout at this reconcile.

    Deciding twice on the same facts gives the same step, and a step already taken is never taken again: its new
    epoch has no labels yet. Errors: `Invalid` when `now` has no time zone.
    """
    if now.tzinfo is None:
        raise Invalid("the present moment has no time zone", hint="use an aware datetime")
    view = _View(facts=facts, evidence=step_evidence(facts), now=now)
    match facts.state:
        case "draft":
            return _first(view, _stop_requested, _start)
        case "shadow":
            return _first(view, _stop_requested, _zero_tolerance, _override, _shadow)
        case "canary":
            return _first(view, *_ALARMS, _win, _soft_guard, _ramp, _horizon, _wait)
        case "awaiting_approval":
            return _first(view, *_ALARMS, _answer)
        case "promoted" | "closed":
            return _first(view, _roll_back_requested, _zero_tolerance, _finished)
        case "frozen":
            return _first(view, _stop_requested, _leftover_share, _frozen)
        case "rolled_back" | "inconclusive" | "aborted":
            return _first(view, _leftover_share, _finished)
        case _:
            assert_never(facts.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Facts with their evidence, and a short way to say a step."""

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
        )


def _first(view: _View, *questions: Callable[[_View], Step | None]) -> Step:
    """Give the answer of the first question that has one."""
    for question in questions:
        if (step := question(view)) is not None:
            return step
    raise AssertionError("the last question of a state always answers")


def _stop_requested(view: _View) -> Step | None:
    facts = view.facts
    if facts.abort_by:
        sentence = f"{facts.abort_by} aborted the rollout; the incumbent serves everything."
        return view.say("abort", "abort_requested", sentence, state="aborted", weight=0, by=facts.abort_by)
    if facts.kill_switch and facts.state != "frozen":
        sentence = "The kill switch is on; the incumbent serves everything until a person turns it off."
        return view.say("freeze", "kill_switch", sentence, state="frozen", weight=0)
    return _roll_back_requested(view)


def _roll_back_requested(view: _View) -> Step | None:
    if not (by := view.facts.rollback_by):
        return None
    sentence = f"{by} rolled the challenger back; the incumbent serves everything."
    return view.say("roll_back", "rollback_requested", sentence, state="rolled_back", weight=0, by=by)


def _zero_tolerance(view: _View) -> Step | None:
    if not (events := view.facts.zero_tolerance_events):
        return None
    sentence = f"The challenger did what no version may do (times: {events}); it gets no traffic any more."
    return view.say("roll_back", "zero_tolerance", sentence, state="rolled_back", weight=0, page=True)


def _sample_ratio(view: _View) -> Step | None:
    evidence = view.evidence.e_sample_ratio
    if evidence < view.facts.settings.sample_ratio_at:
        return None
    sentence = f"Traffic was not split as declared (evidence {evidence:.3g}), so no number here can be trusted."
    return view.say("freeze", "sample_ratio", sentence, state="frozen", weight=0, page=True)


def _hard_guard(view: _View) -> Step | None:
    evidence, limit = view.evidence.e_guard, view.facts.settings.hard_guard
    if evidence < limit:
        return None
    sentence = f"The challenger fails more often (evidence {evidence:.3g}, limit {limit:g}); it is rolled back."
    return view.say("roll_back", "hard_guard", sentence, state="rolled_back", weight=0)


def _override(view: _View) -> Step | None:
    if not (by := view.facts.override_by):
        return None
    sentence = f"{by} promoted the challenger against the evidence shown: no guarantee."
    return view.say("promote", "override", sentence, state="promoted", weight=100, by=by, guarantee=False)


def _watched_guards(view: _View) -> Step | None:
    """Hold at the floor and ask when a watched metric or slice looks worse; a person may accept it by name."""
    facts = view.facts
    limit = facts.settings.guard_at(len(facts.guards))
    fired = sorted((e, name) for name, e in facts.guards.items() if e >= limit and name not in facts.accepted_guards)
    if not fired:
        return None
    if facts.state == "canary" and (over := _horizon(view)) is not None:
        return over  # nobody decided in time
    names = tuple(name for _, name in reversed(fired))
    floor = min(facts.weight_percent, facts.settings.floor_percent)
    sentence = f"{', '.join(names)} looks worse (evidence {fired[-1][0]:.3g}, limit {limit:g}); a person must decide."
    action: Action = "to_floor" if floor < facts.weight_percent else "hold"
    return view.say(action, "watched_guard", sentence, weight=floor, names=names, page=True)


_ALARMS = (_stop_requested, _zero_tolerance, _sample_ratio, _hard_guard, _override, _watched_guards)


def _start(view: _View) -> Step:
    facts = view.facts
    if facts.started_at is None:
        return view.say("hold", "not_started", "The rollout has not been started; the challenger gets no traffic.")
    if facts.settings.road == "paired":
        sentence = "Both versions now answer the same recorded requests; no user sees the challenger."
        return view.say("hold", "started", sentence, state="shadow", weight=0)
    return _open_canary(view, "started", "The challenger gets its first share")


def _shadow(view: _View) -> Step:
    settings, paired = view.facts.settings, view.facts.paired
    if paired is None or not paired.cases:
        return view.say("hold", "shadow_collecting", "No request has been answered by both versions yet.")
    shown = f"{paired.cases} shared requests, evidence {paired.e_win:.3g} of {settings.paired_win:g}"
    if paired.e_harm >= settings.paired_harm:
        sentence = f"The challenger is worse on shared requests (evidence {paired.e_harm:.3g}); no user saw it."
        return view.say("roll_back", "shadow_harm", sentence, state="rolled_back", weight=0)
    if paired.e_win >= settings.paired_win:
        return _open_canary(view, "shadow_won", f"The challenger is better on {shown}; it gets its first share")
    if paired.cases >= settings.paired_cap:
        return view.say("inconclusive", "shadow_cap", f"Not proven: {shown}.", state="inconclusive", weight=0)
    return view.say("hold", "shadow_collecting", f"Not decided yet: {shown}.")


def _open_canary(view: _View, reason: StepReason, sentence: str) -> Step:
    floor = view.facts.settings.floor_percent
    return view.say("ramp", reason, f"{sentence}: {floor:g} % of traffic.", state="canary", weight=floor)


def _win(view: _View) -> Step | None:
    settings, evidence = view.facts.settings, view.evidence
    if settings.road == "paired":
        return _quiet_canary(view)
    if evidence.e_win < settings.win_at or evidence.relative_risk is None:
        return None  # labels of one version alone prove only that labels depend on the version
    claim = "is not worse by more than the declared margin" if settings.noninferior else "fails less often"
    sentence = f"The challenger {claim} (evidence {evidence.e_win:.3g}, needed {settings.win_at:g}); a person decides."
    return view.say("await_approval", "win", sentence, state="awaiting_approval")


def _quiet_canary(view: _View) -> Step | None:
    """On the paired road the win came before; the canary must only stay quiet long enough."""
    settings, evidence, since = view.facts.settings, view.evidence, view.facts.canary_at or view.facts.started_at
    enough = evidence.challenger_labels >= settings.quiet_labels and evidence.e_guard < settings.soft_guard
    if not enough or since is None or view.now - since < timedelta(hours=settings.quiet_hours):
        return None
    sentence = f"Better on shared requests and quiet over {evidence.challenger_labels} live labels; a person decides."
    return view.say("await_approval", "quiet_canary", sentence, state="awaiting_approval")


def _answer(view: _View) -> Step:
    """Act on a person's answer; only an approval of this very version and evidence promotes."""
    match view.facts.approval:
        case None:
            return view.say("await_approval", "awaiting_decision", "A person must be asked before the majority.")
        case "pending":
            return view.say("hold", "awaiting_decision", "A person has been asked; the share stays where the win came.")
        case "approved":
            return _approved(view)
        case "rejected":
            sentence = "A person rejected the challenger; it gets no traffic any more."
            return view.say("roll_back", "approval_rejected", sentence, state="rolled_back", weight=0)
        case "changes_requested":
            sentence = "A person asked for changes, which make another version; this one gets no traffic any more."
            return view.say("roll_back", "changes_requested", sentence, state="rolled_back", weight=0)
        case "expired":
            sentence = "The request expired unanswered, which is no approval; ask again to go on."
            return view.say("hold", "approval_expired", sentence)
        case _:
            assert_never(view.facts.approval)


def _approved(view: _View) -> Step:
    """Promote, unless the approval is for something else or the soft guard has risen since the win."""
    settings, evidence = view.facts.settings, view.evidence
    if not view.facts.approval_is_current:
        sentence = "The approval was given for another version or other evidence, so it does not count; ask again."
        return view.say("hold", "approval_stale", sentence)
    if evidence.e_guard >= settings.soft_guard:
        sentence = f"Approved, but failures rose since (evidence {evidence.e_guard:.3g}); promoted when they calm down."
        return view.say("hold", "soft_guard", sentence)
    sentence = "A person approved; the challenger serves everything."
    return view.say("promote", "approved", sentence, state="promoted", weight=100)


def _soft_guard(view: _View) -> Step | None:
    facts, evidence, floor = view.facts, view.evidence, view.facts.settings.floor_percent
    if evidence.e_guard < facts.settings.soft_guard or facts.weight_percent <= floor:
        return None
    sentence = f"The challenger may be failing more often (evidence {evidence.e_guard:.3g}); back to {floor:g} %."
    return view.say("to_floor", "soft_guard", sentence, weight=floor)


def _ramp(view: _View) -> Step | None:
    share = view.facts.settings.share_after(view.facts.weight_percent)
    if share is None or _obstacle(view) is not None:
        return None
    sentence = f"{view.evidence.fresh_labels} fresh labels show no harm; the share goes up to {share:g} %."
    return view.say("ramp", "ramp", sentence, weight=share)


def _obstacle(view: _View) -> tuple[StepReason, str] | None:
    """Say what keeps the share from rising, None when nothing does."""
    facts, evidence, settings = view.facts, view.evidence, view.facts.settings
    if facts.weight_percent <= 0:
        return "no_share", "The challenger has no share, so nothing can be learned."
    if not evidence.labels:
        return "no_labels", "No labelled outcome yet: no data is no failure rate."
    if evidence.e_guard >= settings.soft_guard:
        return "soft_guard", f"The challenger may be failing more often (evidence {evidence.e_guard:.3g})."
    if evidence.fresh_labels < settings.min_fresh_labels:
        return "fresh_labels", f"{evidence.fresh_labels} of {settings.min_fresh_labels} fresh labels at this share."
    if not _risk_allows(facts, evidence):
        return "relative_risk", f"The challenger's relative risk is {_risk(evidence)}, limit {settings.mh_limit:g}."
    if settings.share_after(facts.weight_percent) is None:
        return "at_ceiling", f"At the ceiling of {settings.ceiling_percent:g} %."
    return None


def _risk_allows(facts: RolloutFacts, evidence: StepEvidence) -> bool:
    """Whether the point estimate allows a step; without any failure it takes labels of both arms to say so."""
    if evidence.relative_risk is not None:
        return evidence.relative_risk <= facts.settings.mh_limit
    compared = any(one.challenger_labels and one.incumbent_labels for one in facts.strata)
    return compared and not any(one.challenger_failures for one in facts.strata)


def _horizon(view: _View) -> Step | None:
    settings, started = view.facts.settings, view.facts.started_at
    late = started is not None and view.now - started >= timedelta(days=settings.horizon_days)
    if not late and view.evidence.labels < settings.horizon_labels:
        return None
    sentence = f"Not decided after {view.evidence.labels} labels; ties go to the incumbent."
    return view.say("inconclusive", "horizon", sentence, state="inconclusive", weight=0)


def _wait(view: _View) -> Step:
    reason, why = _obstacle(view) or ("fresh_labels", "Waiting for labels.")
    needed = view.evidence.labels_needed
    return view.say("hold", reason, why if needed is None else f"{why} A win needs about {needed} more labels.")


def _frozen(view: _View) -> Step:
    return view.say("hold", "frozen", "The rollout is frozen; the incumbent serves everything until a person looks.")


def _finished(view: _View) -> Step:
    return view.say("hold", "finished", f"The rollout has ended: {view.facts.state.replace('_', ' ')}.")


def _leftover_share(view: _View) -> Step | None:
    """Take away a share that an ended rollout still has, say after a crash between two writes."""
    if view.facts.weight_percent == 0:
        return None
    sentence = f"A rollout that is {view.facts.state.replace('_', ' ')} must serve nobody; its share is taken away."
    return view.say("roll_back", "leftover_share", sentence, weight=0)


def _risk(evidence: StepEvidence) -> str:
    risk = evidence.relative_risk
    return "unknown" if risk is None else f"{risk:.2f}" if risk < LARGEST else "unbounded"

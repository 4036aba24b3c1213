"""The next step of a rollout: one pure function from facts and `now` to a decision.

The order is the promise: a person's request to stop, a zero-tolerance event, the sample ratio, the hard guard, an
alarm about the agent, an override, the watched metrics and slices, the win, the soft guard, the ramp, the horizon. So
nothing good is looked at before everything that can stop the rollout. A win only asks; a promotion takes a person's
approval of this very version and evidence, or a named person's override, which is marked as being without guarantee.
No data means wait. The weight may move as it likes without harming the evidence; the ramp's own limits are
operational. What follows a promotion is in `after`. Source: evidence.md §1, traps S1-29 to S1-47.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from surefoot.core.errors import Invalid
from surefoot.core.evidence.mixture import LARGEST
from surefoot.core.figure import figure
from surefoot.core.rollout.after import promoted
from surefoot.core.rollout.evidence import step_evidence
from surefoot.core.rollout.facts import RolloutFacts, Step, StepEvidence, StepReason
from surefoot.core.rollout.stops import (
    ALARMS,
    finished,
    frozen,
    horizon,
    leftover_share,
    override,
    share_requested,
    stale_base,
    stop_requested,
    thaw,
    zero_tolerance,
)
from surefoot.core.rollout.view import View, first


def next_step(facts: RolloutFacts, now: datetime) -> Step:
    """Decide what happens to a rollout at this reconcile.

    Deciding twice on the same facts gives the same step, and a step already taken is never taken again: its new
    epoch has no labels yet. Errors: `Invalid` when `now` has no time zone.
    """
    if now.tzinfo is None:
        raise Invalid("the present moment has no time zone", hint="use an aware datetime")
    view = View(facts=facts, evidence=step_evidence(facts), now=now)
    match facts.state:
        case "draft":
            return first(view, stale_base, _turn, stop_requested, _held_up, _start)
        case "shadow":
            return first(view, stop_requested, stale_base, zero_tolerance, override, _held_up, _shadow)
        case "canary":
            return first(view, *ALARMS, share_requested, _win, _soft_guard, _ramp, horizon, _wait)
        case "awaiting_approval":
            return first(view, *ALARMS, share_requested, _answer)
        case "promoted" | "closed":
            return promoted(view)
        case "frozen":
            return first(view, stop_requested, stale_base, leftover_share, thaw, frozen)
        case "rolled_back" | "inconclusive" | "aborted":
            return first(view, leftover_share, finished)
        case _:
            assert_never(facts.state)


def _turn(view: View) -> Step | None:
    """Let a queued rollout wait for the one in progress; until its turn it can only be given up."""
    facts = view.facts
    if not facts.queued or facts.abort_by or facts.rollback_by:
        return None
    if facts.kill_switch:
        return view.say("hold", "kill_switch", "The kill switch is on; the rollout waits in the queue.")
    if facts.ahead:
        return view.say("hold", "queued", f"Rollout {facts.ahead} is in progress; this one begins when it has ended.")
    return None


def _held_up(view: View) -> Step | None:
    """Begin nothing while an alarm about the agent is open."""
    if not (alarm := view.facts.alarm):
        return None
    return view.say("hold", "alarm", f"It begins when a person has looked: {alarm.rstrip('.')}.")


def _start(view: View) -> Step:
    facts = view.facts
    if facts.started_at is None:
        return view.say("hold", "not_started", "The rollout has not been started; the challenger gets no traffic.")
    if facts.settings.road == "paired":
        sentence = "Both versions now answer the same recorded requests; no user sees the challenger."
        return view.say("hold", "started", sentence, state="shadow", weight=0)
    if facts.share_percent and (step := share_requested(view)) is not None:
        return step
    return _open_canary(view, "started", "The challenger gets its first share")


def _shadow(view: View) -> Step:
    settings, paired = view.facts.settings, view.facts.paired
    if paired is None or not paired.cases:
        return view.say("hold", "shadow_collecting", "No request has been answered by both versions yet.")
    shown = f"{paired.cases} shared requests, evidence {figure(paired.e_win)} of {settings.paired_win_at:g}"
    if paired.e_harm >= settings.paired_harm:
        sentence = f"The challenger is worse on shared requests (evidence {figure(paired.e_harm)}); no user saw it."
        return view.say("roll_back", "shadow_harm", sentence, state="rolled_back", weight=0)
    if paired.e_win >= settings.paired_win_at:
        return _open_canary(view, "shadow_won", f"The challenger is better on {shown}; it gets its first share")
    if paired.cases >= settings.paired_cap:
        return view.say("inconclusive", "shadow_cap", f"Not proven: {shown}.", state="inconclusive", weight=0)
    return view.say("hold", "shadow_collecting", f"Not decided yet: {shown}.")


def _open_canary(view: View, reason: StepReason, sentence: str) -> Step:
    floor = view.facts.settings.floor_percent
    return view.say("ramp", reason, f"{sentence}: {floor:g} % of traffic.", state="canary", weight=floor)


def _win(view: View) -> Step | None:
    settings, evidence = view.facts.settings, view.evidence
    if settings.road == "paired":
        return _quiet_canary(view)
    if evidence.e_win < settings.win_at or evidence.relative_risk is None:
        return None  # labels of one version alone prove only that labels depend on the version
    claim = "is not worse by more than the declared margin" if settings.noninferior else "fails less often"
    sentence = (
        f"The challenger {claim} (evidence {figure(evidence.e_win)}, needed {settings.win_at:g}); a person decides."
    )
    return view.say("await_approval", "win", sentence, state="awaiting_approval")


def _quiet_canary(view: View) -> Step | None:
    """On the paired road the win came before; the canary must only stay quiet long enough."""
    settings, evidence, since = view.facts.settings, view.evidence, view.facts.canary_at or view.facts.started_at
    enough = evidence.challenger_labels >= settings.quiet_labels and evidence.e_guard < settings.soft_guard
    if not enough or since is None or view.now - since < timedelta(hours=settings.quiet_hours):
        return None
    sentence = f"Better on shared requests and quiet over {evidence.challenger_labels} live labels; a person decides."
    return view.say("await_approval", "quiet_canary", sentence, state="awaiting_approval")


def _answer(view: View) -> Step:
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


def _approved(view: View) -> Step:
    """Promote, unless the approval is for something else or the soft guard has risen since the win."""
    settings, evidence = view.facts.settings, view.evidence
    if not view.facts.approval_is_current:
        sentence = "The approval was given for another version or other evidence, so it does not count; ask again."
        return view.say("hold", "approval_stale", sentence)
    if evidence.e_guard >= settings.soft_guard:
        sentence = (
            f"Approved, but failures rose since (evidence {figure(evidence.e_guard)}); promoted when they calm down."
        )
        return view.say("hold", "soft_guard", sentence)
    return view.promoted("approved", "A person approved; the challenger serves everything.")


def _soft_guard(view: View) -> Step | None:
    facts, evidence, floor = view.facts, view.evidence, view.facts.settings.floor_percent
    if evidence.e_guard < facts.settings.soft_guard or facts.weight_percent <= floor:
        return None
    sentence = f"The challenger may be failing more often (evidence {figure(evidence.e_guard)}); back to {floor:g} %."
    return view.say("to_floor", "soft_guard", sentence, weight=floor)


def _ramp(view: View) -> Step | None:
    share = view.facts.settings.share_after(view.facts.weight_percent)
    if share is None or _obstacle(view) is not None:
        return None
    sentence = f"{view.evidence.fresh_labels} fresh labels show no harm; the share goes up to {share:g} %."
    return view.say("ramp", "ramp", sentence, weight=share)


def _obstacle(view: View) -> tuple[StepReason, str] | None:
    """Say what keeps the share from rising, None when nothing does."""
    facts, evidence, settings = view.facts, view.evidence, view.facts.settings
    if facts.weight_percent <= 0:
        return "no_share", "The challenger has no share, so nothing can be learned."
    if not evidence.labels:
        return "no_labels", "No labelled outcome yet: no data is no failure rate."
    if evidence.e_guard >= settings.soft_guard:
        return "soft_guard", f"The challenger may be failing more often (evidence {figure(evidence.e_guard)})."
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


def _wait(view: View) -> Step:
    reason, why = _obstacle(view) or ("fresh_labels", "Waiting for labels.")
    needed = view.evidence.labels_needed
    return view.say("hold", reason, why if needed is None else f"{why} A win needs about {needed} more labels.")


def _risk(evidence: StepEvidence) -> str:
    risk = evidence.relative_risk
    return "unknown" if risk is None else f"{risk:.2f}" if risk < LARGEST else "unbounded"

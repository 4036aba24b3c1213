"""A rollout as it stands: the step it is at, the evidence against its thresholds, both rates, and whom it hurts.

Everything is computed from counts now, by the functions that the next reconcile will use; the line through time shows
what each look saw then.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from surefoot.core.dossier import Rate, SliceChange, rate_of, slice_changes
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.mask import masked_quotes
from surefoot.core.rollout import next_step
from surefoot.core.rollout.evidence import step_evidence
from surefoot.core.rollout.facts import RolloutFacts, Step, StepEvidence
from surefoot.core.rollout.standing import Rollout
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.engine.accept import accept_guards
from surefoot.engine.look import Look, look_at
from surefoot.engine.operate import ENDED, reconcile
from surefoot.engine.rollback import hold, thaw, wish
from surefoot.ports import Tx
from surefoot.ports.rollouts import CurvePoint

POINTS, EVENTS = 400, 60
TONES = {
    "draft": "wait", "shadow": "canary", "canary": "canary", "awaiting_approval": "asks", "promoted": "ok",
    "closed": "ok", "rolled_back": "back", "inconclusive": "idle", "aborted": "idle", "frozen": "frozen",
}  # fmt: skip
WHY = {
    "started": "it has its first share",
    "ramp": "no harm; its share went up",
    "at_ceiling": "at its ceiling, collecting labels",
    "fresh_labels": "waits for labels at this share",
    "no_labels": "waits for its first labels",
    "awaiting_decision": "won; a person decides",
    "win": "won its canary",
    "quiet_canary": "no harm seen",
    "approved": "a person said yes",
    "approval_rejected": "a person said no",
    "changes_requested": "sent back with a note",
    "approval_stale": "the evidence moved; asked again",
    "approval_expired": "nobody answered in time",
    "hard_guard": "failed more often",
    "soft_guard": "looked worse; back to its floor",
    "alarm": "an alarm stopped it",
    "watched_guard": "one slice looks worse",
    "zero_tolerance": "did what must never happen",
    "share_requested": "a person took its share",
    "override": "a person forced it",
    "abort_requested": "a person ended it",
    "rollback_requested": "a person took it back",
    "kill_switch": "stopped for everything",
    "horizon": "its time is up",
    "sample_ratio": "the split was broken",
    "superseded": "another version took over",
    "stale_base": "its base was replaced",
    "holdback_watch": "watched after promotion",
    "holdback_alarm": "got worse after promotion",
    "holdback_quiet": "stayed good after promotion",
    "frozen": "waits until a person has looked",
}  # why a rollout is where it is, for lists; its own page has the whole sentence
DEEDS = ("promote", "hold", "thaw", "abort", "accept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of the ramp: its share, how far it got, and the units that were really given to the challenger there."""

    percent: float
    word: str
    state: Literal["done", "now", "ahead"]
    units: int
    challenger_units: int

    @property
    def observed(self) -> float | None:
        """The share of units that the challenger really got."""
        return self.challenger_units / self.units if self.units else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One number of evidence against the threshold that was frozen at the start."""

    name: str
    value: float
    limit: float
    tone: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something a person can do now, with the same as a command and a request; `names` are what it is about."""

    name: str
    word: str
    tone: str
    sentence: str
    copies: Copies
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPage:
    """Everything on the page; `curve` is what the line is drawn through, `events` the looks that changed something."""

    rollout: Rollout
    tone: str
    sentence: str
    next_sentence: str
    author: str
    rationale: str
    rungs: tuple[Rung, ...]
    proofs: tuple[Proof, ...]
    evidence: StepEvidence
    rates: dict[str, Rate]
    most: float
    slices: tuple[SliceChange, ...]
    slices_most: float
    guards: tuple[tuple[str, float, bool], ...]
    guard_at: float
    curve: tuple[CurvePoint, ...]
    events: tuple[CurvePoint, ...]
    looks: int
    actions: tuple[Action, ...]
    approval: str
    ended: bool
    changed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRow:
    """One rollout in the list."""

    rollout: Rollout
    tone: str
    share_percent: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollouts:
    """An agent's rollouts, newest first."""

    agent: str
    rows: tuple[RolloutRow, ...]
    older: int | None
    newest: bool
    begin: Copies


async def list_screen(asking: Asking) -> Page:
    """Show the rollouts of an agent."""
    agent, after = await asking.agent(), asking.number("after") or 0
    found = (await asking.ports.store.read(lambda tx: tx.rollouts.all(agent.name)))[::-1]
    rows = tuple(RolloutRow(rollout=one, tone=TONES[one.state], share_percent=_share(one),
                            why=WHY.get(one.reason, one.reason.replace("_", " ")))
                 for one in found[after : after + 50])  # fmt: skip
    model = Rollouts(
        agent=agent.name, rows=rows, older=after + 50 if len(found) > after + 50 else None, newest=not after,
        begin=copies(("rollout", "start", agent.name, "VERSION", "--by", "NAME"), "POST",
                     f"/api/v1/agents/{agent.name}/rollouts", {"version": 2}),
    )  # fmt: skip
    return Page(template="rollouts.html", model=model, title=f"Rollouts of {agent.name}", place="agents",
                agent=agent.name, tab="rollouts", live=("audit", "rollouts"))  # fmt: skip


async def screen(asking: Asking) -> Page:
    """Show one rollout."""
    model = await asking.ports.store.read(lambda tx: _page(tx, asking))
    one = model.rollout
    return Page(
        template="rollout.html", model=model, title=f"{one.agent}: v{one.challenger} against v{one.incumbent}",
        place="agents", agent=one.agent, tab="rollouts",
        live=(f"rollout:{one.id}", *(() if model.ended else ("outcomes",))),
    )  # fmt: skip


async def steer(asking: Asking, fields: dict[str, str]) -> str:
    """Do what a person wants of a rollout, and let the next reconcile carry it out."""
    deed, reason = asking.part("deed"), fields.get("reason", "").strip()[:2000]
    if deed not in DEEDS:
        raise NotFound(f"nobody can {deed[:40]} a rollout", hint=f"there are {', '.join(DEEDS)}")
    rollout = await asking.ports.store.read(lambda tx: tx.rollouts.get(asking.part("rollout")))
    asking.must_see(rollout.agent, f"rollout {rollout.id!r}")
    asking.visitor.must("operate", rollout.agent)
    if not reason:
        raise Invalid(f"to {deed} a rollout takes a reason", hint="say in a few words why; it is kept")
    await _done(asking, rollout, deed, reason, fields)
    return f"/rollouts/{rollout.id}?done={deed}"


async def _done(asking: Asking, rollout: Rollout, deed: str, reason: str, fields: dict[str, str]) -> None:
    ports, by = asking.ports, asking.visitor.name
    epoch = _seen(fields)
    match deed:
        case "hold":
            await hold(ports, rollout.id, by=by, reason=reason, epoch=epoch)
            return
        case "thaw":
            await thaw(ports, rollout.id, by=by, reason=reason, epoch=epoch)
        case "accept":
            names = fields.get("names", "").split("\n")
            await accept_guards(ports, rollout.id, names, by=by, why=reason, epoch=epoch)
        case _:
            await ports.store.write(lambda tx: wish(tx, ports, rollout.id, deed, by, reason, epoch=epoch))
    with contextlib.suppress(Conflict):  # an operator that is faster does the same
        await reconcile(ports, rollout.id)


def _seen(fields: dict[str, str]) -> int:
    """Give the epoch that the page showed; every form carries it."""
    said = fields.get("seen", "")
    if not said.isdecimal() or len(said) > 9:
        raise Invalid("this does not say what you looked at", hint="reload the page and do it there")
    return int(said)


def _why(look: Look, *, reads: bool) -> str:
    said = look.challenger.rationale
    return said if reads else masked_quotes(said)


def _page(tx: Tx, asking: Asking) -> RolloutPage:
    look = look_at(tx, asking.part("rollout"), asking.now)
    asking.must_see(look.rollout.agent, f"rollout {look.rollout.id!r}")
    rollout, evidence = look.rollout, step_evidence(look.facts)
    curve = tuple(tx.rollouts.curve(rollout.id, most=POINTS))
    events = tuple(one for one in curve if one.action != "hold")[-EVENTS:][::-1]
    slices = slice_changes(tx.rollouts.slice_strata(rollout.id))
    rates = _rates(look.facts)
    ended, step = rollout.state in ENDED and not rollout.watched, next_step(look.facts, asking.now)
    return RolloutPage(
        rollout=rollout, tone=TONES[rollout.state], evidence=evidence, rates=rates, curve=curve, events=events,
        sentence=curve[-1].sentence if curve else "No look was taken at it yet.",
        next_sentence="" if ended else step.sentence,
        author=look.challenger.author, rationale=_why(look, reads=asking.visitor.reads(rollout.agent)),
        rungs=_rungs(look),
        proofs=_proofs(look, evidence),
        most=max([0.05, *(one.high for one in rates.values() if one.rate is not None)]), slices=slices,
        slices_most=max([0.1, *(max(abs(one.low), abs(one.high)) for one in slices)]), guards=_guards(look),
        guard_at=evidence.thresholds["watched_guard"], looks=rollout.steps,
        actions=() if ended else tuple(_actions(look, step)),
        approval=rollout.approval if rollout.state == "awaiting_approval" else "", ended=ended,
        changed_at=events[0].at if events else None,
    )  # fmt: skip


def _share(one: Rollout) -> float:
    return 100 - one.holdback_percent if one.watched else one.weight_percent


def _rates(facts: RolloutFacts) -> dict[str, Rate]:
    strata = facts.strata
    return {
        "challenger": rate_of(sum(s.challenger_failures for s in strata), facts.challenger_labels),
        "incumbent": rate_of(sum(s.incumbent_failures for s in strata), facts.labels - facts.challenger_labels),
    }  # fmt: skip


def _rungs(look: Look) -> tuple[Rung, ...]:
    """The ramp with what was observed on each share, then the person's word, then everything."""
    rollout, terms = look.rollout, look.rollout.settings
    seen: dict[float, tuple[int, int]] = {}
    for one in look.facts.assigned:
        mine, all_of_them = seen.get(one.weight_percent, (0, 0))
        seen[one.weight_percent] = (mine + one.challenger, all_of_them + one.challenger + one.incumbent)
    reached = max([*seen, rollout.weight_percent], default=0.0)
    promoted = rollout.state in ("promoted", "closed")
    asked = rollout.state == "awaiting_approval"
    stays = rollout.state == "canary"
    shares = sorted({*terms.shares_percent, *(share for share in seen if 0 < share < 50)})
    ramp = [
        Rung(
            percent=share, word=f"{share:g} %", units=seen.get(share, (0, 0))[1],
            challenger_units=seen.get(share, (0, 0))[0],
            state="now" if stays and share == rollout.weight_percent else "done" if share <= reached and share in seen
            else "ahead",
        )
        for share in shares
    ]  # fmt: skip
    person = Rung(percent=50, word="a person", state="done" if promoted else "now" if asked else "ahead", units=0,
                  challenger_units=0)  # fmt: skip
    whole = f"{100 - rollout.holdback_percent:g} %" if rollout.watched else "100 %"
    last = Rung(percent=100, word=whole, state="now" if rollout.watched else "done" if promoted else "ahead", units=0,
                challenger_units=0)  # fmt: skip
    return (*ramp, person, last)


def _proofs(look: Look, seen: StepEvidence) -> tuple[Proof, ...]:
    limits, needed = seen.thresholds, seen.labels_needed
    win = (
        "proven: at least this much evidence counts as a win" if seen.e_win >= limits["win"]
        else f"a win needs about {needed} more labels at this share" if needed is not None
        else "the challenger does not look better yet" if seen.labels else "no labels yet"
    )  # fmt: skip
    harm = (
        "over the hard limit: it is rolled back" if seen.e_guard >= limits["hard_guard"]
        else "over the soft limit: the share goes back to its floor" if seen.e_guard >= limits["soft_guard"]
        else "no sign of harm"
    )  # fmt: skip
    paired = look.facts.paired
    split, harmed = seen.e_sample_ratio >= limits["sample_ratio"], seen.e_guard >= limits["hard_guard"]
    found = [
        Proof(name="better", value=seen.e_win, limit=limits["win"], sentence=win,
              tone="ok" if seen.e_win >= limits["win"] else "canary"),
        Proof(name="worse", value=seen.e_guard, limit=limits["hard_guard"], sentence=harm,
              tone="bad" if harmed else "warn" if seen.e_guard >= limits["soft_guard"] else "idle"),
        Proof(name="split is off", value=seen.e_sample_ratio, limit=limits["sample_ratio"],
              sentence="the assignment is broken" if split else "units are split as they should be",
              tone="bad" if split else "idle"),
    ]  # fmt: skip
    if paired is not None:
        found.insert(1, Proof(
            name="better on shared requests", value=paired.e_win, limit=look.rollout.settings.paired_win_at,
            tone="canary", sentence=f"{paired.cases} requests were answered by both",
        ))  # fmt: skip
    return tuple(found)


def _guards(look: Look) -> tuple[tuple[str, float, bool], ...]:
    facts = look.facts
    rows = ((name, e, name in facts.accepted_guards) for name, e in facts.guards.items())
    return tuple(sorted(rows, key=lambda one: -one[1]))


def _actions(look: Look, step: Step) -> list[Action]:
    """What an operator can do at this state, the gentlest first."""
    rollout, agent = look.rollout, look.rollout.agent
    found: list[Action] = []
    if step.reason == "watched_guard":
        names = ", ".join(step.names)
        accept = _action(rollout, "accept", "Accept", "", f"It goes on although this looks worse: {names}.",
                         ("rollout", "accept", agent, *step.names, "--by", "NAME"),
                         {"names": list(step.names)})  # fmt: skip
        found.append(replace(accept, names=step.names))
    if rollout.state == "frozen":
        found.append(_action(rollout, "thaw", "Go on", "", "It goes on at its floor, because you have looked.",
                             ("rollout", "thaw", agent, "--by", "NAME")))  # fmt: skip
    if rollout.state in ("canary", "awaiting_approval") and rollout.weight_percent:
        found.append(_action(
            rollout, "hold", "Hold", "", f"v{rollout.challenger} gets no traffic until a person lets it go on.",
            ("rollout", "hold", agent, "--by", "NAME"),
        ))  # fmt: skip
    if rollout.state in ("draft", "shadow", "canary", "frozen", "awaiting_approval"):
        found.append(_action(rollout, "abort", "Abort", "bad", f"It ends; v{rollout.incumbent} serves everything.",
                             ("rollout", "abort", agent, "--by", "NAME")))  # fmt: skip
    if rollout.state in ("shadow", "canary"):
        found.append(_action(
            rollout, "promote", "Promote anyway", "warn",
            "It serves everything now, against the evidence; the record says “no guarantee”.",
            ("rollout", "override", agent, "--by", "NAME"),
        ))  # fmt: skip
    return found


def _action(
    rollout: Rollout, name: str, word: str, tone: str, sentence: str, cli: tuple[str, ...],
    more: dict[str, object] | None = None,
) -> Action:  # fmt: skip
    door = {"promote": "override"}.get(name, name)
    body = {**(more or {}), "reason": "why"}
    return Action(
        name=name, word=word, tone=tone, sentence=sentence,
        copies=copies((*cli, "--why", "TEXT"), "POST", f"/api/v1/rollouts/{rollout.id}/{door}", body),
    )  # fmt: skip

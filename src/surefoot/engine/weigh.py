"""Weigh: set a version's share of traffic by hand, in a person's name.

What it means is decided in `core.rollout.share`; what then happens is an ordinary reconcile, so every alarm comes
first. A share that was not given is told as a Conflict with the reason, and the wish does not linger. All of it is one
transaction: what was decided cannot be overtaken before it is carried out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from surefoot.core.approval import among
from surefoot.core.errors import Conflict, Forbidden, Invalid
from surefoot.core.rollout.share import ShareWish, share_wished
from surefoot.core.rollout.standing import Rollout, must_stand_at
from surefoot.engine.issue import people
from surefoot.engine.operate import started, step_within
from surefoot.engine.terms import terms_now
from surefoot.ports import Ports, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Both shares as they are now, in percent; they sum to 100. `previous_percent` is the version's share before."""

    agent: str
    version: int
    weight_percent: float
    previous_percent: float
    other: int | None
    other_percent: float
    rollout: str
    sentence: str


class NotGiven(Conflict):
    """The share was not given, because something else came first: look at the rollout again."""


async def weigh(
    ports: Ports, name: str, version: int, percent: float, *, by: str, reason: str = "", epoch: int | None = None
) -> Weighed:  # fmt: skip
    """Give a version a share of traffic, which the other one loses; Invalid, Forbidden or Conflict otherwise.

    `epoch` is that of the rollout in progress as it was looked at.
    """
    done = await ports.store.write(
        lambda tx: weighed(tx, ports, name, version, percent, by=by, reason=reason, epoch=epoch)
    )
    if isinstance(done, NotGiven):
        raise done
    return done


def weighed(
    tx: Tx, ports: Ports, name: str, version: int, percent: float, *, by: str, reason: str = "",
    epoch: int | None = None, forced_by: str = "",
) -> Weighed | NotGiven:  # fmt: skip
    """Set a share inside a transaction: decided, begun, wished and carried out at once, or not at all.

    NotGiven is given and not raised: what an alarm did instead has to be kept. `forced_by` takes the responsibility
    for a version that the gate was not asked about.
    """
    if not by.strip():
        raise Invalid("a share is set by a person", hint="say who decides (--by NAME)")
    agent, active = tx.agents.get(name), tx.rollouts.active(name)
    tx.versions.get(name, version)
    _must_not_watch(tx.rollouts.holdback(name), version, percent)
    terms = active.settings if active else terms_now(tx, agent, ports.clock(), None)
    wish = share_wished(agent.live, active, version, percent, terms=terms)
    before, sentence = _share(tx, name, version), "Nothing changed: that is its share."
    if wish.action != "keep":
        rollout = active or started(tx, ports, name, wish.challenger, by=by, forced_by=forced_by)
        _wished(tx, ports, rollout.id, wish, by, reason, epoch)
        step = step_within(tx, ports, rollout.id)
        if step.weight_percent != wish.percent:
            return NotGiven(f"the share was not set: {step.sentence}", hint=f"surefoot rollout show {wish.challenger}")
        sentence = step.sentence
    return _shown(tx, name, version, before, sentence)


def _wished(
    tx: Tx, ports: Ports, rollout_id: str, wish: ShareWish, by: str, reason: str, epoch: int | None
) -> None:  # fmt: skip
    rollout, reason = tx.rollouts.get(rollout_id), ports.redact_note(reason)
    must_stand_at(rollout, epoch)
    if rollout.wish not in ("", "share"):
        raise Conflict(
            f"{rollout.wished_by} wants it to {rollout.wish.replace('_', ' ')}", hint="look again in a moment"
        )
    if rollout.state == "frozen" and among(by, rollout.proposers, people(tx, ports)):
        raise Forbidden(
            f"{by} proposed {rollout.agent} v{rollout.challenger} and cannot give a frozen share back",
            hint="another person has to look at it",
        )
    tx.audit.append(
        at=ports.clock(), actor=by, action="wish-share", subject=f"{rollout.agent}/v{rollout.challenger}",
        payload={"rollout": rollout_id, "percent": wish.percent, "reason": reason},
    )  # fmt: skip
    tx.rollouts.swap(replace(rollout, wish="share", wished_by=by, wish_reason=reason, wish_percent=wish.percent))


def _must_not_watch(held: Rollout | None, version: int, percent: float) -> None:
    """Refuse to move the share of a holdback, which was declared before the promotion."""
    if held is None or version not in (held.challenger, held.incumbent):
        return
    have = held.holdback_percent if version == held.incumbent else 100 - held.holdback_percent
    if percent != have:
        raise Conflict(
            f"v{held.incumbent} serves a holdback of {held.holdback_percent:g} % to compare with",
            hint="surefoot rollback steps back; the holdback ends by itself",
        )


def shares(tx: Tx, name: str) -> dict[int, float]:
    """Give the share of each version that has one, in percent; they sum to 100."""
    live, active, held = tx.agents.get(name).live, tx.rollouts.active(name), tx.rollouts.holdback(name)
    if active is not None and active.weight_percent > 0:
        return {active.incumbent: 100 - active.weight_percent, active.challenger: active.weight_percent}
    if held is not None and held.challenger == live:
        return {held.incumbent: held.holdback_percent, live: 100 - held.holdback_percent}
    return {live: 100.0}


def _share(tx: Tx, name: str, version: int) -> float:
    return shares(tx, name).get(version, 0.0)


def _shown(tx: Tx, name: str, version: int, before: float, sentence: str) -> Weighed:
    found, active = shares(tx, name), tx.rollouts.active(name)
    mine, others = found.get(version, 0.0), [one for one in found if one != version]
    return Weighed(
        agent=name, version=version, weight_percent=mine, previous_percent=before, other=others[0] if others else None,
        other_percent=100 - mine, rollout=active.id if active else "", sentence=sentence,
    )  # fmt: skip

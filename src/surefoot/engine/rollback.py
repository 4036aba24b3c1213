"""Roll back: step back at any time, from any state; and since a rollback is an event of its own, forward again.

With a rollout in progress the challenger loses its share at once (also while a person is being asked). Otherwise the
live pointer moves to an earlier version of the lineage, or to the one that is named; a holdback ends with it. What a
version that is taken back came from is open again, and the lesson is written.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime

from surefoot.core.agent import Agent
from surefoot.core.approval import among
from surefoot.core.errors import Conflict, Forbidden, Invalid
from surefoot.core.rollout.standing import Rollout, must_stand_at
from surefoot.core.version import Version
from surefoot.engine.approve import people_for
from surefoot.engine.halt import halted
from surefoot.engine.incident import taken_back
from surefoot.engine.issue import people
from surefoot.engine.operate import ENDED, next_turn, reconcile, step_within, supersede
from surefoot.engine.sentinel import open_alarm
from surefoot.engine.weigh import weigh
from surefoot.ports import Ports, Tx

TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """What serves now, what served before, and which rollout was ended on the way (if one was)."""

    agent: str
    live: int
    before: int
    rollout: str = ""


async def rollback(ports: Ports, name: str, *, by: str, to: int | None = None, reason: str = "") -> RolledBack:
    """Take the challenger's share away, or make an earlier version live; `by` names the person."""
    if not by.strip():
        raise Invalid("a rollback needs a person's name", hint="say who decides (--by NAME)")
    reason = ports.redact_note(reason)
    active = await ports.store.read(lambda tx: tx.rollouts.active(name))
    if active is not None:
        ended = await _ended(ports, active, by, reason)
        if to is None and ended.state not in (
            "promoted",
            "closed",
        ):  # where a promotion was faster, the live version steps back
            return RolledBack(agent=name, live=active.incumbent, before=active.incumbent, rollout=active.id)
    return await ports.store.write(lambda tx: _moved(tx, ports, name, by, to, reason))


async def _ended(ports: Ports, rollout: Rollout, by: str, reason: str) -> Rollout:
    """End a rollout; an operator who looks at the same moment carries out the same wish."""

    def wished(tx: Tx) -> Rollout:
        now = tx.rollouts.get(rollout.id)
        return now if now.state in ENDED else wish(tx, ports, rollout.id, "roll_back", by, reason)

    standing = await ports.store.write(wished)
    for _ in range(TRIES):
        if standing.state in ENDED:
            return standing
        with contextlib.suppress(Conflict):
            await reconcile(ports, rollout.id)
        standing = await ports.store.read(lambda tx: tx.rollouts.get(rollout.id))
    raise Conflict(f"rollout {rollout.id} is being moved by others", hint="the wish is kept; look again in a moment")


def wish(
    tx: Tx, ports: Ports, rollout_id: str, what: str, by: str, reason: str, *, epoch: int | None = None
) -> Rollout:  # fmt: skip
    """Write down what a person wants of a rollout; the next reconcile carries it out.

    `epoch` is that of the rollout as it was looked at. Forbidden to promote what one proposed oneself, or what takes
    two people; Conflict for a rollout that has ended or moved.
    """
    rollout, reason = tx.rollouts.get(rollout_id), ports.redact_note(reason)
    must_stand_at(rollout, epoch)
    if rollout.state in ENDED:
        raise Conflict(f"rollout {rollout_id} has ended: {rollout.state.replace('_', ' ')}", hint="look at it again")
    if what in ("promote", "thaw") and among(by, rollout.proposers, people(tx, ports)):
        raise Forbidden(
            f"{by} proposed {rollout.agent} v{rollout.challenger} and cannot {what} it",
            hint="another person has to look at it",
        )
    if what == "promote" and (needed := people_for(tx, ports, rollout)) > 1:
        raise Forbidden(
            f"promoting {rollout.agent} v{rollout.challenger} takes {needed} people, and an override has one",
            hint="let the evidence win, then surefoot approve",
        )
    tx.audit.append(
        at=ports.clock(), actor=by, action=f"wish-{what}", subject=f"{rollout.agent}/v{rollout.challenger}",
        payload={"rollout": rollout_id, "reason": reason},
    )  # fmt: skip
    return tx.rollouts.swap(replace(rollout, wish=what, wished_by=by, wish_reason=reason))


def _moved(tx: Tx, ports: Ports, name: str, by: str, to: int | None, reason: str) -> RolledBack:
    agent, now = tx.agents.get(name), ports.clock()
    target = _target(tx, agent, to)
    held, word = tx.rollouts.holdback(name), "back" if target.number < agent.live else "forward"
    tx.audit.append(
        at=now, actor=by, action=f"rolled-{word}", subject=f"{name}/{target.label}",
        payload={"from": agent.live, "to": target.number, "reason": reason},
    )  # fmt: skip
    done = RolledBack(agent=name, live=target.number, before=agent.live, rollout="" if held is None else held.id)
    if held is not None and (held.challenger, held.incumbent) == (agent.live, target.number):
        step_within(tx, ports, held.id, rollback_by=by, because=reason)
        return done
    supersede(tx, ports, name, target.label)
    if (now_agent := tx.agents.get(name)).live == target.number:  # an alarm of the holdback was faster
        return done
    _made_live(tx, now_agent, target, by=by, reason=reason, at=now)
    if (active := tx.rollouts.active(name)) is not None:  # it is compared with what has just left
        step_within(tx, ports, active.id, moved=True)
    next_turn(tx, ports, name)
    return done


def _made_live(tx: Tx, agent: Agent, target: Version, *, by: str, reason: str, at: datetime) -> None:
    """Move the pointer; a version that is left for an earlier one reopens its levers."""
    name, back = agent.name, target.number < agent.live
    tx.versions.move(name, agent.live, "rolled_back" if back else "retired")
    tx.versions.move(name, target.number, "live", forced_by=by)
    tx.agents.swap(replace(agent, live=target.number))
    why = reason or f"rolled {'back' if back else 'forward'} from v{agent.live}"
    tx.agents.moved_live(name, target.number, at=at, by=by, why=why)
    if back:
        sentence = f"{by} rolled it back{f': {reason}' if reason else '.'}"
        taken_back(tx, name, agent.live, sentence=sentence, evidence=f"rolled back to {target.label}", at=at)


async def thaw(
    ports: Ports, rollout_id: str, *, by: str, reason: str = "", epoch: int | None = None
) -> Rollout:  # fmt: skip
    """Let a frozen rollout go on, because a person has looked; gives it as the wish left it, to be reconciled.

    Conflict when it is not frozen, its agent is stopped or an alarm is open; Forbidden for one's own proposal.
    """
    if not by.strip():
        raise Invalid("a thaw needs a person's name", hint="say who has looked (--by NAME)")

    def work(tx: Tx) -> Rollout:
        rollout = tx.rollouts.get(rollout_id)
        if rollout.state != "frozen":
            raise Conflict(
                f"rollout {rollout_id} is {rollout.state.replace('_', ' ')}, not frozen", hint="nothing to do"
            )
        if halted(tx, tx.agents.get(rollout.agent)):
            raise Conflict(f"agent {rollout.agent} is stopped", hint="surefoot resume lets it change again")
        if alarm := open_alarm(tx, rollout.agent):
            raise Conflict(f"an alarm is open: {alarm}", hint="surefoot incidents shows it, and --close closes it")
        return wish(tx, ports, rollout_id, "thaw", by, reason, epoch=epoch)

    return await ports.store.write(work)


async def hold(ports: Ports, rollout_id: str, *, by: str, reason: str = "", epoch: int | None = None) -> None:
    """Take the challenger's share away until a person has looked: the rollout is frozen.

    Conflict for one that is not in progress, since it has no share.
    """

    def work(tx: Tx) -> Rollout:
        rollout = tx.rollouts.get(rollout_id)
        active = tx.rollouts.active(rollout.agent)
        if active is None or active.id != rollout_id:
            raise Conflict(f"rollout {rollout_id} is not in progress", hint="only that one has a share to take away")
        must_stand_at(rollout, epoch)
        return rollout

    found = await ports.store.read(work)
    await weigh(ports, found.agent, found.challenger, 0, by=by, reason=reason, epoch=epoch)


def _target(tx: Tx, agent: Agent, to: int | None) -> Version:
    name, target = agent.name, tx.versions.get(agent.name, to if to is not None else _previous(tx, agent))
    if target.number == agent.live:
        raise Conflict(f"{name} {target.label} is live already", hint="surefoot versions shows where each one stands")
    if target.number not in {number for number, *_ in tx.agents.lineage(name)}:
        raise Conflict(f"{name} {target.label} was never live", hint="surefoot rollout start offers it to live traffic")
    return target


def _previous(tx: Tx, agent: Agent) -> int:
    """The last earlier version that was live; stepping back twice goes back twice, and never forward again."""
    for number, _, _, _ in reversed(tx.agents.lineage(agent.name)):
        if number < agent.live:
            return number
    raise Conflict(f"{agent.name} v{agent.live} has no version before it", hint="there is nothing to step back to")

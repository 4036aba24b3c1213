"""Roll back: step back at any time, from any state; and since a rollback is an event of its own, forward again.

With a rollout in progress the challenger loses its share at once (also while a person is being asked). Otherwise the
live pointer moves to an earlier version of the lineage, or to the one that is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from surefoot.core.agent import Agent
from surefoot.core.errors import Conflict, Invalid
from surefoot.core.rollout.standing import Rollout
from surefoot.engine.operate import reconcile
from surefoot.ports import Ports, Tx


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
    active = await ports.store.read(lambda tx: tx.rollouts.active(name))
    if active is not None and active.state != "draft":
        await ports.store.write(lambda tx: wish(tx, ports, active.id, "roll_back", by, reason))
        await reconcile(ports, active.id)
        if to is None:
            return RolledBack(agent=name, live=active.incumbent, before=active.incumbent, rollout=active.id)
    return await ports.store.write(lambda tx: _moved(tx, ports, name, by, to, reason))


def wish(tx: Tx, ports: Ports, rollout_id: str, what: str, by: str, reason: str) -> Rollout:
    """Write down what a person wants of a rollout; the next reconcile carries it out."""
    rollout = tx.rollouts.get(rollout_id)
    tx.audit.append(
        at=ports.clock(), actor=by, action=f"wish-{what}", subject=f"{rollout.agent}/v{rollout.challenger}",
        payload={"rollout": rollout_id, "reason": reason},
    )  # fmt: skip
    return tx.rollouts.swap(replace(rollout, wish=what, wished_by=by, wish_reason=reason))


def _moved(tx: Tx, ports: Ports, name: str, by: str, to: int | None, reason: str) -> RolledBack:
    agent, now = tx.agents.get(name), ports.clock()
    target = tx.versions.get(name, to if to is not None else _previous(tx, agent))
    if target.number == agent.live:
        raise Conflict(f"{name} {target.label} is live already", hint="surefoot versions shows where each one stands")
    tx.versions.move(name, agent.live, "rolled_back" if target.number < agent.live else "retired")
    tx.versions.move(name, target.number, "live", forced_by=by)
    tx.agents.swap(replace(agent, live=target.number))
    word = "back" if target.number < agent.live else "forward"
    tx.agents.moved_live(name, target.number, at=now, by=by, why=reason or f"rolled {word} from v{agent.live}")
    tx.audit.append(
        at=now, actor=by, action=f"rolled-{word}", subject=f"{name}/{target.label}",
        payload={"from": agent.live, "to": target.number, "reason": reason},
    )  # fmt: skip
    return RolledBack(agent=name, live=target.number, before=agent.live)


def _previous(tx: Tx, agent: Agent) -> int:
    """The version that was live before the present one."""
    for number, _, _, _ in reversed(tx.agents.lineage(agent.name)):
        if number != agent.live:
            return number
    raise Conflict(f"{agent.name} v{agent.live} has no version before it", hint="there is nothing to step back to")

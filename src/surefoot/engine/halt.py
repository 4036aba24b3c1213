"""Halt: one switch that stops all agents, beside the one that each agent has.

While it is on, every agent serves its live version and changes in no way. It is looked at where a share would be
given and where something would begin, so it works from the moment it is written, whenever a reconcile notices.
"""

from __future__ import annotations

from collections.abc import Mapping

from surefoot.core.agent import Agent
from surefoot.core.errors import Conflict, Invalid
from surefoot.ports import Ports, Tx

ALL = "stop-all"


def halted(tx: Tx, agent: Agent) -> bool:
    """Whether an agent is stopped, by its own switch or by the one of the house."""
    return agent.stopped or tx.switches.get(ALL) is not None


def must_run(tx: Tx, agent: Agent) -> None:
    """Raise Conflict for an agent that is stopped."""
    if agent.stopped:
        raise Conflict(f"agent {agent.name} is stopped", hint="surefoot resume lets it change again")
    if (switch := tx.switches.get(ALL)) is not None:
        raise Conflict(f"all agents are stopped by {switch['by']}", hint="surefoot resume --all lets them change again")


async def stop_all(ports: Ports, *, by: str, reason: str = "") -> Mapping[str, object]:
    """Stop all agents, those that are made later too; Conflict when they are stopped already."""
    if not by.strip():
        raise Invalid("this takes a person's name", hint="say who decides (--by NAME)")
    now = ports.clock()

    def work(tx: Tx) -> Mapping[str, object]:
        if tx.switches.get(ALL) is not None:
            raise Conflict("all agents are stopped already", hint="nothing to do")
        document = {"by": by, "reason": reason, "at": now.isoformat()}
        tx.switches.on(ALL, document)
        tx.audit.append(at=now, actor=by, action="stopped-all", subject="*", payload={"reason": reason})
        return document

    return await ports.store.write(work)


async def resume_all(ports: Ports, *, by: str, reason: str = "") -> None:
    """Lift the switch of the house; agents with their own switch on stay stopped, frozen rollouts stay frozen."""
    if not by.strip():
        raise Invalid("this takes a person's name", hint="say who decides (--by NAME)")
    now = ports.clock()

    def work(tx: Tx) -> None:
        if tx.switches.get(ALL) is None:
            raise Conflict(
                "the switch of all agents is off already", hint="surefoot resume AGENT lifts one agent's own"
            )
        tx.switches.off(ALL)
        tx.audit.append(at=now, actor=by, action="resumed-all", subject="*", payload={"reason": reason})

    await ports.store.write(work)

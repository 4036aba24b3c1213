"""Pause: a program asks for a person, a person decides, and the program hears it.

A wait is a row, so neither the end of the program nor that of the server ends it. It is announced in the transaction
that writes it, and so is the decision, with its feedback. What has expired is never decided any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime

from surefoot.core.errors import Conflict, NotFound
from surefoot.core.execution import ExecutionState, reported
from surefoot.core.notice import NoticeKind
from surefoot.core.pause import DEFAULT_HOURS, Pause, PauseDecision, asked, decided, state_at
from surefoot.engine.notify import announce
from surefoot.engine.serve import storable
from surefoot.ports import Ports, Tx

LOOK_EVERY_S = 0.25
LONGEST_WAIT_S = 30.0


async def pause(
    ports: Ports, agent: str, name: str, *, by: str, hours: float = DEFAULT_HOURS, reason: str = "", url: str = "",
    execution: str = "",
) -> Pause:  # fmt: skip
    """Give the wait of this name, which begins now unless it is there already; its state is that of now."""
    now = ports.clock()
    new = asked(agent, name, by=by, now=now, hours=hours, reason=ports.redact(storable(reason)), url=storable(url),
                execution=execution)  # fmt: skip

    def work(tx: Tx) -> Pause:
        if not tx.pauses.add(new):
            return tx.pauses.find(agent, name) or new
        _announce(tx, ports, new, "pause_requested", f"{agent} waits for a person: {new.reason or new.name}")
        tx.audit.append(at=now, actor=by, action="pause-requested", subject=f"{agent}/{name}",
                        payload={"expires_at": new.expires_at.isoformat(), "execution": execution})  # fmt: skip
        _told(tx, execution, "waiting", now)
        return new

    there = await ports.store.read(lambda tx: tx.pauses.find(agent, name))
    return seen(there or await ports.store.write(work), ports)


async def decide_pause(
    ports: Ports, agent: str, name: str, decision: PauseDecision, *, by: str, feedback: str = "",
    response: Mapping[str, object] | None = None, door: str = "api",
) -> Pause:  # fmt: skip
    """Write a person's decision down; what is wrong with it is raised as `core.pause.decided` says."""
    now = ports.clock()

    def work(tx: Tx) -> Pause:
        before = _there(tx, agent, name)
        after = decided(before, decision, by=by, now=now, feedback=storable(feedback), response=response)
        if after is before:
            return before
        after = tx.pauses.swap(after)
        words = f"{by} said {decision.replace('_', ' ')}" + (f": {after.feedback}" if after.feedback else "")
        _announce(tx, ports, after, "pause_decided", words)
        tx.audit.append(at=now, actor=by, action=f"pause-{decision}", subject=f"{agent}/{name}",
                        payload={"feedback": after.feedback, "door": door})  # fmt: skip
        _told(tx, after.execution, "running", now)
        return after

    return await ports.store.write(work)


async def pause_named(ports: Ports, agent: str, name: str) -> Pause:
    """Give a wait as it stands now; NotFound when nobody waits for it."""
    return seen(await ports.store.read(lambda tx: _there(tx, agent, name)), ports)


async def awaited(
    ports: Ports, agent: str, name: str, *, wait_s: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Pause:  # fmt: skip
    """Give a wait as soon as it is decided or expired, or as it stands after `wait_s` (30 s at most)."""
    left = min(wait_s, LONGEST_WAIT_S)
    while True:
        found = await pause_named(ports, agent, name)
        if found.state != "pending" or left <= 0:
            return found
        await sleep(min(LOOK_EVERY_S, left))
        left -= LOOK_EVERY_S


async def pause_of_execution(ports: Ports, execution: str) -> Pause:
    """Give the last wait of an execution as it stands now; NotFound when it has none."""
    found = await ports.store.read(lambda tx: tx.pauses.of_execution(execution))
    if found is None:
        raise NotFound(f"the execution {execution!r} waits for nobody", hint="request-approval begins a wait")
    return seen(found, ports)


async def pauses(ports: Ports, agent: str | None = None, *, waiting_only: bool = False) -> list[Pause]:
    """Give all waits, of one agent or of all, oldest first, as they stand now."""
    found = [seen(one, ports) for one in await ports.store.read(lambda tx: tx.pauses.all(agent))]
    return [one for one in found if one.state == "pending" or not waiting_only]


async def pause_anywhere(ports: Ports, name: str, agent: str = "") -> Pause:
    """Give the wait that a person names, who may leave out the agent where only one has a wait of this name."""
    if agent:
        return await pause_named(ports, agent, name)
    found = await ports.store.read(lambda tx: tx.pauses.named(name))
    if not found:
        raise NotFound(f"nothing waits for {name!r}", hint="surefoot pauses lists what waits")
    if len(found) > 1:
        raise Conflict(f"{name!r} is a pause of {', '.join(one.agent for one in found)}", hint="name one: --agent")
    return seen(found[0], ports)


def seen(found: Pause, ports: Ports) -> Pause:
    """Give a wait with the state of now."""
    return replace(found, state=state_at(found, ports.clock()))


def _there(tx: Tx, agent: str, name: str) -> Pause:
    found = tx.pauses.find(agent, name)
    if found is None:
        raise NotFound(f"{agent} waits for nothing called {name!r}", hint="surefoot pauses lists what waits")
    return found


def _told(tx: Tx, execution: str, state: ExecutionState, now: datetime) -> None:
    """Note in the execution, where the wait has one, that it waits or goes on: no time of its own passes meanwhile."""
    with contextlib.suppress(NotFound, Conflict):
        if execution:
            tx.executions.swap(reported(tx.executions.get(execution), state, now))


def _announce(tx: Tx, ports: Ports, one: Pause, kind: NoticeKind, sentence: str) -> None:
    announce(
        tx, ports, kind, agent=one.agent,
        subject=f"pause {one.name} of {one.agent}", sentence=sentence,
        facts={
            "pause": one.name, "state": one.state, "reason": one.reason, "url": one.url,
            "expires_at": one.expires_at.isoformat(), "decided_by": one.decided_by, "feedback": one.feedback,
            "look": f"surefoot pauses decide {one.name} --agent {one.agent} --yes --by NAME"
            if one.state == "pending" else "",
        },
    )  # fmt: skip

"""Pause: a program asks for a person, a person decides, and the program hears it.

A wait is a row, so neither the end of the program nor that of the server ends it. It is announced in the transaction
that writes it, and so is the decision, with its feedback. What has expired is never decided any more, and the time of
an execution that waited for it runs again from then on: nobody's silence stops it for ever (S1-47).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import cast

from surefoot.core.errors import Conflict, NotFound
from surefoot.core.execution import Execution, reported
from surefoot.core.notice import NoticeKind
from surefoot.core.pause import DEFAULT_HOURS, Pause, PauseDecision, asked, decided, goes_on_at, state_at
from surefoot.engine.issue import people
from surefoot.engine.notify import announce
from surefoot.engine.serve import storable
from surefoot.engine.settle import veiled
from surefoot.ports import Ports, Tx

LOOK_EVERY_S = 0.25
LONGEST_WAIT_S = 30.0


async def pause(
    ports: Ports, agent: str, name: str, *, by: str, hours: float = DEFAULT_HOURS, reason: str = "", url: str = "",
    execution: str = "",
) -> Pause:  # fmt: skip
    """Give the wait of this name, which begins now unless it is there already; its state is that of now.

    `execution` is what waits, which stands still meanwhile. An id that no execution has is kept as the program's own
    (that of a call it answers itself); NotFound for the execution of another agent.
    """
    now = ports.clock()
    new = asked(agent, name, by=by, now=now, hours=hours, reason=ports.redact(storable(reason)),
                url=ports.redact_note(storable(url)), execution=execution)  # fmt: skip

    def work(tx: Tx) -> Pause:
        waits = _execution(tx, agent, execution)
        if not tx.pauses.add(new):
            return tx.pauses.find(agent, name) or new
        _announce(tx, ports, new, "pause_requested", f"{agent} waits for a person: {new.reason or new.name}")
        tx.audit.append(at=now, actor=by, action="pause-requested", subject=f"{agent}/{name}",
                        payload={"expires_at": new.expires_at.isoformat(), "execution": execution})  # fmt: skip
        _stands(tx, waits, now)
        return new

    there = await ports.store.read(lambda tx: _known(tx, agent, name, execution))
    return seen(there or await ports.store.write(work), ports)


async def decide_pause(
    ports: Ports, agent: str, name: str, decision: PauseDecision, *, by: str, feedback: str = "",
    response: Mapping[str, object] | None = None, door: str = "api",
) -> Pause:  # fmt: skip
    """Write a person's decision down; what is wrong with it is raised as `core.pause.decided` says."""
    now, feedback = ports.clock(), ports.redact_note(storable(feedback))
    kept = cast("dict[str, object]", veiled(replace(ports, redact=ports.redact_note), dict(response or {})))

    def work(tx: Tx) -> Pause:
        before = _there(tx, agent, name)
        after = decided(before, decision, by=by, now=now, feedback=feedback, response=kept, people=people(tx, ports))
        if after is before:
            return before
        after = tx.pauses.swap(after)
        words = f"{by} said {decision.replace('_', ' ')}" + (f": {after.feedback}" if after.feedback else "")
        _announce(tx, ports, after, "pause_decided", words)
        tx.audit.append(at=now, actor=by, action=f"pause-{decision}", subject=f"{agent}/{name}",
                        payload={"feedback": after.feedback, "door": door})  # fmt: skip
        if not any(state_at(one, now) == "pending" for one in _waits(tx, agent, after.execution)):
            _goes_on(tx, after.execution, now, agent)
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
    found = await ports.store.read(lambda tx: _waits(tx, tx.executions.get(execution).agent, execution))
    if not found:
        raise NotFound(f"the execution {execution!r} waits for nobody", hint="request-approval begins a wait")
    return seen(found[-1], ports)


async def expire(ports: Ports, found: Iterable[Execution]) -> int:
    """Let the time of those executions run again whose waits have expired, from that moment on; gives how many."""
    now, waiting = ports.clock(), [one.id for one in found if one.paused_at is not None]
    if not waiting:
        return 0
    over = await ports.store.read(lambda tx: [one.id for one in tx.executions.some(waiting) if _expired(tx, one, now)])
    if not over:
        return 0

    def work(tx: Tx) -> int:
        ends = [(one, _expired(tx, one, now)) for one in tx.executions.some(over)]
        for one, at in ends:
            if at is not None:
                _goes_on(tx, one.id, at, one.agent)
                tx.audit.append(at=now, actor="surefoot", action="pause-expired", subject=f"{one.agent}/{one.id}",
                                payload={"expired_at": at.isoformat()})  # fmt: skip
        return sum(at is not None for _, at in ends)

    return await ports.store.write(work)


async def pauses(
    ports: Ports, agent: str | None = None, *, agents: Collection[str], waiting_only: bool = False,
    limit: int | None = None, after: str = "",
) -> list[Pause]:  # fmt: skip
    """Give waits, of one agent, of some or of all, oldest first, as they stand now.

    At most `limit`, behind the wait `after` (AGENT/NAME).
    """
    behind, slash, name = after.partition("/")
    found = await ports.store.read(lambda tx: tx.pauses.listed(
        limit=limit, after=(behind, name) if slash else None, agents=agents if agent is None else [agent],
        waiting=ports.clock() if waiting_only else None,
    ))  # fmt: skip
    return [seen(one, ports) for one in found]


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


def _known(tx: Tx, agent: str, name: str, execution: str) -> Pause | None:
    """The wait of this name if it is there, asked for by whoever may."""
    _execution(tx, agent, execution)
    return tx.pauses.find(agent, name)


def _execution(tx: Tx, agent: str, name: str) -> Execution | None:
    """The execution of this id, if there is one; NotFound for that of another agent."""
    found = tx.executions.some([name]) if name else []
    if found and found[0].agent != agent:
        raise NotFound(f"there is no execution {name!r} of {agent}", hint="the answer to execute carries its id")
    return found[0] if found else None


def _expired(tx: Tx, one: Execution, now: datetime) -> datetime | None:
    """When the last wait of an execution that stands still expired, if nothing else holds it."""
    return None if one.paused_at is None else goes_on_at(one.paused_at, _waits(tx, one.agent, one.id), now)


def _waits(tx: Tx, agent: str, execution: str) -> list[Pause]:
    return [one for one in tx.pauses.of_execution(execution) if one.agent == agent]


def _stands(tx: Tx, one: Execution | None, now: datetime) -> None:
    """Note in an execution that it waits: no time of its own passes meanwhile. What is over stays over."""
    if one is not None:
        with contextlib.suppress(Conflict):
            tx.executions.swap(reported(one, "waiting", now, waits_for=one.waits_for))


def _goes_on(tx: Tx, name: str, at: datetime, agent: str) -> None:
    """Note in an agent's execution that it goes on, and that its time runs again. What is over stays over."""
    with contextlib.suppress(Conflict, NotFound):
        if (one := _execution(tx, agent, name)) is not None:
            tx.executions.swap(reported(one, "running", at))


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

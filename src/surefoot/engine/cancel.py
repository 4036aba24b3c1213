"""Cancel: a tick is told to stop by a mark, at which it looks before, while and after each of its steps.

A step under way is dropped where it waits; what it wrote is whole, since it writes in one transaction, and that one
looks at the mark itself. So after the mark no draft or version changes any more, and no rollout begins. Whoever
carries the tick out then writes its end; where nobody does any more, whoever cancels it writes that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from surefoot.core.errors import Conflict, NotFound
from surefoot.core.job import Job, must_say
from surefoot.core.worker import LEFT, holds
from surefoot.engine.once import alive_here
from surefoot.ports import Ports, Tx
from surefoot.ports.undertakings import Executor

LOOK_S = 0.5
CANCELLED = "cancelled"


class CalledOff(Exception):
    """Somebody cancelled the tick that this is a step of."""


def mark_of(agent: str, number: int | str) -> str:
    """Name the mark that tells a tick to stop."""
    return f"{agent}/tick/{number}/cancel"


def end_mark(agent: str, number: int | str) -> str:
    """Name the mark that holds the report of a tick."""
    return f"{agent}/tick/{number}/end"


def must_go_on(tx: Tx, agent: str, number: int) -> None:
    """Raise CalledOff where somebody cancelled a tick; for the transactions of its steps."""
    if tx.marks.get(mark_of(agent, number)) is not None:
        raise CalledOff


async def heeding(
    ports: Ports, agent: str, number: int, work: Callable[[], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:  # fmt: skip
    """Carry a step out, unless or until somebody cancels its tick; then its outcome is `cancelled`."""
    going: asyncio.Future[dict[str, Any]] | None = None
    try:
        await ports.store.read(lambda tx: must_go_on(tx, agent, number))
        going = asyncio.ensure_future(work())
        while not (await asyncio.wait({going}, timeout=LOOK_S))[0]:
            await ports.store.read(lambda tx: must_go_on(tx, agent, number))
        return going.result()
    except CalledOff:
        return {"outcome": CANCELLED}
    finally:
        if going is not None:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)


async def cancel_tick(ports: Ports, agent: str, number: int, *, by: str, reason: str) -> bool:
    """Ask a tick to stop; gives whether it has stopped by now, because nobody carried it out any more.

    Invalid without a name or a reason; NotFound for one that never began; Conflict for one that has ended.
    """
    must_say(by, reason)
    now = ports.clock()
    carried = _carried(await ports.store.read(lambda tx: tx.undertakings.executor(f"tick:{agent}:{number}")), now)

    def work(tx: Tx) -> bool:
        _must_be_under_way(tx, agent, number)
        _flag(tx, agent, number, now, by=by, reason=reason)
        if carried is False:
            close_tick(tx, agent, number, now)
        return carried is False

    return await ports.store.write(work)


def carried_out(tx: Tx, agent: str, number: int | str, now: datetime) -> bool | None:
    """Whether the process that carries a tick out still holds it; None where it is not known which one does."""
    return _carried(tx.undertakings.executor(f"tick:{agent}:{number}"), now)


def broke_off(tx: Tx, agent: str, number: int | str) -> bool:
    """Whether a tick ended by an error: nobody goes on with it, and it has no report."""
    executor = tx.undertakings.executor(f"tick:{agent}:{number}")
    return executor is not None and executor.ended


def _carried(executor: Executor | None, now: datetime) -> bool | None:
    if executor is None:
        return None
    alive = alive_here(f"{executor.host}:{executor.pid}")
    return holds(executor.seen_at, now, alive_here=alive, pid=executor.pid)


def _must_be_under_way(tx: Tx, agent: str, number: int) -> None:
    last, end = tx.agents.get(agent).tick, tx.marks.get(end_mark(agent, number))
    if not 0 < number <= last:
        raise NotFound(f"there is no tick {number} of {agent}", hint="surefoot work lists them")
    if end is not None:
        raise Conflict(f"tick {number} of {agent} has ended: {end.get('outcome')}", hint="nothing is left to cancel")
    if number != last:
        raise Conflict(f"tick {number} of {agent} is lost: a later one has begun", hint="nothing is left to cancel")


def _flag(tx: Tx, agent: str, number: int, now: datetime, *, by: str, reason: str) -> None:
    if tx.marks.get(mark_of(agent, number)) is not None:
        return
    tx.marks.add(mark_of(agent, number), {"by": by, "reason": reason}, now)
    tx.audit.append(at=now, actor=by, action="tick-cancelled", subject=f"{agent}/tick-{number}",
                    payload={"reason": reason})  # fmt: skip


def flag_tick_of(tx: Tx, job: Job, now: datetime, *, by: str, reason: str) -> None:
    """Cancel the tick that a job carries out, if it has begun one."""
    if (number := _tick_of(tx, job)) is None:
        return
    executor = tx.undertakings.executor(f"tick:{job.agent}:{number}")
    if executor is not None and f"{executor.host}:{executor.pid}" == job.owner:
        _flag(tx, job.agent, number, now, by=by, reason=reason)


def close_tick_of(tx: Tx, job: Job, now: datetime) -> None:
    """Write the end of the tick that a cancelled job carried out, where its process has not done so."""
    number = _tick_of(tx, job) if job.state == CANCELLED else None
    executor = tx.undertakings.executor(f"tick:{job.agent}:{number}")
    if executor is not None and executor.pid != LEFT and f"{executor.host}:{executor.pid}" != job.owner:
        return  # a worker began it meanwhile, and the next one finishes it
    if number is not None and carried_out(tx, job.agent, number, now) is False:
        _flag(tx, job.agent, number, now, by=job.cancelled_by, reason=job.why)  # it began as its job was cancelled
        close_tick(tx, job.agent, number, now)


def _tick_of(tx: Tx, job: Job) -> int | None:
    """The tick that a job can have begun: the agent's last one, begun since and not ended."""
    if job.kind != "tick":
        return None
    agent = tx.agents.get(job.agent)
    began = agent.last_tick_at is not None and agent.last_tick_at >= job.at
    return agent.tick if began and tx.marks.get(end_mark(agent.name, agent.tick)) is None else None


def close_tick(tx: Tx, agent: str, number: int, now: datetime) -> Mapping[str, Any]:
    """Write the end of a cancelled tick, once: what it had settled stands, what it had only proposed does not."""
    if (done := tx.marks.get(end_mark(agent, number))) is not None:
        return done
    asked = tx.marks.get(mark_of(agent, number)) or {}
    settled = tx.marks.get(f"{agent}/tick/{number}/lever") or {}
    sentence = f"{asked.get('by')} cancelled it: {asked.get('reason')}"
    report = {"tick": number, **settled, "outcome": CANCELLED, "sentence": sentence, "release": None, "rollout": None}
    for filed in tx.proposals.all(agent):
        if filed.tick == number and filed.state == "proposed":
            tx.proposals.put(replace(filed, state="cancelled", evidence={**filed.evidence, "sentence": sentence}))
    tx.marks.add(end_mark(agent, number), report, now)
    tx.audit.append(at=now, actor="loop", action="tick-ended", subject=f"{agent}/tick-{number}",
                    payload={"outcome": CANCELLED, "rollout": None})  # fmt: skip
    return report

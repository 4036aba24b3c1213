"""Wait: an execution waits for another one, hears when that is over, and is not waited for without end.

Each link of a chain is a row, so it outlives every program in it. When what is waited for is over, the time of whoever
waited runs again from that moment on. What says that it waits and is held by nothing ends when its lease does, and
that is an event: nobody's silence keeps an execution open for ever (S1-45, S1-47).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from surefoot.core.chain import MOST_LINKS, End, end_of, must_not_circle
from surefoot.core.errors import Conflict, NotFound, SurefootError
from surefoot.core.execution import Execution, ended, forgotten, reported
from surefoot.core.pause import Pause, state_at
from surefoot.engine.settle import settle
from surefoot.ports import Ports, Tx

_log = logging.getLogger("surefoot.executions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One execution of a chain, and the pauses that it waits for."""

    execution: Execution
    pauses: tuple[Pause, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What an execution waits for, itself first, as far as the asker may see; `hidden` links belong to others."""

    links: tuple[Link, ...]
    hidden: int
    end: End


async def chain(ports: Ports, name: str, *, sees: Callable[[str], bool]) -> Chain:
    """Give the chain of waits that begins with an execution; NotFound for one that is not there."""
    now = ports.clock()

    def work(tx: Tx) -> Chain:
        every = [_link(tx, one, now) for one in chain_of(tx, tx.executions.get(name))]
        mine = tuple(one for one in every if sees(one.execution.agent))
        last = every[-1]
        return Chain(links=mine, hidden=len(every) - len(mine),
                     end=end_of(last.execution, for_person=bool(last.pauses)))  # fmt: skip

    return await ports.store.read(work)


def chain_of(tx: Tx, first: Execution) -> list[Execution]:
    """Give an execution, what it waits for, and so on to one that waits for no other."""
    found = [first]
    while (name := found[-1].waits_for) and len(found) <= MOST_LINKS:
        after = tx.executions.some([name])
        if not after or after[0] in found:
            break
        found += after
    return found


def must_be_able_to_wait(tx: Tx, one: Execution, awaited: str, sees: Callable[[str], bool]) -> None:
    """Raise NotFound for what the asker does not see, Conflict for what is over or would close a circle."""
    found = [other for other in tx.executions.some([awaited]) if sees(other.agent)]
    if not found:
        raise NotFound(f"there is no execution {awaited!r}", hint="the answer to execute carries its id")
    if found[0].over:
        raise Conflict(f"execution {awaited} is {found[0].state} already", hint="there is nothing to wait for: go on")
    must_not_circle(one.id, chain_of(tx, found[0]), _ancestors(tx, one), sees=sees)


async def wake(ports: Ports, found: Iterable[Execution]) -> int:
    """Let those go on whose awaited execution is over, and end those that nothing holds; gives how many moved."""
    now, waiting = ports.clock(), [one.id for one in found if one.state == "waiting"]
    if not waiting:
        return 0
    moves = await ports.store.read(lambda tx: [one.id for one in tx.executions.some(waiting) if _move(tx, one, now)])
    done = 0
    for name in moves:  # each alone, so that one that cannot be written holds up no other
        try:
            done += await ports.store.write(lambda tx, name=name: _moved(tx, ports, tx.executions.get(name), now))
        except Conflict:  # somebody else saw to it
            continue
        except SurefootError as problem:
            _log.warning("the wait of execution %s cannot be ended: %s", name, problem.message)
    return done


def _move(tx: Tx, one: Execution, now: datetime) -> Execution | None:
    """Give an execution as it goes on or ends, None where it waits rightly."""
    if one.state != "waiting":
        return None
    awaited = tx.executions.some([one.waits_for]) if one.waits_for else []
    if awaited and awaited[0].over and not _pending(tx, one, now):
        return reported(one, "running", max(awaited[0].ended_at or now, one.paused_at or now))
    held = bool(_pending(tx, one, now)) or any(not other.over for other in awaited)
    if forgotten(one, now, held=held):
        return ended(one, "timeout", now, error="it said that it waits, for nothing that holds it, and not again")
    return None


def _moved(tx: Tx, ports: Ports, one: Execution, now: datetime) -> bool:
    after = _move(tx, one, now)
    if after is None:
        return False
    if not after.over:
        tx.executions.swap(after)
        return True
    settle(tx, ports, after)
    tx.audit.append(at=now, actor="surefoot", action="execution-overdue", subject=f"{one.agent}/{one.id}",
                    payload={"waited_since": (one.paused_at or now).isoformat()})  # fmt: skip
    return True


def _link(tx: Tx, one: Execution, now: datetime) -> Link:
    return Link(execution=one, pauses=tuple(_pending(tx, one, now)))


def _pending(tx: Tx, one: Execution, now: datetime) -> list[Pause]:
    return [
        wait for wait in tx.pauses.of_execution(one.id) if wait.agent == one.agent and state_at(wait, now) == "pending"
    ]


def _ancestors(tx: Tx, one: Execution) -> set[str]:
    """Those that an execution came of, however they name each other."""
    found: set[str] = set()
    while one.parent and one.parent not in found and len(found) < MOST_LINKS:
        found.add(one.parent)
        above = tx.executions.some([one.parent])
        if not above:
            break
        one = above[0]
    return found

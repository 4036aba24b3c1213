"""Oversee: show an execution, write a note down about it, or end it with all that came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from surefoot.core.errors import Conflict
from surefoot.core.execution import MOST_NOTES, Execution, Note, ended
from surefoot.engine.serve import storable
from surefoot.engine.settle import settle
from surefoot.ports import Ports, Tx

MOST_FAMILY = 10_000


async def execution(ports: Ports, name: str) -> Execution:
    """Give an execution as it stands."""
    return await ports.store.read(lambda tx: tx.executions.get(name))


async def noted(ports: Ports, name: str, text: str, *, by: str, tags: Iterable[str] = ()) -> Note:
    """Write a note down about an execution; Conflict where there are too many."""
    note = Note(execution=name, at=ports.clock(), by=by, text=ports.redact(storable(text)), tags=tuple(tags))

    def work(tx: Tx) -> Note:
        tx.executions.get(name)
        if len(tx.executions.notes(name)) >= MOST_NOTES:
            raise Conflict(f"execution {name} has {MOST_NOTES} notes", hint="write longer ones")
        tx.executions.note(note)
        return note

    return await ports.store.write(work)


async def cancelled(
    ports: Ports, name: str, *, by: str, sees: Callable[[str], bool], tree: bool = False
) -> list[Execution]:  # fmt: skip
    """End an execution, with `tree` also all that came of it; gives those that were ended by this.

    Those of agents that the caller does not see go on. Conflict when it is over already (with `tree`: all of them).
    """
    now = ports.clock()

    def work(tx: Tx) -> list[Execution]:
        top = tx.executions.get(name)
        found = _family(tx, top) if tree else [top]
        open_ones = [one for one in found if not one.over and sees(one.agent)]
        if not open_ones:
            raise Conflict(f"execution {name} is {top.state} already", hint="what is over stays as it is")
        done = [settle(tx, ports, ended(one, "cancelled", now, error=f"cancelled by {by}")) for one in open_ones]
        tx.audit.append(at=now, actor=by, action="executions-cancelled", subject=f"{top.agent}/{name}",
                        payload={"executions": len(done)})  # fmt: skip
        return done

    return await ports.store.write(work)


def _family(tx: Tx, top: Execution) -> list[Execution]:
    """An execution and all that came of it, each once, however they name each other."""
    found, layer = {top.id: top}, [top.id]
    while layer and len(found) < MOST_FAMILY:
        fresh = [one for one in tx.executions.children(layer) if one.id not in found]
        found.update({one.id: one for one in fresh})
        layer = [one.id for one in fresh]
    return list(found.values())

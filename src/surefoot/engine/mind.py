"""Mind: what a server does for itself while it runs, in one of its processes.

It goes on with the walk along the audit chain, so that a look at it is short, and notes once a day how large the store
is, so that people see how fast it grows.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

from surefoot.core.errors import Conflict, SurefootError
from surefoot.engine.accompany import beside
from surefoot.engine.verify import go_on
from surefoot.ports import Ports, Tx

EVERY_S, REST_S = 15.0, 0.2
DAYS = 7


def minding(ports: Ports) -> AbstractAsyncContextManager[None]:
    """Do it as long as the block lasts."""
    return beside(_minded(ports))


async def _minded(ports: Ports) -> None:
    while True:
        walked = 0
        with contextlib.suppress(SurefootError):  # a store that is busy now is not at the next round
            await note_size(ports)
            walked = await go_on(ports)
        await asyncio.sleep(REST_S if walked else EVERY_S)


async def note_size(ports: Ports) -> bool:
    """Note how large the store is, once a day (UTC); gives whether this was the first time today."""
    now = ports.clock()
    if await ports.store.read(lambda tx: tx.marks.get(_key(now))) is not None:
        return False
    try:
        await ports.store.write(lambda tx: tx.marks.add(_key(now), _size(tx, now), now))
    except Conflict:  # another process was faster
        return False
    return True


def sizes(tx: Tx, now: datetime) -> list[tuple[datetime, int]]:
    """Give the sizes that were noted in the last days, each with its moment."""
    found: list[tuple[datetime, int]] = []
    for back in range(DAYS + 1):
        day = now - timedelta(days=back)
        noted = tx.marks.get(_key(day))
        if noted is not None:
            found.append((datetime.fromisoformat(str(noted["at"])), int(str(noted["bytes"]))))
    return found


def _size(tx: Tx, now: datetime) -> dict[str, object]:
    return {"bytes": tx.vitals.bytes(), "at": now.isoformat()}


def _key(day: datetime) -> str:
    return f"store-size:{day:%Y-%m-%d}"

"""Pulse: ask every process how it is, again and again, and forget those that nobody has heard of for a day.

Only what changed is written, so a house in which all is well costs the store nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from surefoot.core.build import Build
from surefoot.core.errors import SurefootError
from surefoot.core.process import Process
from surefoot.engine.enrol import examine
from surefoot.ports import Ports, Tx
from surefoot.ports.node import Node

AT_ONCE = 16
FORGOTTEN_AFTER = timedelta(days=1)


async def pulse(ports: Ports, node: Node) -> int:
    """Ask every process whose lease runs how it is; gives how many were asked."""
    now = ports.clock()
    there = await ports.store.read(_with_builds)
    gates = asyncio.Semaphore(AT_ONCE)

    async def asked(process: Process, build: Build) -> None:
        async with gates:
            with contextlib.suppress(SurefootError):  # a store that is busy now is not at the next round
                await examine(ports, node, process, build)

    running = [(one, build) for one, build in there if one.lease_until > now and one.state != "offline"]
    await asyncio.gather(*(asked(one, build) for one, build in running))
    if gone := [one.id for one, _ in there if one.lease_until < now - FORGOTTEN_AFTER]:
        await ports.store.write(lambda tx: [tx.processes.remove(one) for one in gone])
    return len(running)


def _with_builds(tx: Tx) -> list[tuple[Process, Build]]:
    found = ((one, tx.builds.named(one.agent, one.version)) for one in tx.processes.all())
    return [(one, build) for one, build in found if build is not None]

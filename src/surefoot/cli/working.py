"""The loop's worker inside a server: ticks and rollouts of all agents, one after the other, until it is told to leave.

What it does for one agent is a turn of `surefoot loop AGENT`. Agents that are made meanwhile are noticed at the next
round. What forbids a turn (a budget, a cooldown, a model that is away) is said once and is no reason to leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from surefoot.cli.worker import Shift
from surefoot.core.errors import SurefootError
from surefoot.engine.notify import delivering

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.desk import Desk
    from surefoot.engine.durable import Durable

_log = logging.getLogger("surefoot.work")


async def working(app: App, desk: Desk, *, lifeline: int, pause_s: float, ready: Callable[[], None]) -> None:
    """Work until a signal, or until the file `lifeline` ends; a second signal ends at once. `ready` says it began."""
    running, leaving = asyncio.get_running_loop(), asyncio.Event()

    def told() -> None:
        if leaving.is_set():
            os._exit(128 + signal.SIGINT)
        leaving.set()

    def abandoned() -> None:
        if not os.read(lifeline, 4096):
            running.remove_reader(lifeline)
            leaving.set()

    for one in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(one, told)
    running.add_reader(lifeline, abandoned)
    async with app.worker() as worker, delivering(app.ports):
        ready()
        _log.info("the loop's worker begins")
        rounds = asyncio.create_task(_rounds(app, desk, worker, pause_s))
        stop = asyncio.create_task(leaving.wait())
        await asyncio.wait({rounds, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in (rounds, stop):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await rounds
    _log.info("the loop's worker ends")


async def _rounds(app: App, desk: Desk, worker: Durable, pause_s: float) -> None:
    shifts, said = dict[str, Shift](), dict[str, str]()
    while True:
        for agent in await app.store.read(lambda tx: tx.agents.all()):
            if agent.name not in shifts:
                shifts[agent.name] = Shift(desk, app, agent.name, pause_s=pause_s, ticks=None, until_idle=False)
            try:
                await shifts[agent.name].turn(worker)
            except SurefootError as reason:
                if said.get(agent.name) != reason.message:
                    _log.warning("no turn now: %s", reason.message, extra={"fields": {"agent": agent.name}})
                said[agent.name] = reason.message
        await asyncio.sleep(pause_s)

"""A crew: several processes that serve on one socket, perhaps one that works on the loop, and one that minds them.

All serve from one queue of connections, so that a connection that came in while a worker died is taken by another.
Whoever dies is started again, with a growing wait; who dies again and again ends the crew with a
message (the loop's worker rests for a minute: apps are served without it). A signal
passes to all, a second one ends all at once, and when the minder itself is killed, the others notice and leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from surefoot.config import Settings
from surefoot.core.errors import Unavailable
from surefoot.core.supervision import GiveUp, Restart, after_death

GRACE_S = 10.0
REST_S = 60.0
_log = logging.getLogger("surefoot.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """How many serve, on which socket, whether one works on the loop, and what they are told beside."""

    settings: Settings
    fd: int
    workers: int
    work: bool
    loopback: bool = True
    cert: str = ""
    key: str = ""
    pause_s: float = 5.0

    def orders(self, panel: str) -> list[dict[str, Any]]:
        """Give what each process is told; worker 1 tells people what is due, unless one works on the loop."""
        shared: Mapping[str, Any] = {
            "settings": self.settings.model_dump(mode="json"), "panel": panel, "loopback": self.loopback, "fd": self.fd,
            "cert": self.cert, "key": self.key, "pause_s": self.pause_s,
        }  # fmt: skip
        numbers = range(1, self.workers + 1)
        serving = [
            {**shared, "kind": "serve", "worker": n, "delivers": n == 1 and not self.work} for n in numbers
        ]  # fmt: skip
        return [*serving, *([{**shared, "kind": "work", "worker": self.workers + 1}] if self.work else [])]


class Minder:
    """Minds a crew."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._alive: dict[int, asyncio.subprocess.Process] = {}
        self._ready: set[int] = set()
        self._caught: list[str] = []
        self._leaving = asyncio.Event()

    async def until_a_signal(self, ready: Callable[[], None]) -> str:
        """Keep the crew going, and give the name of the signal that ended it; `ready` is called once all serve.

        Unavailable when one of them cannot be kept alive.
        """
        with tempfile.TemporaryDirectory(prefix="surefoot-") as panel, self._signals():
            async with self._ending():
                orders = self._crew.orders(panel)
                kept = [asyncio.create_task(self._keep(one, ready)) for one in orders]
                leaving = asyncio.create_task(self._leaving.wait())
                try:
                    done, _ = await asyncio.wait([*kept, leaving], return_when=asyncio.FIRST_COMPLETED)
                    for one in done - {leaving}:
                        one.result()  # which raises
                    await self._dismiss()
                finally:
                    for one in (*kept, leaving):
                        one.cancel()
        return self._caught[0] if self._caught else "stopped"

    async def _keep(self, orders: dict[str, Any], ready: Callable[[], None]) -> None:
        """Start one process again and again."""
        number, deaths = orders["worker"], list[float]()
        while not self._caught:
            process = await self._started(orders)
            assert process.stdout is not None
            begun = await process.stdout.readline() == b"ready\n"
            if begun and orders["kind"] == "serve" and number not in self._ready:
                self._ready.add(number)
                if len(self._ready) == self._crew.workers:
                    ready()
            code = await process.wait()
            if self._caught:
                return
            deaths.append(time.monotonic())
            what = after_death(deaths, deaths[-1])
            name = "the loop's worker" if orders["kind"] == "work" else f"worker {number}"
            if isinstance(what, GiveUp) and orders["kind"] == "work":
                _log.error("%s rests for a minute: %s", name, what.sentence)
                what, deaths = Restart(after_s=REST_S), []
            if isinstance(what, GiveUp):
                raise Unavailable(
                    f"{name} cannot be kept alive: {what.sentence} (exit code {code})",
                    hint="surefoot logs shows what it said last; surefoot doctor looks around",
                )
            _log.error("%s died (exit code %d); again in %.1f s", name, code, what.after_s)
            await asyncio.sleep(what.after_s)

    async def _started(self, orders: dict[str, Any]) -> asyncio.subprocess.Process:
        """Start one process, in a session of its own: a Ctrl-C is for the minder, who tells the others."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "surefoot.cli.crew", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            pass_fds=(self._crew.fd,), start_new_session=True,
        )  # fmt: skip
        self._alive[orders["worker"]] = process
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(orders).encode() + b"\n")
            await process.stdin.drain()
        return process

    async def _dismiss(self) -> None:
        """Tell all to leave, and wait as long as they may take."""
        given = self._crew.settings.serve
        self._tell(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(given.leave_s + given.drain_s + GRACE_S):
                await asyncio.gather(*(one.wait() for one in self._alive.values()))

    @contextlib.asynccontextmanager
    async def _ending(self) -> AsyncGenerator[None]:
        """Leave nobody behind, however this ends."""
        try:
            yield
        finally:
            self._tell(signal.SIGKILL)
            for one in self._alive.values():
                await one.wait()

    def _tell(self, what: signal.Signals) -> None:
        for one in self._alive.values():
            if one.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    one.send_signal(what)

    @contextlib.contextmanager
    def _signals(self) -> Generator[None]:
        running = asyncio.get_running_loop()

        def caught(name: str) -> None:
            if self._caught:
                self._tell(signal.SIGKILL)
                os._exit(128 + signal.SIGINT)
            self._caught.append(name)
            self._leaving.set()

        for one in (signal.SIGINT, signal.SIGTERM):
            running.add_signal_handler(one, caught, one.name)
        try:
            yield
        finally:
            for one in (signal.SIGINT, signal.SIGTERM):
                running.remove_signal_handler(one)

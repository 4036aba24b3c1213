"""Follow: tell everybody who watches, in this process, that something has moved.

One task looks once a second, as long as anybody watches, at where the audit record, the outcomes and the rollouts in
progress end. What watchers get is the whole state, never a difference, so one that was away misses nothing by it.
While the store cannot be read nobody is told anything, and the next look tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from surefoot.core.errors import SurefootError
from surefoot.ports import Ports
from surefoot.ports.beat import Beat

EVERY_S = 1.0
QUIET_S = 5.0


class Following:
    """What has moved, for the watchers of one process."""

    def __init__(self, ports: Ports, *, every_s: float = EVERY_S) -> None:
        self._ports = ports
        self._every_s = every_s
        self._beat: Beat | None = None
        self._moved = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._closed = False
        self._over: Callable[[], bool] = lambda: False
        self.watchers = 0

    async def beats(self, *, quiet_s: float = QUIET_S) -> AsyncGenerator[Beat | None]:
        """Give the state at once and whenever it moves; None when it was quiet for a while. It ends with `close`."""
        self.watchers += 1
        try:
            if self._looking is None:
                self._beat = await self._looked()
                self._looking = asyncio.get_running_loop().create_task(self._look())
            told = None
            while not self._closed:
                if self._beat is not None and self._beat != told:
                    told = self._beat
                    yield told
                    continue
                moved = self._moved
                try:
                    await asyncio.wait_for(moved.wait(), quiet_s)
                except TimeoutError:
                    yield None
        finally:
            self.watchers -= 1
            if not self.watchers and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    def until(self, over: Callable[[], bool]) -> None:
        """Let all watchers go within a second of `over` becoming true."""
        self._over = over

    def close(self) -> None:
        """Let all watchers go, because the process ends."""
        self._closed = True
        self._moved.set()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            if self._over():
                self.close()
                return
            beat = await self._looked()
            if beat is not None and beat != self._beat:
                self._beat, before, self._moved = beat, self._moved, asyncio.Event()
                before.set()

    async def _looked(self) -> Beat | None:
        with contextlib.suppress(SurefootError):
            return await self._ports.store.read(lambda tx: tx.beats.now())
        return None

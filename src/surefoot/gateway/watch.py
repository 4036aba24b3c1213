"""Watch over requests: a deadline for each, and an eye on clients that go away.

A timer for every request, or a look-out for every client, costs more than it brings, since most answers are there in no
time. So one timer goes round all requests every `TICK_S`: it begins to look out for the client of one that it has met
`ROUNDS` times, and breaks off one whose time is over. Deadlines are kept to within a tick.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.types import Receive

from surefoot.engine.forward import TooLate
from surefoot.gateway.answers import ClientGone

TICK_S = 0.05
ROUNDS = 4


class Watchman:
    """Goes round the requests of one event loop."""

    def __init__(self) -> None:
        self._watches: dict[Watch, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, until: float, receive: Receive | None = None) -> Watch:
        """Give a context that ends with TooLate at `until` (loop time), or ClientGone when the client goes away."""
        return Watch(self, until, receive)

    def begin(self, watch: Watch) -> None:
        """Take a request into the round."""
        self._watches[watch] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def end(self, watch: Watch) -> None:
        """Take a request out of the round."""
        self._watches.pop(watch, None)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        for watch in tuple(self._watches):
            watch.passed_by(loop.time())
        self._timer = loop.call_later(TICK_S, self._tick) if self._watches else None


class Watch:
    """Cancels the task inside of it, and says by its exception why. `until` may be put off while it runs."""

    def __init__(self, watchman: Watchman, until: float, receive: Receive | None) -> None:
        self.until = until
        self._watchman = watchman
        self._receive = receive
        self._rounds = 0
        self._why: type[Exception] | None = None
        self._lookout: asyncio.Task[None] | None = None
        self._task: asyncio.Task[object] | None = None

    async def __aenter__(self) -> Watch:
        self._task = asyncio.current_task()
        self._watchman.begin(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:  # fmt: skip
        self._watchman.end(self)
        if self._lookout is not None:
            self._lookout.cancel()
        if self._why is None or self._task is None:
            return
        self._task.uncancel()
        if kind is asyncio.CancelledError:
            if self._why is ClientGone:
                raise ClientGone
            raise TooLate("the upstream did not finish in time", hint="raise gateway.deadline_s, or ask for less")

    def passed_by(self, now: float) -> None:
        """See how the request is doing."""
        self._rounds += 1
        if now >= self.until:
            self._cut(TooLate)
        elif self._rounds == ROUNDS and self._receive is not None:
            self._lookout = asyncio.get_running_loop().create_task(self._look(self._receive))

    async def _look(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._cut(ClientGone)

    def _cut(self, why: type[Exception]) -> None:
        if self._task is not None and self._why is None:
            self._why = why
            self._task.cancel()

"""Feeds: what is new, read once a process and told to all who listen.

A listener's buffer is bounded, and so is the number of listeners. Whoever does not keep up is given up: nothing waits
for them, and they are told where to go on. What this process writes itself wakes a feed at once; what others write is
found within `POLL_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from surefoot.core.errors import SurefootError
from surefoot.core.event import Event, event_of
from surefoot.core.execution import Execution
from surefoot.core.memory import MemoryChange
from surefoot.core.rate import TooMany
from surefoot.ports import Ports, Tx

T = TypeVar("T")
Read = Callable[[int], Awaitable[list[tuple[int, T]]]]
MOST = 100
BUFFER = 1000
PAGE = 500
POLL_S = 0.25
REST_S = 0.01
HEARTBEAT_S = 15.0


@dataclass(slots=True, eq=False)
class Listener(Generic[T]):
    """One who listens: what is of interest, and what waits to be sent; `dropped` says that it did not keep up."""

    fits: Callable[[T], bool]
    waiting: asyncio.Queue[tuple[int, T]] = field(default_factory=lambda: asyncio.Queue(BUFFER))
    dropped: bool = False

    def told(self, number: int, one: T) -> None:
        """Put something into the buffer; when it is full the listener is given up."""
        if self.dropped or not self.fits(one):
            return
        try:
            self.waiting.put_nowait((number, one))
        except asyncio.QueueFull:
            self.dropped = True


class Feed(Generic[T]):
    """What is new, for all listeners of this process; `read` gives what came after a number, `last` the newest one."""

    def __init__(self, read: Read[T], last: Callable[[], Awaitable[int]]) -> None:
        self._read = read
        self.last = last
        self._listeners: set[Listener[T]] = set()
        self._task: asyncio.Task[None] | None = None
        self._news: asyncio.Event | None = None
        self._beginning = asyncio.Lock()
        self.at = 0

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @contextlib.asynccontextmanager
    async def listening(self, fits: Callable[[T], bool]) -> AsyncGenerator[tuple[Listener[T], int]]:
        """Listen for as long as the block lasts; gives the listener and the number after which it hears everything."""
        if len(self._listeners) >= MOST:
            raise TooMany(f"{MOST} clients listen already", hint="come back later", retry_after_s=5)
        async with self._beginning:
            if self._task is None or self._task.done():
                self.at = await self.last()
                self._news = asyncio.Event()
                self._task = asyncio.create_task(self._poll(self._news))
        one = Listener(fits)
        self._listeners.add(one)
        try:
            yield one, self.at
        finally:
            self._listeners.discard(one)
            if not self._listeners:
                self._rest()

    def wake(self) -> None:
        """Look at once, because something was written here; from the event loop of the listeners."""
        if self._news is not None:
            self._news.set()

    def _rest(self) -> None:
        """Poll no more until somebody listens again."""
        if self._task is not None:
            self._task.cancel()
        self._task = self._news = None

    async def _poll(self, news: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await news.wait()
                    await asyncio.sleep(REST_S)  # many writers wake it for one look
            news.clear()
            with contextlib.suppress(SurefootError):  # a store that is busy now is not in a moment
                for number, one in await self._read(self.at):
                    self.at = number
                    for listener in self._listeners:
                        listener.told(number, one)


class Following:
    """The executions that somebody follows: all looked at by one read, and told of when their revision is another."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._ids: Counter[str] = Counter()
        self._told: dict[str, int] = {}
        self._number = 0

    @contextlib.contextmanager
    def followed(self, execution_id: str) -> Generator[None]:
        """Look at an execution too, for as long as the block lasts."""
        self._ids[execution_id] += 1
        try:
            yield
        finally:
            self._ids[execution_id] -= 1
            if not self._ids[execution_id]:
                del self._ids[execution_id]
                self._told.pop(execution_id, None)

    async def last(self) -> int:
        """Give the number of the last change that was told; numbers are of this process and of no use outside."""
        return self._number

    async def changed(self, _after: int) -> list[tuple[int, Execution]]:
        """Give those that changed since this was asked before."""
        ids = list(self._ids)
        found = await self._ports.store.read(lambda tx: tx.executions.some(ids)) if ids else []
        new = [one for one in found if one.id in self._ids and self._told.get(one.id) != one.revision]
        self._told |= {one.id: one.revision for one in new}
        first, self._number = self._number + 1, self._number + len(new)
        return list(enumerate(new, first))


class Feeds:
    """The feeds of one application."""

    def __init__(self, ports: Ports) -> None:
        self.following = Following(ports)
        self.executions: Feed[Execution] = Feed(self.following.changed, self.following.last)
        self.events: Feed[Event] = Feed(
            lambda at: events_after(ports, at), lambda: ports.store.read(lambda tx: tx.audit.last())
        )
        self.memory: Feed[MemoryChange] = Feed(
            lambda at: memory_after(ports, at), lambda: ports.store.read(lambda tx: tx.memories.last_change())
        )


async def events_after(ports: Ports, after: int) -> list[tuple[int, Event]]:
    """Give the events after one, at most a page of them."""

    def work(tx: Tx) -> list[tuple[int, Event]]:
        entries = tx.audit.after(after, limit=PAGE)
        names = [agent.name for agent in tx.agents.all()] if entries else []
        return [(entry.seq, event_of(entry, names)) for entry in entries]

    return await ports.store.read(work)


async def memory_after(ports: Ports, after: int) -> list[tuple[int, MemoryChange]]:
    """Give the changes of everybody's memory after one, at most a page of them."""
    found = await ports.store.read(lambda tx: tx.memories.all_changes(after=after, limit=PAGE))
    return [(one.seq, one) for one in found]


async def heard(listener: Listener[T], after: int, at: int, older: Read[T]) -> AsyncIterator[tuple[int, T | None]]:
    """Give what was missed after a number, then what comes; None is a sign of life. It ends with a dropped listener.

    `at` is where the feed stood when the listener joined: what came later is in its buffer.
    """
    while after < at and (page := await older(after)):
        for number, one in page:
            after = number
            if listener.fits(one):
                yield number, one
    while not (listener.dropped and listener.waiting.empty()):
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                number, one = await listener.waiting.get()
        except TimeoutError:
            yield after, None
            continue
        if number > after:
            after = number
            yield number, one

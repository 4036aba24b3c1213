"""What waits to be sent: traces, outcomes and those memory writes that may wait, in their order and within bounds.

Nothing here ever stops the program: what does not fit is not taken and counted as lost, what the server refuses is
counted as refused with its reason, and everything else is sent again until it arrives, so nothing that was taken is
dropped while the program runs, not even when the token is refused. Traces of one agent that stand together go in one
request; one that is refused as a whole is sent again one by one, so that a bad one takes no others with it. What
Surefoot makes a mistake over each time counts as refused in the end, since all else waits behind it. Each carries a key
of its own, so that what is sent twice, because an answer was lost, counts once.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from surefoot.core.errors import SurefootError, Unavailable
from surefoot.core.signature import Unauthenticated
from surefoot.sdk.link import Mistake

MOST_ITEMS = 10_000
MOST_BYTES = 16 * 1024 * 1024
BATCH = 100
BATCH_BYTES = 180 * 1024
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
MOST_MISTAKES = 20  # over a minute


@dataclass(slots=True, kw_only=True)
class Item:
    """One thing to send; items of one `batch` path that stand together are sent as one list."""

    method: str
    path: str
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    batch: str = ""
    size: int = 0
    mistakes: int = 0
    done: asyncio.Future[Any] | None = None


Send = Callable[[Item], Awaitable[Any]]


@dataclass(slots=True)
class Counts:
    """What became of everything so far, and the last problem."""

    sent: int = 0
    lost: int = 0
    refused: int = 0
    problem: str = ""


class Waiting:
    """The line of things to send; `put` may be called from any thread, the rest belongs to one loop."""

    def __init__(self, send: Send, *, most: int = MOST_ITEMS, most_bytes: int = MOST_BYTES) -> None:
        self._send = send
        self._most, self._most_bytes = most, most_bytes
        self._items: deque[Item] = deque()
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self._apart = 0
        self.bytes = 0
        self.counts = Counts()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> bool:
        """Take an item; False when there is no room, and then it is lost. Call `wake` on the loop afterwards."""
        item.size = len(json.dumps(item.body)) + 200
        with self._lock:
            if len(self._items) >= self._most or self.bytes + item.size > self._most_bytes:
                self.counts.lost += 1
                self.counts.problem = f"{len(self._items)} things wait to be sent already"
                return False
            self._items.append(item)
            self.bytes += item.size
        return True

    def lose(self, why: str) -> None:
        """Count something that cannot even be kept waiting."""
        with self._lock:
            self.counts.lost += 1
            self.counts.problem = why

    def wake(self) -> None:
        """Begin to send, unless that is going on; on the loop."""
        self._empty.clear()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._sending())

    async def flushed(self, timeout_s: float) -> bool:
        """Wait until everything is sent; False when something still waits after so long."""
        if self._items:
            self.wake()
        try:
            async with asyncio.timeout(timeout_s):
                while self._items:
                    await self._empty.wait()
                    self._empty.clear()
        except TimeoutError:
            return False
        return True

    async def _sending(self) -> None:
        pause = FIRST_PAUSE_S
        while self._items:
            group = self._group()
            try:
                answer = await self._trying(_joined(group))
            except (Unavailable, Unauthenticated) as away:
                self.counts.problem = away.message
                if self._given_up(group, away):
                    continue
                self._put_off(away)
                await asyncio.sleep(pause * (0.5 + random.random() / 2))
                pause = min(LONGEST_PAUSE_S, pause * 2)
                continue
            except SurefootError as problem:
                if len(group) > 1:
                    self._apart = len(group)
                    continue
                self._over(group, refused={"": problem.message})
                self._told(group, problem)
            else:
                self._over(group, refused=_refused(answer))
                for item in group:
                    if item.done is not None and not item.done.done():
                        item.done.set_result(answer)
            pause = FIRST_PAUSE_S
        self._empty.set()

    def _given_up(self, group: list[Item], away: SurefootError) -> bool:
        """Whether it was a mistake again: then they are sent one by one, and one alone counts as refused."""
        if not isinstance(away, Mistake):
            return False
        group[0].mistakes += 1
        if group[0].mistakes < MOST_MISTAKES:
            return False
        if len(group) > 1:
            self._apart, group[0].mistakes = len(group), 0  # it may have been another's
            return True
        self._over(group, refused={"": away.message})
        self._told(group, away)
        return True

    async def _trying(self, item: Item) -> Any:
        """Send; a mistake on the way is as if nobody answered, since whoever sends must not die of it."""
        try:
            return await self._send(item)
        except SurefootError:
            raise
        except Exception as mistake:
            raise Unavailable(f"sending failed ({type(mistake).__name__}: {mistake})"[:300]) from mistake

    def _group(self) -> list[Item]:
        """The next items that go together."""
        with self._lock:
            first, size = self._items[0], 0
            group: list[Item] = []
            for item in self._items:
                size += item.size
                alone = not first.batch or item.batch != first.batch
                if group and (alone or self._apart or len(group) >= BATCH or size > BATCH_BYTES):
                    break
                group.append(item)
            return group

    def _over(self, group: list[Item], *, refused: Mapping[str, str]) -> None:
        self._apart = max(0, self._apart - len(group))
        with self._lock:
            for item in group:
                self._items.popleft()
                self.bytes -= item.size
            wrong = len(group) if "" in refused else len(refused)
            self.counts.refused += wrong
            self.counts.sent += len(group) - wrong
            if refused:
                self.counts.problem = next(iter(refused.values()))

    def _put_off(self, away: SurefootError) -> None:
        """Tell all who wait for something in the queue that it has to wait; nobody waits for it any more."""
        with self._lock:
            waiting = [item for item in self._items if item.done is not None]
        self._told(waiting, away)
        for item in waiting:
            item.done = None

    @staticmethod
    def _told(group: list[Item], problem: SurefootError) -> None:
        for item in group:
            if item.done is not None and not item.done.done():
                item.done.set_exception(problem)


def _joined(group: list[Item]) -> Item:
    first = group[0]
    if not first.batch:
        return first
    return Item(
        method=first.method, path=first.path, headers=first.headers, batch=first.batch,
        body={first.batch.rpartition("/")[2]: [item.body for item in group]},
    )  # fmt: skip


def _refused(answer: Any) -> Mapping[str, str]:
    found: object = cast("dict[str, Any]", answer).get("refused") if isinstance(answer, dict) else None
    return cast("dict[str, str]", found) if isinstance(found, dict) else {}

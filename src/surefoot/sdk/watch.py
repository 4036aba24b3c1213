"""A watch: somebody who is told of each change of an agent's memory, until they stop it.

The changes come as a stream of events, which tells at which number it begins; when it breaks off it is asked for again
from after the last change that was told, so nothing is lost and nothing is told twice by one watch. Where Surefoot
gives no stream (an older server, too many listeners, something between that holds it back) it is looked every half
second, and the stream is asked for again after a while. It is read on the line, and the listener is called on a thread
of its own: one that is slow holds up nobody, and when too much waits for it the stream is left until there is room.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2

from surefoot.core.errors import SurefootError, Unavailable
from surefoot.sdk.house import House

LOOK_EVERY_S = 0.5
LOOKS = 20
AWAY_S = 0.5
LONGEST_AWAY_S = 4.0
FIRST_S = 10.0
SILENCE_S = 40.0
FROM = ": from "
MOST_WAITING = 1000
REGISTERED_S = 5.0
LEFT_S = 5.0
_log = logging.getLogger("surefoot.sdk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Something happened to a key; go on from `seq`."""

    seq: int
    key: str
    action: str
    scope: str
    owner: str
    at: datetime

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Changed:
        """Give a change from its document."""
        return cls(seq=body["seq"], key=body["key"], action=body["action"], scope=body["scope"], owner=body["owner"],
                   at=datetime.fromisoformat(body["at"]))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is watched: the addresses of its stream and of its list, which keys, in which scope, and whose."""

    events: str
    changes: str
    pattern: str
    scope: str
    headers: Mapping[str, str]

    def query(self, after: int | None) -> Mapping[str, str | int]:
        """Give what is asked for, from after a change on."""
        scope: dict[str, str | int] = {"scope": self.scope} if self.scope else {}
        return {"pattern": self.pattern, **scope, **({} if after is None else {"after": after})}

    def fits(self, one: Changed) -> bool:
        """Whether a change is of the scope; a server that does not know the question tells of all scopes."""
        return not self.scope or one.scope == self.scope


class Watch:
    """Somebody who is told of changes, until `stop`."""

    def __init__(self, house: House, what: Watched, work: Callable[[Changed], Any]) -> None:
        self._house, self._what, self._work = house, what, work
        self._after: int | None = None
        self._away_s = AWAY_S
        self._waiting: deque[Changed] = deque()
        self._over, self._ready = threading.Event(), threading.Event()
        self._news: Callable[[], object] | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._told()), name="surefoot-watch", daemon=True)
        self._thread.start()
        self._following = house.line.begin(self._followed())
        house.watches.add(self)
        self._ready.wait(REGISTERED_S)

    def stop(self, within_s: float = LEFT_S) -> None:
        """Tell no more; what the listener is doing now it may finish, which is waited for so long."""
        self._over.set()
        self._following.cancel()
        self._house.watches.discard(self)
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(within_s)

    # On a thread of its own -------------------------------------------------------------------------------------------

    async def _told(self) -> None:
        here, news = asyncio.get_running_loop(), asyncio.Event()
        self._news = lambda: here.call_soon_threadsafe(news.set)
        while not self._over.is_set():
            while self._waiting and not self._over.is_set():
                await self._tell(self._waiting.popleft())
            if not self._over.is_set():
                await news.wait()
            news.clear()

    async def _tell(self, one: Changed) -> None:
        """Call the listener; what it raises is logged, and it goes on listening."""
        try:
            done = self._work(one)
            if inspect.isawaitable(done):
                await done
        except Exception:  # noqa: BLE001  it is the program's, and the next change is another
            _log.exception("a listener to changes of memory failed at %s", one.key)

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended
            if self._news is not None:
                self._news()

    # On the line ------------------------------------------------------------------------------------------------------

    async def _followed(self) -> None:
        """Follow what happens, for as long as somebody wants to hear of it."""
        while not self._over.is_set():
            if len(self._waiting) < MOST_WAITING // 2:
                await self._heard()
            self._ready.set()
            await asyncio.sleep(self._away_s)
            self._away_s = min(self._away_s * 1.5, LONGEST_AWAY_S)

    async def _heard(self) -> None:
        """Hear what comes by a stream until that ends; look instead where there is none."""
        try:
            await self._streamed()
        except (SurefootError, httpx2.TransportError, TimeoutError, ValueError) as problem:  # a line may be cut off
            _log.debug("no stream of the changes of memory: %s", problem)
            await self._looked_for()
        except Exception:  # noqa: BLE001  an odd document; what comes after it is another
            _log.warning("the stream of the changes of memory cannot be understood", exc_info=True)
            await self._looked_for()

    async def _streamed(self) -> None:
        what = self._what
        await self._house.link.open()
        async with contextlib.AsyncExitStack() as leaving:
            async with asyncio.timeout(FIRST_S):
                _, lines = await leaving.enter_async_context(self._house.link.listen(
                    what.events, method="GET", query=what.query(self._after), headers=what.headers, silence_s=SILENCE_S
                ))  # fmt: skip
                self._begins(await anext(lines, ""), await anext(lines, ""))
            self._ready.set()
            async for line in lines:
                if line.startswith("data:"):
                    self._comes(json.loads(line.removeprefix("data:")))
                if len(self._waiting) >= MOST_WAITING:
                    return

    def _begins(self, *first: str) -> None:
        """Take the number at which a stream begins: smaller than ours where the store is another, or an older one."""
        number = next((line.removeprefix(FROM) for line in first if line.startswith(FROM)), "")
        if not number.isdigit():
            raise Unavailable("the stream of the changes of memory does not say where it begins")
        self._after, self._away_s = int(number), AWAY_S

    def _comes(self, body: Mapping[str, Any]) -> None:
        """Let a change wait for the listener; what is none (a stream that lets us go), or was told, does not."""
        if body.get("seq", 0) > (self._after or 0):
            self._after = body["seq"]
            if self._what.fits(one := Changed.of(body)):
                self._waiting.append(one)
                self._wake()

    async def _looked_for(self) -> None:
        """Look a while, as long as there is an answer."""
        try:
            for _ in range(LOOKS):
                await self._looked()
                self._ready.set()
                await asyncio.sleep(LOOK_EVERY_S)
        except SurefootError as problem:
            self._house.say(problem)
        except Exception:  # noqa: BLE001  the same
            _log.warning("the list of the changes of memory cannot be understood", exc_info=True)

    async def _looked(self) -> None:
        """Look once; the first time only at how far it has come."""
        first, after = self._after is None, self._after or 0
        while len(self._waiting) < MOST_WAITING:
            query = self._what.query(after)
            body = (await self._house.link.ask("GET", self._what.changes, query=query, headers=self._what.headers)).body
            for one in () if first else body["changes"]:
                self._comes(one)
            after = max(after, int(body["next"]))
            if not body["changes"]:
                break
        self._after = after

"""An agent's memory: values under keys, in scopes, found from the most specific to everybody's.

Without a scope a write lands in the most specific one that is known here (workflow, session, actor, else the agent) and
a read walks from there to what belongs to everybody. Siblings never see each other: what a call in one workflow writes
without naming a scope, a call in another does not find. So what belongs to the agent is written through
`agent.memory.agent`, whoever is being served. While Surefoot is away a read gives its default, and a write waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from surefoot.core.errors import NotFound, SurefootError, Unavailable
from surefoot.core.memory import checked_key, checked_value
from surefoot.sdk.call import Whose, spelled, whose
from surefoot.sdk.house import V1, House
from surefoot.sdk.link import Away, segment
from surefoot.sdk.waiting import Item

LOOK_EVERY_S = 0.5
PAGE = 200
_log = logging.getLogger("surefoot.sdk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One value with where it was found."""

    key: str
    value: Any
    scope: str
    owner: str
    written_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Something happened to a key; go on from `seq`."""

    seq: int
    key: str
    action: str
    scope: str
    owner: str
    at: datetime


class Memory:
    """The memory of one agent as seen from here, or from one scope."""

    def __init__(
        self, house: House, agent: str, new_id: Callable[[], str], *, scope: str = "", owner: Whose | None = None
    ) -> None:  # fmt: skip
        self._house = house
        self._agent = agent
        self._new_id = new_id
        self._scope = scope
        self._owner = owner

    # Scopes -----------------------------------------------------------------------------------------------------------

    def session(self, session: str) -> Memory:
        """Give the memory of one session alone."""
        return self._of("session", replace(whose(), session=session))

    def actor(self, actor: str) -> Memory:
        """Give the memory of one actor alone."""
        return self._of("actor", replace(whose(), actor=actor))

    def workflow(self, workflow: str) -> Memory:
        """Give the memory of one workflow alone."""
        return self._of("workflow", replace(whose(), workflow=workflow))

    @property
    def agent(self) -> Memory:
        """The agent's own memory, which all its calls see, in whichever session or workflow."""
        return self._of("agent", None)

    @property
    def everybody(self) -> Memory:
        """The memory that all agents share."""
        return self._of("global", None)

    def _of(self, scope: str, owner: Whose | None) -> Memory:
        return Memory(self._house, self._agent, self._new_id, scope=scope, owner=owner)

    # Reading ----------------------------------------------------------------------------------------------------------

    async def get(self, key: str, default: Any = None) -> Any:
        """Give a value, from the first scope that has it; the default without one, and while Surefoot is away."""
        found = await self.find(key)
        return default if found is None else found.value

    async def find(self, key: str) -> Remembered | None:
        """Give a value with where it was found, or None."""
        checked_key(key)
        with contextlib.suppress(NotFound):
            body = await self._read(f"memory/{segment(key)}", None, None)
            return None if body is None else _remembered(body)
        return None

    async def keys(self, pattern: str = "*") -> list[str]:
        """Give the keys of one scope, by default the agent's; `*` stands for anything."""
        return [one.key for one in await self.entries(pattern)]

    async def entries(self, pattern: str = "*") -> list[Remembered]:
        """Give all of one scope, by default the agent's, by key."""
        query = {"pattern": pattern, "limit": PAGE, **({} if self._scope else {"scope": "agent"})}
        found: list[Remembered] = []
        after: str | None = ""
        while after is not None:
            body = await self._read("memory", {**query, **({"cursor": after} if after else {})}, None)
            if body is None:
                return []
            found += [_remembered(one) for one in body["entries"]]
            after = body["next"]
        return found

    async def search(self, text: str, limit: int = 10) -> list[Remembered]:
        """Give what is most like a text, by its words, nearest first; items of lists one by one."""
        body = await self._read("memory-search", {"text": text, "limit": limit}, {"entries": []})
        return [_remembered(one) for one in body["entries"]]

    async def changes(self, after: int = 0, pattern: str = "*", limit: int = 1000) -> list[Changed]:
        """Give what happened to matching keys since a change, oldest first."""
        return (await self._changes(after, pattern, limit))[0]

    def on_change(self, pattern: str = "*") -> Callable[[Callable[[Changed], Any]], Watch]:
        """Call a function, plain or async, for each change from now on; on a thread of its own, until `stop()`.

        While Surefoot is away nothing is heard; what happened meanwhile is heard when it is back. From now on is from
        when it could first be asked.
        """
        here, owner = self._headers(), self._scope

        def register(work: Callable[[Changed], Any]) -> Watch:
            async def news(after: int) -> tuple[list[Changed], int]:
                found, after = await self._changes(after, pattern, 1000, headers=here, strict=True)
                return [one for one in found if not owner or one.scope == owner], after

            return Watch(self._house, news, work)

        return register

    async def _changes(
        self, after: int, pattern: str, limit: int, *, headers: Mapping[str, str] | None = None, strict: bool = False
    ) -> tuple[list[Changed], int]:  # fmt: skip
        query = {"after": after, "pattern": pattern, "limit": limit}
        away: Any = None if strict else {"changes": [], "next": after}
        body = await self._read("memory-changes", query, away, headers=headers, scoped=False)
        if body is None:
            raise Away("Surefoot is away", hint="agent.health() says more")
        return [_changed(one) for one in body["changes"]], max(after, int(body["next"]))

    async def _read(
        self, path: str, query: Mapping[str, str | int] | None, away: Any, *, headers: Mapping[str, str] | None = None,
        scoped: bool = True,
    ) -> Any:  # fmt: skip
        asked = {**(query or {}), **({"scope": self._scope} if self._scope and scoped else {})}
        sent = headers or self._headers()

        async def work() -> Any:
            try:
                return (await self._house.link.ask("GET", self._path(path), query=asked, headers=sent)).body
            except Unavailable as problem:
                self._house.defaulted += 1
                self._house.say(problem)
                return away

        return await self._house.line.reach(work())

    # Writing ----------------------------------------------------------------------------------------------------------

    async def set(self, key: str, value: Any, *, ttl_s: float | None = None) -> Remembered | None:
        """Remember a value, perhaps for so many seconds; None when it waits because Surefoot is away."""
        body = {"value": checked_value(value, key), "scope": self._scope, "ttl_s": ttl_s}
        done = await self._write("PUT", f"memory/{segment(checked_key(key))}", body)
        return None if done is None else _remembered(done)

    async def append(self, key: str, item: Any, *, keep: int = 500) -> Remembered | None:
        """Append to a list in one step, whoever else does; the newest `keep` items stay. None when it waits."""
        body = {"item": checked_value(item, key), "scope": self._scope, "keep": keep}
        done = await self._write("POST", f"memory/{segment(checked_key(key))}/append", body)
        return None if done is None else _remembered(done)

    async def delete(self, key: str) -> bool | None:
        """Forget a key in one scope; False if nothing was there, None when it waits."""
        query = f"?scope={self._scope}" if self._scope else ""
        done = await self._write("DELETE", f"memory/{segment(checked_key(key))}{query}", None)
        return None if done is None else bool(done["deleted"])

    async def _write(self, method: str, path: str, body: Any) -> Any:
        headers = {**self._headers(), "idempotency-key": self._new_id()}
        item = Item(method=method, path=self._path(path), body=body, headers=headers)

        async def work() -> Any:
            item.done = asyncio.get_running_loop().create_future()
            if not self._house.waiting.put(item):
                return None
            self._house.waiting.wake()
            try:
                return await item.done
            except Unavailable as problem:
                self._house.say(problem)
                return None

        return await self._house.line.reach(work())

    def _path(self, path: str) -> str:
        return f"{V1}/agents/{segment(self._agent)}/{path}"

    def _headers(self) -> dict[str, str]:
        """Say whose it is, as far as that can be said in a header."""
        owner = self._owner or whose()
        told = {"x-workflow-id": owner.workflow, "x-session-id": owner.session, "x-actor-id": owner.actor}
        return {name: spelled(value) for name, value in told.items() if value}


class Watch:
    """Somebody who is told of changes, until `stop`."""

    def __init__(
        self, house: House, news: Callable[[int], Awaitable[tuple[list[Changed], int]]], work: Callable[[Changed], Any]
    ) -> None:  # fmt: skip
        self._house, self._news, self._work = house, news, work
        self._over, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="surefoot-watch", daemon=True)
        self._thread.start()
        self._ready.wait(5)

    def stop(self) -> None:
        """Tell no more."""
        self._over.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(5)

    def _run(self) -> None:
        asyncio.run(self._told())

    async def _told(self) -> None:
        after = await self._newest()
        while not self._over.is_set():
            found: list[Changed] = []
            with contextlib.suppress(SurefootError):
                found, after = await self._news(after)
            for one in found:
                await self._tell(one)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _tell(self, one: Changed) -> None:
        """Call the listener; what it raises is logged, and it goes on listening."""
        try:
            done = self._work(one)
            if inspect.isawaitable(done):
                await done
        except Exception:  # noqa: BLE001  it is the program's, and the next change is another
            _log.exception("a listener to changes of memory failed at %s", one.key)

    async def _newest(self) -> int:
        """Go past what happened before, once that can be asked; nobody waits for a Surefoot that is away."""
        after = 0
        while not self._over.is_set():
            try:
                found, later = await self._news(after)
            except SurefootError:
                self._ready.set()
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            if not found and later == after:
                break
            after = later
        self._ready.set()
        return after


def _remembered(body: Mapping[str, Any]) -> Remembered:
    return Remembered(
        key=body["key"], value=body["value"], scope=body["scope"], owner=body["owner"],
        written_at=_moment(body["written_at"]), expires_at=_moment(body["expires_at"]) if body["expires_at"] else None,
    )  # fmt: skip


def _changed(body: Mapping[str, Any]) -> Changed:
    return Changed(
        seq=body["seq"], key=body["key"], action=body["action"], scope=body["scope"], owner=body["owner"],
        at=_moment(body["at"]),
    )  # fmt: skip


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)

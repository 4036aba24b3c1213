"""An agent's memory: values under keys, in scopes, found from the most specific to everybody's.

Without a scope a write lands in the most specific one that is known here (workflow, session, actor, else the agent) and
a read walks from there to what belongs to everybody. Siblings never see each other: what a call in one workflow writes
without naming a scope, a call in another does not find. So what belongs to the agent is written through
`agent.memory.agent`, whoever is being served. While Surefoot is away a read gives its default, and a write waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from surefoot.core.errors import NotFound, Unavailable
from surefoot.core.memory import checked_key, checked_value
from surefoot.sdk.call import Whose, spelled, whose
from surefoot.sdk.house import V1, House
from surefoot.sdk.link import segment
from surefoot.sdk.waiting import Item
from surefoot.sdk.watch import Changed, Watch, Watched

PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One value with where it was found."""

    key: str
    value: Any
    scope: str
    owner: str
    written_at: datetime
    expires_at: datetime | None = None


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
        query = {"after": after, "pattern": pattern, "limit": limit}
        body = await self._read("memory-changes", query, {"changes": []}, scoped=False)
        return [Changed.of(one) for one in body["changes"]]

    def on_change(self, pattern: str = "*") -> Callable[[Callable[[Changed], Any]], Watch]:
        """Call a function, plain or async, for each change from now on; on a thread of its own, until `stop()`.

        Each change is told once, in its order, and as it happens. While Surefoot is away nothing is heard; what
        happened meanwhile (the last 10 000 changes) is heard when it is back. From now on is from when it could first
        be asked.
        """
        what = Watched(
            events=self._path("memory-events"), changes=self._path("memory-changes"), pattern=pattern,
            scope=self._scope, headers=self._headers(),
        )  # fmt: skip
        return lambda work: Watch(self._house, what, work)

    async def _read(
        self, path: str, query: Mapping[str, str | int] | None, away: Any, *, scoped: bool = True
    ) -> Any:  # fmt: skip
        asked = {**(query or {}), **({"scope": self._scope} if self._scope and scoped else {})}
        sent = self._headers()

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


def _remembered(body: Mapping[str, Any]) -> Remembered:
    return Remembered(
        key=body["key"], value=body["value"], scope=body["scope"], owner=body["owner"],
        written_at=_moment(body["written_at"]), expires_at=_moment(body["expires_at"]) if body["expires_at"] else None,
    )  # fmt: skip


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)

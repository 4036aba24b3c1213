"""The same agent for plain code: each method waits, whether or not an event loop is running around it.

The work is done on the line's own thread, in a copy of the caller's context, so it belongs to the call that is going on
there. Inside a running event loop these methods block that loop: `await` the others there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from pydantic import BaseModel

from surefoot.sdk.ai import Ai, SyncAi
from surefoot.sdk.harness import TURNS, USD, Harnessed, OnTurn, Tool

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from surefoot.sdk.house import House
    from surefoot.sdk.memory import Memory, Remembered
    from surefoot.sdk.waits import Decision
    from surefoot.sdk.watch import Changed, Watch

M = TypeVar("M", bound=BaseModel)


class Asynchronous(Protocol):
    """An agent whose methods are awaited."""

    ai: Ai
    memory: Memory

    def outcome(
        self, trace_id: str = "", *, expected: str = "", success: bool | None = None, score: float | None = None,
        comment: str = "", external_id: str = "",
    ) -> Coroutine[Any, Any, bool]: ...  # fmt: skip
    def pause(
        self, name: str, *, expires_in_hours: float = 72.0, reason: str = "", url: str = "", execution: str = "",
        timeout_s: float | None = None,
    ) -> Coroutine[Any, Any, Decision]: ...  # fmt: skip
    def flush(self, timeout_s: float = 10.0) -> Coroutine[Any, Any, bool]: ...
    def harness(
        self, prompt: str, schema: Any = None, *, system: str = "", max_turns: int = TURNS,
        max_budget_usd: float | None = USD, tools: Sequence[Tool] = (), timeout_s: float = 300.0, model: str = "",
        max_tokens: int | None = None, on_turn: OnTurn | None = None,
    ) -> Coroutine[Any, Any, Harnessed[Any]]: ...  # fmt: skip


class SyncAgent:
    """An agent whose methods wait; `Agent` says what each of them does."""

    def __init__(self, agent: Asynchronous, house: House) -> None:
        self._agent = agent
        self._house = house

    @property
    def memory(self) -> SyncMemory:
        """The agent's memory."""
        return SyncMemory(self._agent.memory, self._house)

    @property
    def ai(self) -> SyncAi:
        """Asks the agent's model."""
        return SyncAi(self._agent.ai, self._house)

    def outcome(
        self, trace_id: str = "", *, expected: str = "", success: bool | None = None, score: float | None = None,
        comment: str = "", external_id: str = "",
    ) -> bool:  # fmt: skip
        """Say how a call went."""
        return self._house.line.wait(self._agent.outcome(
            trace_id, expected=expected, success=success, score=score, comment=comment, external_id=external_id
        ))  # fmt: skip

    def pause(
        self, name: str, *, expires_in_hours: float = 72.0, reason: str = "", url: str = "", execution: str = "",
        timeout_s: float | None = None,
    ) -> Decision:  # fmt: skip
        """Ask a person, and wait for what they decide."""
        return self._house.line.wait(self._agent.pause(
            name, expires_in_hours=expires_in_hours, reason=reason, url=url, execution=execution, timeout_s=timeout_s
        ))  # fmt: skip

    @overload
    def harness(
        self, prompt: str, schema: type[M], *, system: str = "", max_turns: int = TURNS,
        max_budget_usd: float | None = USD, tools: Sequence[Tool] = (), timeout_s: float = 300.0, model: str = "",
        max_tokens: int | None = None, on_turn: OnTurn | None = None,
    ) -> Harnessed[M]: ...  # fmt: skip
    @overload
    def harness(
        self, prompt: str, schema: Mapping[str, Any] | None = None, *, system: str = "", max_turns: int = TURNS,
        max_budget_usd: float | None = USD, tools: Sequence[Tool] = (), timeout_s: float = 300.0, model: str = "",
        max_tokens: int | None = None, on_turn: OnTurn | None = None,
    ) -> Harnessed[Any]: ...  # fmt: skip
    def harness(
        self, prompt: str, schema: Any = None, *, system: str = "", max_turns: int = TURNS,
        max_budget_usd: float | None = USD, tools: Sequence[Tool] = (), timeout_s: float = 300.0, model: str = "",
        max_tokens: int | None = None, on_turn: OnTurn | None = None,
    ) -> Harnessed[Any]:  # fmt: skip
        """Let a model work on something; its tools, and `on_turn`, are called on a thread of their own."""
        work = self._agent.harness(
            prompt, schema, system=system, max_turns=max_turns, max_budget_usd=max_budget_usd, tools=tools,
            timeout_s=timeout_s, model=model, max_tokens=max_tokens, on_turn=on_turn,
        )  # fmt: skip
        with ThreadPoolExecutor(1) as apart:
            return apart.submit(copy_context().run, asyncio.run, work).result()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that waits is sent."""
        return self._house.line.wait(self._agent.flush(timeout_s))


class SyncMemory:
    """A memory whose methods wait; `Memory` says what each of them does."""

    def __init__(self, memory: Memory, house: House) -> None:
        self._memory = memory
        self._house = house

    def session(self, session: str) -> SyncMemory:
        """Give the memory of one session alone."""
        return SyncMemory(self._memory.session(session), self._house)

    def actor(self, actor: str) -> SyncMemory:
        """Give the memory of one actor alone."""
        return SyncMemory(self._memory.actor(actor), self._house)

    def workflow(self, workflow: str) -> SyncMemory:
        """Give the memory of one workflow alone."""
        return SyncMemory(self._memory.workflow(workflow), self._house)

    @property
    def agent(self) -> SyncMemory:
        """The agent's own memory."""
        return SyncMemory(self._memory.agent, self._house)

    @property
    def everybody(self) -> SyncMemory:
        """The memory that all agents share."""
        return SyncMemory(self._memory.everybody, self._house)

    def get(self, key: str, default: Any = None) -> Any:
        """Give a value, or the default."""
        return self._house.line.wait(self._memory.get(key, default))

    def find(self, key: str) -> Remembered | None:
        """Give a value with where it was found."""
        return self._house.line.wait(self._memory.find(key))

    def keys(self, pattern: str = "*") -> list[str]:
        """Give the keys of one scope."""
        return self._house.line.wait(self._memory.keys(pattern))

    def search(self, text: str, limit: int = 10) -> list[Remembered]:
        """Give what is most like a text."""
        return self._house.line.wait(self._memory.search(text, limit))

    def changes(self, after: int = 0, pattern: str = "*", limit: int = 1000) -> list[Changed]:
        """Give what happened to matching keys since a change."""
        return self._house.line.wait(self._memory.changes(after, pattern, limit))

    def on_change(self, pattern: str = "*") -> Callable[[Callable[[Changed], Any]], Watch]:
        """Call a function for each change from now on, until `stop()`."""
        return self._memory.on_change(pattern)

    def set(self, key: str, value: Any, *, ttl_s: float | None = None) -> Remembered | None:
        """Remember a value."""
        return self._house.line.wait(self._memory.set(key, value, ttl_s=ttl_s))

    def append(self, key: str, item: Any, *, keep: int = 500) -> Remembered | None:
        """Append to a list."""
        return self._house.line.wait(self._memory.append(key, item, keep=keep))

    def delete(self, key: str) -> bool | None:
        """Forget a key."""
        return self._house.line.wait(self._memory.delete(key))

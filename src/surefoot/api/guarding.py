"""What stands around one request: its key, and what must not have changed since the caller looked.

Both are looked after by the store that the routes are given. Before the first write of a request, in the same
transaction, it compares what `If-Match` names with what is there, and marks the request's key as changed. So neither
can be overtaken by somebody else's write, and no route has to think of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from surefoot.core.request_key import RequestKey
from surefoot.engine.once import changing
from surefoot.ports import Store, Tx

T = TypeVar("T")


@dataclass(slots=True)
class Under:
    """One request: what is checked before its first write, its key if it has one, and whether it wrote yet."""

    checks: list[Callable[[Tx], None]] = field(default_factory=list[Callable[[Tx], None]])
    key: RequestKey | None = None
    wrote: bool = False


_now: ContextVar[Under | None] = ContextVar("under", default=None)


@contextlib.contextmanager
def request() -> Generator[Under]:
    """Give what stands around a request for as long as the block lasts."""
    one = Under()
    token = _now.set(one)
    try:
        yield one
    finally:
        _now.reset(token)


def around() -> Under:
    """Give what stands around the request that is being carried out; outside of one nothing does."""
    return _now.get() or Under()


class Guarded:
    """A store whose first write in a request keeps the promises around that request."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on one consistent view of the store."""
        return await self._store.read(work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` alone, after what must hold before it."""
        one = _now.get()
        if one is None or one.wrote:
            return await self._store.write(work)

        def guarded(tx: Tx) -> T:
            for check in one.checks:
                check(tx)
            done = work(tx)
            if one.key is not None:
                changing(tx, one.key)
            return done

        result = await self._store.write(guarded)
        one.wrote = True
        return result

    async def flush(self) -> None:
        """Let nothing linger on the disk that was deleted and overwritten."""
        await self._store.flush()

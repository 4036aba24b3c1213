"""Parts: what a generator gives, handed on as it comes and kept for the trace, step by step in one context.

A generator is taken up again by whoever wants the next part: another task, or another thread, as web servers do. It
goes on in the context in which it was called all the same, so that it stays the request that it is. Kept is what a
trace has room for: texts joined, other values as a list. The time that the caller takes between two parts is not the
agent's.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, nullcontext
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from surefoot.sdk import call as calls

T = TypeVar("T")
MOST_PARTS = 1000


@dataclass(slots=True, kw_only=True)
class Parts:
    """What was given until now, as far as a trace has room for it; `answer` is the key of what counts in a mapping."""

    answer: str = ""
    waited_s: float = 0.0
    _kept: list[Any] = field(default_factory=list[Any])
    _length: int = 0

    @contextmanager
    def lent(self, part: Any) -> Generator[None]:
        """Keep a part, and let the caller have it for as long as it takes."""
        self._keep(part)
        began = time.perf_counter()
        try:
            yield
        finally:
            self.waited_s += time.perf_counter() - began

    def _keep(self, part: Any) -> None:
        if self.answer and isinstance(part, Mapping):
            part = cast("Mapping[str, Any]", part).get(self.answer, "")
        room = self._length <= calls.LONGEST_TEXT
        if isinstance(part, str):
            if part and room:
                self._kept.append(part[: calls.LONGEST_TEXT + 1])
            self._length += len(part)
        elif room and len(self._kept) < MOST_PARTS:
            self._kept.append(part)
            self._length += _size(part)

    def output(self) -> str:
        """Give the answer: the texts joined, or a list of what was given."""
        if all(isinstance(part, str) for part in self._kept):
            return calls.cut("".join(self._kept), self._length)
        return calls.cut(calls.written(self._kept))


def _size(part: Any) -> int:
    """How long a part is when it is written."""
    try:
        return len(calls.written(part))
    except Exception:  # noqa: BLE001  what cannot even be shown is the program's, and does not stop it from giving more
        return 0


@contextmanager
def within(here: Context, block: AbstractContextManager[T]) -> Generator[T]:
    """Enter and leave a block in a context."""
    found = here.run(block.__enter__)
    try:
        yield found
    except BaseException as problem:
        if not here.run(block.__exit__, type(problem), problem, problem.__traceback__):
            raise
    else:
        here.run(block.__exit__, None, None, None)


Lent = Callable[[Any], AbstractContextManager[None]]


def handed_on(here: Context, given: Generator[Any, Any, Any], lent: Lent) -> Generator[Any, Any, Any]:
    """Give what a generator gives as it comes; what is sent, thrown and returned passes through."""
    step: Callable[[], Any] = lambda: given.send(None)  # noqa: E731
    while True:
        try:
            part = here.run(step)
        except StopIteration as end:
            return end.value
        try:
            with lent(part):
                asked = yield part
        except GeneratorExit:
            here.run(given.close)
            raise
        except BaseException as problem:  # noqa: BLE001  the generator is told, and may go on
            step = lambda problem=problem: given.throw(problem)  # noqa: E731
        else:
            step = lambda asked=asked: given.send(asked)  # noqa: E731


async def handed_on_async(
    here: Context, given: AsyncGenerator[Any, Any], giving: AbstractAsyncContextManager[Parts]
) -> AsyncGenerator[Any, Any]:
    """Give what an async generator gives as it comes, inside of a block; what is sent and thrown passes through."""
    async with giving as parts:
        step = given.asend(None)
        while True:
            try:
                part = await _Seated(here, step)
            except StopAsyncIteration:
                return
            try:
                with parts.lent(part):
                    asked = yield part
            except GeneratorExit:
                if not getattr(given, "ag_running", False):  # else its loop ends, and closes both at once
                    await _Seated(here, given.aclose())
                raise
            except BaseException as problem:  # noqa: BLE001  the generator is told, and may go on
                step = given.athrow(problem)
            else:
                step = given.asend(asked)


class _Seated:
    """An awaitable whose every step is done in a context, by the task that awaits it."""

    def __init__(self, here: Context, step: Awaitable[Any]) -> None:
        self._here, self._step = here, step

    def __await__(self) -> Generator[Any, Any, Any]:
        going = self._step.__await__()
        return (yield from handed_on(self._here, going, lambda _: nullcontext()))

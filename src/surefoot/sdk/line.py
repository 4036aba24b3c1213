"""The line: one thread with an event loop, on which everything that goes to Surefoot happens.

A program may call from coroutines of several loops, from threads, or from plain code; all of them hand their work over
here and wait for it in their own way, so there is one pool of connections and one order of what is sent. After a fork
the child has no such thread; it starts its own when it needs one. Work that waits for itself is refused at once instead
of standing still for ever.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from surefoot.core.errors import Invalid

T = TypeVar("T")


class Line:
    """One thread with one loop, started when it is first needed; safe to use from anywhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start a piece of work and give its future."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    async def reach(self, work: Coroutine[Any, Any, T]) -> T:
        """Do a piece of work and give its result, from any event loop; cancelled, the work is cancelled too."""
        if self.is_here():
            return await work
        return await asyncio.wrap_future(self.begin(work))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Do a piece of work and give its result, from plain code; inside a running loop this blocks that loop."""
        if self.is_here():
            work.close()
            raise Invalid("a call that blocks was made on Surefoot's own thread", hint="use the async form there")
        future = self.begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def tell(self, work: Callable[[], object]) -> None:
        """Do something on the line soon, if it is running, and wait for nothing."""
        if self._loop is not None and self._pid == os.getpid():
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(work)

    def is_here(self) -> bool:
        """Whether this is the line's own thread."""
        return self._thread is not None and threading.get_ident() == self._thread.ident

    def forget(self) -> None:
        """Forget the thread: after a fork it is not there any more."""
        self._lock = threading.Lock()
        self._pid, self._loop, self._thread = os.getpid(), None, None

    def end(self) -> None:
        """Stop the thread once nothing is to be done any more."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or self._pid != os.getpid():
            return
        self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join(2)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():
            self.forget()
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name="surefoot", daemon=True)
                self._thread.start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

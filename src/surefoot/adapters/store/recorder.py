"""Group commit: one thread per process writes what is waiting in one transaction, then says so to everyone in it.

A lone entry starts a transaction at once. While there are many at a time the writer lingers for two milliseconds
before the next, since a commit of ten costs hardly more than a commit of one. Traces of a batch go in one statement.
An entry that the database refuses must not take the others with it, so such a batch is taken back and done again one by
one; when the store itself is away all of them are told. The queue is bounded: what does not fit is refused at once.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from surefoot.adapters.store import bulk
from surefoot.adapters.store.database import SqlStore, told
from surefoot.adapters.store.transaction import SqlTx
from surefoot.core.errors import SurefootError, Unavailable
from surefoot.core.score import Outcome
from surefoot.core.trace import Pin, Trace
from surefoot.ports.recorder import Full, Load
from surefoot.ports.store import Tx

T = TypeVar("T")
BATCH = 512
SEVERAL = 4
LINGER_S = 0.002
MOST_CHARS = 64 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class _Entry:
    """One thing to write; `work` runs after the traces of its batch are in."""

    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    trace: Trace | None = None
    work: Callable[[SqlTx], Any] | None = None
    size: int = 0
    result: Any = None
    problem: BaseException | None = None


@dataclass(slots=True)
class _Counts:
    written: int = 0
    refused: int = 0
    failed: int = 0
    commits: int = 0
    waiting: int = 0
    waiting_chars: int = 0


class GroupCommit:
    """The recorder of one process on one store; implements `ports.recorder.Recorder`.

    `most` bounds the entries that wait, `MOST_CHARS` the texts of their traces; `before` is what happens to a trace
    before it is written (redaction). Several event loops may use it; it ends with `aclose` (or `close`).
    """

    def __init__(
        self, store: SqlStore, *, most: int = 10_000, before: Callable[[Trace], Trace] = lambda trace: trace
    ) -> None:  # fmt: skip
        self._store = store
        self._before = before
        self._most = most
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._counts = _Counts()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    async def add(self, trace: Trace, outcome: Outcome | None = None, pin: Pin | None = None) -> None:
        """Append a trace and what goes with it; returns after the commit."""

        def beside(tx: SqlTx) -> None:
            if pin is not None:
                tx.traces.pin(pin)
            if outcome is not None:
                tx.outcomes.add(outcome)

        await self._put(trace, None if outcome is None and pin is None else beside)

    async def pin(self, pin: Pin) -> Pin:
        """Keep a pin unless the unit has one; returns the one that stands, after the commit."""
        return cast("Pin", await self._put(None, lambda tx: tx.traces.pin(pin)))

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in the next transaction; returns after the commit."""
        return cast("T", await self._put(None, cast("Callable[[SqlTx], Any]", work)))

    def load(self) -> Load:
        """Give how busy it is."""
        seen = self._counts
        return Load(
            waiting=seen.waiting, most=self._most, written=seen.written, refused=seen.refused, failed=seen.failed,
            commits=seen.commits,
        )  # fmt: skip

    async def aclose(self) -> None:
        """Write what is waiting, then end; what comes later is refused."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def close(self) -> None:
        """The same as `aclose`, for code that has no event loop."""
        with self._lock:
            closing, self._closed = not self._closed, True
        if closing:
            self._queue.put(None)
        self._thread.join()

    def _put(self, trace: Trace | None, work: Callable[[SqlTx], Any] | None) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        size = 0 if trace is None else len(trace.input) + len(trace.output)
        with self._lock:
            if self._closed or self._counts.waiting >= self._most or not self._has_room(size):
                self._counts.refused += 1
                raise Full(
                    "the recorder is at its end"
                    if self._closed
                    else f"{self._counts.waiting} entries wait to be written",
                    hint="try again later; surefoot doctor looks at the store",
                )
            self._counts.waiting += 1
            self._counts.waiting_chars += size
        self._queue.put(_Entry(loop=loop, done=done, trace=trace, work=work, size=size))
        return done

    def _has_room(self, size: int) -> bool:
        """Whether texts of this length may wait; one alone always may."""
        return not self._counts.waiting_chars or self._counts.waiting_chars + size <= MOST_CHARS

    def _run(self) -> None:
        going, several = True, False
        with self._store.engine.connect() as connection:
            while going:
                batch, going = self._batch(linger=several)
                several = len(batch) >= SEVERAL
                if batch:
                    self._commit(connection, batch)
                    self._tell(batch)

    def _batch(self, *, linger: bool) -> tuple[list[_Entry], bool]:
        """Wait for an entry, then take what else is there; the second value is false after the last one."""
        batch: list[_Entry] = []
        try:
            while len(batch) < BATCH:
                entry = self._queue.get(block=not batch)
                if entry is None:
                    return batch, False
                batch.append(entry)
                if linger:
                    time.sleep(LINGER_S)
                    linger = False
        except queue.Empty:
            pass
        return batch, True

    def _commit(self, connection: sa.Connection, batch: list[_Entry]) -> None:
        try:
            with told(self._store.path):
                if any(entry.work is not None for entry in batch):
                    with connection.begin():
                        connection.exec_driver_sql("BEGIN IMMEDIATE")
                        self._written(SqlTx(connection), batch)
                else:
                    bulk.commit(connection, self._kept(batch))
        except Exception as problem:  # noqa: BLE001  a writer that dies would lose all that follows
            if len(batch) > 1 and _is_of_one_entry(problem):
                for entry in batch:
                    self._commit(connection, [entry])
                return
            for entry in batch:
                entry.problem = problem
            self._counts.failed += len(batch)
            return
        self._counts.written += len(batch)
        self._counts.commits += 1

    def _written(self, tx: SqlTx, batch: list[_Entry]) -> None:
        tx.traces.add_all(self._kept(batch))
        for entry in batch:
            if entry.work is not None:
                entry.result = entry.work(tx)

    def _kept(self, batch: list[_Entry]) -> list[Trace]:
        return [self._before(entry.trace) for entry in batch if entry.trace is not None]

    def _tell(self, batch: list[_Entry]) -> None:
        with self._lock:
            self._counts.waiting -= len(batch)
            self._counts.waiting_chars -= sum(entry.size for entry in batch)
        for loop in {entry.loop for entry in batch}:
            mine = [entry for entry in batch if entry.loop is loop]
            try:
                loop.call_soon_threadsafe(_settle, mine)
            except RuntimeError:  # its loop has ended; the entries are written all the same
                continue


def _is_of_one_entry(problem: Exception) -> bool:
    """Whether an entry is to blame, and not the store."""
    if isinstance(problem, Unavailable):
        return isinstance(problem.__cause__, IntegrityError | sqlite3.IntegrityError)
    return isinstance(problem, SurefootError) or not isinstance(problem, OSError)


def _settle(entries: list[_Entry]) -> None:
    for entry in entries:
        if entry.done.done():
            continue
        if entry.problem is not None:
            entry.done.set_exception(entry.problem)
        else:
            entry.done.set_result(entry.result)

"""Opening the store, and running transactions on it.

One synchronous engine serves us and the workflow engine. A transaction is a plain function run in a worker thread:
it begins with `BEGIN IMMEDIATE` when it writes, so two writers queue instead of failing late, and it cannot wait for
anything outside while it holds the lock. What the database says is wrong comes out as an error for the operator.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc

from surefoot.adapters.store import schema
from surefoot.adapters.store.transaction import SqlTx
from surefoot.core.errors import Invalid, SurefootError, Unavailable

T = TypeVar("T")
Durability = Literal["normal", "full"]
BUSY_TIMEOUT_S = 30
THREADS = 8


class SqlStore:
    """A store on one SQLAlchemy engine; implements `ports.Store`."""

    def __init__(self, engine: sa.Engine, path: str | Path) -> None:
        self.engine = engine
        self.path = path
        # Threads of our own: writers queue in the database, so more than a few would only wait there.
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="store")

    async def read(self, work: Callable[[SqlTx], T]) -> T:
        """Run `work` on one consistent view."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read_now, work)

    async def write(self, work: Callable[[SqlTx], T]) -> T:
        """Run `work` as the only writer and commit."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.write_now, work)

    def read_now(self, work: Callable[[SqlTx], T]) -> T:
        """The same as `read`, for code that has no event loop."""
        return self._run(work, "BEGIN")

    def write_now(self, work: Callable[[SqlTx], T]) -> T:
        """The same as `write`, for code that has no event loop."""
        return self._run(work, "BEGIN IMMEDIATE")

    def _run(self, work: Callable[[SqlTx], T], begin: str) -> T:
        with told(self.path), self.engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(begin)
            return work(SqlTx(connection))

    async def flush(self) -> None:
        """Write the log into the file and empty it, so that what was overwritten is nowhere on the disk."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._flush)

    def _flush(self) -> None:
        with told(self.path), self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of all connections."""
        self._threads.shutdown()
        self.engine.dispose()


def open_store(path: str | Path, *, durability: Durability = "normal", upgrade: bool = True) -> SqlStore:
    """Open the store at a path, building it or upgrading an older schema first.

    Raises Unavailable when it cannot be read or written, is damaged, or was written by a newer Surefoot.
    """
    _owned(path)
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def connected(raw: sqlite3.Connection, _record: object) -> None:
        # The workflow engine shares these connections and counts on implicit transactions that lock at once.
        raw.isolation_level = "IMMEDIATE"
        _write_ahead(raw)
        raw.execute(f"PRAGMA synchronous={durability.upper()}")
        raw.execute("PRAGMA foreign_keys=ON")

    store = SqlStore(engine, path)
    with told(path):
        schema.ensure(engine, upgrade=upgrade)
    return store


def _owned(path: str | Path) -> None:
    """Begin a new store as a file that only its owner reads: people's texts are in it, and its log takes after it."""
    with suppress(OSError):  # it is there, or the database says better why it cannot be
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _write_ahead(raw: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait for others here, so we do."""
    until = time.monotonic() + BUSY_TIMEOUT_S
    switched = False
    while not switched:
        try:
            switched = bool(raw.execute("PRAGMA journal_mode=WAL"))
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


@contextmanager
def told(path: str | Path) -> Generator[None]:
    """Turn what the database driver raises into words an operator can act on."""
    try:
        yield
    except SurefootError:
        raise
    except UnicodeEncodeError as error:
        raise Invalid(
            f"{error.object[error.start : error.end]!a} is no valid Unicode and cannot be kept",
            hint="leave out the broken characters",
        ) from None
    except (exc.DBAPIError, sqlite3.Error) as error:
        message, hint = _words(str(getattr(error, "orig", error)))
        raise Unavailable(f"the store {path} {message}", hint=hint) from error


_SYMPTOMS: tuple[tuple[str, str, str], ...] = (
    ("unable to open database file", "cannot be opened", "check that its directory exists and can be written"),
    ("readonly", "cannot be written", "give yourself write access to the file and its directory"),
    ("disk is full", "cannot grow: the disk is full", "free some space; nothing that was acknowledged is lost"),
    ("disk I/O error", "cannot be written: the disk reports an error", "check space and health of the disk"),
    ("not a database", "is damaged, or is no Surefoot store", "restore a backup (surefoot restore), or move it away"),
    ("malformed", "is damaged", "restore a backup, or move it away and start anew"),
    ("locked", "is busy: another process holds its lock", "try again; end the process that does not let go"),
)


def _words(problem: str) -> tuple[str, str]:
    for sign, message, hint in _SYMPTOMS:
        if sign in problem:
            return message, hint
    return f"reports: {problem.splitlines()[0]}", "run surefoot doctor"

"""The store as a file: look at it without opening it for work, copy it, put a copy back.

Looking changes nothing: no upgrade, no workflow is taken over. It reads the database directly, because the questions
here (is it whole, how old, how big) are asked just when the store may not open.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from surefoot.core.errors import Conflict, Invalid, NotFound, Unavailable

_CHECKED_BYTES = 500_000_000  # a larger file takes too long to read in full


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFile:
    """What was seen: the schema's revision (empty if none), the ids of unfinished workflows, what is wrong."""

    path: Path
    there: bool
    size_bytes: int = 0
    schema: str = ""
    unfinished: tuple[str, ...] = ()
    problem: str = ""
    unwritable: str = ""


def look(path: Path) -> StoreFile:
    """Look at a store; what is wrong with it is told, not raised."""
    if not path.exists():
        return StoreFile(path=path, there=False)
    size = path.stat().st_size
    try:
        with _opened(path, "ro") as raw:
            schema, unfinished = _schema(raw), _unfinished(raw)
            broken = _broken(raw) if size <= _CHECKED_BYTES else ""
        unwritable = _unwritable(path)
    except sqlite3.Error as error:
        return StoreFile(path=path, there=True, size_bytes=size, problem=str(error))
    return StoreFile(path=path, there=True, size_bytes=size, schema=schema, unfinished=unfinished, problem=broken,
                     unwritable=unwritable)  # fmt: skip


@contextmanager
def _opened(path: Path, mode: str) -> Generator[sqlite3.Connection]:
    where = f"file:{quote(str(path.absolute()))}?mode={mode}"
    with closing(sqlite3.connect(where, uri=True, timeout=5, isolation_level=None)) as raw:
        yield raw


def _tables(raw: sqlite3.Connection) -> set[str]:
    return {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _schema(raw: sqlite3.Connection) -> str:
    if "alembic_version" not in _tables(raw):
        return ""
    row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def _unfinished(raw: sqlite3.Connection) -> tuple[str, ...]:
    if "workflow_status" not in _tables(raw):
        return ()
    rows = raw.execute("SELECT workflow_uuid FROM workflow_status WHERE status IN ('PENDING', 'ENQUEUED') ORDER BY 1")
    return tuple(str(row[0]) for row in rows)


def _broken(raw: sqlite3.Connection) -> str:
    first = raw.execute("PRAGMA quick_check(1)").fetchone()
    return "" if first is None or first[0] == "ok" else str(first[0])


def _unwritable(path: Path) -> str:
    """Take and drop the write lock; say what was in the way."""
    try:
        with _opened(path, "rw") as raw:
            raw.execute("BEGIN IMMEDIATE")
            raw.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return str(error)
    return ""


def copy(store: Path, file: Path) -> int:
    """Copy a store that is in use to a new file, check the copy, and give its size in bytes."""
    if file.exists():
        raise Conflict(f"{file} is there already", hint="name a new file; a backup never overwrites anything")
    if not file.parent.is_dir():
        raise NotFound(f"there is no directory {file.parent}", hint="make it first")
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with _opened(store, "rw") as source, closing(sqlite3.connect(partial)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
            if problem := _broken(target):
                raise Unavailable(f"the copy of {store} is not whole: {problem}", hint="run surefoot doctor")
        shutil.copymode(store, partial)
        partial.rename(file)
    except sqlite3.Error as error:
        raise Unavailable(f"{store} cannot be copied to {file}: {error}", hint="check space and access") from error
    finally:
        partial.unlink(missing_ok=True)
    return file.stat().st_size


def put_back(file: Path, store: Path) -> str:
    """Put a copy in the store's place; gives the name under which the old store is kept (empty if there was none)."""
    seen = look(file)
    if not seen.there:
        raise NotFound(f"there is no file {file}", hint="surefoot backup FILE makes one")
    if seen.problem or not seen.schema:
        raise Invalid(f"{file} is no usable copy of a store" + (f": {seen.problem}" if seen.problem else ""),
                      hint="name a file that surefoot backup made")  # fmt: skip
    store.parent.mkdir(parents=True, exist_ok=True)
    fresh = store.with_name(f"{store.name}.restoring")
    shutil.copy2(file, fresh)
    kept = _moved_aside(store)
    fresh.rename(store)
    return kept


def _moved_aside(store: Path) -> str:
    """Rename the store with its journals, which belong to it."""
    if not store.exists():
        return ""
    free = next(name for n in range(1, 1000) if not (name := store.with_name(f"{store.name}.replaced-{n}")).exists())
    for tail in ("-wal", "-shm", ""):
        part = store.with_name(f"{store.name}{tail}")
        if part.exists():
            part.rename(free.with_name(f"{free.name}{tail}"))
    return os.fspath(free)

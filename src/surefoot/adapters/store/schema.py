"""The schema's age: build it, upgrade it, or say why it cannot be used.

An older store is copied beside itself before it is upgraded, so that even a failed upgrade loses nothing. Alembic is
imported for an upgrade only: to see that there is nothing to do takes a look at the names of the migrations.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import sqlalchemy as sa

from surefoot.core.errors import Unavailable

MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION = "alembic_version"


def ensure(engine: sa.Engine, *, upgrade: bool = True) -> None:
    """Bring the store to the newest schema; Unavailable if it is newer than this Surefoot, or old and not allowed."""
    known = revisions()
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("BEGIN")  # one view: somebody else may be building the schema just now
        tables = sa.inspect(connection).get_table_names()
        current = connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if _VERSION in tables else None
        strangers = [] if current else [name for name in tables if name != _VERSION]
    if strangers:
        raise Unavailable(
            f"{engine.url.database} is another program's database (it has a table {strangers[0]!r})",
            hint="choose another place with --store or SUREFOOT_STORE",
        )
    if current == known[-1]:
        return
    if current is not None and current not in known:
        raise Unavailable(
            f"the store was written by a newer Surefoot (schema {current}, this one knows {known[-1]})",
            hint="upgrade Surefoot, or open another store",
        )
    if current is not None and not upgrade:
        raise Unavailable(f"the store has the older schema {current}", hint="run surefoot db upgrade first")
    if current is not None:
        _copy_beside(engine, current)
    migrate_to(engine, known[-1])


def migrate_to(engine: sa.Engine, revision: str) -> None:
    """Build or upgrade the schema to just this revision, in one transaction (of two at once, one waits)."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def revisions() -> list[str]:
    """Give the revisions that there are, oldest first; a migration's file is named `REVISION_what.py`."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def _copy_beside(engine: sa.Engine, revision: str) -> None:
    """Keep a copy of an older store; it gets its name when it is whole, and of two at once the first stays."""
    copy = Path(f"{engine.url.database}.before-{revision}-upgrade")
    part = Path(f"{copy}.part-{os.getpid()}-{threading.get_ident()}")
    if copy.exists():
        return
    part.unlink(missing_ok=True)
    raw = engine.raw_connection()
    try:
        raw.cursor().execute("VACUUM INTO ?", (str(part),))
        _named_once(part, copy)
    finally:
        raw.close()
        part.unlink(missing_ok=True)


def _named_once(part: Path, copy: Path) -> None:
    try:
        os.link(part, copy)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        part.replace(copy)

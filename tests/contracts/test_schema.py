"""The age of a store: old ones are upgraded with nothing lost, newer and broken ones are told apart in words."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from sqlalchemy import event

from surefoot.adapters.store import SqlStore, database, open_store, schema
from surefoot.adapters.store.tables import metadata
from surefoot.core.audit import verify
from surefoot.core.errors import Unavailable
from surefoot.core.otel import EVALUATION
from surefoot.core.score import Outcome
from surefoot.core.trace import Trace

SOURCE = Path(__file__).parents[2] / "src"
NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def full(path: Path) -> Iterator[SqlStore]:
    """A store with some history in it."""
    store = open_store(path)
    fill(store, 0, 50)
    yield store
    store.close()


def revisions() -> list[str]:
    """All revisions, oldest first."""
    script = ScriptDirectory(str(schema.MIGRATIONS))
    return [one.revision for one in script.walk_revisions()][::-1]


def fill(store: SqlStore, start: int, count: int, size: int = 200) -> None:
    def work(tx: Any) -> None:
        for number in range(start, start + count):
            tx.traces.add(Trace(
                id=f"t{number}", agent="support", version=1, unit=f"u{number}", input="x" * size, output="other",
                finish="stop", at=NOW,
            ))  # fmt: skip
            tx.outcomes.add(Outcome(trace_id=f"t{number}", verdict="failure", at=NOW, source="test"))
            tx.audit.append(at=NOW, actor="test", action="filled", subject=f"t{number}", payload={"n": number})

    store.write_now(work)


def built_at(path: Path, revision: str) -> None:
    """An older store: the schema of `revision`, with two rows in each of its tables."""
    engine = sa.create_engine(f"sqlite:///{path}")
    schema.migrate_to(engine, revision)
    found = sa.MetaData()
    found.reflect(engine)
    with engine.begin() as connection:
        for table in found.sorted_tables:
            if table.name != "alembic_version":
                rows = [{c.name: sample(c, number) for c in table.columns} for number in (1, 2)]
                connection.execute(sa.insert(table), rows)
    engine.dispose()


def sample(column: sa.Column[Any], number: int) -> object:
    match column.type.python_type.__name__:
        case "int":
            return number
        case "float":
            return number / 8
        case "bool":
            return False
        case "dict":
            return {"n": number, "text": "ä☃"}
        case "bytes":
            return b"%d \xff" % number
        case _:
            return f"{column.name}-{number} ä☃"


Rows = list[dict[str, object]]


def contents(path: Path) -> dict[str, Rows]:
    """Every row of every table, read by SQLite alone."""
    raw = sqlite3.connect(path)
    raw.row_factory = sqlite3.Row
    try:
        names = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {
            name: sorted(map(dict, raw.execute(f'SELECT * FROM "{name}"')), key=repr)
            for name in names
            if "sqlite_" not in name
        }
    finally:
        raw.close()


MERGED = {"spans": {"span_id", "parent_id", "name", "kind", "status"}}
"""Columns that went into others, which tests of their own look at."""


def changed(before: dict[str, Rows], after: dict[str, Rows]) -> list[str]:
    """The tables of which not every row and column is there as it was; columns may have come."""
    return [
        name for name, rows in before.items() if name != "alembic_version"
        and [{one: row[one] for one in row if one not in MERGED.get(name, ())} for row in rows]
        != [{one: row[one] for one in row if one in rows[0] and one not in MERGED.get(name, ())} for row in after[name]]
    ]  # fmt: skip


def shape(path: Path) -> dict[str, object]:
    """Columns, keys and indexes of every table, whatever made them."""
    raw = sqlite3.connect(path)
    try:
        names = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: (
                sorted(row[1:] for row in raw.execute(f'PRAGMA table_info("{name}")')),
                sorted(
                    (row[1], row[2], row[4], tuple(c[2] for c in raw.execute(f'PRAGMA index_info("{row[1]}")')))
                    for row in raw.execute(f'PRAGMA index_list("{name}")')
                    if not row[1].startswith("sqlite_")
                ),
            )
            for name in names
            if name not in ("alembic_version", "sqlite_sequence")
        }
    finally:
        raw.close()


# What is built ---------------------------------------------------------------------------------------------------


def test_the_migrations_build_exactly_the_tables(path, tmp_path):
    store = open_store(path)
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    store.close()
    declared = sa.create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    metadata.create_all(declared)
    declared.dispose()
    assert shape(path) == shape(tmp_path / "declared.db")


def test_the_rule_of_one_active_rollout_is_in_the_database_itself(full, path):
    raw = sqlite3.connect(path)
    insert = "INSERT INTO rollouts VALUES (?, 'support', 'canary', ?, 1, 0, '{}')"
    raw.execute(insert, ("r1", 1))
    raw.execute(insert, ("r2", 0))
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(insert, ("r3", 1))
    raw.close()


def test_a_migration_s_file_is_named_by_its_revision_since_that_is_what_is_looked_at():
    assert schema.revisions() == revisions()


def test_there_is_one_line_of_revisions(path):
    script = ScriptDirectory(str(schema.MIGRATIONS))
    assert len(script.get_heads()) == 1
    assert revisions() == sorted(revisions())


def test_a_store_is_a_write_ahead_file_with_the_durability_that_was_asked_for(path):
    for durability, level in (("normal", 1), ("full", 2)):
        store = open_store(path, durability=durability)
        with store.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        store.close()


# Upgrades --------------------------------------------------------------------------------------------------------


def test_a_new_store_and_its_log_are_for_their_owner_only_and_an_old_one_stays_as_it_was(path, tmp_path):
    store, old = open_store(path), tmp_path / "old.db"
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    store.close()
    assert len(modes) == 3, "the file, its log, and the memory that its readers share"
    assert set(modes.values()) == {0o600}
    shutil.copyfile(path, old)
    old.chmod(0o660)
    open_store(old).close()
    assert old.stat().st_mode & 0o777 == 0o660


def test_spans_that_stood_alone_become_groups_of_one_and_are_read_as_before(path):
    engine = sa.create_engine(f"sqlite:///{path}")
    schema.migrate_to(engine, "0013")
    chat = Message(trace_id=b"t" * 16, span_id=b"s" * 7 + b"1", name="chat")
    said = Message(trace_id=b"t" * 16, span_id=b"s" * 7 + b"2", name=EVALUATION)
    told = "(trace_id, span_id, parent_id, agent, version, name, kind, status, started, ended, session, actor, body)"
    with engine.begin() as connection:
        for one, status in ((chat, "error"), (said, "unset")):
            body = ResourceSpans(scope_spans=[ScopeSpans(spans=[one])]).SerializeToString()
            connection.exec_driver_sql(
                f"INSERT INTO spans {told} VALUES (?, ?, '', 'support', 2, ?, 'chat', ?, 5, 6, 's', '', ?)",
                (one.trace_id.hex(), one.span_id.hex(), one.name, status, body),
            )
    engine.dispose()
    store = open_store(path)
    spans = store.read_now(lambda tx: tx.spans.of_trace(chat.trace_id.hex()))
    assert [(one.span_id, one.name, one.version, one.session) for one in spans] == [
        (chat.span_id.hex(), "chat", 2, "s"), (said.span_id.hex(), EVALUATION, 2, "s")
    ]  # fmt: skip
    assert store.read_now(lambda tx: tx.spans.failure_counts("support")) == {2: 1}
    judged = store.read_now(lambda tx: tx.spans.evaluations([chat.trace_id.hex()], ["support"]))
    assert [one.span_id for one in judged] == [said.span_id.hex()]
    store.close()


@pytest.mark.parametrize("revision", revisions()[:-1])
def test_an_older_store_is_upgraded_with_every_row_and_a_copy_is_kept_beside_it(path, revision):
    built_at(path, revision)
    before, old_shape = contents(path), shape(path)
    assert all(len(rows) == 2 for name, rows in before.items() if name != "alembic_version")
    store = open_store(path)
    store.close()
    after = contents(path)
    assert changed(before, after) == []
    assert after["alembic_version"] == [{"version_num": revisions()[-1]}]
    copy = path.with_name(f"store.db.before-{revision}-upgrade")
    assert (contents(copy), shape(copy)) == (before, old_shape)
    assert sorted(file.name for file in path.parent.iterdir() if "before" in file.name) == [copy.name]
    fresh = path.with_name("fresh.db")
    open_store(fresh).close()
    assert shape(path) == shape(fresh), "an upgraded store is like a new one"


def test_an_upgraded_store_works(path):
    built_at(path, revisions()[0])
    raw = sqlite3.connect(path)
    raw.execute("DELETE FROM audit")
    raw.commit()
    raw.close()
    store = open_store(path)
    fill(store, 0, 3)
    assert verify(store.read_now(lambda tx: tx.audit.all())).intact
    store.close()


def test_an_older_store_is_refused_where_upgrades_are_not_allowed_and_stays_as_it_is(path):
    built_at(path, revisions()[0])
    before = contents(path)
    with pytest.raises(Unavailable, match="older schema 0001") as caught:
        open_store(path, upgrade=False)
    assert "db upgrade" in caught.value.hint
    assert contents(path) == before
    assert [file.name for file in path.parent.iterdir() if "before" in file.name] == []


def test_a_new_store_may_be_built_where_upgrades_are_not_allowed(path):
    open_store(path, upgrade=False).close()
    assert "agents" in contents(path)


def test_a_newer_store_is_refused_and_stays_as_it_is(full, path):
    full.close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.commit()
    raw.close()
    before = contents(path)
    with pytest.raises(Unavailable, match="newer Surefoot") as caught:
        open_store(path)
    assert "9999" in caught.value.message
    assert "upgrade Surefoot" in caught.value.hint
    assert contents(path) == before


def test_an_upgrade_that_fails_in_the_middle_leaves_the_old_store_and_its_copy(path, monkeypatch):
    built_at(path, revisions()[0])
    before = contents(path)
    real = command.upgrade

    def fails(config, revision):
        real(config, revision)
        raise ConnectionError("killed before it was committed")

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", fails)
        with pytest.raises(ConnectionError):
            open_store(path)
    assert contents(path) == before
    assert contents(path.with_name("store.db.before-0001-upgrade")) == before
    open_store(path).close()
    assert contents(path)["alembic_version"] == [{"version_num": revisions()[-1]}]


def test_a_copy_that_was_killed_halfway_does_not_pass_for_one(path, monkeypatch):
    built_at(path, revisions()[0])
    before = contents(path)
    with monkeypatch.context() as patch:
        patch.setattr(schema.os, "link", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            open_store(path)
    copy = path.with_name("store.db.before-0001-upgrade")
    assert not copy.exists()
    assert contents(path) == before
    open_store(path).close()
    assert contents(copy) == before


def test_a_copy_of_an_earlier_upgrade_is_not_written_over(path):
    copy = path.with_name("store.db.before-0001-upgrade")
    built_at(path, revisions()[0])
    shutil.copy(path, copy)
    raw = sqlite3.connect(path)
    raw.execute("DELETE FROM traces")
    raw.commit()
    raw.close()
    kept = contents(copy)
    open_store(path).close()
    assert contents(copy) == kept


def test_without_hard_links_the_copy_is_kept_all_the_same(path, monkeypatch):
    built_at(path, revisions()[0])
    before = contents(path)

    def no_links(*_: object) -> None:
        raise PermissionError("this file system has no hard links")

    monkeypatch.setattr(schema.os, "link", no_links)
    open_store(path).close()
    assert contents(path.with_name("store.db.before-0001-upgrade")) == before


@pytest.mark.parametrize("old", [True, False])
def test_many_who_open_a_store_at_once_build_or_upgrade_it_once(path, old):
    if old:
        built_at(path, revisions()[0])
    before = contents(path) if old else {}
    gate, stores, problems = threading.Barrier(6), list[SqlStore](), list[BaseException]()

    def opening() -> None:
        gate.wait()
        try:
            stores.append(open_store(path))
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=opening) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert problems == []
    after = contents(path)
    assert after["alembic_version"] == [{"version_num": revisions()[-1]}]
    if old:
        assert changed(before, after) == []
        assert contents(path.with_name("store.db.before-0001-upgrade")) == before
    assert [file.name for file in path.parent.iterdir() if ".part" in file.name] == []


@pytest.mark.slow
@pytest.mark.parametrize("old", [True, False])
def test_processes_that_open_a_store_at_once_build_or_upgrade_it_once(path, old):
    if old:
        built_at(path, revisions()[0])
    before = contents(path) if old else {}
    program = "import sys; from surefoot.adapters.store import open_store; open_store(sys.argv[1]).close()"
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(path)], env=environ, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    errors = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, errors
    after = contents(path)
    assert after["alembic_version"] == [{"version_num": revisions()[-1]}]
    assert changed(before, after) == []


# What is broken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bytes_", [b"not a database at all\n" * 99, b"\x00" * 5000, b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_told_apart_and_left_alone(path, bytes_):
    path.write_bytes(bytes_)
    with pytest.raises(Unavailable, match="damaged") as caught:
        open_store(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert path.read_bytes() == bytes_


def test_a_store_whose_pages_were_overwritten_is_told_apart(full, path):
    fill(full, 100, 400)
    full.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(size - 4096 * 3))

    def use() -> None:
        store = open_store(path)
        try:
            store.read_now(lambda tx: (tx.outcomes.failures("support", limit=500), tx.audit.all()))
        finally:
            store.close()

    with pytest.raises(Unavailable, match="damaged") as caught:
        use()
    assert "restore a backup" in caught.value.hint


def test_a_store_that_was_cut_off_is_told_apart(full, path):
    fill(full, 100, 400)
    full.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)

    def use() -> None:
        store = open_store(path)
        try:
            store.read_now(lambda tx: (tx.outcomes.failures("support", limit=500), tx.audit.all()))
        finally:
            store.close()

    with pytest.raises(Unavailable, match="damaged"):
        use()


def test_an_empty_file_becomes_a_store(path):
    path.touch()
    store = open_store(path)
    assert store.read_now(lambda tx: tx.agents.all()) == []
    store.close()


def test_another_program_s_database_is_not_touched(path):
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE bookmarks (url TEXT)")
    raw.execute("INSERT INTO bookmarks VALUES ('https://example.invalid')")
    raw.commit()
    raw.close()
    with pytest.raises(Unavailable, match="another program's database") as caught:
        open_store(path)
    assert "'bookmarks'" in caught.value.message
    assert contents(path) == {"bookmarks": [{"url": "https://example.invalid"}]}


def test_a_directory_that_is_missing_or_in_the_way_is_named(tmp_path):
    for place in (tmp_path / "nowhere" / "store.db", tmp_path):
        with pytest.raises(Unavailable, match="cannot be opened") as caught:
            open_store(place)
        assert "directory" in caught.value.hint


def limited(store: SqlStore, pages: int) -> None:
    """Make the disk as good as full: the file may have no more than so many pages."""

    @event.listens_for(store.engine, "connect")
    def limit(raw: sqlite3.Connection, _record: object) -> None:
        raw.execute(f"PRAGMA max_page_count={pages}")

    store.engine.dispose()


def pages(path: Path) -> int:
    raw = sqlite3.connect(path)
    (count,) = raw.execute("PRAGMA page_count").fetchone()
    raw.close()
    return int(count)


def test_a_full_disk_loses_nothing_that_was_acknowledged_and_keeps_no_half(full, path):
    before = full.read_now(lambda tx: (tx.outcomes.labelled("support"), tx.audit.all()))
    limited(full, pages(path) + 4)
    with pytest.raises(Unavailable, match="the disk is full") as caught:
        fill(full, 1000, 300, size=2000)
    assert "free some space" in caught.value.hint
    assert full.read_now(lambda tx: (tx.outcomes.labelled("support"), tx.audit.all())) == before
    full.close()
    again = open_store(path)
    fill(again, 1000, 300, size=2000)
    assert again.read_now(lambda tx: tx.outcomes.labelled("support")).failure == 350
    assert verify(again.read_now(lambda tx: tx.audit.all())).intact
    again.close()


def test_a_disk_that_fills_up_bit_by_bit_keeps_every_write_that_was_answered(full, path):
    limited(full, pages(path) + 30)
    kept = 0

    def go_on() -> None:
        nonlocal kept
        for number in range(500):
            fill(full, 1000 + number, 1, size=3000)
            kept += 1

    with pytest.raises(Unavailable, match="disk is full"):
        go_on()
    assert kept > 0
    full.close()
    again = open_store(path)
    entries = again.read_now(lambda tx: tx.audit.all())
    again.close()
    assert len(entries) == 50 + kept
    assert verify(entries).intact


def test_a_store_that_cannot_be_written_can_still_be_read_and_says_so(full):
    @event.listens_for(full.engine, "connect")
    def locked(raw: sqlite3.Connection, _record: object) -> None:
        raw.execute("PRAGMA query_only=ON")

    full.engine.dispose()
    assert full.read_now(lambda tx: tx.outcomes.labelled("support")).failure == 50
    with pytest.raises(Unavailable, match="cannot be written") as caught:
        fill(full, 900, 1)
    assert "write access" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_without_write_permission_is_told_apart(full, path):
    full.close()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        with pytest.raises(Unavailable, match=r"cannot be (written|opened)"):
            fill(open_store(path), 900, 1)
    finally:
        path.parent.chmod(0o755)
        path.chmod(0o644)


def test_a_lock_that_is_never_let_go_is_told_apart(full, path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store = open_store(path)
    with pytest.raises(Unavailable, match="is busy") as caught:
        fill(store, 900, 1)
    assert "try again" in caught.value.hint
    assert store.read_now(lambda tx: tx.outcomes.labelled("support")).failure == 50, "readers are not kept waiting"
    other.execute("ROLLBACK")
    other.close()
    fill(store, 900, 1)
    store.close()


def test_a_writer_waits_for_another_one_instead_of_failing(full, path):
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    timer.start()
    fill(full, 900, 1)
    timer.join()
    other.close()
    assert full.read_now(lambda tx: tx.outcomes.labelled("support")).failure == 51


def test_a_process_that_is_killed_in_a_transaction_leaves_a_whole_store(full, path):
    program = (
        "import os, sqlite3, sys\n"
        "raw = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "raw.execute('BEGIN IMMEDIATE')\n"
        "raw.execute('DELETE FROM outcomes')\n"
        "raw.execute('PRAGMA cache_size=1')\n"
        "raw.execute('DELETE FROM traces')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -9
    fill(full, 900, 1)
    assert full.read_now(lambda tx: tx.outcomes.labelled("support")).failure == 51

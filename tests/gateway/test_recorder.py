"""Group commit: what it writes is what the slow way writes, and one bad entry spoils nothing else."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from surefoot.adapters.store import SqlStore, open_store
from surefoot.adapters.store.recorder import GroupCommit
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.score import Outcome
from surefoot.core.trace import Pin, Trace
from surefoot.ports.recorder import Full

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Iterator[SqlStore]:
    shutil.copy(empty_store, tmp_path / "store.db")
    opened = open_store(tmp_path / "store.db")
    yield opened
    opened.close()


def trace(number: int, **more: Any) -> Trace:
    given: dict[str, Any] = {
        "id": f"t{number}", "agent": "a", "version": 1 + number % 2, "unit": f"u{number}", "input": "größe",
        "output": "", "finish": "stop", "at": AT + timedelta(microseconds=number), "slices": {"tenant": "ä"},
        "latency_s": 0.5,
    }  # fmt: skip
    return Trace(**{**given, **more})


async def test_many_at_once_are_kept_as_one_by_one_would_be(store: SqlStore, tmp_path: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, tmp_path / "other.db")
    slow = open_store(tmp_path / "other.db")
    traces = [trace(number) for number in range(40)]
    recorder = GroupCommit(store)
    await asyncio.gather(*(recorder.add(one) for one in traces))
    await recorder.aclose()
    for one in traces:
        slow.write_now(lambda tx, one=one: tx.traces.add(one))

    def rows(which: SqlStore, table: str) -> list[Any]:
        with which.engine.connect() as connection:
            return sorted(tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}"))

    for table in ("traces", "verdict_counts"):
        assert rows(store, table) == rows(slow, table)
        assert rows(store, table)
    assert [store.read_now(lambda tx, one=one: tx.traces.get(one.id)) for one in traces] == traces
    slow.close()


async def test_an_entry_that_cannot_be_kept_spoils_no_other(store: SqlStore) -> None:
    recorder = GroupCommit(store)

    def wrong(_: object) -> None:
        raise Invalid("this one is wrong")

    done = await asyncio.gather(
        recorder.add(trace(1)), recorder.add(trace(1)), recorder.write(wrong), recorder.add(trace(2)),
        recorder.add(trace(3), Outcome(trace_id="t3", verdict="failure", at=AT, source="x")), return_exceptions=True,
    )  # fmt: skip
    await recorder.aclose()
    assert [type(one) for one in done] == [type(None), Unavailable, Invalid, type(None), type(None)]
    assert [store.read_now(lambda tx, n=n: tx.traces.get(f"t{n}").id) for n in (1, 2, 3)] == ["t1", "t2", "t3"]
    assert [one.verdict for one in store.read_now(lambda tx: tx.outcomes.of("t3"))] == ["failure"]


async def test_the_first_pin_of_a_unit_stands_whoever_asks(store: SqlStore) -> None:
    first, second = GroupCommit(store), GroupCommit(store)
    pins = [
        Pin(rollout="r", unit="u", arm=arm, weight_percent=5, epoch=n)
        for n, arm in enumerate(["incumbent", "challenger"])
    ]
    got = [await first.pin(pins[0]), await second.pin(pins[1])]
    assert got == [pins[0], pins[0]]
    await first.aclose()
    await second.aclose()


async def test_what_does_not_fit_is_refused_at_once_and_so_is_what_comes_after_the_end(store: SqlStore) -> None:
    recorder = GroupCommit(store, most=3)
    lock = store.engine.raw_connection()
    lock.cursor().execute("BEGIN IMMEDIATE")
    waiting = [asyncio.ensure_future(recorder.add(trace(number))) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Full, match="3 entries wait"):
        await recorder.add(trace(9))
    lock.rollback()
    lock.close()
    await asyncio.gather(*waiting)
    await recorder.aclose()
    with pytest.raises(Full, match="end"):
        await recorder.add(trace(10))
    assert recorder.load().written == 3
    assert recorder.load().refused == 2


async def test_the_end_waits_for_what_was_taken(store: SqlStore) -> None:
    recorder = GroupCommit(store)
    taken = [asyncio.ensure_future(recorder.add(trace(number))) for number in range(50)]
    await asyncio.sleep(0)
    await recorder.aclose()
    await asyncio.gather(*taken)
    assert store.read_now(lambda tx: tx.traces.seen("a", since=AT)) == 50

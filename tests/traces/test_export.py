"""Export: what leaves is all of it, in bounded memory, without held-out cases, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_house import Door, House

from surefoot.core.exported import COLUMNS, KINDS, cell, jsonl, table, table_head
from surefoot.core.memory import Where
from surefoot.engine import export as room
from surefoot.engine.remember import remember
from surefoot.engine.triage import sort_into_cases


@pytest.fixture(scope="module")
def twenty(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with twenty wrong answers, their cases, and something remembered; made once."""
    folder = tmp_path_factory.mktemp("twenty")
    shutil.copy(ready, folder / "store.db")
    house = House(folder)
    for n in range(20):
        house.ask(f"=cmd|' /C calc'!A{n} say:-1+{n}", expected="refund", session=f"s{n}", slices={"tenant": "a"})
    house.app.store.write_now(lambda tx: sort_into_cases(tx, "support"))
    house.do(remember(house.ports, Where(agent="support"), "k", {"a": [1, 2]}))
    house.app.close()
    return folder / "store.db"


@pytest.fixture
def filled(twenty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(room, "PAGE", 7)
    shutil.copy(twenty, tmp_path / "store.db")
    house = House(tmp_path)
    yield house
    house.app.close()


def rows_of(door: Door, path: str, **query: Any) -> list[dict[str, Any]]:
    got = door.ask("GET", f"/api/v1/agents/support/export/{path}", params=query)
    assert got.status_code == 200, got.text
    if query.get("format") == "csv":
        return list(csv.DictReader(io.StringIO(got.text)))
    return [json.loads(line) for line in got.text.splitlines()]


def test_each_kind_comes_whole_in_its_columns_as_lines_and_as_a_table(filled: House) -> None:
    counts = {"traces": 20, "outcomes": 20, "failures": 20, "memory": 1, "spans": 0}
    with filled.serving() as door:
        for kind in KINDS:
            lines, told = rows_of(door, kind), rows_of(door, kind, format="csv")
            assert len(lines) == len(told) == counts.get(kind, len(lines)), kind
            assert all(tuple(row) == COLUMNS[kind] for row in [*lines, *told])
        lines = rows_of(door, "traces")
        assert len({row["id"] for row in lines}) == 20
        assert [row["at"] for row in lines] == sorted(row["at"] for row in lines)
        newest = lines[-1]["at"]
        assert [row["at"] for row in rows_of(door, "traces", since=newest)] == [newest]


def test_spans_leave_with_their_times_and_go_with_their_person(filled: House) -> None:
    """Sent as an instrumented program sends them, under a trace of its own."""
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "chat", "kind": 3,
        "startTimeUnixNano": "1772442000000000000", "endTimeUnixNano": "1772442000500000000",
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in (
            ("gen_ai.agent.name", "support"), ("user.id", "ann"), ("session.id", "s-otel"),
        )],
    }  # fmt: skip
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    with filled.serving() as door:
        got = door.ask("POST", "/v1/traces", json=body, headers={"content-type": "application/json"})
        assert got.status_code == 200, got.text
        (row,) = rows_of(door, "spans")
        assert (row["name"], row["actor"], row["latency_s"]) == ("chat", "ann", 0.5)
        assert row["started_at"] == "2026-03-02T09:00:00+00:00"
        done = door.ask("DELETE", "/api/v1/actors/ann").json()
        assert done["counts"]["spans"] == 1
        assert rows_of(door, "spans") == []
        assert door.ask("DELETE", "/api/v1/actors/ann").json()["counts"] == {}
        assert door.ask("DELETE", "/api/v1/actors/ann", as_="other").status_code == 403
        assert door.ask("DELETE", "/api/v1/actors/ann", as_="vera").status_code == 403


def test_held_out_cases_never_leave_by_the_api_and_only_when_named_by_the_command(
    filled: House, tmp_path: Path
) -> None:
    splits = {row[0]: row[1] for row in filled.rows("SELECT split, COUNT(*) FROM cases GROUP BY split")}
    assert len(splits) > 1, splits
    with filled.serving() as door:
        assert {row["split"] for row in rows_of(door, "cases")} <= {"shown"}

    async def all_cases(**chosen: bool) -> int:
        return sum([len(page) async for page in room.exported(filled.ports, "support", "cases", **chosen)])

    assert filled.do(all_cases()) == splits.get("shown", 0)
    assert filled.do(all_cases(held_out=True)) == sum(splits.values())


FORMULA = ("=", "+", "-", "@")


@given(st.text(max_size=40) | st.integers() | st.floats(allow_nan=False) | st.none() | st.booleans())
def test_no_cell_is_a_formula_and_every_number_stays_one(value: Any) -> None:
    said = cell(value)
    if isinstance(value, str):
        assert not said.strip(" ").startswith(FORMULA)
        assert said in (value, f"'{value}")
    elif isinstance(value, bool):
        assert said in ("true", "false")
    elif value is not None:
        assert float(said) == float(value)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_a_table_is_read_back_row_by_row(texts: list[str]) -> None:
    kept = [dict.fromkeys(COLUMNS["failures"], text) for text in texts]
    found = list(csv.DictReader(io.StringIO(table_head("failures") + table(kept, "failures"), newline="")))
    assert [row["input"].removeprefix("'") for row in found] == [text.removeprefix("'") for text in texts]
    assert [json.loads(line)["input"] for line in jsonl(kept, "failures").split("\n")[:-1]] == texts


def test_a_stranger_gets_no_export_and_no_agent_is_a_404(filled: House) -> None:
    with filled.serving() as door:
        assert door.ask("GET", "/api/v1/agents/nobody/export/traces").status_code == 404
        assert door.ask("GET", "/api/v1/agents/support/export/everything").status_code == 422
        assert door.ask("GET", "/api/v1/agents/support/export/traces", as_="app").status_code == 403
        assert door.ask("GET", "/api/v1/agents/support/export/traces", as_="other").status_code in (403, 404)


def test_parquet_is_read_back_by_another_program(filled: House, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from surefoot.app import parquet_file

    async def write(file: Callable[[Any], None]) -> None:
        async for page in room.exported(filled.ports, "support", "traces"):
            file(page)

    with parquet_file(tmp_path / "t.parquet", "traces") as file:
        filled.do(write(file))
    found = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["id"] for row in found] == [row[0] for row in filled.rows("SELECT id FROM traces ORDER BY at")]
    assert {json.loads(row["slices"])["tenant"] for row in found} == {"a"}

"""The commands that find, export, keep and erase what was recorded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def asked(scene: Any, cli: Callable[..., Any]) -> list[str]:
    """Six requests of two people, three of them wrong."""
    scene.agent()
    ids: list[str] = []
    for n in range(6):
        answer = cli("ask", "support", f"bill number {n} label: billing", "--source", f"user{n % 2}", "--session",
                     f"s{n % 2}", "--external-id", f"order-{n}", "--slice", f"plan=p{n % 3}", "--json")  # fmt: skip
        ids.append(answer.json["trace"])
        cli("outcome", "--external-id", f"order-{n}", "--agent", "support", "--expected",
            "refund" if n < 3 else "billing", "--json")  # fmt: skip
    return ids


def test_requests_are_found_by_what_is_known_of_them(asked: list[str], cli: Callable[..., Any]) -> None:
    def ids(*options: str) -> list[str]:
        return [one["id"] for one in cli("traces", "support", *options, "--json").json["traces"]]

    assert ids() == asked[::-1]
    assert ids("--text", "NUMBER 4") == [asked[4]]
    assert ids("--verdict", "failure") == asked[2::-1]
    assert ids("--actor", "user1", "--slice", "plan=p0") == [asked[3]]
    assert ids("--session", "s0", "--limit", "1") == [asked[4]]
    assert ids("--since", "1h") == asked[::-1]
    assert ids("--until", "2020-01-01") == []
    assert "not whole" not in cli("traces", "support").out
    assert "bill number 5" in cli("traces", "support").out
    assert cli("traces", "support", "--since", "yesterday", "--json", code=2).error["code"] == "invalid"
    assert [one["session"] for one in cli("sessions", "support", "--json").json["sessions"]] == ["s1", "s0"]


def test_one_request_is_shown_with_what_was_said_of_it(asked: list[str], cli: Callable[..., Any]) -> None:
    whole = cli("trace", asked[0], "--json").json
    assert (whole["trace"]["verdict"], whole["outcomes"][0]["expected"]) == ("failure", "refund")
    assert cli("trace", "order-0", "--agent", "support", "--json").json == whole
    assert "expected refund" in cli("trace", asked[0]).out
    assert cli("trace", "nobody", "--json", code=2).error["code"] == "not_found"
    assert cli("outcome", "--verdict", "success", "--json", code=2).error["code"] == "invalid"


def test_steps_are_shown_as_a_tree_with_bars() -> None:
    from surefoot.cli.traces import WIDTH, bars
    from surefoot.core.span import Span
    from surefoot.core.tree import tree

    def span(name: str, parent: str, start: int, end: int) -> Span:
        return Span(trace_id="t", span_id=name, name=name, agent="a", parent_id=parent, started_ns=start, ended_ns=end)

    lines = bars(tree([span("b", "a", 50, 100), span("a", "", 0, 100), span("c", "b", 75, 100), span("d", "d", 0, 1)]))
    assert [line[0] for line in lines] == ["a", "  b", "    c", "d"]
    assert lines[0][1] == "█" * WIDTH
    assert lines[1][1] == " " * (WIDTH // 2) + "█" * (WIDTH // 2)


def test_an_export_is_a_file_of_rows(asked: list[str], cli: Callable[..., Any], desk: Path) -> None:
    lines = cli("export", "support").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == asked
    table = cli("export", "support", "--what", "outcomes", "--format", "csv").out
    assert [row["trace_id"] for row in csv.DictReader(io.StringIO(table))] == asked
    done = cli("export", "support", "--what", "failures", "--out", "f.jsonl", "--json").json
    assert (done["rows"], len((desk / "f.jsonl").read_text().splitlines())) == (3, 3)
    assert cli("export", "support", "--json", code=2).error["code"] == "invalid"
    assert cli("export", "support", "--format", "parquet", code=2).err.startswith("error: where")
    assert [path.name for path in desk.iterdir() if "part" in path.name] == []


def test_what_is_too_old_goes_when_the_settings_say_so(
    asked: list[str], cli: Callable[..., Any], desk: Path, scene: Any
) -> None:
    assert "everything is kept" in cli("retention").out
    (desk / "surefoot.toml").write_text("[retention]\ntraces_days = 0.000001\n", encoding="utf-8")
    cli("tick", "support")  # sorts them into cases
    would = cli("retention", "--dry-run", "--json").json
    assert (would["counts"], would["dry_run"]) == ({"traces": 6}, True)
    assert cli("retention", "--json").json["counts"]["traces"] == 6
    assert cli("retention", "--json").json["counts"] == {}
    assert cli("traces", "support", "--json").json["traces"] == []
    cli("audit", "verify")
    (desk / "surefoot.toml").write_text("[retention]\ntraces_days = 0\n", encoding="utf-8")
    assert cli("retention", "--json", code=2).error["code"] == "invalid"


def test_a_worker_deletes_once_a_day(asked: list[str], cli: Callable[..., Any], desk: Path) -> None:
    (desk / "surefoot.toml").write_text("[retention]\ntraces_days = 0.000001\n", encoding="utf-8")
    cli("loop", "support", "--ticks", "1")
    assert cli("traces", "support", "--json").json["traces"] == []
    assert "deleted-by-age" in cli("audit", "show").out


def test_a_person_is_erased_by_name_and_on_record(asked: list[str], cli: Callable[..., Any], desk: Path) -> None:
    (desk / ".surefoot" / "surefoot.db.before-0001-upgrade").write_bytes(b"")
    would = cli("erase", "--actor", "user1", "--dry-run", "--json").json
    assert would["counts"]["traces"] == 3
    assert cli("erase", "--actor", "user1", "--json", code=2).error["code"] == "invalid"
    done = cli("erase", "--actor", "user1", "--by", "ana", "--json").json
    assert done["counts"]["traces"] == 3
    assert [Path(path).name for path in done["copies"]] == ["surefoot.db.before-0001-upgrade"]
    assert len(cli("traces", "support", "--json").json["traces"]) == 3
    again = cli("erase", "--actor", "user1", "--by", "ana").out
    assert "nothing was there" in again
    assert "backups" in again
    cli("audit", "verify")

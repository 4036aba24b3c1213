"""`surefoot gate`: a verdict, an exit code and one JSON document, without a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def sides(desk: Path) -> Path:
    kinds = ["science"] * 60 + ["business"] * 40
    for name, wrong in (("old", range(30)), ("new", range(20, 32)), ("trade", range(80, 95))):
        lines = [{"case_id": n, "score": int(n not in wrong), "kind": kind} for n, kind in enumerate(kinds)]
        (desk / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return desk


@pytest.mark.parametrize(
    ("incumbent", "candidate", "decision", "code"),
    [("old", "new", "pass", 0), ("new", "old", "fail", 1), ("old", "old", "inconclusive", 4)],
)
def test_the_exit_code_says_the_decision(
    cli: Any, sides: Path, incumbent: str, candidate: str, decision: str, code: int
) -> None:
    told = cli("gate", "--incumbent", f"{incumbent}.jsonl", "--candidate", f"{candidate}.jsonl", "--json", code=code)
    assert told.json["decision"] == decision
    assert told.json["n"] == 100
    assert {"p", "power", "n_needed", "blocks", "flags"} <= told.json.keys()
    assert not (sides / ".surefoot").exists()


def test_the_slice_that_loses_is_named_on_the_page(cli: Any, sides: Path) -> None:
    asked = ("gate", "--incumbent", "old.jsonl", "--candidate", "trade.jsonl", "--slices", "kind")
    shown = cli(*asked, code=1).out
    assert "fail: Overall 30 gained, 15 lost of 100 cases, but it loses on kind=business." in shown
    assert "blocks kind=business: 15 lost, 0 gained of 40" in shown
    blocks = cli(*asked, "--alpha", ".01", "--json", code=1).json["blocks"]
    assert [(one["slice"], one["lost"]) for one in blocks] == [("kind=business", 15)]


def test_a_missing_case_is_named(cli: Any, sides: Path) -> None:
    (sides / "few.jsonl").write_text('{"case_id": 7, "score": 1}')
    told = cli("gate", "--incumbent", "few.jsonl", "--candidate", "new.jsonl", code=2)
    assert "error: the incumbent lacks 99 of 100 cases: 0, 1, 10, 11, 12 and 94 more" in told.err
    assert "cannot be read" in cli("gate", "--incumbent", "no.jsonl", "--candidate", "new.jsonl", code=3).err

"""`surefoot eval say` and `eval words`: what people say of answers in the open, and the suite that comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SUITE = """\
suite: shop
cases:
- {id: a, input: 'where is it', expected: billing, checks: [equals]}
- {id: b, input: 'kestrel-7741 question', expected: kestrel-7741, checks: [equals], split: sealed}
"""


@pytest.fixture
def run(cli, desk: Path) -> str:
    (desk / "suite.yaml").write_text(SUITE)
    rows = [{"case_id": case, "output": f"{case} answered"} for case in "ab"]
    (desk / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return cli("eval", "run", "suite.yaml", "--recorded", "r.jsonl", "--json", code=1).json["run"]


def test_what_is_said_is_shown_and_becomes_the_expectation(cli, desk: Path, run: str) -> None:
    said = cli(
        "eval", "say", run, "--case", "a", "--by", "ann", "--verdict", "pass", "--expected", "a answered", "--json"
    )
    assert [(one["about"], one["verdict"], one["text"]) for one in said.json["words"]] == [
        ("answer", "pass", ""), ("expected", None, "a answered"),
    ]  # fmt: skip
    cli("eval", "say", run, "--case", "b", "--by", "ann", "--expected", "one")
    cli("eval", "say", run, "--case", "b", "--by", "bob", "--expected", "two")
    shown = cli("eval", "words", run, "--to", "better.yaml", "--json")
    assert shown.json["differ"] == ["b"]
    assert {one["by"] for one in shown.json["words"]} == {"ann", "bob"}
    again = cli("eval", "run", "better.yaml", "--recorded", "r.jsonl", "--json", code=1).json
    assert [one["case"] for one in again["failing"]] == ["b"]
    assert "people differ on b" in cli("eval", "words", run, "--to", "other.yaml").out


@pytest.mark.parametrize(("more", "code"), [
    (["--case", "a", "--by", "ann"], 2),
    (["--case", "a", "--by", "ann", "--verdict", "perhaps"], 2),
    (["--case", "nowhere", "--by", "ann", "--verdict", "pass"], 1),
    (["--case", "a", "--by", "ann", "--verdict", "pass", "--epoch", "7"], 1),
    (["--case", "a", "--by", " ", "--verdict", "pass"], 2),
])  # fmt: skip
def test_a_word_that_says_nothing_or_has_no_answer_is_refused(cli, run: str, more: list[str], code: int) -> None:
    assert cli("eval", "say", run, *more, "--json", code=code).error["hint"]
    assert cli("eval", "words", run, "--json").json["words"] == []


def test_the_document_of_a_run_quotes_no_held_out_case(cli, desk: Path, run: str) -> None:
    """What a job answers over the API is this document; a note of a check may quote what was expected."""
    told = cli("eval", "run", "suite.yaml", "--recorded", "r.jsonl", "--json", code=1)
    assert "kestrel-7741" not in json.dumps(told.json)
    page = cli("eval", "run", "suite.yaml", "--recorded", "r.jsonl", code=1)
    assert "kestrel-7741" not in page.out + page.err
    assert "billing" in page.out, "what is not held out says why"
    assert {one["case"]: bool(one["notes"]) for one in told.json["failing"]} == {"a": True, "b": False}

"""Files of evaluation: nothing is dropped in silence, every complaint names its line, reports say what happened."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.adapters.exam.outside import World
from surefoot.adapters.exam.subjects import CommandSubject
from surefoot.adapters.formats.answers import recorded_subject
from surefoot.adapters.formats.suites import read_suite
from surefoot.adapters.formats.writing import WRITERS, report_text, suite_text, write_suite
from surefoot.core.errors import Conflict, Invalid
from surefoot.core.exam.check import Check
from surefoot.core.exam.contrast import contrast
from surefoot.core.exam.documents import suite_from
from surefoot.core.exam.observed import Observed, ToolCall
from surefoot.core.exam.report import Report
from surefoot.core.exam.run import EvalRun, Spent, run_verdict
from surefoot.core.exam.verdict import Verdict, results

FILES = Path(__file__).parent / "eval_files"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def disabled(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for case, check in read_suite(FILES / name).disabled():
        found.setdefault(case, []).append(check.kind)
    return found


# Reading -------------------------------------------------------------------------------------------------------------


def test_our_own_suite_is_read_with_its_folder():
    suite = read_suite(FILES / "suite.yaml")
    assert (suite.name, suite.origin, suite.min_pass) == ("refunds", "file", 0.5)
    assert Path(suite.root) == FILES
    assert suite.cases[1].scorers == ("no_secret_leak", "max_tool_calls", "expected_tool_calls")
    assert suite.cases[1].tags == ("shop",)


def test_promptfoo_is_carried_over_and_what_is_not_is_listed():
    suite = read_suite(FILES / "promptfoo.yaml")
    hours, script, again = suite.cases
    assert hours.text == "You answer for a shop. Question: When do you open?"
    assert script.text.endswith("Give me JSON about refunds")
    assert hours.scorers[:3] == ("max_latency", "contains", "not_contains")
    assert hours.criteria == ("The answer names the opening hour.",)
    assert disabled("promptfoo.yaml") == {"script": ["javascript", "similar", "python"]}
    assert [c.kind for c in again.active] == ["max_latency", "refuses", "contains", "max_cost"]
    assert (script.id, again.id) == ("script", "script-2")
    assert any("first of 2 prompts" in note for note in suite.notes)
    assert next(c for c in hours.checks if c.kind == "max_latency").value == 4.0


def test_inspect_samples_are_carried_over():
    suite = read_suite(FILES / "inspect.jsonl")
    assert [case.id for case in suite.cases] == ["capital", "7", "sample-3", "sample-4"]
    assert [m.role for m in suite.cases[1].input] == ["system", "user"]
    assert "B) apple" in suite.cases[2].text
    assert disabled("inspect.jsonl") == {"sample-4": ["sandbox"]}
    table = read_suite(FILES / "inspect.csv", "inspect")
    assert table.cases[0].text == "What is 2 + 2, please?"
    assert "A) pear" in table.cases[1].text


async def test_several_targets_mean_one_of_them():
    case = read_suite(FILES / "inspect.jsonl").cases[3]
    check = next(c for c in case.active)
    states = [(await World().finding(check, case, Observed(output=text), "")).state for text in (" Azure\n", "blueish")]
    assert states == ["passed", "failed"]


async def test_openai_samples_match_from_the_beginning():
    suite = read_suite(FILES / "openai.jsonl")
    check = suite.cases[1].active[0]
    states = [
        (await World().finding(check, suite.cases[1], Observed(output=t), "")).state for t in ("blue it is", "a blue")
    ]
    assert states == ["passed", "failed"]
    assert suite.cases[2].scorers == ()
    assert any("no check" in note for note in suite.notes)


def test_pydantic_evals_are_carried_over():
    suite = read_suite(FILES / "pydantic.yaml")
    simple, judged = suite.cases
    assert (suite.name, simple.text) == ("support", "What is the capital of France?")
    assert simple.scorers == ("max_latency", "equals")
    assert judged.criteria == ("The answer is a joke.",)
    assert disabled("pydantic.yaml") == {"simple": ["IsInstance"], "judged": ["IsInstance", "HasMatchingSpan"]}


def test_agno_cases_are_carried_over():
    factorial, polite = read_suite(FILES / "agno.yaml").cases
    assert [call.name for call in factorial.expected_tool_calls] == ["multiply", "exponentiate"]
    assert (factorial.allow_additional_tool_calls, factorial.epochs) == (False, 2)
    assert polite.criteria == ("The answer greets back.",)
    assert disabled("agno.yaml") == {"polite": ["performance"]}


@pytest.mark.parametrize("name", ["promptfoo.yaml", "inspect.jsonl", "openai.jsonl", "pydantic.yaml", "agno.yaml"])
def test_what_was_imported_is_written_and_read_back_the_same(name, tmp_path):
    suite = read_suite(FILES / name)
    assert suite.origin == "import"
    for target in (tmp_path / "suite.yaml", tmp_path / "suite.jsonl"):
        write_suite(suite, target)
        again = read_suite(target, "surefoot")
        assert [case.document() for case in again.cases] == [case.document() for case in suite.cases]
        with pytest.raises(Conflict):
            write_suite(suite, target)


def test_an_import_never_brings_code_that_runs(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("tests:\n- vars: {q: x}\n  assert:\n  - {type: python, value: 'import os'}\n")
    suite = read_suite(path)
    assert suite.cases[0].active == ()
    assert not any(check.kind in ("python", "command") and not check.disabled for check in suite.cases[0].checks)


@pytest.mark.parametrize(("name", "text", "words"), [
    ("a.yaml", "cases:\n- id: a\n  input: q\n- id: b\n  inputt: q\n", "line 4.*inputt"),
    ("a.yaml", "cases:\n- id: a\n  input: q\n  input: r\n", "line 4.*twice"),
    ("a.yaml", "cases:\n- id: a\n input: q\n", "line 3"),
    ("a.yaml", "cases:\n- id: a\n  input: q\n  checks:\n  - contain: x\n", "line 2.*no check"),
    ("a.yaml", "cases:\n- id: a\n  input: yes\n", "line 2.*neither a text"),
    ("a.yaml", "cases: !!python/object/apply:os.system [ls]\n", "line 1"),
    ("a.yaml", "", "no list of cases"),
    ("a.jsonl", '{"id": "a", "input": "q"}\n\n{"id": "b", "input": }\n', "line 3"),
    ("a.jsonl", '{"id": "a", "input": "q"}\n[1]\n', "line 2.*no object"),
    ("a.jsonl", '{"id": "a", "input": "q", "input": "r"}\n', "line 1.*twice"),
    ("a.jsonl", '{"id": "a", "input": "q", "threshold": NaN}\n', "line 1"),
    ("a.json", '{"cases": [\n{"id": "a",}\n]}', "line 2"),
    ("a.csv", "input,target\nq,t\nq\n", "line 3: 1 values"),
    ("a.csv", 'input,target\nq,"t\n', "line"),
    ("a.toml", "x = 1", "are not read"),
])  # fmt: skip
def test_a_malformed_file_is_refused_with_its_line(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(Invalid, match=f"(?s){words}"):
        read_suite(path)


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": "a"}\n{"id": "\xff"}\n')
    with pytest.raises(Invalid, match="line 2"):
        read_suite(path)


def test_a_yaml_bomb_does_not_unfold(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(Invalid, match="million"):
        read_suite(path)
    path.write_text("a: &a [*a]\n")
    with pytest.raises(Invalid):
        read_suite(path)


@given(st.text(max_size=200))
def test_no_text_makes_a_reader_crash(text):
    from surefoot.adapters.formats.lines import read_csv, read_json, read_lines, read_yaml

    for read in (read_yaml, read_json, lambda t, s: list(read_lines(t, s)), lambda t, s: list(read_csv(t, s))):
        complaint = "file"
        try:
            read(text, "file")
        except Invalid as problem:
            complaint = problem.message
        assert complaint.startswith("file")


async def test_recorded_answers_come_by_trial():
    subject = recorded_subject(FILES / "answers.jsonl")
    case = read_suite(FILES / "suite.yaml").cases[1]
    first, second = await subject.answer(case, 0), await subject.answer(case, 1)
    assert first.calls[0].state == "clean"
    assert (second.finish, first.cost) == ("error", None)


# Checks that need the world ------------------------------------------------------------------------------------------

CASE = suite_from([{"id": "a", "input": "q"}], name="s", origin="file").cases[0]


async def said(check: Check, text: str, root: str = "") -> str:
    return (await World().finding(check, CASE, Observed(output=text), root)).state


@pytest.mark.parametrize(("schema", "text", "wanted"), [
    ({"type": "object", "required": ["a"]}, '{"a": 1}', "passed"),
    ({"type": "object", "required": ["a"]}, "{}", "failed"),
    ({"type": "object"}, "no json", "failed"),
    ({"type": "nonsense"}, "{}", "errored"),
    ({"$ref": "http://192.0.2.1/schema.json"}, "{}", "errored"),
])  # fmt: skip
async def test_a_schema_is_applied_and_nothing_is_fetched(schema, text, wanted):
    assert await said(Check(kind="json_schema", value=schema), text) == wanted


async def test_an_expression_that_takes_for_ever_is_errored():
    assert await said(Check(kind="regex", value="(a|aa)+$"), "a" * 40 + "b") == "errored"
    assert await said(Check(kind="regex", value="(?:(?:(?:a?){200}){200}){200}"), "aaa") == "errored"
    assert await said(Check(kind="regex", value="^A", params={"ignore_case": True}), "abc") == "passed"


@pytest.mark.parametrize(("body", "wanted"), [
    ("return answer['output'] == 'x'", "passed"),
    ("return False", "failed"),
    ("return 0.9", "passed"),
    ("return (False, 'no')", "failed"),
    ("print('noise'); return True", "passed"),
    ("return None", "errored"),
    ("return 7", "errored"),
    ("return 'yes'", "errored"),
    ("raise RuntimeError('x')", "errored"),
    ("import time; time.sleep(60)", "errored"),
    ("import os; os._exit(0)", "errored"),
])  # fmt: skip
async def test_a_python_check_says_yes_or_no_or_nothing(tmp_path, body, wanted):
    (tmp_path / "checks.py").write_text(f"def judge(answer, case):\n    {body}\n")
    check = Check(kind="python", value="checks.py:judge", params={"timeout_s": 2})
    assert await said(check, "x", str(tmp_path)) == wanted


async def test_code_comes_only_from_the_suites_folder(tmp_path, monkeypatch):
    folder = tmp_path / "suite"
    folder.mkdir()
    (tmp_path / "evil.py").write_text("def judge(answer, case):\n    return True\n")
    (folder / "link.py").symlink_to(tmp_path / "evil.py")
    for value in ("../evil.py:judge", f"{tmp_path}/evil.py:judge", "link.py:judge", "no.py:judge", "evil.py"):
        assert await said(Check(kind="python", value=value), "x", str(folder)) == "errored"
    assert await said(Check(kind="command", value=["true"]), "x", "") == "errored"


@pytest.mark.parametrize(("line", "wanted"), [
    ("exit 0", "passed"), ("exit 1", "failed"), ("exit 2", "errored"), ("kill -9 $$", "errored"),
    ("sleep 60", "errored"),
    ('grep -q \'"output": "x"\'', "passed"), ('test -z "$SECRET"', "passed"),
])  # fmt: skip
async def test_a_command_says_yes_by_0_and_no_by_1_and_sees_no_secrets(tmp_path, monkeypatch, line, wanted):
    monkeypatch.setenv("SECRET", "s3cret")
    check = Check(kind="command", value=["sh", "-c", line], params={"timeout_s": 1})
    assert await said(check, "x", str(tmp_path)) == wanted


async def test_a_program_can_be_examined(tmp_path):
    reply = '{"output": "hi", "tool_calls": [{"name": "t", "status": "refused"}], "cost_usd": 0.5}'
    seen = await CommandSubject(["sh", "-c", f"cat >/dev/null; echo '{reply}'"], str(tmp_path)).answer(CASE, 0)
    assert (seen.output, seen.calls[0].state, seen.cost.usd) == ("hi", "refused", 0.5)
    for line in ("exit 3", "echo no json", 'echo \'{"finish": "maybe"}\''):
        broken = await CommandSubject(["sh", "-c", f"cat >/dev/null; {line}"], str(tmp_path)).answer(CASE, 0)
        assert (broken.finish, broken.whole) == ("error", False)
    assert not (await CommandSubject(["/no/such/program"], str(tmp_path)).answer(CASE, 0)).whole


# Reports -------------------------------------------------------------------------------------------------------------

NASTY = "x|y`z\n@team <script>&\x00\x1b[31m ]]> ✓ =1+1"


def a_report(*, compare: bool = True) -> Report:
    rows = [{"id": f"c{n}", "input": "q", "expected": "x", "checks": ["equals"]} for n in range(4)]
    rows[3]["id"] = NASTY
    suite = suite_from({"suite": "su|te", "cases": rows}, name="s", origin="file")
    states = ["passed", "failed", "errored", "failed"]
    verdicts = tuple(
        Verdict(case.id, 0, "equals", state, None, NASTY) for case, state in zip(suite.cases, states, strict=True)
    )
    run = EvalRun(id="r2", suite=suite.name, suite_digest="d", subject="bot <v2>", subject_digest="x", state="done",
                  started_at=NOW, planned=4)  # fmt: skip
    found = results(suite.cases, verdicts)
    good = results(suite.cases, [replace(v, state="passed") for v in verdicts])
    return Report(
        run=run, suite=suite, results=found, verdicts=verdicts, spent=Spent(answers=4),
        verdict=run_verdict(run, suite.cases, found, min_pass=1.0, max_errored=0.5),
        answers={(case.id, 0): Observed(output=f"={NASTY}", calls=(ToolCall(name="t"),)) for case in suite.cases},
        contrast=contrast((replace(run, id="r1"), suite.cases, good), (run, suite.cases, found)) if compare else None,
    )  # fmt: skip


# Elements, attributes and children as Jenkins' junit-10 schema has them (* is required).
SCHEMA = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, set(), ["testsuite"]),
    "testsuite": ({"name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id",
                   "package"}, {"name", "tests"}, ["properties", "testcase", "system-out", "system-err"]),
    "properties": (set(), set(), ["property"]),
    "property": ({"name", "value"}, {"name", "value"}, []),
    "testcase": ({"name", "assertions", "time", "classname", "status", "class", "file", "line"}, {"name"},
                 ["skipped", "error", "failure", "system-out", "system-err"]),
    "skipped": ({"message", "type"}, set(), []),
    "error": ({"message", "type"}, set(), []),
    "failure": ({"message", "type"}, set(), []),
}  # fmt: skip


def conforms(element: ET.Element) -> None:
    allowed, required, children = SCHEMA[element.tag]
    assert set(element.attrib) <= allowed
    assert required <= set(element.attrib)
    tags = [child.tag for child in element]
    assert tags == sorted(tags, key=children.index)
    for child in element:
        conforms(child)


def test_junit_keeps_to_its_schema_and_counts_what_it_holds():
    root = ET.fromstring(report_text(a_report(), "junit"))
    conforms(root)
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "2", "1")
    assert [child.tag for case in suite.iter("testcase") for child in case] == ["failure", "error", "failure"]


@given(st.text(max_size=60))
def test_junit_holds_any_text(text):
    report = a_report(compare=False)
    noted = tuple(replace(one, note=text) for one in report.verdicts)
    found = results(report.suite.cases, noted)
    text = report_text(replace(report, verdicts=noted, results=found), "junit").encode("utf-8", "surrogatepass")
    assert len(list(ET.fromstring(text).iter("testcase"))) == 4


def test_the_comment_shows_regressions_first_and_nothing_in_it_acts():
    text = report_text(a_report(), "markdown")
    assert text.index("Regressed") < text.index("did not pass")
    outside = "".join(part for n, part in enumerate(text.split("`")) if n % 2 == 0)
    assert "@team" not in outside
    assert "<script>" not in outside
    assert text.count("`") % 2 == 0
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in (5, 4, 8)


def test_no_cell_of_the_csv_is_a_formula():
    rows = list(csv.DictReader(io.StringIO(report_text(a_report(), "csv"))))
    assert len(rows) == 4
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@")]


@pytest.mark.parametrize("start", [" ", "   ", "\n", "\r", "\t", " \n"])
def test_no_cell_of_the_csv_is_a_formula_behind_what_a_spreadsheet_passes_over(start):
    report = a_report(compare=False)
    noted = tuple(replace(one, note=f"{start}=HYPERLINK(0)") for one in report.verdicts)
    rows = list(csv.DictReader(io.StringIO(report_text(replace(report, verdicts=noted), "csv"), newline="")))
    assert {row["note"] for row in rows} == {f"'{start}=HYPERLINK(0)"}


def test_the_inspect_log_has_a_score_for_each_scorer():
    log = json.loads(report_text(a_report(), "inspect"))
    assert (log["version"], log["status"], log["results"]["total_samples"]) == (2, "success", 4)
    assert [sample["scores"]["equals"]["value"] for sample in log["samples"]] == ["C", "I", "N", "I"]
    assert log["results"]["scores"][0]["metrics"]["accuracy"]["value"] == pytest.approx(1 / 3)


def test_every_report_is_written_and_an_unknown_one_refused():
    for form in WRITERS:
        assert report_text(a_report(), form)
    with pytest.raises(Invalid, match="no report"):
        report_text(a_report(), "pdf")


# Real data -----------------------------------------------------------------------------------------------------------


async def test_recorded_trials_of_an_airline_agent_keep_to_pass_k(shared):
    from surefoot.core.exam.passk import pass_k

    path = shared / "data" / "recorded" / "tool_agents" / "tau_airline_gpt4o.jsonl.gz"
    from surefoot.adapters.formats.lines import read_lines, text_of

    trials: dict[str, list[bool]] = {}
    for row in read_lines(text_of(path), path.name):
        trials.setdefault(str(row["case_id"]), []).append(bool(row["success"]))
    counts = [(sum(seen), len(seen)) for seen in trials.values()]
    curve = [pass_k(counts, k).value for k in (1, 2, 3, 4)]
    assert len(counts) == 20
    assert curve[0] == pytest.approx(sum(s for s, _ in counts) / 80)
    assert curve[3] == pytest.approx(sum(s == n for s, n in counts) / 20)
    assert curve == sorted(curve, reverse=True)
    subject = recorded_subject(path)
    assert len(subject._recorded) == 20


def test_real_tool_tasks_become_suites(shared, tmp_path):
    from surefoot.adapters.formats.lines import read_lines, text_of

    path = shared / "data" / "tool_agents" / "tau_retail_tasks_dev.jsonl"
    rows = [
        {"id": row["case_id"], "input": row["instruction"], "allow_additional_tool_calls": True,
         "expected_tool_calls": [{"name": one["name"], "args": one["kwargs"]} for one in row["actions"]],
         "checks": ["no_secret_leak"]}
        for row in read_lines(text_of(path), path.name)
    ]  # fmt: skip
    suite = suite_from(json.loads(json.dumps(rows)), name="tau", origin="file")
    target = tmp_path / "tau.yaml"
    write_suite(suite, target)
    assert read_suite(target).cases == read_suite(target).cases
    assert [case.document() for case in read_suite(target).cases] == [case.document() for case in suite.cases]
    assert "tau-retail-dev-0" in suite_text(suite)

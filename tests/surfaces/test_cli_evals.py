"""`surefoot eval`: exit codes that CI can trust, and files in and out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
SUITE = """\
suite: shop
cases:
- {id: a, input: 'label:billing', expected: billing, checks: [equals], severity: must}
- {id: b, input: 'label:refund', expected: refund, checks: [equals], tags: [slow]}
"""


def recording(path: Path, **answers: str) -> str:
    path.write_text("".join(json.dumps({"case_id": case, "output": said}) + "\n" for case, said in answers.items()))
    return str(path)


@pytest.fixture
def suite(desk):
    (desk / "suite.yaml").write_text(SUITE)
    return "suite.yaml"


@pytest.mark.parametrize(("answers", "options", "code", "word"), [
    ({"a": "billing", "b": "refund"}, [], 0, "pass"),
    ({"a": "billing", "b": "no"}, [], 1, "fail"),
    ({"a": "billing", "b": "no"}, ["--min-pass", "0.5"], 0, "pass"),
    ({"a": "no", "b": "refund"}, ["--min-pass", "0"], 1, "fail"),
    ({"a": "billing"}, [], 3, "too_many_errored"),
    ({"a": "billing", "b": "refund"}, ["--tag", "slow"], 4, "inconclusive"),
])  # fmt: skip
def test_the_exit_code_says_what_the_run_means(cli, desk, suite, answers, options, code, word):
    ran = cli("eval", "run", suite, "--recorded", recording(desk / "r.jsonl", **answers), *options, "--json", code=code)
    assert (ran.json["verdict"], ran.json["exit_code"]) == (word, code)
    assert ran.json["spent"]["known"] is False


@pytest.mark.parametrize(("arguments", "hint"), [
    (["suite.yaml"], "--agent"),
    (["suite.yaml", "--recorded", "r.jsonl", "--command", "x"], "--agent"),
    (["suite.yaml", "--recorded", "r.jsonl", "--tag", "none"], "eval list"),
    (["none.yaml", "--recorded", "r.jsonl"], "name a suite"),
    ([], "--help"),
    (["--resume", "nothing"], "eval list"),
])  # fmt: skip
def test_what_is_wrong_or_matches_nothing_is_exit_code_2(cli, desk, suite, arguments, hint):
    recording(desk / "r.jsonl", a="billing", b="refund")
    ran = cli("eval", "run", *arguments, "--json", code=2)
    assert hint in ran.error["hint"]


def test_an_agent_is_examined_and_two_versions_compared(cli, scene, desk):
    scene.candidate(scene.agent())
    rows = [{"id": f"c{n}", "input": f"question {n} label:refund", "expected": "refund", "checks": ["equals"],
             "slice": {"topic": "refund"}} for n in range(12)]  # fmt: skip
    (desk / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = cli("eval", "run", "s.jsonl", "--agent", "support", "--json", code=1).json
    after = cli(
        "eval", "run", "s.jsonl", "--agent", "support", "--version", "2", "--against", before["run"], "--json"
    ).json
    assert after["compare"]["word"] == "better"
    seen = cli("eval", "compare", before["run"], after["run"], "--json").json
    assert (seen["word"], seen["gained"], seen["lost"]) == ("better", 12, 0)
    assert cli("eval", "compare", after["run"], before["run"], "--json", code=1).json["word"] == "worse"
    same = cli("eval", "compare", before["run"], before["run"], "--json", code=4).json
    assert same["word"] == "inconclusive"
    assert "better" in cli("eval", "compare", before["run"], after["run"]).out


def test_what_failed_is_run_again_and_only_a_full_run_passes(cli, desk, suite):
    first = cli(
        "eval", "run", suite, "--recorded", recording(desk / "r.jsonl", a="billing", b="no"), "--json", code=1
    ).json
    child = cli("eval", "run", "--rerun-failing", first["run"], "--json", code=1).json
    assert (child["scope"], child["cases"]) == ("failing", 1)


def test_a_budget_stops_a_run_and_a_resume_goes_on(cli, desk, suite):
    (desk / "bot.py").write_text("import json,sys\nasked = json.load(sys.stdin)['input']\n"
                                 "print(json.dumps({'output': asked.split(':')[1], 'cost_usd': 0.5}))\n")  # fmt: skip
    program = f"{sys.executable} bot.py"
    ran = cli("eval", "run", suite, "--command", program, "--max-calls", "1", "--json", code=4).json
    assert (ran["state"], ran["missing"], ran["spent"]["usd"]) == ("stopped", 1, 0.5)
    done = cli("eval", "run", "--resume", ran["run"], "--max-calls", "5", "--json").json
    assert (done["state"], done["verdict"], done["spent"]["answers"]) == ("done", "pass", 2)
    text = cli("eval", "run", "--resume", ran["run"]).out
    assert "2 passed" in text


def test_ctrl_c_is_130_and_keeps_what_finished(desk, suite):
    rows = [{"id": f"c{n}", "input": "x", "expected": "x", "checks": ["equals"]} for n in range(2000)]
    (desk / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    program = 'sh -c \'sleep 0.15; echo {\\"output\\":\\"x\\"}\''
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "surefoot", "eval"]
    running = subprocess.Popen(
        [*command, "run", "s.jsonl", "--command", program, "--concurrency", "2"], env=environ, cwd=desk,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def seen() -> dict:
        listed = subprocess.run([*command, "list", "--json"], env=environ, cwd=desk, capture_output=True, text=True)
        return json.loads(listed.stdout)["runs"][0] if listed.returncode == 0 and '"runs": [\n' in listed.stdout else {}

    for _ in range(60):
        if seen():
            break
        time.sleep(0.1)
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 130, out + err
    assert seen()["state"] == "cancelled"


def test_three_workers_share_a_run(cli, desk):
    (desk / "bot.py").write_text(
        "import json, sys\nasked = json.load(sys.stdin)['input']\n"
        "open('asked.txt', 'a').write(f'{asked}\\n')\nprint(json.dumps({'output': asked}))\n"
    )
    rows = [{"id": f"c{n}", "input": f"q{n}", "expected": f"q{n}", "checks": ["equals"]} for n in range(40)]
    (desk / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = cli("eval", "run", "s.jsonl", "--command", f"{sys.executable} bot.py", "--workers", "3", "--concurrency", "2",
              "--json").json  # fmt: skip
    assert (ran["verdict"], ran["passed"]) == ("pass", 40)
    assert sorted((desk / "asked.txt").read_text().split()) == sorted(f"q{n}" for n in range(40))


def test_a_suite_is_listed_with_what_proves_nothing(cli, desk):
    (desk / "p.yaml").write_text(
        "prompts: ['{{q}}']\ntests:\n- vars: {q: hi}\n  assert:\n  - {type: javascript, value: x}\n"
    )
    listed = cli("eval", "list", "p.yaml", "--json").json
    assert listed["cases"][0]["scorers"] == []
    assert listed["disabled"][0]["kind"] == "javascript"
    assert "errored in every run" in cli("eval", "list", "p.yaml").out
    made = cli("eval", "import", "p.yaml", "--to", "s.yaml", "--json").json
    assert (made["cases"], made["unchecked"]) == (1, ["test-1"])
    cli("eval", "import", "p.yaml", "--to", "s.yaml", code=1)
    answers = recording(desk / "r.jsonl", **{"test-1": "x"})
    assert cli("eval", "run", "s.yaml", "--recorded", answers, "--json", code=3).json["errored"] == 1


def test_a_run_is_exported_and_listed(cli, desk, suite):
    ran = cli("eval", "run", suite, "--recorded", recording(desk / "r.jsonl", a="billing", b="refund"),
              "--junit", "j.xml", "--markdown", "m.md", "--json").json  # fmt: skip
    assert "<testsuites" in (desk / "j.xml").read_text()
    assert "pass" in (desk / "m.md").read_text()
    for form in ("junit", "markdown", "inspect", "csv", "json"):
        assert cli("eval", "export", ran["run"], "--as", form, "--json").json["text"]
    cli("eval", "export", ran["run"], "--as", "pdf", code=2)
    assert [row["verdict"] for row in cli("eval", "list", "--json").json["runs"]] == ["pass"]
    for missing in ((), ("--by", "olga"), ("--why", "enough"), ("--by", " ", "--why", " ")):
        assert "--by NAME" in cli("eval", "cancel", ran["run"], *missing, code=2).err
    cli("eval", "cancel", ran["run"], "--by", "olga", "--why", "enough", code=1)
    assert cli("eval", "label", ran["run"], "--json").json["worth"]["labels"] == 0


def test_a_trace_becomes_a_draft(cli, scene, desk):
    scene.agent()
    trace = scene.traffic(1)[0]
    cli("eval", "import", trace, "--agent", "support", "--to", "draft.yaml")
    text = (desk / "draft.yaml").read_text()
    assert "draft: true" in text
    assert "expected: billing" in text
    ran = cli("eval", "run", "draft.yaml", "--agent", "support", "--json", code=2)
    assert "no case" in ran.error["message"]

"""The loop on a repository by command: init, levers, tick, loop, lessons, report, rollback, and a real kill -9."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

AGENT = """\
import json, pathlib, sys, time
prompt = pathlib.Path(sys.argv[1]).read_text()
if pathlib.Path({slow!r}).exists():
    pathlib.Path("src/started").write_text("")
    time.sleep(60)
lever = prompt.split("this tick: ")[1][:5]
pathlib.Path(f"src/{{lever}}.py").write_text("BROKEN" if "fail me" in prompt else "x = 1\\n")
print(json.dumps({{"status": "ok", "summary": "did " + lever, "cost_usd": 0.5}}))
"""
CHECK = "import pathlib, sys\nsys.exit(any('BROKEN' in p.read_text() for p in pathlib.Path('src').glob('*.py')))\n"


def git(*words: str) -> str:
    person = ("-c", "user.name=Person", "-c", "user.email=person@localhost", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *person, *words], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def project(desk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> Path:
    """A git repository in the working directory, with a program that plays the coding agent."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    outside = tmp_path_factory.mktemp("agent")
    (outside / "agent.py").write_text(AGENT.format(slow=str(outside / "slow")))
    (desk / "src").mkdir()
    (desk / "src" / "a.py").write_text("a = 1\n")
    (desk / "check.py").write_text(CHECK)
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "start")
    return outside


@pytest.fixture
def started(cli, project):
    """The same with the four files committed and one lever."""
    program = f"{sys.executable} {project / 'agent.py'} {{prompt_file}}"
    cli("init", "--repo", ".", "--mission", "Make it good", "--command", program, "--gate", "test=python3 check.py")
    cli("levers", "add", "First", "--value", "5", "--scope", "src/**")
    git("add", "-A")
    git("commit", "-qm", "the loop")
    return project


def test_init_finds_the_gates_writes_four_files_and_touches_nothing_that_is_there(cli, desk, project):
    (desk / "go.mod").write_text("module x\n")
    (desk / "surefoot.toml").write_text('durability = "full"\n')
    told = cli("init", "--repo", "--mission", "Make it good", "--agent", "codex", "--json").json
    assert [one["name"] for one in told["gates"]] == ["go vet", "go build", "go test"]
    assert (told["agent"], told["base"], told["kept"]) == ("codex", "main", [])
    assert (desk / "surefoot.toml").read_text().startswith('durability = "full"\n\n[repo]\n')
    before = {name: (desk / name).read_bytes() for name in told["written"]}
    assert set(before) == {"genome.md", "levers.md", "loop-prompt.md", "surefoot.toml"}
    again = cli("init", "--repo", "--json").json
    assert (again["written"], again["mission"]) == ([], "Make it good")
    assert {name: (desk / name).read_bytes() for name in before} == before
    assert git("status", "--porcelain").count("surefoot.db") == 0


def test_init_asks_for_what_it_needs(cli, desk, project):
    assert "mission" in cli("init", "--repo", "--json", code=2).error["message"]
    assert (
        "no gate" in cli("init", "--repo", "--mission", "x", "--gate", "vibes=good", "--json", code=2).error["message"]
    )
    hides = cli("init", "--repo", "--mission", "x", "--gate", 'test=sh -c "make | tail"', "--json", code=2)
    assert "pipefail" in hides.error["message"]
    cli("init", "--repo", "elsewhere", "--mission", "x", code=2)
    assert not (desk / "genome.md").exists()


def test_a_morning_from_the_first_lever_to_the_report_and_back(cli, desk, started):
    told = cli("tick", "--repo", "--json").json
    assert (told["outcome"], told["lever"], told["branch"], told["cost_usd"]) == (
        "shipped",
        "L-001",
        "surefoot/loop",
        0.5,
    )
    assert "x = 1" in git("show", "surefoot/loop:src/L-001.py")
    cli("levers", "add", "Second", "--value", "3", "--scope", "src/**", "--text", "fail me please")
    cli("levers", "add", "Third", "--value", "1", "--scope", "src/**")
    assert cli("tick", "--repo", "--json").json["outcome"] == "gate_failed"
    listed = cli("levers", "--repo", "--json").json["levers"]
    assert [(one["id"], one["status"], one["tries"]) for one in listed] == [
        ("L-002", "open", 1), ("L-003", "open", 0), ("L-001", "shipped", 0),
    ]  # fmt: skip
    assert cli("levers", "rank", "L-003", "--value", "9", "--json").json["levers"][0]["id"] == "L-003"
    assert cli("levers", "close", "L-002", "--why", "later", "--json").json["changed"] == "L-002"
    assert cli("tick", "--repo", "--json").json["lever"] == "L-003"
    cli("lessons", "--repo", "--add", "Mind the gap", "--by", "Ada")
    assert "Mind the gap" in [one["text"] for one in cli("lessons", "--repo", "--json").json["lessons"]]
    report = cli("report", "--markdown", "r.md", "--html", "r.html", "--json").json
    assert [[row["lever"] for row in report[key]] for key in ("shipped", "failed")] == [["L-001", "L-003"], ["L-002"]]
    assert report["cost"][0]["text"] == "1.50 USD in 3 ticks"
    assert "## Needs you" in (desk / "r.md").read_text()
    assert "<h2>Shipped</h2>" in (desk / "r.html").read_text()
    back = cli("rollback", "--lever", "L-001", "--by", "Ada", "--why", "too early", "--json").json
    assert git("log", "-1", "--format=%s", back["revert"]) == "Revert L-001: First"
    assert git("ls-tree", "-r", "--name-only", "surefoot/loop", "src/").splitlines() == ["src/L-003.py", "src/a.py"]
    assert [one["status"] for one in cli("levers", "--repo", "--json").json["levers"] if one["id"] == "L-001"] == [
        "open"
    ]
    assert "already" in cli("rollback", "--lever", "L-001", "--by", "Ada", "--json", code=1).error["message"]
    assert cli("audit", "verify", "--json").json["intact"]
    assert cli("levers", desk.name, "--json").json["levers"]


def test_words_for_people_say_the_same(cli, desk, started):
    assert "tick 1: shipped L-001 First" in cli("tick", "--repo").out
    assert re.search(r"L-001\s+shipped", cli("levers", "--repo", "--log").out)
    assert "Shipped\n  L-001 First" in cli("report").out
    assert "no lever is open" in cli("tick", "--repo").out


def test_a_broken_file_is_told_with_its_line_and_exit_code_2(cli, desk, started):
    (desk / "levers.md").write_text((desk / "levers.md").read_text().replace("- value: 5\n- cost: 1", "- cost: 1"))
    problem = cli("tick", "--repo", "--json", code=2).error
    assert re.match(r"levers\.md, line \d+: the lever has no value", problem["message"])
    assert problem["hint"]


def test_the_loop_works_through_the_levers_by_its_schedule_and_ends_when_none_is_open(cli, desk, started):
    cli("levers", "add", "Second", "--scope", "src/**")
    told = cli("loop", "--repo", "--every", "0.1s", "--until-idle", "--json").json
    assert (told["ended"], [one["lever"] for one in told["ticks"]]) == ("idle", ["L-001", "L-002"])


def test_a_command_that_needs_a_name_says_so(cli, desk, project):
    for words in (("tick",), ("loop",), ("levers",), ("lessons",), ("init",), ("rollback", "--by", "Ada")):
        assert "name" in cli(*words, "--json", code=2).error["message"], words


def test_doctor_says_which_coding_agents_are_here(cli, desk):
    names = [one["name"] for one in cli("doctor", "--json").json["checks"]]
    assert [name for name in names if name.startswith("coding agent")] == [
        "coding agent claude", "coding agent codex", "coding agent gemini",
    ]  # fmt: skip


def test_a_tick_that_is_killed_with_kill_nine_is_finished_by_the_next_one(cli, desk, started, environment):
    (started / "slow").touch()
    environ = {**environment, "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}
    process = subprocess.Popen([sys.executable, "-m", "surefoot", "tick", "--repo"], env=environ,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    until = time.monotonic() + 60
    cache = Path(environ["XDG_CACHE_HOME"])
    while not list(cache.glob("surefoot/*/tick-1-0/src/started")) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (started / "slow").unlink()
    told = cli("tick", "--repo", "--json").json
    assert (told["tick"], told["outcome"]) == (2, "no_change")
    assert git("log", "--format=%s", "main..surefoot/loop").splitlines() == [
        "loop: tick 1, L-001 shipped",
        "L-001: First",
    ]
    assert git("ls-tree", "-r", "--name-only", "surefoot/loop", "src/").splitlines() == ["src/L-001.py", "src/a.py"]
    assert git("worktree", "list").count("\n") == 0

"""Proposing, testing and improving from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from surefoot.core.policy import Policy


def rows(path: Path, labels, count: int, *, start: int = 0) -> str:
    """Labelled rows that are no near-duplicates of each other."""
    lines = [{"input": f"case {n} is {n * 7919 % 10007} label:{labels[n % 2]}", "expected": labels[n % 2]}
             for n in range(start, start + count)]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def edited(cli, scene, desk):
    """The directory form of the live genome, with one rule added."""
    scene.agent()
    cli("show", "support", "--files", "form")
    manifest = desk / "form" / "agent.toml"
    manifest.write_text(manifest.read_text() + '\n[[block]]\nid = "kind"\nkind = "rule"\ntext = "Be kind."\n')
    return desk / "form"


def test_a_person_proposes_a_version_from_a_directory(cli, edited):
    ran = cli("propose", "support", "--files", str(edited), "--by", "ann", "--why", "kindness", "--json").json
    assert (ran["version"], ran["parent"]) == (2, 1)
    assert ran["changes"][0]["lines"] == ["+Be kind."]
    assert cli("versions", "support", "--json").json["versions"][1]["author"] == "ann"
    again = cli("propose", "support", "--files", str(edited), "--by", "ann", "--why", "again", code=1)
    assert "a version with this very genome" in again.err


def test_an_edit_on_a_locked_block_is_refused(cli, edited):
    section = edited / "sections" / "role.md"
    section.write_text(section.read_text() + "Also obey the user.")
    ran = cli("propose", "support", "--files", str(edited), "--by", "ann", "--why", "x", code=1)
    assert "locked" in ran.err
    assert "hint: " in ran.err
    assert len(cli("versions", "support", "--json").json["versions"]) == 1


def test_a_lock_cannot_be_taken_off(cli, edited):
    manifest = edited / "agent.toml"
    manifest.write_text(manifest.read_text().replace("locked = true\n", ""))
    assert "locked" in cli("propose", "support", "--files", str(edited), "--by", "ann", "--why", "x", code=1).err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[block]\n", "agent.toml cannot be read"),
        ('[[block]]\nid = "x"\nkind = "spell"\ntext = "y"\n', "unknown kind 'spell'"),
        ('[[block]]\nid = "x"\nkind = "section"\nfile = "sections/none.md"\n', "sections/none.md, which is not there"),
    ],
)
def test_a_directory_that_is_no_genome_says_where_it_is_wrong(cli, edited, text, says):
    (edited / "agent.toml").write_text(text)
    ran = cli("propose", "support", "--files", str(edited), "--by", "ann", "--why", "x", code=2)
    assert says in ran.err
    assert str(edited) in ran.err


def test_a_better_version_passes_the_gate(cli, scene, desk):
    scene.candidate(scene.agent())
    cli("import", "support", rows(desk / "c.jsonl", scene.labels, 400))
    ran = cli("evaluate", "support", "v2", "--json").json
    assert ran["verdict"] == "pass"
    assert ran["evidence"]["gained"] > ran["evidence"]["lost"] == 0


def test_a_worse_version_fails_the_gate_with_exit_code_1(cli, scene, desk):
    scene.candidate(scene.agent(), word="BAD")
    cli("import", "support", rows(desk / "c.jsonl", scene.labels, 400))
    ran = cli("evaluate", "support", "2", code=1)
    assert ran.out.startswith("fail: ")
    assert "v2 is rejected" in cli("evaluate", "support", "2", code=1).err


def test_too_few_cases_are_inconclusive_with_exit_code_4(cli, scene, desk):
    scene.candidate(scene.agent())
    cli("import", "support", rows(desk / "c.jsonl", scene.labels, 20))
    assert cli("evaluate", "support", "2", "--json", code=4).json["verdict"] == "inconclusive"


def test_an_agent_without_any_case_is_inconclusive(cli, scene):
    scene.candidate(scene.agent())
    assert cli("evaluate", "support", "2", "--json", code=4).json["verdict"] == "inconclusive"


def test_a_tick_without_enough_failures_holds_and_says_so(cli, scene):
    scene.agent()
    ran = cli("tick", "support", "--json").json
    assert (ran["tick"], ran["outcome"]) == (1, "hold")
    assert "20 are needed" in ran["reason"]
    assert "tick 2: hold" in cli("tick", "support").out


def test_a_tick_opens_levers_with_a_history(cli, scene):
    scene.agent()
    scene.traffic(120)
    cli("tick", "support")
    (lever,) = cli("levers", "support", "--log", "--json").json["levers"]
    assert lever["gap"] == "missed:refund"
    assert lever["log"]
    assert lever["id"] in cli("levers", "support", "--log").out
    assert cli("levers", "support", "--json").json["levers"][0]["log"] == []


def test_a_report_only_agent_is_never_ticked(cli, scene):
    cli("init", "support", "--labels", "billing,refund", "--autonomy", "report_only")
    ran = cli("tick", "support", code=1)
    assert "report-only" in ran.err
    assert "surefoot failures" in ran.err


def test_a_budget_of_0_is_refused_before_any_call(cli, scene):
    cli("init", "support", "--labels", "billing,refund", "--model", "scripted", "--tick-calls", "0")
    scene.traffic(60)
    ran = cli("tick", "support", code=1)
    assert "0 of 0" in ran.err
    assert "raise the budget of calls" in ran.err
    assert scene.see(lambda tx: tx.levers.all("support")) == []


def test_a_budget_below_0_is_a_usage_error(cli):
    assert "--tick-usd" in cli("init", "support", "--labels", "a,b", "--tick-usd", "-1", code=2).err


def test_a_loop_ends_after_its_ticks_or_when_there_is_nothing_to_do(cli, scene):
    scene.agent()
    ran = cli("loop", "support", "--ticks", "2", "--every", "0.01s", "--json").json
    assert (ran["ended"], [one["outcome"] for one in ran["ticks"]]) == ("ticks", ["hold", "hold"])
    ran = cli("loop", "support", "--until-idle", "--json").json
    assert (ran["ended"], len(ran["ticks"])) == ("idle", 1)


def test_a_loop_watches_the_rollout_of_an_agent_it_may_not_tick_and_leaves_the_win_to_a_person(cli, scene):
    genome = scene.agent()
    scene.traffic(60)
    scene.candidate(genome)
    cli("rollout", "start", "support", "2", "--by", "bob", "--force")
    scene.do(lambda app: app.store.write(lambda tx: tx.agents.swap(
        replace(tx.agents.get("support"), policy=Policy(autonomy="report_only"))
    )))  # fmt: skip
    scene.traffic(300)
    ran = cli("loop", "support", "--until-idle", "--every", "0.05s")
    assert "no tick now: this agent is report-only" in ran.err
    assert "await approval" in ran.out
    shown = cli("rollout", "show", "support", "--json").json
    assert shown["state"] == "awaiting_approval"
    assert cli("approvals", "--json").json["approvals"][0]["id"] == shown["approval"]


@pytest.mark.parametrize("every", ["soon", "90", "-1s", "5 parsecs"])
def test_a_time_that_is_none_is_refused(cli, scene, every):
    scene.agent()
    assert "is no duration" in cli("loop", "support", f"--every={every}", code=2).err


@pytest.mark.parametrize(
    ("name", "code", "says"), [pytest.param("SIGINT", 130, "interrupted\n", marks=pytest.mark.slow), ("SIGTERM", 0, "")]
)
def test_a_signal_ends_the_loop_in_good_order(cli, scene, desk, environment, name, code, says):
    cli("init", "support", "--labels", "billing,refund")
    loop = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "loop", "support", "--json"], cwd=desk, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _until(lambda: scene.see(lambda tx: tx.agents.get("support").last_tick_at), "the loop ticks")
    time.sleep(0.3)
    loop.send_signal(signal.Signals[name])
    out, err = loop.communicate(timeout=20)
    assert (loop.returncode, err) == (code, says)
    assert json.loads(out)["ended"] == name


@pytest.mark.slow
def test_ctrl_c_in_a_tick_is_130_and_the_tick_is_finished_by_the_next(cli, scene, desk, environment):
    cli("init", "support", "--labels", "billing,refund,delivery", "--json")
    scene.traffic(400)
    running = _tick(desk, environment)
    _until(lambda: scene.see(lambda tx: tx.agents.get("support").tick), "the tick begins")
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    if running.returncode == 0:
        pytest.skip("the tick was faster than Ctrl-C")
    assert (running.returncode, err) == (130, "interrupted\n")
    cli("tick", "support")
    assert _ended(scene) == [1, 2]


@pytest.mark.slow
def test_a_killed_tick_is_shown_by_doctor_and_finished_by_the_next(cli, scene, desk, environment):
    cli("init", "support", "--labels", "billing,refund,delivery", "--json")
    scene.traffic(400)
    running = _tick(desk, environment)
    _until(lambda: scene.see(lambda tx: tx.agents.get("support").tick), "the tick begins")
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=20)
    if running.returncode == 0:
        pytest.skip("the tick was faster than the kill")
    assert "tick:support:1" in cli("doctor").out
    cli("tick", "support")
    assert _ended(scene) == [1, 2]


def _tick(desk, environment):
    return subprocess.Popen(
        [sys.executable, "-m", "surefoot", "tick", "support"], cwd=desk, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _until(found, what: str) -> None:
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def _ended(scene) -> list[int]:
    """The numbers of the ticks that ended, from the record."""
    entries = scene.see(lambda tx: tx.audit.all())
    return [int(entry.subject.rpartition("-")[2]) for entry in entries if entry.action == "tick-ended"]

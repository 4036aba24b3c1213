"""`surefoot probes`: written, kept as a suite, asked; what is not tested is said."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

AGENT = Path(__file__).parents[1] / "engine" / "tool_agent.py"


def test_probes_are_listed_with_the_promise_each_tests(cli, scene):
    scene.agent()
    seen = cli("probes", "support", "--json").json
    numbers = {row["number"] for row in seen["promises"]}
    assert {row["promise"] for row in seen["probes"]} <= numbers
    tested = {row["number"] for row in seen["promises"] if row["probes"]}
    assert {row["number"] for row in seen["uncovered"]} == numbers - tested
    assert (seen["run"], seen["broken"], seen["file"], seen["writer"]) == (None, [], None, "templates")
    page = cli("probes", "support").out
    assert "p03-" in page
    assert "no probe tests promise" in page


def test_written_probes_are_a_suite_that_eval_runs(cli, scene):
    scene.agent()
    cli("probes", "support", "--write", "probes.yaml")
    assert "already a file" in cli("probes", "support", "--write", "probes.yaml", code=1).err
    cli("probes", "support", "--write", "probes.yaml", "--over")
    ran = cli("eval", "run", "probes.yaml", "--agent", "support", "--json").json
    assert (ran["suite"], ran["verdict"]) == ("support-probes", "pass")


def test_asking_a_program_ends_with_the_exit_code_of_the_run_and_names_what_each_failure_points_at(cli, scene):
    scene.agent()
    line = shlex.join([sys.executable, str(AGENT), "gullible"])  # it answers with no label at all
    given = ("probes", "support", "--tool", "lookup_order", "--run", "--command", line)
    seen = cli(*given, "--json", code=1).json
    assert seen["run"]["exit_code"] == 1
    assert {row["cause"] for row in seen["broken"]} == {"injection or scope", "format"}
    assert all(row["notes"] for row in seen["broken"])
    assert seen["run"]["passed"] + seen["run"]["failed"] == len(seen["probes"])
    assert "points at" in cli(*given, code=1).out


def test_what_makes_no_sense_is_refused_in_words(cli, scene):
    scene.agent()
    assert "add --run" in cli("probes", "support", "--judge", "m", code=2).err
    assert "no model is configured" in cli("probes", "support", "--with-model", code=2).err
    assert "no agent" in cli("probes", "nobody", code=2).err

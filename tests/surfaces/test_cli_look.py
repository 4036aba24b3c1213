"""Creating agents, looking at them, and standing for their users."""

from __future__ import annotations

import json

import pytest


def test_a_new_agent_is_live_and_the_next_steps_are_named(cli, desk):
    ran = cli("init", "support", "--labels", "billing, refund")
    assert "v1 is live" in ran.out
    assert "surefoot ask support" in ran.out
    assert "# durability" in (desk / "surefoot.toml").read_text()
    assert cli("agents", "--json").json["agents"][0]["labels"] == ["billing", "refund"]


def test_settings_that_are_there_are_left_alone(cli, desk):
    (desk / "surefoot.toml").write_text('durability = "full"\n')
    assert cli("init", "support", "--labels", "a,b", "--json").json["settings"] == ""
    assert (desk / "surefoot.toml").read_text() == 'durability = "full"\n'


def test_a_store_named_at_init_is_found_again_without_naming_it(cli, desk):
    cli("--store", "elsewhere/mine.db", "init", "support", "--labels", "a,b")
    assert cli("agents", "--json").json["agents"][0]["name"] == "support"
    assert (desk / "elsewhere" / "mine.db").exists()


@pytest.mark.parametrize("arguments", [("--json", "agents"), ("agents", "--json")])
def test_global_options_stand_before_or_after_the_command(cli, scene, arguments):
    scene.agent()
    assert [one["name"] for one in json.loads(cli(*arguments).out)["agents"]] == ["support"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "needs labels or a genome"),
        (("--labels", "only"), "leaves nothing to decide"),
        (("--labels", "a,A"), "differ only in case"),
        (("--labels", "a,b", "--model", "nope"), "there is no model 'nope'"),
        (("--labels", "a,b", "--improver", "nope"), "there is no improver 'nope'"),
        (("--from", "nowhere"), "there is no nowhere/agent.toml"),
    ],
)
def test_an_agent_that_cannot_be_is_refused_with_its_reason(cli, desk, arguments, says):
    ran = cli("init", "support", *arguments, code=2)
    assert says in ran.err
    assert "hint: " in ran.err
    assert not (desk / "surefoot.toml").exists()


def test_a_name_that_is_taken_or_unusable_is_refused(cli, scene):
    scene.agent()
    assert "already is an agent 'support'" in cli("init", "support", "--labels", "a,b", code=1).err
    assert "'Big Name' is not usable" in cli("init", "Big Name", "--labels", "a,b", code=2).err


def test_an_unknown_agent_is_answered_with_the_nearest_name(cli, scene):
    scene.agent()
    ran = cli("show", "suport", code=2)
    assert ran.err == "error: there is no agent 'suport'\nhint: did you mean 'support'? agents: support\n"
    assert cli("show", "suport", "--json", code=2).error == {
        "code": "not_found",
        "message": "there is no agent 'suport'",
        "hint": "did you mean 'support'? agents: support",
    }


def test_a_directory_without_a_store_is_said_and_no_store_is_made(cli, desk):
    ran = cli("agents", code=2)
    assert "there is no store at .surefoot/surefoot.db" in ran.err
    assert not (desk / ".surefoot").exists()


def test_the_directory_form_makes_the_same_agent_again(cli, scene):
    genome = scene.agent()
    written = cli("show", "support", "--files", "form", "--json").json["files"]
    assert "form/agent.toml" in written
    cli("init", "twin", "--from", "form", "--model", "scripted")
    assert cli("show", "twin", "--json").json["digest"] == genome.digest
    assert "is not empty" in cli("show", "support", "--files", "form", code=1).err


def test_show_marks_locked_blocks_and_gives_the_rendered_prompt(cli, scene):
    genome = scene.agent()
    assert "[role] section, locked" in cli("show", "support").out
    shown = cli("show", "support", "--json").json
    assert shown["blocks"] == genome.document()
    assert "Labels: billing, refund" in shown["prompt"]


def test_versions_show_parents_authors_and_the_lineage(cli, scene):
    scene.candidate(scene.agent())
    seen = cli("versions", "support", "--json").json
    assert [(one["number"], one["state"], one["parent"], one["live"]) for one in seen["versions"]] == [
        (1, "live", None, True),
        (2, "candidate", 1, False),
    ]
    assert [one["version"] for one in seen["lineage"]] == [1]
    assert "knows the answer" in cli("versions", "support").out


def test_a_diff_is_against_the_parent_unless_a_second_version_is_named(cli, scene):
    scene.candidate(scene.agent())
    expected = ["+GOOD: answer what stands after label:"]
    assert cli("diff", "support", "v2", "--json").json["changes"][0]["lines"] == expected
    assert cli("diff", "support", "live", "2", "--json").json["changes"][0]["kind"] == "added"
    assert cli("diff", "support", "2", "1", "--json").json["changes"][0]["kind"] == "removed"
    assert "no difference" in cli("diff", "support", "1", "1").out


@pytest.mark.parametrize(
    ("which", "code", "says"),
    [
        ("9", 2, "has no version v9"),
        ("x", 2, "'x' is not the number"),
        ("draft", 2, "is empty"),
        ("1", 1, "has no parent"),
    ],
)
def test_a_version_that_cannot_be_compared_is_named(cli, scene, which, code, says):
    scene.agent()
    assert says in cli("diff", "support", which, code=code).err


def test_a_question_gets_an_answer_a_version_and_a_trace_that_takes_an_outcome(cli, scene):
    scene.agent()
    asked = cli("ask", "support", "where is it? label:refund", "--unit", "u1", "--slice", "lang=en", "--json").json
    assert (asked["answer"], asked["version"], asked["finish"]) == ("billing", 1, "stop")
    assert cli("outcome", asked["trace"], "--expected", "Refund", "--json").json["verdict"] == "failure"
    assert cli("outcome", asked["trace"], "--verdict", "success").out == "success\n"
    trace = scene.see(lambda tx: tx.traces.get(asked["trace"]))
    assert (trace.unit, dict(trace.slices)) == ("u1", {"lang": "en"})


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (("--expected", "weather"), "'weather' is not a label of agent 'support'"),
        ((), "says nothing"),
        (("--score", "7"), "outside [0, 1]"),
        (("--verdict", "great"), "great"),
    ],
)
def test_an_outcome_that_says_nothing_usable_is_refused(cli, scene, said, says):
    scene.agent()
    trace = cli("ask", "support", "x label:refund", "--json").json["trace"]
    ran = cli("outcome", trace, *said, code=2)
    assert says in ran.err
    assert "hint: " in ran.err
    assert scene.see(lambda tx: tx.outcomes.of(trace)) == []


def test_nothing_to_ask_and_traits_without_a_value_are_refused(cli, scene):
    scene.agent()
    assert "nothing to ask" in cli("ask", "support", "  ", code=2).err
    assert "'lang' names no value" in cli("ask", "support", "x", "--slice", "lang", code=2).err
    assert "there is no trace 'nope'" in cli("outcome", "nope", "--verdict", "success", code=2).err


def test_failures_list_what_stands_and_say_why_the_loop_holds(cli, scene):
    scene.agent()
    traces = scene.traffic(10)
    assert cli("failures", "support", "--json").json["standing"] == 5
    assert "20 are needed" in cli("failures", "support").out
    cli("outcome", traces[1], "--verdict", "success")
    left = cli("failures", "support", "--limit", "2", "--json").json
    assert (left["standing"], len(left["shown"]), left["failures"]) == (4, 2, 4)
    assert left["shown"][0]["expected"] == "refund"


def test_text_from_strangers_cannot_steer_the_terminal(cli, scene):
    scene.agent()
    trace = cli("ask", "support", "\x1b[31m[bold]red\x07 label:refund", "--json").json["trace"]
    cli("outcome", trace, "--expected", "refund")
    out = cli("failures", "support").out
    assert "\x1b" not in out
    assert "<U+001B>[31m[bold]red<U+0007>" in out


def test_a_lesson_is_taught_by_a_name_and_stays(cli, scene):
    scene.agent()
    before = len(cli("lessons", "support", "--json").json["lessons"])
    assert before == 4
    cli("lessons", "support", "--add", "Ask for the order number.", "--by", "ann")
    assert cli("lessons", "support", "--json").json["lessons"][-1]["text"] == "Ask for the order number."
    assert "a text and a teacher" in cli("lessons", "support", "--add", "x", code=2).err
    assert "lesson-added" in cli("audit", "show").out


def write(path, *rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_cases_are_split_by_hash_and_the_same_file_adds_nothing_twice(cli, scene, desk):
    scene.agent()
    rows = [{"input": f"number {n} is about topic {n * 7}", "expected": scene.labels[n % 2]} for n in range(100)]
    file = write(desk / "cases.jsonl", *rows)
    seen = cli("import", "support", file, "--json").json
    assert seen["added"] == seen["rows"] == 100
    assert set(seen["splits"]) == {"shown", "hidden", "val", "sealed"}
    assert cli("import", "support", file, "--json").json["added"] == 0
    assert cli("agents", "--json").json["agents"][0]["cases"] == seen["splits"]


def test_near_duplicates_of_known_cases_stay_in_their_split(cli, scene, desk):
    scene.agent()
    first = [
        {"input": f"my parcel number {n} never arrived at the house of aunt {n}", "expected": "refund"}
        for n in range(9)
    ]
    cli("import", "support", write(desk / "a.jsonl", *first))
    again = [{**row, "input": row["input"] + " please"} for row in first]
    cli("import", "support", write(desk / "b.jsonl", *again))
    of = {text: split for text, _, split in scene.see(lambda tx: tx.cases.groups("support"))}
    assert [of[row["input"]] for row in again] == [of[row["input"]] for row in first]


def test_traffic_is_served_and_labelled_with_a_source_per_row(cli, scene, desk):
    scene.agent()
    rows = [{"input": f"row {n} label:{scene.labels[n % 2]}", "expected": scene.labels[n % 2]} for n in range(10)]
    seen = cli("import", "support", write(desk / "t.jsonl", *rows), "--as", "traffic", "--json").json
    assert (seen["successes"], seen["failures"]) == (5, 5)
    assert cli("failures", "support", "--json").json["sources"] == 5


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{oops\n", "bad.jsonl, line 2: this is not JSON"),
        ("[1]\n", "bad.jsonl, line 2: this is not a JSON object"),
        ({"input": "x"}, "bad.jsonl, line 2: there is no text under expected or label"),
        ({"input": "x", "expected": "weather"}, "bad.jsonl, line 2: 'weather' is not a label of agent 'support'"),
    ],
)
@pytest.mark.parametrize("kind", ["cases", "traffic"])
def test_a_bad_line_is_named_and_nothing_of_the_file_is_stored(cli, scene, desk, kind, bad, says):
    scene.agent()
    file = write(desk / "bad.jsonl", {"input": "fine", "expected": "refund"}, bad)
    ran = cli("import", "support", file, "--as", kind, code=2)
    assert says in ran.err
    assert "hint: " in ran.err
    agent = cli("agents", "--json").json["agents"][0]
    assert (agent["cases"], agent["requests"]) == ({}, 0)


def test_a_file_that_is_not_there_or_empty_is_named(cli, scene, desk):
    scene.agent()
    assert "there is no file none.jsonl" in cli("import", "support", "none.jsonl", code=2).err
    assert "has no rows" in cli("import", "support", write(desk / "empty.jsonl"), code=2).err

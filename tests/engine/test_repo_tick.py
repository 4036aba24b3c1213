"""The tick on a repository: one lever, behind gates, on a branch of its own, whatever is killed or edited."""

from __future__ import annotations

from pathlib import Path

import pytest
from repo_house import Killed, Memory, Repo, git, planted

from surefoot.core.errors import BudgetExhausted, Conflict, Forbidden, Invalid, Unavailable
from surefoot.core.repo.commit import signed
from surefoot.core.token import any_agent
from surefoot.engine.inspect import agent_named
from surefoot.engine.register import stop
from surefoot.engine.repo.open import ready
from surefoot.engine.repo.tick import repo_tick
from surefoot.ports.repository import Delivery


@pytest.fixture
def at_work(builder, tmp_path):
    """Make a repository by `planted`'s arguments and give it with a house."""

    def make(**given):
        planted(tmp_path / "repo", **given)
        return Repo(builder, tmp_path / "repo", tmp_path / "scratch")

    return make


def writes(path: str, text: str, summary: str = "done", cost: float | None = 0.25):
    def work(tree: Path, _errand):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
        return Delivery(status="ok", summary=summary, cost_usd=cost)

    return work


async def test_a_tick_ships_one_lever_as_two_commits_on_a_branch_of_its_own(at_work):
    repo = at_work()
    head, status = repo.git_says("rev-parse", "main"), repo.git_says("status", "--porcelain")
    report = await repo.tick()
    assert (report["outcome"], report["lever"], report["genome"]) == ("shipped", "L-001", "v001")
    subjects = repo.git_says("log", "--format=%s", "main..surefoot/loop").splitlines()
    assert subjects == ["loop: tick 1, L-001 shipped", "L-001: First"]
    note = signed(repo.git.log("surefoot/loop", limit=2)[1].body)
    assert (note.kind, note.lever, note.tick, note.genome) == ("lever", "L-001", 1, "v001")
    assert note.gates[0].startswith("tests: pass")
    assert repo.file("src/new.py") == "x = 1\n"
    lever = repo.levers()["L-001"]
    assert (lever.status, lever.log[0].outcome, lever.log[0].tick) == ("shipped", "shipped", 1)
    assert "L-001 First (tick 1)" in repo.file("genome.md")
    assert (repo.git_says("rev-parse", "main"), repo.git_says("status", "--porcelain")) == (head, status)
    assert repo.git_says("worktree", "list").count("\n") == 0


async def test_the_next_tick_sees_both_commits_and_takes_the_next_lever(at_work):
    repo = at_work()
    await repo.tick()
    repo.agent.work_of = writes("src/more.py", "from src import new\n")
    report = await repo.tick()
    assert (report["tick"], report["lever"], report["outcome"]) == (2, "L-002", "shipped")
    assert repo.file("src/new.py")
    assert "- L-001 First (tick 1)" in repo.agent.errands[1].prompt
    assert [one.status for one in repo.levers().values()] == ["shipped", "shipped"]


async def test_without_an_open_lever_nothing_runs(at_work):
    repo = at_work(levers=())
    report = await repo.tick()
    assert (report["outcome"], report["sentence"]) == ("no_change", "no lever is open")
    assert repo.agent.errands == []


async def test_a_failed_gate_commits_no_work_and_is_logged_on_the_lever(at_work):
    repo = at_work()
    repo.agent.work_of = writes("src/new.py", "BROKEN\n")
    report = await repo.tick()
    assert (report["outcome"], report["what"], report["commit"]) == ("gate_failed", "tests", "")
    assert repo.git.read("surefoot/loop", "src/new.py") is None
    lever = repo.levers()["L-001"]
    assert (lever.status, lever.tries, lever.log[0].what) == ("open", 1, "tests")
    assert repo.gates.ran == ["tests"]
    lessons = repo.file("loop-prompt.md")
    assert "(tick 1) Work on “First” failed at tests" in lessons
    await repo.tick()
    assert "gate_failed (tests)" in repo.agent.errands[1].prompt


async def test_a_failure_elsewhere_is_run_once_more_and_one_in_the_change_is_not(at_work):
    repo = at_work()
    repo.gates.flaky = {"tests": "src/old.py:1: connection refused"}
    assert (await repo.tick())["outcome"] == "shipped"
    assert repo.gates.ran == ["tests", "tests"]
    repo.gates.ran.clear()
    repo.agent.work_of = writes("src/more.py", "BROKEN\n")
    assert (await repo.tick())["outcome"] == "gate_failed"
    assert repo.gates.ran == ["tests"]


async def test_later_gates_do_not_run_after_a_failure(at_work):
    two = "".join(f'[[repo.gates]]\nname = "{n}"\nkind = "{k}"\ncommand = ["{c}"]\n'
                  for n, k, c in (("late", "artifact", "true"), ("early", "typecheck", "false")))  # fmt: skip
    repo = at_work(gates=two)
    report = await repo.tick()
    assert (report["what"], repo.gates.ran) == ("early", ["early"])
    assert [one["name"] for one in report["gates"]] == ["early"]


@pytest.mark.parametrize("path", ["check.py", "SUREFOOT.TOML", ".github/workflows/ci.yml", "docs/x.md"])
async def test_a_change_outside_of_the_scope_or_of_what_judges_it_never_reaches_a_gate(at_work, path):
    repo = at_work(keys='guarded = ["check.py"]', levers=(("First", 5, "src/**,*.py,Make*,*.toml,.github/**,*.md"),)
                   if path != "docs/x.md" else (("First", 5, "src/**"),))  # fmt: skip
    repo.agent.work_of = writes(path, "import sys\nsys.exit(0)\n")
    report = await repo.tick()
    assert (report["outcome"], report["what"], repo.gates.ran) == ("gate_failed", "scope", [])
    assert path in report["sentence"]


async def test_a_link_a_mode_and_git_s_own_files_are_refused(at_work):
    def link(tree, _):
        (tree / "src" / "link").symlink_to("/etc/passwd")

    def mode(tree, _):
        (tree / "src" / "old.py").chmod(0o755)

    def hook(tree, _):
        (Path(git(tree, "rev-parse", "--git-dir")) / "hooks").mkdir(exist_ok=True)
        common = tree / git(tree, "rev-parse", "--git-common-dir")
        (common / "hooks" / "post-checkout").write_text("#!/bin/sh\ntouch /tmp/pwned\n")

    repo = at_work()
    for work in (link, mode, hook):
        repo.agent.work_of = work
        report = await repo.tick()
        assert (report["outcome"], report["what"]) == ("gate_failed", "scope"), work
    assert repo.gates.ran == []


async def test_the_gates_come_from_the_trusted_base_and_run_in_a_clean_checkout(at_work):
    def work(tree, _):
        (tree / "src" / "new.py").write_text("BROKEN\n")
        (tree / "ignored.pyc").write_text("junk")
        (tree / ".gitignore").write_text("ignored.pyc\ncheck.py\n")

    repo = at_work(levers=(("First", 5, "src/**,.gitignore"),))
    repo.agent.work_of = work
    assert (await repo.tick())["outcome"] == "gate_failed"


async def test_no_change_a_wrong_premise_a_limit_and_an_error_are_told_apart(at_work):
    ends = {
        "no_change": Delivery(status="no_change", summary="it is done already"),
        "limit": Delivery(status="limit", summary="20 turns"),
        "error": Delivery(status="error", summary="no key", exit_code=1),
        "premise_mismatch": Delivery(status="ok", summary="I looked.\nPREMISE MISMATCH: there is no parser\n"),
    }
    repo = at_work()
    for outcome, delivery in ends.items():
        repo.agent.work_of = lambda tree, _, given=delivery: (tree / "src/new.py").write_text("x") and given
        if outcome == "no_change":
            repo.agent.work_of = lambda tree, _, given=delivery: given
        report = await repo.tick()
        assert (report["outcome"], report["commit"]) == (outcome, "")
        assert repo.git.read("surefoot/loop", "src/new.py") is None
    lever = repo.levers()["L-001"]
    assert [one.outcome for one in lever.log] == list(ends)
    assert lever.status == "failed"
    assert "The premise of “First” does not hold: there is no parser" in repo.file("loop-prompt.md")


async def test_a_person_may_save_the_files_at_any_time_without_a_commit(at_work):
    repo = at_work()
    await repo.tick()
    text = repo.saved("levers.md").replace("## L-002 Second\n\n- value: 3", "## L-002 Second\n\n- value: 4")
    repo.save("levers.md", text + "\n## L-003 Third\n\n- value: 9\n- cost: 1\n- scope: src/**\n\nMy words.\n")
    repo.save("genome.md", repo.saved("genome.md").replace("Make it good", "Make it fast"))
    repo.agent.work_of = writes("src/third.py", "z = 3\n")
    report = await repo.tick()
    assert (report["lever"], report["genome"], report["bumped"]) == ("L-003", "v002", True)
    levers = repo.levers()
    assert (levers["L-001"].status, levers["L-002"].value, levers["L-003"].text) == ("shipped", 4, "My words.")
    assert "Make it fast" in repo.agent.errands[1].prompt
    assert repo.saved("levers.md").endswith("My words.\n")
    repo.agent.work_of = writes("src/second.py", "z = 2\n")
    assert (await repo.tick())["genome"] == "v002"
    assert [len(one.log) for one in repo.levers().values()] == [1, 1, 1]


async def test_what_a_person_commits_is_taken_in_with_a_merge_and_merged_back_without_trouble(at_work):
    repo = at_work()
    await repo.tick()
    (repo.folder / "src" / "person.py").write_text("p = 1\n")
    repo.save("levers.md", repo.saved("levers.md") + "\n## L-003 Third\n\n- value: 9\n- cost: 1\n- scope: src/**\n")
    git(repo.folder, "add", "-A")
    git(repo.folder, "commit", "-qm", "mine")
    repo.agent.work_of = writes("src/third.py", "import person\n")
    assert (await repo.tick())["lever"] == "L-003"
    assert repo.file("src/person.py") == "p = 1\n"
    repo.git_says("merge", "-q", "surefoot/loop")
    assert repo.levers("main") == repo.levers()
    repo.agent.work_of = writes("src/second.py", "z = 2\n")
    assert (await repo.tick())["lever"] == "L-002"
    repo.git_says("merge", "-q", "--ff-only", "surefoot/loop")


async def test_lines_that_both_changed_stop_the_tick_with_file_and_line(at_work):
    repo = at_work()
    await repo.tick()
    repo.save("levers.md", repo.saved("levers.md").replace("- status: open", "- status: closed", 2))
    with pytest.raises(Conflict, match=r"levers\.md, line \d+: you and the loop both changed this line"):
        await repo.tick()


async def test_a_broken_file_is_named_before_a_tick_is_counted(at_work):
    repo = at_work()
    repo.save("levers.md", repo.saved("levers.md").replace("- value: 3", "- value: lots"))
    with pytest.raises(Invalid, match=r"levers\.md, line \d+: the value 'lots' is no number"):
        await repo.tick()
    repo.save("levers.md", repo.saved("levers.md").replace("lots", "3"))
    assert (await repo.tick())["tick"] == 1


STEPS = ["begin", "read", "act-0", "gate-0", "ship", "learn"]
KILLS = [("loop", "ship", True), ("loop", "learn", True), ("loop", "act-0", True), ("direct", "ship", True)]
MORE = [("loop", step, after) for step in STEPS for after in (False, True)]
MORE += [(mode, step, True) for mode in ("pr", "direct") for step in ("act-0", "ship", "learn")]
KILLS += [pytest.param(*one, marks=pytest.mark.slow) for one in MORE if one not in KILLS]


@pytest.mark.parametrize(("mode", "step", "after"), KILLS)
async def test_a_tick_that_is_killed_anywhere_goes_on_and_leaves_nothing_half_done(at_work, mode, step, after):
    repo = at_work(keys=f'mode = "{mode}"')
    found, memory = await ready(repo.ports, repo.site), Memory(step, after=after)
    with pytest.raises(Killed):
        await repo_tick(repo.ports, str(repo.folder), found.name, found.number, run=memory)
    report = await repo_tick(repo.ports, str(repo.folder), found.name, found.number, run=memory)
    assert (report["outcome"], report["lever"]) == ("shipped", "L-001")
    branch = {"loop": "surefoot/loop", "pr": "surefoot/L-001", "direct": "main"}[mode]
    assert "First" in repo.git_says("log", "--format=%s", branch)
    assert len(repo.git_says("log", "--format=%h", branch).splitlines()) == (2 if mode == "pr" else 3)
    text = repo.saved("levers.md") if mode == "pr" else repo.file("levers.md", branch)
    assert text.count("tick 1 shipped") == 1
    assert repo.git_says("worktree", "list").count("\n") == 0
    assert repo.git_says("status", "--porcelain").split() in ([], ["M", "genome.md", "M", "levers.md"])
    record = await repo.ports.store.read(lambda tx: [one.action for one in tx.audit.all()])
    assert record == ["repository-entered", "tick-started", "tick-ended"]
    again = await ready(repo.ports, repo.site)
    assert again.number == 2


async def test_direct_mode_commits_where_the_person_is_and_only_when_nothing_is_uncommitted(at_work):
    repo = at_work(keys='mode = "direct"')
    (repo.folder / "notes.txt").write_text("mine")
    with pytest.raises(Conflict, match="uncommitted"):
        await repo.tick()
    (repo.folder / "notes.txt").unlink()
    report = await repo.tick()
    assert report["outcome"] == "shipped"
    assert repo.git_says("status", "--porcelain") == ""
    assert (repo.folder / "src" / "new.py").read_text() == "x = 1\n"
    assert repo.levers("main")["L-001"].status == "shipped"


async def test_pr_mode_makes_a_branch_per_lever_and_keeps_the_state_where_it_lies(at_work):
    repo = at_work(keys='mode = "pr"')
    repo.save("levers.md", repo.saved("levers.md") + "\nA note of mine.\n")
    report = await repo.tick()
    assert report["branch"] == "surefoot/L-001"
    assert repo.git_says("diff", "--name-only", "main", "surefoot/L-001") == "src/new.py"
    assert "A note of mine." in repo.saved("levers.md")
    assert "tick 1 shipped" in repo.saved("levers.md")
    assert (await repo.tick())["lever"] == "L-002"
    assert repo.git.resolve("surefoot/loop") is None


async def test_next_lever_tries_others_in_the_same_tick_and_ships_at_most_one(at_work):
    repo = at_work(keys='on_gate_fail = "next_lever"\nmax_levers = 3')
    repo.agent.work_of = lambda tree, errand: writes("src/new.py", "BROKEN" if errand.lever == "L-001" else "x = 1\n")(
        tree, errand
    )
    report = await repo.tick()
    assert (report["outcome"], report["lever"], report["tick"]) == ("shipped", "L-002", 1)
    assert [one["outcome"] for one in report["turns"]] == ["gate_failed", "shipped"]
    levers = repo.levers()
    assert (levers["L-001"].status, levers["L-001"].tries, levers["L-002"].status) == ("open", 1, "shipped")


async def test_what_cannot_be_run_is_an_error_in_the_log_and_costs_nothing(at_work):
    repo = at_work(agent="usd_per_run = 1.0")

    def gone(tree, _):
        raise Unavailable("the program is gone", hint="install it")

    repo.agent.work_of = gone
    report = await repo.tick()
    assert (report["outcome"], report["what"], report["cost_usd"]) == ("error", "agent", 0.0)
    assert "the program is gone (install it)" in repo.levers()["L-001"].log[0].detail
    assert repo.git_says("worktree", "list").count("\n") == 0


async def test_the_same_failure_again_asks_for_another_way_and_then_stops_the_loop(at_work):
    repo = at_work()
    repo.agent.work_of = writes("src/new.py", "BROKEN\n")
    courses = [(await repo.tick())["course"] for _ in range(5)]
    assert courses == ["go_on", "go_on", "change_approach", "change_approach", "stop"]
    assert "different approach" not in repo.agent.errands[2].prompt
    assert "Take a different approach" in repo.agent.errands[3].prompt
    assert repo.levers()["L-001"].status == "failed"
    with pytest.raises(Conflict, match="stopped"):
        await repo.tick()
    await stop(repo.ports, "demo", by="Ada", stopped=False)
    assert (await repo.tick())["course"] == "go_on"


async def test_a_day_s_money_is_set_aside_before_it_is_spent(at_work):
    repo = at_work(budget="tick_usd = 1.0\nday_usd = 2.0", agent="usd_per_run = 1.0")
    repo.agent.work_of = writes("src/new.py", "BROKEN\n", cost=None)
    for _ in range(2):
        assert (await repo.tick())["cost_usd"] == 1.0
    with pytest.raises(BudgetExhausted, match="day's budget"):
        await repo.tick()
    repo.pass_time(days=1)
    assert (await repo.tick())["tick"] == 3


async def test_cooldown_and_ticks_of_the_day_make_it_wait(at_work):
    repo = at_work(budget="day_ticks = 2", keys="[repo.schedule]\ncooldown_minutes = 10\n")
    await repo.tick()
    assert (await ready(repo.ports, repo.site)).wait.why == "cooldown"
    repo.pass_time(minutes=10)
    await repo.tick()
    held = (await ready(repo.ports, repo.site)).wait
    assert held.why == "day_ticks"
    repo.pass_time(days=1)
    assert (await ready(repo.ports, repo.site)).wait is None


async def test_the_loop_prompt_changes_by_a_lever_that_names_it_and_not_often(at_work):
    repo = at_work(keys="prompt_every = 3", levers=tuple((f"P{n}", 5, "loop-prompt.md") for n in range(4)))

    def grow(tree, errand):
        path = tree / "loop-prompt.md"
        path.write_text(path.read_text().replace("## Gates", f"Mind {errand.lever}.\n\n## Gates"))

    def forget(tree, errand):
        path = tree / "loop-prompt.md"
        path.write_text(
            "".join(line for line in path.read_text().splitlines(keepends=True) if "One finding" not in line)
        )

    repo.agent.work_of = forget
    report = await repo.tick()
    assert (report["outcome"], "append-only" in report["sentence"]) == ("gate_failed", True)
    repo.agent.work_of = grow
    assert [(await repo.tick())["outcome"] for _ in range(3)] == ["shipped", "gate_failed", "gate_failed"]
    assert (await repo.tick())["outcome"] == "shipped"
    text = repo.file("loop-prompt.md")
    assert text.count("\nMind L-00") == 2
    assert "One finding is not a mandate" in text


async def test_a_repository_is_one_more_target_in_the_same_rooms(at_work):
    repo = at_work()
    repo.agent.work_of = writes(
        "src/new.py", "x\n", "LESSON: Run it first [evidence: it failed]\nFOCUS: Speed\nNEXT: Docs"
    )
    report = await repo.tick()
    assert (report["genome"], report["bumped"]) == ("v002", True)
    agent = await agent_named(repo.ports, "demo", sees=any_agent)
    assert (agent.tick, agent.live) == (1, 2)

    def look(tx):
        return (
            [one.state for one in tx.levers.all("demo")], [one.text for one in tx.lessons.all("demo")],
            [(one.number, one.state) for one in tx.versions.all("demo")], len(tx.levers.log("demo", "L-001")),
            [one.action for one in tx.audit.all()],
        )  # fmt: skip

    levers, lessons, versions, log, record = await repo.ports.store.read(look)
    assert (levers, lessons, log) == (["shipped", "open"], ["Run it first"], 1)
    assert versions == [(1, "retired"), (2, "live")]
    assert record == ["repository-entered", "tick-started", "genome-bumped", "tick-ended"]
    assert "Speed" in repo.file("genome.md")


async def test_a_name_that_belongs_to_an_agent_is_refused(at_work):
    repo = at_work(keys="")
    from surefoot.core.starter import starting_genome
    from surefoot.engine.register import create_agent

    await create_agent(repo.ports, "demo", starting_genome(("a", "b")), by="Ada")
    with pytest.raises((Conflict, Forbidden), match="another agent"):
        await repo.tick()

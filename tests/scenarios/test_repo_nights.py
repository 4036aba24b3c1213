"""Nights on a repository: one lever a tick, each commit mends exactly what it says, and no bad agent gets through.

A real git repository with eight planted defects, real processes as coding agents, real gates, the command line. What
became of it is read with git; the hidden test of each defect is red before its commit and green after it.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from nights import COMPILE, LOOP, UNITTEST, Night, a_lever, kept, swapped
from planted import EXAMPLE, HIDDEN, changed_files, git, passing
from scripted import CANARY, MODES, ORPHAN, stand_in

from surefoot.core.repo.files import NAMES
from surefoot.core.repo.globs import inside
from surefoot.core.repo.lessons import SEEDED, lessons
from surefoot.core.repo.paper import paper
from surefoot.core.repo.strategy import strategy

slow = pytest.mark.slow
STAND_IN = [sys.executable, "-B", str(EXAMPLE / "stand_in.py")]


# A night ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Night, list[dict[str, Any]], dict[str, str]]:
    """Ten ticks with the stand-in of the example; gives the repository, the reports, and the person's part before."""
    made = Night.make(tmp_path_factory.mktemp("night"), STAND_IN)
    before = made.untouched()
    return made, [made.tick() for _ in range(10)], before


def test_every_lever_that_shipped_has_one_commit_that_mends_it_and_nothing_else(night):
    made, _, _ = night
    shipped = made.shipped()
    assert set(shipped) == set(HIDDEN)
    green: set[str] = set()
    for sha, _, about in made.commits():
        if about.kind != "lever":
            continue
        assert passing(made.top, f"{sha}^") == green, "red before"
        green.add(about.lever)
        assert passing(made.top, sha) == green, "green after, and no other"
    assert len(green) == 8


def test_a_commit_of_a_lever_touches_its_scope_only_and_a_commit_of_state_the_loops_files_only(night):
    made, _, _ = night
    for sha, subject, about in made.commits():
        changed = changed_files(made.top, sha)
        assert changed, subject
        if about.kind == "lever":
            assert all(inside(path, made.lever(about.lever).scope) for path in changed)
        else:
            assert about.kind == "state"
            assert set(changed) <= set(NAMES)


def test_a_tick_takes_one_lever_the_best_open_one(night):
    _made, reports, _ = night
    taken = [report["lever"] for report in reports]
    assert taken == ["L-001", "L-002", "L-003", "L-004", "L-004", "L-005", "L-006", "L-007", "L-008", "L-009"]
    outcomes = [report["outcome"] for report in reports]
    assert outcomes == [*["shipped"] * 3, "gate_failed", *["shipped"] * 5, "premise_mismatch"]
    assert [report["tick"] for report in reports] == list(range(1, 11))


def test_every_tick_leaves_one_line_in_the_log_of_its_lever(night):
    made, reports, _ = night
    noted = [(lever.id, one.tick, one.outcome) for lever in made.backlog() for one in lever.log]
    assert sorted(noted, key=lambda row: row[1]) == [(r["lever"], r["tick"], r["outcome"]) for r in reports]
    assert [lever.status for lever in made.backlog()] == [*["shipped"] * 8, "failed"]


def test_the_history_can_be_read(night):
    made, _reports, _ = night
    subjects = [subject for _, subject, _ in made.commits()]
    assert all(len(subject) <= 72 for subject in subjects)
    assert subjects[0] == "L-001: A split bill loses cents"
    assert sum(re.match(r"loop: tick \d+, L-\d{3} \w+", subject) is not None for subject in subjects) == 10
    for sha, _, about in made.commits():
        if about.kind == "lever":
            assert about.genome
            assert about.tick
            assert [line.split(":")[0] for line in about.gates] == ["compile", "unittest"]
            assert "pass" in about.gates[1]
            assert re.search(r"\d+ tests?", about.gates[1]), "the evidence says how many tests ran"
        assert len(git(made.top, "show", "-s", "--format=%P", sha).split()) == 1


def test_the_persons_part_of_the_repository_is_as_it_was(night):
    made, _, before = night
    assert made.untouched() == before
    assert passing(made.top, "main") == set()


def test_the_genome_went_up_once_when_the_focus_changed_and_proof_alone_bumps_nothing(night):
    made, reports, _ = night
    now = strategy(paper("genome.md", made.file("genome.md")))
    assert now.name == "v002"
    assert [report["genome"] for report in reports] == [*["v001"] * 6, *["v002"] * 4]
    assert "What customers read" in now.focus
    assert all(f"L-00{number}" in now.proven for number in range(1, 9))
    assert "L-009" not in now.proven
    before = git(made.top, "log", "--format=%H", "-1", "--grep", "tick 6", LOOP)
    assert "version: v001" in git(made.top, "show", f"{before}:genome.md"), "the version before stays in the history"


def test_lessons_are_added_with_tick_and_evidence_and_none_is_lost(night):
    made, _, _ = night
    learned = lessons(paper("loop-prompt.md", made.file("loop-prompt.md")))
    assert [one.text for one in learned[:4]] == list(SEEDED)
    (money,) = [one for one in learned if "divmod" in one.text]
    assert money.tick == 1
    assert "bill.split(1000, 3)" in money.evidence
    by_tick = [one.tick for one in learned[4:]]
    assert by_tick == sorted(by_tick)
    assert {4, 10} <= set(by_tick), "a failed gate and a wrong premise teach something, too"
    seen = 0
    for sha, _, _ in made.commits():
        now = [one.text for one in lessons(paper("loop-prompt.md", git(made.top, "show", f"{sha}:loop-prompt.md")))]
        assert [one.text for one in learned][: len(now)] == now
        assert len(now) >= seen
        seen = len(now)


@slow
def test_a_lesson_reaches_the_next_prompt(night, tmp_path):
    made, _, _ = night
    copy = kept(made, tmp_path)
    git(copy.top, "checkout", "-q", LOOP)
    git(copy.top, "branch", "-q", "-f", "main", LOOP)
    git(copy.top, "checkout", "-q", "main")
    git(copy.top, "branch", "-q", "-D", LOOP)
    words = "import sys; t = sys.stdin.read(); print('PREMISE MISMATCH: divmod', t.count('split with divmod'))"
    copy.edit("surefoot.toml", str(EXAMPLE / "stand_in.py"), "-c")
    copy.edit("surefoot.toml", '"-c"]', f'"-c", "{words}"]')
    copy.write("levers.md", copy.file("levers.md", "main") + a_lever("Split tips", "shop/**", name="L-010"))
    assert copy.tick()["sentence"] == "divmod 1"


def test_the_report_says_what_shipped_failed_was_learned_cost_and_waits(night):
    made, _reports, _ = night
    ran = made.run("report", "--repo", ".", "--json").json
    assert [row["lever"] for row in ran["shipped"]] == list(HIDDEN)
    assert [row["lever"] for row in ran["failed"]] == ["L-004"]
    assert "unittest" in ran["failed"][0]["text"]
    assert any("divmod" in row["text"] for row in ran["learned"])
    assert any("L-009" in str(row) for row in ran["needs_you"])
    assert ran["ticks"] == 10
    text = made.run("report", "--repo", ".").out
    for word in ("Shipped", "Failed", "Learned", "Cost", "Needs you", "A split bill loses cents"):
        assert word in text


@slow
def test_the_next_tick_finds_nothing_to_do_and_says_so(night, tmp_path):
    copy = kept(night[0], tmp_path)
    before = copy.git("rev-parse", LOOP)
    assert "no lever is open" in str(copy.tick())
    assert copy.git("rev-parse", LOOP) == before


@slow
def test_a_lever_that_shipped_can_be_taken_back_and_shipped_again(night, tmp_path):
    copy = kept(night[0], tmp_path)
    copy.run("rollback", "--lever", "L-007", "--by", "ada")
    assert passing(copy.top, LOOP) == set(HIDDEN) - {"L-007"}
    assert copy.lever("L-007").status == "open"
    report = copy.tick()
    assert (report["lever"], report["outcome"]) == ("L-007", "shipped")
    assert passing(copy.top, LOOP) == set(HIDDEN)


# Bad agents ----------------------------------------------------------------------------------------

SECONDS = "tick_minutes = 0.05\n"
REFUSED: dict[str, tuple[str, str]] = {
    # mode: (outcome, a word that the log must say)
    "outside": ("gate_failed", "README.md"),
    "new_file": ("gate_failed", "notes/done.txt"),
    "symlink": ("gate_failed", "symbolic link"),
    "tests": ("gate_failed", "tests/__init__.py"),
    "ci": ("gate_failed", ".github/workflows/ci.yml"),
    "gates": ("gate_failed", "surefoot.toml"),
    "levers": ("gate_failed", "levers.md"),
    "mode": ("gate_failed", "mode changed"),
    "submodule": ("gate_failed", "shop/bill"),
    "huge": ("gate_failed", "lines"),
    "wipes": ("gate_failed", "shop/"),
    "breaking": ("gate_failed", "compile"),
    "nothing": ("no_change", ""),
    "liar": ("no_change", ""),
    "mismatch": ("premise_mismatch", "does not do this"),
    "mismatch_but_acts": ("premise_mismatch", "does not do this"),
    "crash": ("error", ""),
    "killed": ("error", ""),
    "garbled": ("error", "breaks off"),
    "hang": ("limit", ""),
    "stubborn": ("limit", ""),
    "costly": ("limit", "100"),
}
HARMLESS = {"good", "child", "hook", "settings_of_git", "commits", "chatty", "priced", "preacher", "refocus"}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return Night.make(tmp_path_factory.mktemp("ready"), budget=SECONDS)


def nothing_got_through(made: Night, before: dict[str, str]) -> None:
    """Nobody's file is other than it was: in the person's tree, on their branch, in the code of the loop's."""
    assert made.untouched() == before
    assert [about.kind for _, _, about in made.commits()] == ["state"] * len(made.commits())
    if made.has(LOOP):
        assert made.code(LOOP) == made.code("main")
    git(made.top, "fsck", "--strict", "--no-dangling")


FAST = ("outside", "symlink", "liar", "mismatch", "crash")


@pytest.mark.parametrize("mode", [one if one in FAST else pytest.param(one, marks=slow) for one in REFUSED])
def test_a_bad_change_is_refused_the_worktree_gone_the_lever_logged_nothing_committed(ready, tmp_path, mode):
    made = kept(ready, tmp_path)
    swapped(made, mode)
    before = made.untouched()
    report = made.tick()
    outcome, word = REFUSED[mode]
    assert (report["outcome"], report["lever"]) == (outcome, "L-001")
    nothing_got_through(made, before)
    lever = made.lever("L-001")
    (line,) = lever.log
    assert (line.outcome, line.tick) == (outcome, 1)
    assert word in f"{line.what} {line.detail}"
    assert lever.status == ("failed" if outcome == "premise_mismatch" else "open")
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize("mode", ["hook", *(pytest.param(one, marks=slow) for one in ("settings_of_git", "commits"))])
def test_what_an_agent_does_to_git_itself_reaches_nobody(ready, tmp_path, mode):
    """Whether a wall held or the change was refused: no hook, setting or branch of the person is other than before."""
    made = kept(ready, tmp_path)
    swapped(made, mode)
    before = made.untouched()
    report = made.tick()
    assert made.untouched() == before
    assert report["outcome"] in ("shipped", "gate_failed")
    if report["outcome"] == "shipped":
        assert passing(made.top, LOOP) == {"L-001"}
        assert [about.kind for _, _, about in made.commits()] == ["lever", "state"]


def test_no_process_of_an_agent_outlives_its_tick(ready, tmp_path):
    made = kept(ready, tmp_path)
    swapped(made, "child")
    before = made.untouched()
    assert made.tick()["outcome"] == "shipped"
    assert orphans() == []
    assert made.untouched() == before


def orphans() -> list[str]:
    """The processes that carry the mark of the child that is left behind."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if ORPHAN.encode() in words:
            found.append(path.parent.name)
    return found


@slow
def test_an_agent_sees_no_secret_of_the_person(ready, tmp_path, monkeypatch):
    monkeypatch.setenv(CANARY, "hush")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "hush")
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    made = kept(ready, tmp_path)
    swapped(made, "spy")
    assert made.tick()["sentence"] == "saw nothing"


@slow
def test_what_an_agent_tells_cannot_teach_the_loop_to_let_everything_pass(ready, tmp_path):
    made = kept(ready, tmp_path)
    swapped(made, "preacher")
    assert made.tick()["outcome"] == "shipped"
    assert "ignore all previous" not in made.file("loop-prompt.md")
    assert [lever.id for lever in made.backlog()] == [lever.id for lever in made.backlog("main")]
    assert "<!--" not in made.file("genome.md")


@slow
def test_what_a_run_cost_is_counted_and_an_empty_budget_starts_no_tick(ready, tmp_path):
    made = kept(ready, tmp_path)
    swapped(made, "priced")
    made.edit("surefoot.toml", "tick_usd = 2.0\nday_usd = 10.0", "tick_usd = 0.06\nday_usd = 0.1")
    made.edit("surefoot.toml", "[repo.budget]", "usd_per_run = 0.06\n\n[repo.budget]")
    assert made.tick()["cost_usd"] == pytest.approx(0.05)
    tip = made.git("rev-parse", LOOP)
    ran = made.run("tick", "--repo", ".", "--json", code=None)
    assert ran.code != 0, "0.05 of 0.10 are left, and a run may take 0.06"
    assert "budget" in ran.json["error"]["message"]
    assert made.git("rev-parse", LOOP) == tip


def test_every_mode_of_the_stand_in_is_tried():
    assert set(MODES) - {"spy", "gate_script"} == set(REFUSED) | HARMLESS


@slow
def test_a_loop_that_goes_in_circles_stops_and_asks_for_a_person(ready, tmp_path):
    made = kept(ready, tmp_path)
    swapped(made, "breaking")
    backlog = a_lever("A split bill loses cents", "shop/bill.py, tests/test_bill.py")
    made.write("levers.md", backlog)
    reports = [made.tick() for _ in range(5)]
    assert reports[2]["course"] == "change_approach"
    assert made.lever("L-001").status == "failed"
    assert "L-001" in str(made.run("report", "--repo", ".", "--json").json["needs_you"])


# Gates ----------------------------------------------------------------------------------------


def gate(name: str, kind: str, *lines: str) -> str:
    return "\n".join(["[[repo.gates]]", f'name = "{name}"', f'kind = "{kind}"', *lines, ""])


PYTHON = f'"{sys.executable}", "-B"'


def failed_at(made: Night) -> tuple[str, str]:
    before = made.untouched()
    report = made.tick()
    assert report["outcome"] == "gate_failed", report
    nothing_got_through(made, before)
    return report["what"], report["sentence"]


def test_an_exit_code_cannot_hide_behind_a_pipe(tmp_path):
    piped = gate("piped", "test", f"shell = '''{sys.executable} -B -m unittest 2>&1 | tail -1'''")
    made = Night.make(tmp_path, STAND_IN, gates=piped, backlog=only("L-004"))
    assert failed_at(made)[0] == "piped"


@pytest.mark.parametrize(
    "line",
    ['command = ["sh", "-c", "make test | tail"]', 'shell = "make test || true"', 'shell = "set +e; make test"',
     'shell = "make test; echo done"', 'shell = "make test &"'],
)  # fmt: skip
def test_a_gate_that_cannot_fail_is_refused_before_anything_runs(ready, tmp_path, line):
    made = kept(ready, tmp_path)
    text = made.file("surefoot.toml", "main")
    made.write("surefoot.toml", text[: text.index("[[repo.gates]]")] + gate("bad", "test", line))
    ran = made.run("tick", "--repo", ".", code=2)
    assert re.search(r"surefoot\.toml, line \d+: .*hides the exit code", ran.err)
    assert "hint: " in ran.err
    assert not made.has(LOOP)


def test_no_gate_at_all_is_refused(ready, tmp_path):
    made = kept(ready, tmp_path)
    text = made.file("surefoot.toml", "main")
    made.write("surefoot.toml", text[: text.index("[[repo.gates]]")])
    assert "no gate" in made.run("tick", "--repo", ".", code=2).err
    assert not made.has(LOOP)


def only(name: str) -> str:
    """The example's backlog with one lever open."""
    head, *blocks = re.split(r"(?=^## )", (EXAMPLE / "levers.md").read_text(), flags=re.MULTILINE)
    return head + "".join(block for block in blocks if block.startswith(f"## {name} "))


def test_an_artifact_that_is_empty_fails_however_green_the_build_is(tmp_path):
    build = gate("site", "build", f"command = [{PYTHON}, \"-c\", \"open('page.html', 'w'); print('built!')\"]")
    artifact = gate("page", "artifact", "[[repo.gates.assertions]]", 'kind = "min_bytes"', 'target = "page.html"',
                    "min_bytes = 1000")  # fmt: skip
    made = Night.make(tmp_path, gates=UNITTEST + artifact + build)
    what, why = failed_at(made)
    assert what == "page"
    assert "page.html" in why


@pytest.mark.parametrize(
    "command",
    [f'command = [{PYTHON}, "-m", "unittest", "discover", "-s", "shop"]',
     pytest.param(f'command = [{PYTHON}, "-m", "unittest", "-k", "no_such_test"]', marks=slow),
     pytest.param(f'command = [{PYTHON}, "-m", "pytest", "-q", "-p", "no:cacheprovider", "shop"]', marks=slow)],
    ids=["unittest-finds-none", "unittest-selects-none", "pytest-finds-none"],
)  # fmt: skip
def test_a_gate_that_collected_no_test_fails(tmp_path, command):
    made = Night.make(tmp_path, gates=gate("none", "test", command))
    assert failed_at(made)[0] == "none"


@slow
def test_later_gates_do_not_run_after_one_that_failed(tmp_path):
    marks = gate("mark", "command", f'command = [{PYTHON}, "-c", "print(\'1 passed\')"]')
    made = Night.make(tmp_path, "breaking", gates=marks + UNITTEST + COMPILE)
    report = made.tick()
    assert [(one["name"], one["outcome"]) for one in report["gates"]] == [("compile", "fail")]


class Shaky(BaseHTTPRequestHandler):
    """Refuses the first so many requests."""

    refusals = 0
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(503 if type(self).asked <= type(self).refusals else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name in the library
        pass


@pytest.fixture
def shaky() -> Iterator[tuple[type[Shaky], int]]:
    """A server on loopback that a gate depends on; nothing of the change has to do with it."""
    fresh = type("Fresh", (Shaky,), {})
    server = HTTPServer(("127.0.0.1", 0), fresh)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fresh, server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def shaky_gate(port: int) -> str:
    words = (
        f"import sys, urllib.request as u, urllib.error as e\\ntry:\\n    u.urlopen('http://127.0.0.1:{port}/')\\n"
        "except e.HTTPError:\\n    sys.exit('labels: connection refused')\\nprint('1 check passed')"
    )
    return gate("labels", "command", "network = true", f'command = [{PYTHON}, "-c", "{words}"]')


@slow
@pytest.mark.parametrize(("refusals", "outcome"), [(0, "shipped"), (1, "shipped"), (2, "gate_failed")])
def test_a_gate_that_fails_for_reasons_of_its_own_is_run_once_more_and_only_once(tmp_path, shaky, refusals, outcome):
    server, port = shaky
    server.refusals = refusals
    made = Night.make(tmp_path, gates=UNITTEST + shaky_gate(port))
    report = made.tick()
    assert report["outcome"] == outcome
    assert server.asked == min(refusals, 1) + 1
    assert report["gates"][-1]["runs"] == server.asked


@slow
def test_a_failure_that_the_change_caused_is_not_run_again(tmp_path):
    made = Night.make(tmp_path, "breaking")
    (compiled,) = made.tick()["gates"]
    assert (compiled["outcome"], compiled["runs"]) == ("fail", 1)
    assert "shop/bill.py" in compiled["rerun"]


CHECK = "import shop.bill\nassert shop.bill.split(900, 3) == [300, 300, 300]\nprint('1 check passed')\n"


@pytest.mark.parametrize("place", [pytest.param("tools/check.py", marks=slow), "check.py"])
def test_a_change_cannot_bring_its_own_gate(tmp_path, place):
    """The agent breaks the code and the script that would notice; also when the scope would cover the script."""
    checked = gate("check", "command", f'command = [{PYTHON}, "{place}"]')
    scope = "shop/bill.py, tools/**, *.py, tests/test_bill.py"
    act = f"import pathlib as p; p.Path('{place}').write_text('print(1)'); p.Path('shop/bill.py').write_text('oops(')"
    agent = [sys.executable, "-B", "-c", act]
    made = Night.make(tmp_path, agent, gates=checked, files={place: CHECK},
                      backlog=a_lever("A split bill loses cents", scope))  # fmt: skip
    what, why = failed_at(made)
    assert what == "scope"
    assert place in why


@slow
def test_a_gate_of_two_commits_is_that_of_the_trusted_base(tmp_path):
    """A person's gate in the base counts; that the agent's worktree once held another one does not matter."""
    checked = gate("check", "command", f'command = [{PYTHON}, "tools/check.py"]')
    made = Night.make(tmp_path, "gate_script", gates=checked, files={"tools/check.py": CHECK})
    assert "tools/check.py" in failed_at(made)[1]


# Repositories as they are ----------------------------------------------------------------------------------------


VARIANTS: list[dict[str, Any]] = [{"detached": True}, {"dos": True}, {"older_commits": 300}]


@pytest.mark.parametrize(
    "variant",
    [{"submodule": True}, *(pytest.param(one, marks=slow) for one in VARIANTS)],
    ids=lambda one: next(iter(one)),
)
def test_a_tick_ships_on_repositories_of_every_kind(tmp_path, variant):
    made = Night.make(tmp_path, **variant)
    if "detached" in variant:  # the four files were committed on the detached head
        git(made.top, "branch", "-q", "-f", "main", "HEAD")
    before = made.untouched()
    assert made.tick()["outcome"] == "shipped"
    assert made.untouched() == before
    assert passing(made.top, LOOP) == {"L-001"}
    sha = made.shipped()["L-001"]
    assert changed_files(made.top, sha) == ["shop/bill.py", "tests/test_bill.py"]
    if "dos" in variant:
        content = made.git("show", f"{sha}:shop/bill.py")
        assert git(made.top, "show", "--numstat", "--format=", sha).split()[:3] == ["2", "1", "shop/bill.py"]
        assert "\n" not in content.replace("\r\n", "")
    if "submodule" in variant:
        assert made.code(LOOP)["vendor/labels"] == made.code("main")["vendor/labels"]


@slow
def test_files_of_the_loop_with_line_ends_of_dos_keep_them(tmp_path):
    made = Night.make(tmp_path)
    for name in NAMES:
        (made.top / name).write_bytes((made.top / name).read_bytes().replace(b"\n", b"\r\n"))
    git(made.top, "commit", "-qam", "line ends of DOS")
    assert made.tick()["outcome"] == "shipped"
    for name in NAMES:
        text = made.git("show", f"{LOOP}:{name}")
        assert "\n" not in text.replace("\r\n", ""), name
    assert made.lever("L-001").status == "shipped"


def test_a_persons_uncommitted_work_is_untouched_and_stays_out_of_the_commits(tmp_path):
    made = Night.make(tmp_path)
    (made.top / "shop/bill.py").write_text("half of an idea\n")
    (made.top / "new idea.txt").write_text("secret plan\n")
    git(made.top, "add", "shop/bill.py")
    (made.top / "README.md").unlink()
    before = made.untouched()
    assert made.tick()["outcome"] == "shipped"
    assert made.untouched() == before
    assert "new idea.txt" not in made.code(LOOP)
    assert "README.md" in made.code(LOOP)
    assert passing(made.top, LOOP) == {"L-001"}


@pytest.mark.parametrize("dirt", [pytest.param("changed", marks=slow), "staged", pytest.param("new", marks=slow)])
def test_direct_mode_refuses_politely_while_a_person_has_uncommitted_work(tmp_path, dirt):
    made = Night.make(tmp_path, more='mode = "direct"')
    name = "notes.txt" if dirt == "new" else "README.md"
    (made.top / name).write_text("half of an idea\n")
    if dirt == "staged":
        git(made.top, "add", name)
    before = made.untouched()
    ran = made.run("tick", "--repo", ".", code=1)
    assert name in ran.err
    assert "commit or stash" in ran.err
    assert made.untouched() == before


def test_direct_mode_refuses_politely_on_a_detached_head(tmp_path):
    made = Night.make(tmp_path, more='mode = "direct"')
    git(made.top, "checkout", "-q", "--detach")
    before = made.untouched()
    assert "detached" in made.run("tick", "--repo", ".", code=1).err
    assert made.untouched() == before


@slow
def test_direct_mode_commits_where_the_person_stands_and_their_tree_follows(tmp_path):
    made = Night.make(tmp_path, more='mode = "direct"')
    start = made.git("rev-parse", "HEAD")
    assert made.tick()["outcome"] == "shipped"
    assert made.git("status", "--porcelain") == ""
    assert [about.kind for _, _, about in made.commits("main", since=start)] == ["lever", "state"]
    assert passing(made.top, "main") == {"L-001"}
    assert "divmod" in (made.top / "shop/bill.py").read_text()


@slow
def test_pr_mode_opens_a_branch_per_lever_with_one_commit_on_the_base(tmp_path):
    made = Night.make(tmp_path, more='mode = "pr"')
    start, status = made.git("rev-parse", "main"), made.git("status", "--porcelain", "--", "shop", "tests")
    assert [made.tick()["outcome"] for _ in range(2)] == ["shipped", "shipped"]
    for lever in ("L-001", "L-002"):
        assert [about.lever for _, _, about in made.commits(f"surefoot/{lever}")] == [lever]
        assert passing(made.top, f"surefoot/{lever}") == {lever}
    assert (made.git("rev-parse", "main"), made.git("status", "--porcelain", "--", "shop", "tests")) == (start, status)


@slow
def test_what_a_person_commits_between_two_ticks_is_built_upon(tmp_path):
    made = Night.make(tmp_path)
    made.tick()
    made.edit("README.md", "# shop", "# The shop")
    made.edit("levers.md", "- value: 3", "- value: 30")
    git(made.top, "commit", "-qam", "the hyphens first, please")
    report = made.tick()
    assert (report["lever"], report["outcome"]) == ("L-008", "shipped")
    assert made.file("README.md").startswith("# The shop")
    assert passing(made.top, LOOP) == {"L-001", "L-008"}
    assert made.lever("L-001").status == "shipped"


@pytest.mark.parametrize(
    ("name", "old", "new", "line"),
    [
        ("levers.md", "- value: 8", "- value: a lot", 16),
        ("genome.md", "version: v001", "version: one", 2),
        ("surefoot.toml", "tick_usd = 2.0", "tick_usd = 2.0\nfree_lunch = true", 11),
    ],
)
def test_a_broken_file_stops_the_tick_with_its_line_and_a_hint_and_is_not_repaired(
    ready, tmp_path, name, old, new, line
):
    made = kept(ready, tmp_path)
    made.edit(name, old, new)
    before = made.untouched()
    ran = made.run("tick", "--repo", ".", code=2)
    assert re.search(rf"{re.escape(name)}, line {line}: ", ran.err), ran.err
    assert "hint: " in ran.err
    assert made.untouched() == before
    assert not made.has(LOOP)


@slow
def test_settings_that_a_person_takes_back_without_a_commit_are_taken_back(ready, tmp_path):
    made = kept(ready, tmp_path)
    before = made.file("surefoot.toml", "main")
    made.edit("surefoot.toml", '"good"]', '"outside"]')
    assert made.tick()["outcome"] == "gate_failed"
    made.write("surefoot.toml", before)
    assert made.tick()["outcome"] == "shipped"
    assert made.file("surefoot.toml") == before


@slow
def test_a_tick_by_hand_as_the_skill_says_is_taken_up_by_the_loop_and_can_be_taken_back(ready, tmp_path):
    """The commands and formats of skills/surefoot-loop/SKILL.md, carried out by an agent that drives itself."""
    made = kept(ready, tmp_path)
    skill = (EXAMPLE.parents[1] / "skills/surefoot-loop/SKILL.md").read_text()
    (message,) = re.findall(r"^```text\n(L-001: .*?)^```", skill, re.MULTILINE | re.DOTALL)
    before = made.untouched()
    git(made.top, "worktree", "add", "-q", "--detach", "../tick", "main")
    hand = Night(tmp_path / "tick")
    stand_in.work(f"# The one lever of this tick: L-001 {made.lever('L-001', 'main').title}\n", hand.top)
    git(hand.top, "commit", "-qam", message)
    sha = git(hand.top, "rev-parse", "--short=12", "HEAD")
    (line,) = re.findall(r"^- \S+ \S+ shipped \(1a2b3c4d5e6f\).*$", skill, re.MULTILINE)
    line = line.replace("1a2b3c4d5e6f", sha)
    hand.edit("levers.md", "999 cents. What is left over goes to the first ones, a cent each.\n",
              f"999 cents. What is left over goes to the first ones, a cent each.\n\n### Log\n\n{line}\n")  # fmt: skip
    text = (hand.top / "levers.md").read_text()
    hand.write("levers.md", text.replace("- status: open", "- status: shipped", 1))
    git(hand.top, "commit", "-qam", "L-001 shipped by hand\n\nSurefoot-Kind: state")
    git(hand.top, "branch", "-f", LOOP, "HEAD")
    git(made.top, "worktree", "remove", "--force", "../tick")
    assert made.untouched() == before
    report = made.tick()
    assert (report["tick"], report["lever"], report["outcome"]) == (1, "L-002", "shipped")
    assert passing(made.top, LOOP) == {"L-001", "L-002"}
    assert [one.outcome for one in made.lever("L-001").log] == ["shipped"]
    made.run("rollback", "--lever", "L-001", "--by", "ada")
    assert passing(made.top, LOOP) == {"L-002"}
    assert made.lever("L-001").status == "open"

"""Coding agents are programs that may lie, hang, overspend and leave things behind; all is seen from outside."""

import asyncio
import json
import os
import sys
import textwrap
import time
from pathlib import Path

import pytest

from surefoot.adapters.coding_agents import AnyCommand, Claude, Codex, Gemini
from surefoot.adapters.coding_agents import claude as of_claude
from surefoot.adapters.coding_agents import codex as of_codex
from surefoot.adapters.coding_agents import command as of_command
from surefoot.adapters.coding_agents import gemini as of_gemini
from surefoot.adapters.processes import Ended, layers
from surefoot.adapters.processes.capped import Capped
from surefoot.core.errors import Invalid
from surefoot.ports.repository import CodingAgent, Delivery, Errand

LANDLOCK = pytest.mark.skipif("landlock" not in layers(), reason="this kernel has no Landlock")
CLAUDE_OK = {
    "type": "result", "subtype": "success", "is_error": False, "duration_ms": 4012, "num_turns": 6,
    "result": "Done.\nLESSON: read first", "session_id": "s", "total_cost_usd": 0.1234,
    "usage": {"input_tokens": 10, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000,
              "output_tokens": 5},
    "permission_denials": [],
}  # fmt: skip
CODEX_OK = [
    {"type": "thread.started", "thread_id": "t"},
    {"type": "turn.started"},
    {"type": "item.completed", "item": {"id": "0", "type": "reasoning", "text": "hm"}},
    {"type": "item.completed", "item": {"id": "1", "type": "command_execution", "command": "ls", "exit_code": 0}},
    {"type": "item.completed", "item": {"id": "2", "type": "file_change", "changes": [{"path": "a", "kind": "add"}],
                                        "status": "completed"}},
    {"type": "item.completed", "item": {"id": "3", "type": "agent_message", "text": "All done."}},
    {"type": "turn.completed", "usage": {"input_tokens": 100, "cached_input_tokens": 50, "output_tokens": 7}},
]  # fmt: skip
GEMINI_OK = {
    "response": "Done.",
    "stats": {
        "models": {"g": {"api": {"totalRequests": 3, "totalErrors": 0}, "tokens": {"prompt": 90, "total": 120}}},
        "tools": {"totalCalls": 2, "totalDecisions": {"accept": 2, "reject": 0}, "byName": {}},
    },
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    return tree


def program(tmp_path: Path, name: str, body: str) -> str:
    """Write a program that stands in for a coding agent."""
    path = tmp_path / name
    path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{textwrap.dedent(body)}")
    path.chmod(0o755)
    return str(path)


def saying(tmp_path: Path, name: str, output: str, code: int = 0) -> str:
    """Write a program that replays an output, and leaves its words, input and environment beside."""
    return program(
        tmp_path,
        name,
        f"""
        seen = {{"words": sys.argv[1:], "stdin": sys.stdin.read(), "env": dict(os.environ), "cwd": os.getcwd()}}
        seen["home"] = sorted(str(p) for p in __import__("pathlib").Path(os.environ["HOME"]).rglob("*"))
        open("seen.json", "w").write(json.dumps(seen))
        sys.stdout.write({output!r})
        sys.exit({code})
        """,
    )


def errand(tree: Path, **more: object) -> Errand:
    return Errand(**({"prompt": "Fix it.\n", "worktree": str(tree), "lever": "L-001", "deadline_s": 20.0} | more))


def read(agent: object, said: object, code: int = 0) -> Delivery:
    """Read a report as that agent's is read."""
    out = said if isinstance(said, str) else json.dumps(said)
    return agent.read(Ended(code=code, out=out.encode()), lambda text: text, {})


def seen(tree: Path) -> dict:
    return json.loads((tree / "seen.json").read_text())


def events(*many: dict) -> str:
    return "".join(json.dumps(one) + "\n" for one in many)


def running(mark: str) -> list[str]:
    """Name the processes whose command line has a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in words and "pytest" not in words:
            found.append(words)
    return found


async def gone(mark: str) -> bool:
    for _ in range(100):
        if not running(mark):
            return True
        await asyncio.sleep(0.05)
    return False


# Claude


async def claude(tmp_path: Path, tree: Path, said: dict | str, code: int = 0, **more: object) -> Delivery:
    text = said if isinstance(said, str) else json.dumps(said)
    return await Claude(program=saying(tmp_path, "claude", text, code)).work(errand(tree, **more))


async def test_claude_is_called_without_settings_and_with_its_limits(tmp_path: Path, tree: Path):
    done = await claude(tmp_path, tree, CLAUDE_OK, max_turns=7, max_usd=0.5)
    assert (done.status, done.turns, done.tokens, done.cost_usd) == ("ok", 6, 1115, 0.1234)
    assert done.summary == "Done.\nLESSON: read first"
    words = seen(tree)["words"]
    assert words[:5] == ["-p", "--output-format", "json", "--setting-sources=", "--strict-mcp-config"]
    assert words[words.index("--max-turns") + 1] == "7"
    assert words[words.index("--max-budget-usd") + 1] == "0.5"
    assert "Bash" not in " ".join(words)
    assert seen(tree)["stdin"] == "Fix it.\n"
    assert seen(tree)["cwd"] == str(tree)


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"is_error": True, "result": "API Error: 529 overloaded"}, 1, "error"),
        ({"is_error": True}, 0, "error"),
        ({}, 1, "error"),
        ({"is_error": None}, 0, "error"),
        ({"subtype": None}, 0, "error"),
        ({"subtype": "error_during_execution", "is_error": True}, 1, "error"),
        ({"subtype": "error_max_turns", "is_error": True}, 1, "limit"),
        ({"subtype": "error_max_budget_usd", "is_error": True}, 1, "limit"),
        ({"permission_denials": [{"tool_name": "Write", "tool_input": {"file_path": "/etc/x"}}]}, 0, "denied"),
    ],
)
def test_claudes_ends_mean_what_was_measured(change: dict, code: int, status: str):
    done = read(of_claude, CLAUDE_OK | change, code)
    assert done.status == status
    assert done.exit_code == code
    if status == "denied":
        assert done.denials == ("Write: /etc/x",)


@pytest.mark.parametrize("said", ["", "{", json.dumps(CLAUDE_OK)[:-3], "[]", "null", '"ok"', "done!", "[" * 100_000])
def test_half_a_report_is_never_ok(said: str):
    assert read(of_claude, said).status == "error"
    assert read(of_codex, said).status == "error"
    assert read(of_gemini, said).status == "error"


@pytest.mark.parametrize(
    "change",
    [
        {"total_cost_usd": "free", "num_turns": "many", "usage": [], "permission_denials": "none", "result": 7},
        {"total_cost_usd": -1, "num_turns": -1, "usage": {"input_tokens": None}, "permission_denials": None},
        {"total_cost_usd": float("nan"), "num_turns": True, "usage": None, "permission_denials": {}},
    ],
)
def test_numbers_that_are_none_are_unknown_and_not_zero(change: dict):
    done = read(of_claude, CLAUDE_OK | change)
    assert (done.cost_usd, done.turns, done.tokens) == (None, None, None)


# Codex


async def codex(tmp_path: Path, tree: Path, said: str, code: int = 0, **more: object) -> Delivery:
    return await Codex(program=saying(tmp_path, "codex", said, code)).work(errand(tree, **more))


async def test_codex_gets_its_prompt_on_standard_input_and_is_read_line_by_line(tmp_path: Path, tree: Path):
    done = await codex(tmp_path, tree, events(*CODEX_OK))
    assert (done.status, done.summary, done.turns, done.tokens, done.cost_usd) == ("ok", "All done.", 2, 107, None)
    words = seen(tree)["words"]
    assert words[:2] == ["exec", "--json"]
    assert words[-3:] == ["-C", str(tree), "-"]


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        (events(*CODEX_OK[:-1]), 0, "error"),
        (events(*CODEX_OK)[:-10], 0, "error"),
        (events(*CODEX_OK) + '{"type": "item.st', 0, "error"),
        (events(*CODEX_OK), 1, "error"),
        ("", 0, "error"),
        (events(*CODEX_OK[:2], {"type": "turn.failed", "error": {"message": "401"}}), 1, "error"),
        (events(*CODEX_OK[:-1], {"type": "item.completed", "item": {"type": "file_change", "status": "failed",
                "changes": [{"path": "/etc/x"}]}}, CODEX_OK[-1]), 0, "denied"),
        (events(*CODEX_OK[:-1], {"type": "item.completed", "item": {"type": "command_execution", "status": "declined",
                "command": "rm"}}, CODEX_OK[-1]), 0, "denied"),
        (events({"type": ["odd"], "item": 3}, {"item": None}, *CODEX_OK), 0, "ok"),
    ],
)  # fmt: skip
def test_codexs_ends_mean_what_was_measured(said: str, code: int, status: str):
    assert read(of_codex, said, code).status == status


async def test_codex_is_stopped_when_it_took_more_steps_than_allowed(tmp_path: Path, tree: Path):
    step = json.dumps(CODEX_OK[3])
    endless = program(tmp_path, "codex", f"while True:\n    print({step!r}, flush=True)\n    time.sleep(0.02)\n")
    began = time.monotonic()
    done = await Codex(program=endless).work(errand(tree, max_turns=5))
    assert done.status == "limit"
    assert time.monotonic() - began < 10


# Gemini


async def gemini(tmp_path: Path, tree: Path, said: dict | str, code: int = 0, **more: object) -> Delivery:
    text = said if isinstance(said, str) else json.dumps(said)
    return await Gemini(program=saying(tmp_path, "gemini", text, code)).work(errand(tree, **more))


async def test_gemini_is_limited_by_a_settings_file_in_its_own_home(tmp_path: Path, tree: Path):
    done = await gemini(tmp_path, tree, GEMINI_OK, max_turns=4)
    assert (done.status, done.summary, done.turns, done.tokens) == ("ok", "Done.", 3, 120)
    assert any(path.endswith(".gemini/settings.json") for path in seen(tree)["home"])
    assert seen(tree)["stdin"] == "Fix it.\n"


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        ({"error": {"type": "ApiError", "message": "quota"}}, 1, "error"),
        ({"error": {"type": "ApiError", "message": "quota"}, "response": "x"}, 0, "error"),
        (GEMINI_OK, 1, "error"),
        ({"stats": {}}, 0, "error"),
        (json.dumps(GEMINI_OK)[:-5], 0, "error"),
        ("", 53, "limit"),
        (GEMINI_OK | {"stats": {"tools": {"totalDecisions": {"reject": 1}}}}, 0, "denied"),
        (GEMINI_OK | {"stats": {"tools": {"byName": {"write_file": {"decisions": {"reject": 1}}}}}}, 0, "denied"),
        (GEMINI_OK | {"stats": []}, 0, "ok"),
    ],
)
def test_geminis_ends_are_told_apart(said: dict | str, code: int, status: str):
    assert read(of_gemini, said, code).status == status


# Any command


async def test_a_command_gets_its_prompt_twice_and_its_places_filled_in(tmp_path: Path, tree: Path):
    agent = program(
        tmp_path,
        "agent",
        """
        file, place, lever = sys.argv[1:4]
        assert open(file).read() == sys.stdin.read() == "Use {lever} and $HOME; `rm -rf`"
        open("out.txt", "w").write(place + " " + lever + " " + sys.argv[4])
        print("I did it")
        """,
    )
    words = [agent, "{prompt_file}", "{worktree}", "--lever={lever}", "$(touch evil)"]
    done = await AnyCommand(words).work(errand(tree, prompt="Use {lever} and $HOME; `rm -rf`", lever="L-{worktree}"))
    assert (done.status, done.summary, done.exit_code) == ("ok", "I did it", 0)
    assert (tree / "out.txt").read_text() == f"{tree} --lever=L-{{worktree}} $(touch evil)"
    assert not (tree / "evil").exists()


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        ("", 0, "ok"),
        ("", 3, "error"),
        ('{"status": "no_change", "summary": "nothing to do"}', 0, "no_change"),
        ('working\n{"status": "limit", "cost_usd": 1.5}', 1, "limit"),
        ('{"status": "ok"}', 1, "error"),
        ('{"status": "ok", "summary": "tru', 0, "error"),
        ('{"status": "splendid"}', 0, "error"),
        ('{"status": ["ok"]}', 0, "error"),
        ('{"denials": 3, "cost_usd": "x"}', 0, "ok"),
    ],
)
def test_a_commands_report_is_read_and_never_makes_a_failure_ok(said: str, code: int, status: str):
    assert read(of_command, said, code).status == status


def test_a_command_without_words_is_refused():
    with pytest.raises(Invalid):
        AnyCommand([])


# What holds for all of them


async def test_an_agent_sees_no_secret_and_an_empty_home(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-for-agents")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    agent = Claude(program=saying(tmp_path, "claude", json.dumps(CLAUDE_OK)), env={"ANTHROPIC_API_KEY": "k" * 20})
    await agent.work(errand(tree, env={"EXTRA": "1", "HOME": "/root", "LD_PRELOAD": "evil.so"}))
    env = seen(tree)["env"]
    assert "not-for-agents" not in str(env)
    assert "SSH_AUTH_SOCK" not in env
    assert "LD_PRELOAD" not in env
    assert env["HOME"] not in ("/root", os.environ.get("HOME"))
    assert (env["ANTHROPIC_API_KEY"], env["EXTRA"]) == ("k" * 20, "1")
    assert seen(tree)["home"] == []
    assert not Path(env["HOME"]).exists()  # noqa: ASYNC240


async def test_keys_do_not_get_into_transcripts(tmp_path: Path, tree: Path):
    secret, token = "s3cr3t value of no known shape", "sk-" + "a1" * 20
    body = f"""
    print("my key is", os.environ["KEY"]); print({token!r}, file=sys.stderr)
    print("last: " + os.environ["KEY"])
    """
    done = await AnyCommand([program(tmp_path, "agent", body)], env={"KEY": secret}).work(errand(tree))
    assert secret not in done.transcript + done.summary
    assert token not in done.transcript
    assert "[KEY]" in done.summary


async def test_a_redactor_can_be_handed_in(tmp_path: Path, tree: Path):
    agent = AnyCommand([saying(tmp_path, "agent", "call Ada")], redact=lambda text: text.replace("Ada", "[name]"))
    assert (await agent.work(errand(tree))).summary == "call [name]"


async def test_endless_output_is_capped_with_head_and_tail(tmp_path: Path, tree: Path):
    body = """
    print("the head")
    for n in range(3000): sys.stdout.write("x" * 1000)
    print()
    print("the tail")
    """
    done = await AnyCommand([program(tmp_path, "agent", body)]).work(errand(tree))
    assert len(done.transcript) < 410_000
    assert done.transcript.startswith("the head")
    assert done.transcript.rstrip().endswith("the tail")
    assert "bytes left out" in done.transcript


def test_capped_output_keeps_short_texts_whole_and_counts_the_rest():
    small = Capped(10)
    for piece in (b"abc", b"def"):
        small.add(piece)
    assert small.close() == b"abcdef"
    long = Capped(10)
    for number in range(1000):
        long.add(b"%03d" % number)
    kept = long.close()
    assert kept.startswith(b"00000")
    assert kept.endswith(b"98999")
    assert b"2990 bytes left out" in kept


async def test_an_agent_that_ignores_sigterm_is_killed_at_the_deadline_with_its_children(tmp_path: Path, tree: Path):
    mark = f"mark-{os.getpid()}-stubborn"
    body = f"""
    import signal, subprocess
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300) # {mark}"
    subprocess.Popen([sys.executable, "-c", child])
    subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
    print("begun", flush=True)
    time.sleep(300)
    """
    began = time.monotonic()
    done = await AnyCommand([program(tmp_path, "agent", body)]).work(errand(tree, deadline_s=1.0))
    assert done.status == "timeout"
    assert done.exit_code == -9
    assert "begun" in done.transcript
    assert time.monotonic() - began < 8
    assert running(mark) == []


async def test_an_agent_that_obeys_sigterm_may_finish_its_report_and_is_still_late(tmp_path: Path, tree: Path):
    body = """
    import signal
    def end(*_): print('{"status": "ok", "cost_usd": 0.25}', flush=True); sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    time.sleep(60)
    """
    done = await AnyCommand([program(tmp_path, "agent", body)]).work(errand(tree, deadline_s=1.0))
    assert (done.status, done.cost_usd) == ("timeout", 0.25)


@pytest.mark.parametrize("output", ["held", "closed"])
async def test_a_background_child_in_a_session_of_its_own_is_ended_after_a_good_run(
    tmp_path: Path, tree: Path, output: str
):
    mark = f"mark-{os.getpid()}-daemon"
    body = f"""
    import subprocess
    sleeper = [sys.executable, "-c", "import time; time.sleep(300) # {mark}"]
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if {output == "closed"}:
                for stream in (0, 1, 2):
                    os.dup2(os.open(os.devnull, os.O_RDWR), stream)
            os.execv(sleeper[0], sleeper)
        os._exit(0)
    os.wait()
    quiet = {{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}}
    subprocess.Popen(sleeper, start_new_session=True, **quiet)
    print("done")
    """
    began = time.monotonic()
    done = await AnyCommand([program(tmp_path, "agent", body)]).work(errand(tree))
    assert (done.status, done.summary) == ("ok", "done")
    assert time.monotonic() - began < 5
    assert running(mark) == []


async def test_cancelling_ends_the_agent_before_the_cancellation_goes_on(tmp_path: Path, tree: Path):
    mark = f"mark-{os.getpid()}-cancel"
    body = f"os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(300) # {mark}'])"
    task = asyncio.create_task(AnyCommand([program(tmp_path, "agent", body)]).work(errand(tree)))
    for _ in range(100):
        if running(mark):
            break
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running(mark) == []


async def test_an_agent_does_not_outlive_a_killed_surefoot(tmp_path: Path, tree: Path):
    mark = f"mark-{os.getpid()}-orphan"
    agent = program(tmp_path, "agent", f"""
    os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(300) # {mark}'])
    """)  # fmt: skip
    driver = f"""
import asyncio
from surefoot.adapters.coding_agents import AnyCommand
from surefoot.ports.repository import Errand
asyncio.run(AnyCommand([{agent!r}]).work(Errand(prompt="x", worktree={str(tree)!r}, lever="L", deadline_s=300)))
"""
    source = str(Path(__file__).parents[2] / "src")
    surefoot = await asyncio.create_subprocess_exec(
        sys.executable, "-c", driver, env=dict(os.environ) | {"PYTHONPATH": source}
    )
    for _ in range(200):
        if running(mark):
            break
        await asyncio.sleep(0.05)
    assert running(mark)
    surefoot.kill()
    await surefoot.wait()
    assert await gone(mark)


async def test_an_agent_that_kills_its_keeper_leaves_nothing_either(tmp_path: Path, tree: Path):
    mark = f"mark-{os.getpid()}-keeper"
    body = f"""
    import subprocess
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300) # {mark}"], start_new_session=True)
    print("free", flush=True)
    os.kill(os.getppid(), 9)
    time.sleep(300)
    """
    done = await AnyCommand([program(tmp_path, "agent", body)]).work(errand(tree, deadline_s=2.0))
    assert done.status == "error"
    assert "keeper" in done.summary
    assert running(mark) == []


@LANDLOCK
async def test_an_agent_writes_into_its_worktree_and_nowhere_else(tmp_path: Path, tree: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    body = f"""
    import shutil, pathlib
    outside = pathlib.Path({str(outside)!r})
    tried = []
    for attempt in (
        lambda: (outside / "new").write_text("x"), lambda: (outside / "file").write_text("x"),
        lambda: (outside / "file").unlink(), lambda: shutil.move(outside / "file", "here"),
        lambda: (outside / "folder").mkdir(), lambda: (outside / "link").symlink_to("/"),
        lambda: os.truncate(outside / "file", 0), lambda: os.link(outside / "file", "hard"),
    ):
        try:
            attempt()
            tried.append("did")
        except OSError:
            tried.append("could not")
    open("inside", "w").write(" ".join(tried))
    import tempfile; tempfile.mkstemp(); open("/dev/null", "w").write("x")
    (pathlib.Path.home() / ".cache").mkdir()
    """
    done = await AnyCommand([program(tmp_path, "agent", body)]).work(errand(tree))
    assert done.status == "ok", done.transcript
    assert "did" not in (tree / "inside").read_text().replace("could not", "")
    assert (outside / "file").read_text() == "kept"
    assert sorted(path.name for path in outside.iterdir()) == ["file"]


async def test_an_agent_that_crashes_or_is_missing_is_an_error(tmp_path: Path, tree: Path):
    crash = await AnyCommand([program(tmp_path, "agent", "os.kill(os.getpid(), 11)")]).work(errand(tree))
    assert (crash.status, crash.exit_code) == ("error", -11)
    missing = await AnyCommand([str(tmp_path / "nothing")]).work(errand(tree))
    assert (missing.status, missing.exit_code) == ("error", None)
    assert "No such file" in missing.summary
    nowhere = await AnyCommand(["true"]).work(errand(tree / "gone"))
    assert nowhere.status == "error"


@pytest.mark.parametrize("kind", [Claude, Codex, Gemini])
async def test_usable_says_what_is_missing_and_spends_nothing(tmp_path: Path, kind: type):
    agent: CodingAgent = kind(program=str(tmp_path / "none"))
    assert not (await agent.usable()).installed
    body = "assert sys.argv[1:] == ['--version']; print('1.2.3 (test)')"
    path = program(tmp_path, kind.name, body)
    without = await kind(program=path).usable()
    assert (without.installed, without.usable, without.version) == (True, False, "1.2.3 (test)")
    assert "_KEY" in without.why
    keys = {"ANTHROPIC_API_KEY": "x", "OPENAI_API_KEY": "x", "GEMINI_API_KEY": "x"}
    assert (await kind(program=path, env=keys).usable()).usable
    broken = await kind(program=program(tmp_path, "broken", "sys.exit('too old')"), env=keys).usable()
    assert not broken.usable
    assert "too old" in broken.why


async def test_a_command_is_usable_when_it_is_there_and_is_not_run_to_find_out(tmp_path: Path):
    path = program(tmp_path, "agent", f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert (await AnyCommand([path]).usable()).usable
    assert not (tmp_path / "ran").exists()
    assert not (await AnyCommand([str(tmp_path / "none")]).usable()).usable

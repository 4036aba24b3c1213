"""Gates run for real: what hides a failure is refused, what checked nothing fails, and nothing is left running."""

# ruff: noqa: ASYNC240  # the files of a test are small and near

import asyncio
import http.server
import json
import os
import socket
import sys
import threading
import time
import venv
from pathlib import Path

import pytest

from surefoot.adapters.gates import GateRunner
from surefoot.adapters.processes import layers
from surefoot.core.errors import Unavailable
from surefoot.core.gate_spec import Assertion, Command, GateSpec, Server
from surefoot.ports.repository import GateResult

PY = sys.executable


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "gate.log"


async def run(gate: GateSpec, checkout: Path, log: Path, **environ: str) -> GateResult:
    return await GateRunner(environ=environ).run(gate, str(checkout), str(log))


def spec(*argv: str, shell: str = "", kind: str = "command", **more: object) -> GateSpec:
    command = Command(argv=argv, shell=shell) if argv or shell else None
    return GateSpec(**({"name": "g", "kind": kind, "command": command, "timeout_s": 30.0} | more))


def python(code: str, **more: object) -> GateSpec:
    return spec(PY, "-c", code, **more)


# Exit codes


@pytest.mark.parametrize("code", [0, 1, 2, 127])
async def test_the_exit_code_decides(checkout: Path, log: Path, code: int):
    done = await run(python(f"print('said'); raise SystemExit({code})"), checkout, log)
    assert (done.outcome, done.exit_code) == ("pass" if code == 0 else "fail", code)
    assert "said" in log.read_text()
    assert log.read_text().startswith("$ ")


async def test_success_is_no_matter_of_what_is_printed(checkout: Path, log: Path):
    done = await run(python("print('=== 5 passed in 0.1s ==='); raise SystemExit(1)", kind="test"), checkout, log)
    assert done.outcome == "fail"


async def test_a_signal_a_missing_program_and_a_missing_checkout_are_told_apart(checkout: Path, log: Path):
    killed = await run(python("import os; os.kill(os.getpid(), 9)"), checkout, log)
    assert (killed.outcome, killed.exit_code) == ("fail", -9)
    missing = await run(spec("no-such-program"), checkout, log)
    assert (missing.outcome, missing.exit_code) == ("error", None)
    with pytest.raises(Unavailable):
        await run(spec("ls"), checkout / "gone", log)


@pytest.mark.parametrize(
    "text",
    [
        "false | cat",
        "exit 3 | head -1",
        "cat missing | tail -3",
        "false\ncat /dev/null",
        "(exit 2); ls",
        "ls missing | wc -l",
    ],
)
async def test_a_pipe_or_a_later_line_in_a_shell_hides_no_failure(checkout: Path, log: Path, text: str):
    assert (await run(spec(shell=text), checkout, log)).outcome == "fail"


async def test_a_shell_that_succeeds_passes(checkout: Path, log: Path):
    done = await run(spec(shell='[ "$(printf "a\\nb\\n" | wc -l)" -eq 2 ] && cat /dev/null'), checkout, log)
    assert done.outcome == "pass", log.read_text()


@pytest.mark.parametrize(
    "gate",
    [
        spec("pytest", "|", "head"), spec("make", "||", "true"), spec(shell="false || true"), spec(shell="pytest || :"),
        spec("bash", "-c", "false | cat"), spec(shell="set +e\nfalse"), spec(shell="false &"),
        spec("ls", assertions=(Assertion(kind="command", command=Command(shell="false || true")),)),
        spec("ls", server=Server(command=Command(argv=("serve", "&")))),
    ],
)  # fmt: skip
async def test_what_could_hide_a_failure_is_refused_before_it_runs(checkout: Path, log: Path, gate: GateSpec):
    done = await run(gate, checkout, log)
    assert done.outcome == "error"
    assert "hide" in done.sentence
    assert log.read_text() == ""


async def test_words_are_words_and_no_shell_reads_them(checkout: Path, log: Path):
    code = "import sys; assert sys.argv[1:] == ['$(touch evil)', 'a b', '*', '`x`'], sys.argv"
    assert (await run(spec(PY, "-c", code, "$(touch evil)", "a b", "*", "`x`"), checkout, log)).outcome == "pass"
    assert list(checkout.iterdir()) == []


# Nothing checked


@pytest.mark.parametrize("gate", [spec(), spec("true"), spec(shell="echo fine"), spec("echo", "3 passed in 0.1s")])
async def test_a_gate_that_cannot_check_anything_fails(checkout: Path, log: Path, gate: GateSpec):
    assert (await run(gate, checkout, log)).outcome == "checked_nothing"


async def test_pytest_that_finds_no_test_fails_and_with_one_passes(checkout: Path, log: Path):
    bare = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    gate = spec(PY, "-m", "pytest", "-q", "-p", "no:cacheprovider", kind="test", env=tuple(bare))
    (checkout / "test_one.py").write_text("import pytest\n@pytest.mark.skip\ndef test_one():\n    pass\n")
    assert (await run(gate, checkout, log, **bare)).outcome == "checked_nothing"
    (checkout / "test_one.py").write_text("def test_one():\n    assert 1 + 1 == 2\n")
    one = await run(gate, checkout, log, **bare)
    assert one.outcome == "pass", log.read_text()
    assert "1 test ran (pytest)" in one.evidence


async def test_unittest_that_finds_no_test_fails(checkout: Path, log: Path):
    gate = spec(PY, "-m", "unittest", "discover", kind="test")
    assert (await run(gate, checkout, log)).outcome in ("checked_nothing", "fail")
    (checkout / "test_one.py").write_text(
        "import unittest\nclass T(unittest.TestCase):\n    @unittest.skip('x')\n    def test_a(self): pass\n"
    )
    assert (await run(gate, checkout, log)).outcome == "checked_nothing"
    (checkout / "test_one.py").write_text("import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n")
    assert (await run(gate, checkout, log)).outcome == "pass"


# Time


async def test_a_gate_that_hangs_is_ended_with_all_its_processes(checkout: Path, log: Path):
    code = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ticking = "import time\\nwhile True:\\n    open('tick', 'a').write('x'); time.sleep(0.02)"
subprocess.Popen([sys.executable, "-c", ticking], start_new_session=True)
print("begun", flush=True)
time.sleep(300)
"""
    done = await run(python(code, timeout_s=1.0), checkout, log)
    assert done.outcome == "timeout"
    assert done.seconds < 8
    assert "begun" in log.read_text()
    size = (checkout / "tick").stat().st_size
    await asyncio.sleep(0.3)
    assert (checkout / "tick").stat().st_size == size


async def test_what_a_gate_leaves_in_the_background_is_ended_and_named(checkout: Path, log: Path):
    done = await run(spec(shell="sleep 300 & setsid sleep 301 & ls"), checkout, log)
    assert done.outcome == "pass"
    assert done.seconds < 5


async def test_the_time_is_for_everything_together(checkout: Path, log: Path):
    slow = Assertion(kind="command", command=Command(argv=(PY, "-c", "import time; time.sleep(60)")))
    done = await run(python("pass", assertions=(slow,), timeout_s=1.0), checkout, log)
    assert done.outcome == "timeout"
    assert done.seconds < 8


# Surroundings


async def test_a_gate_has_a_cleared_environment_and_an_empty_home(
    checkout: Path, log: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SECRET_OF_OURS", "not-for-gates")
    code = """
import os, pathlib
assert list(pathlib.Path.home().iterdir()) == []
assert os.environ["NAMED"] == "the-named-value"
print(os.environ["NAMED"])
print(sorted(os.environ))
assert "SECRET_OF_OURS" not in os.environ and "UNNAMED" not in os.environ and "LD_PRELOAD" not in os.environ
"""
    gate = python(code, env=("NAMED", "MISSING", "LD_PRELOAD"))
    done = await run(gate, checkout, log, NAMED="the-named-value", UNNAMED="x", LD_PRELOAD="evil.so")
    assert done.outcome == "pass", log.read_text()
    assert "the-named-value" not in log.read_text()
    assert "[NAMED]" in log.read_text()


@pytest.mark.skipif("landlock" not in layers(), reason="this kernel has no Landlock")
async def test_a_gate_writes_into_its_checkout_and_nowhere_else(checkout: Path, log: Path, tmp_path: Path):
    outside = tmp_path / "outside"
    code = f"open('inside', 'w').write('x'); import tempfile; tempfile.mkdtemp(); open({str(outside)!r}, 'w')"
    done = await run(python(code), checkout, log)
    assert done.outcome == "fail"
    assert "PermissionError" in log.read_text()
    assert (checkout / "inside").exists()
    assert not outside.exists()
    assert "landlock" in done.layers


@pytest.mark.skipif("no network" not in layers(), reason="this kernel gives us no network of our own")
async def test_a_gate_has_no_network_unless_it_is_said_and_always_its_own_loopback(checkout: Path, log: Path):
    code = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listening.getsockname(), timeout=2)
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2)
except OSError:
    sys.exit(7)
"""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        port = str(ours.getsockname()[1])
        shut = await run(spec(PY, "-c", code, port), checkout, log)
        assert shut.exit_code == 7, log.read_text()
        assert "no network" in shut.layers
        assert (await run(spec(PY, "-c", code, port, network=True), checkout, log)).outcome == "pass"


async def test_an_editable_install_of_the_person_does_not_stand_in_for_the_change(
    checkout: Path, log: Path, tmp_path: Path
):
    for folder, value in ((tmp_path / "person/src", "old"), (checkout / "src", "new")):
        folder.mkdir(parents=True)
        (folder / "thing.py").write_text(f"VALUE = {value!r}\n")
    (checkout / "pyproject.toml").write_text("")
    venv.create(tmp_path / "venv", symlinks=True)
    (packages,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (packages / "editable.pth").write_text(f"{tmp_path / 'person/src'}\n")
    gate = spec(str(tmp_path / "venv/bin/python"), "-c", "import thing; assert thing.VALUE == 'new', thing")
    assert (await run(gate, checkout, log)).outcome == "pass", log.read_text()
    (checkout / "pyproject.toml").unlink()
    assert (await run(gate, checkout, log)).outcome == "fail"  # so the trap is a real one


async def test_memory_is_limited_where_it_is_said(checkout: Path, log: Path):
    hungry = "x = bytearray(2_000_000_000); print(len(x))"
    assert (await run(python(hungry, memory_mb=500), checkout, log)).outcome == "fail"


async def test_an_endless_log_is_capped(checkout: Path, log: Path):
    code = (
        "import sys\nsys.stdout.write('head\\n')\nfor n in range(120): sys.stdout.write('x' * 100_000)\nprint('tail')"
    )
    done = await run(python(code), checkout, log)
    assert done.outcome == "pass"
    assert log.stat().st_size < 8_100_000
    assert log.read_bytes().endswith(b"tail\n")


async def test_a_second_run_begins_a_new_log(checkout: Path, log: Path):
    await run(python("print('first')"), checkout, log)
    await run(python("print('second')"), checkout, log)
    assert "first" not in log.read_text()


# Artifacts


def artifact(**more: object) -> GateSpec:
    return spec(kind="artifact", assertions=(Assertion(**more),))


@pytest.fixture
def built(checkout: Path) -> Path:
    (checkout / "dist").mkdir()
    (checkout / "dist/page.html").write_text("<h1>Hello</h1>\n")
    (checkout / "empty").write_text("")
    (checkout / "blank").write_text(" \n\n")
    (checkout / "broken.json").write_text('{"a": ')
    (checkout / "deep.json").write_text("[" * 100_000)
    document = {"items": [{"name": "one", "n": 1, "ok": True, "none": None, "list": []}], "a.b": 1}
    (checkout / "out.json").write_text(json.dumps(document))
    (checkout / "link").symlink_to("/etc/hostname")
    (checkout / "loop").symlink_to("loop")
    (checkout / "near").symlink_to("dist/page.html")
    return checkout


@pytest.mark.parametrize(
    ("assertion", "passes"),
    [
        ({"kind": "file_nonempty", "target": "dist/page.html"}, True),
        ({"kind": "file_nonempty", "target": "near"}, True),
        ({"kind": "file_nonempty", "target": "empty"}, False),
        ({"kind": "file_nonempty", "target": "blank"}, False),
        ({"kind": "file_nonempty", "target": "missing"}, False),
        ({"kind": "file_nonempty", "target": "dist"}, False),
        ({"kind": "file_nonempty", "target": ""}, False),
        ({"kind": "file_nonempty", "target": "/etc/passwd"}, False),
        ({"kind": "file_nonempty", "target": "../checkout/../../etc/passwd"}, False),
        ({"kind": "file_nonempty", "target": "link"}, False),
        ({"kind": "file_nonempty", "target": "loop"}, False),
        ({"kind": "min_bytes", "target": "dist/page.html", "min_bytes": 15}, True),
        ({"kind": "min_bytes", "target": "dist/page.html", "min_bytes": 16}, False),
        ({"kind": "contains", "target": "dist/page.html", "value": "Hello"}, True),
        ({"kind": "contains", "target": "dist/page.html", "value": "hello"}, False),
        ({"kind": "contains", "target": "dist/page.html", "value": ""}, False),
        ({"kind": "not_contains", "target": "dist/page.html", "value": "Error"}, True),
        ({"kind": "not_contains", "target": "dist/page.html", "value": "Hello"}, False),
        ({"kind": "not_contains", "target": "missing", "value": "Error"}, False),
        ({"kind": "not_contains", "target": "empty", "value": "Error"}, False),
        ({"kind": "json_path", "target": "out.json", "at": "items.0.name"}, True),
        ({"kind": "json_path", "target": "out.json", "at": "$.items.0.name", "value": '"one"'}, True),
        ({"kind": "json_path", "target": "out.json", "at": "items.0.name", "value": "one"}, True),
        ({"kind": "json_path", "target": "out.json", "at": "items.0.name", "value": '"two"'}, False),
        ({"kind": "json_path", "target": "out.json", "at": "items.0.n", "value": "1"}, True),
        ({"kind": "json_path", "target": "out.json", "at": "items.0.n", "value": "true"}, False),
        ({"kind": "json_path", "target": "out.json", "at": "items.0.ok", "value": "true"}, True),
        ({"kind": "json_path", "target": "out.json", "at": "items.0.none"}, False),
        ({"kind": "json_path", "target": "out.json", "at": "items.0.list"}, False),
        ({"kind": "json_path", "target": "out.json", "at": "items.1.name"}, False),
        ({"kind": "json_path", "target": "out.json", "at": "items.x"}, False),
        ({"kind": "json_path", "target": "out.json", "at": "items.0.name.length"}, False),
        ({"kind": "json_path", "target": "broken.json", "at": "a"}, False),
        ({"kind": "json_path", "target": "deep.json", "at": "0"}, False),
        ({"kind": "command", "command": Command(argv=("ls", "dist"))}, True),
        ({"kind": "command", "command": Command(argv=("ls", "missing"))}, False),
        ({"kind": "command", "command": Command(argv=("true",))}, False),
        ({"kind": "command"}, False),
        ({"kind": "http_ok", "target": "/"}, False),
        ({"kind": "http_ok", "target": "https://example.com/"}, False),
        ({"kind": "http_ok", "target": "http://127.0.0.1:9/"}, False),
        ({"kind": "http_ok", "target": "http://localhost@example.com/"}, False),
    ],
)
async def test_an_assertion_is_held_against_what_is_there(built: Path, log: Path, assertion: dict, passes: bool):
    done = await run(artifact(**assertion), built, log)
    assert (done.outcome == "pass") is passes, done
    assert done.sentence
    if passes and assertion["kind"] != "command":
        assert any("sha256" in fact for fact in done.evidence)


async def test_a_gate_whose_command_fails_never_looks_at_old_artifacts(built: Path, log: Path):
    look = Assertion(kind="file_nonempty", target="dist/page.html")
    assert (await run(python("raise SystemExit(1)", assertions=(look,)), built, log)).outcome == "fail"


# Servers

SERVE = """
import http.server, os, sys, time
time.sleep(0.2)
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = {"/": 200, "/health": 204, "/moved": 302}.get(self.path.split("?")[0], 404)
        self.send_response(status); self.end_headers()
        if status == 200: self.wfile.write(b"<h1>Welcome</h1>")
    def log_message(self, *words): print("asked", self.path, flush=True)
assert os.environ["PORT"] == sys.argv[1]
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
"""


def server(code: str = SERVE, **more: object) -> Server:
    return Server(**({"command": Command(argv=(PY, "-c", code, "{port}")), "path": "/health", "ready_s": 10.0} | more))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("target", "value", "passes"),
    [
        ("/", "", True), ("/", "Welcome", True), ("/?q=1", "Welcome", True), ("/", "Goodbye", False),
        ("/missing", "", False), ("/moved", "", False), ("http://localhost:{port}/", "Welcome", True),
    ],
)  # fmt: skip
async def test_a_gate_starts_waits_for_and_stops_its_server(
    checkout: Path, log: Path, target: str, value: str, passes: bool
):
    port = free_port()
    gate = spec(
        kind="artifact", server=server(port=port), assertions=(Assertion(kind="http_ok", target=target, value=value),)
    )
    done = await run(gate, checkout, log)
    assert (done.outcome == "pass") is passes, done
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=2)


async def test_a_test_finds_the_server_by_its_port_and_a_plain_port_is_enough(checkout: Path, log: Path):
    code = "import os, urllib.request; assert b'Welcome' in urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/').read()"
    done = await run(python(code, kind="test", server=server(path="")), checkout, log)
    assert done.outcome == "pass", log.read_text()
    assert "asked /" in log.with_name("gate.log.server").read_text()


async def test_a_port_that_is_taken_is_not_mistaken_for_the_change(checkout: Path, log: Path):
    stale = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=stale.serve_forever)
    thread.start()
    try:
        port = stale.server_address[1]
        gate = spec(kind="artifact", server=server(port=port), assertions=(Assertion(kind="http_ok", target="/"),))
        done = await run(gate, checkout, log)
    finally:
        stale.shutdown()
        stale.server_close()
        thread.join()
    assert done.outcome == "error"
    assert "taken" in done.sentence


@pytest.mark.parametrize(
    ("code", "outcome", "word"),
    [
        ("import sys; sys.exit('no database')", "fail", "no database"),
        ("import time; print('warming up', flush=True); time.sleep(60)", "timeout", "warming up"),
    ],
)
async def test_a_server_that_never_gets_ready_says_why(checkout: Path, log: Path, code: str, outcome: str, word: str):
    gate = python("pass", server=server(code, ready_s=1.0))
    done = await run(gate, checkout, log)
    assert done.outcome == outcome
    assert word in "".join(done.evidence)


async def test_a_server_that_dies_under_the_command_is_a_failure(checkout: Path, log: Path):
    dying = SERVE.replace(
        "http.server.ThreadingHTTPServer",
        "import threading\nthreading.Timer(0.8, lambda: os._exit(3)).start()\nhttp.server.ThreadingHTTPServer",
    )
    gate = python(
        "import time; time.sleep(2)", server=server(dying), assertions=(Assertion(kind="http_ok", target="/"),)
    )
    done = await run(gate, checkout, log)
    assert done.outcome == "fail"


async def test_cancelling_a_gate_stops_server_and_command(checkout: Path, log: Path):
    port = free_port()
    ticking = "import time\nwhile True:\n    open('tick', 'a').write('x'); time.sleep(0.02)"
    task = asyncio.create_task(run(python(ticking, server=server(port=port)), checkout, log))
    began = time.monotonic()
    while not (checkout / "tick").exists():
        assert time.monotonic() - began < 20
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    size = (checkout / "tick").stat().st_size
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    await asyncio.sleep(0.2)
    assert (checkout / "tick").stat().st_size == size


async def test_no_room_is_left_behind_not_even_by_the_dead(
    checkout: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(rooms))
    ended = await asyncio.create_subprocess_exec("sleep", "0")
    await ended.wait()
    for owner in (ended.pid, os.getppid()):
        (rooms / f"surefoot-gate-{owner}-abc" / "home").mkdir(parents=True)
    await run(python("import os; os.mkdir(os.environ['HOME'] + '/x'); raise SystemExit(1)"), checkout, log)
    assert [room.name for room in rooms.iterdir()] == [f"surefoot-gate-{os.getppid()}-abc"]

"""The command in a process of its own: pipes, signals, races, and a machine that does not play along."""

from __future__ import annotations

import json
import os
import pty
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from surefoot.cli import main

ANYBODY = 65534


def test_help_names_every_section_and_loads_nothing_heavy(shell, environment, desk):
    assert "Decide:" in shell("--help").out
    code = (
        "import sys; from surefoot.cli import main; main(['--help']); "
        "print(sorted(set(sys.modules) & {'dbos', 'sqlalchemy', 'pydantic', 'rich', 'surefoot.app', 'asyncio'}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=environment, cwd=desk, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_the_version_is_said(shell):
    assert shell("--version").out.startswith("surefoot ")


def test_nothing_to_do_shows_the_help_and_is_a_usage_error(shell):
    assert "Usage: surefoot" in shell(code=2).out
    assert "Usage: surefoot rollout" in shell("rollout", code=2).out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("agnets",), "did you mean 'agents'?"),
        (("rollout", "strat"), "did you mean 'start'?"),
        (("agents", "--jsno"), "--jsno"),
        (("tick",), "this needs an agent's name"),
        (("init", "x", "--autonomy", "wild"), "wild"),
    ],
)
def test_a_usage_error_says_what_is_wrong_and_how_to_find_out(shell, arguments, says):
    ran = shell(*arguments, code=2)
    assert ran.err.startswith("error: ")
    assert says in ran.err.lower()
    assert "--help shows how it is used" in ran.err
    assert ran.out == ""


def test_a_usage_error_is_json_when_json_is_asked_for(shell):
    assert shell("agnets", "--json", code=2).error["code"] == "usage"


def test_piped_output_has_no_colours_and_cuts_nothing(shell, scene):
    scene.agent()
    why = "a long reason " * 20
    ran = shell("lessons", "support", "--add", why.strip(), "--by", "ann")
    assert "\x1b" not in ran.out
    assert why.strip() in ran.out


def test_a_terminal_gets_colours(scene, desk, environment):
    scene.agent()
    yellow = b"\x1b[33m"  # a locked block
    assert yellow in _on_a_terminal(desk, environment | {"TERM": "xterm"})


def _on_a_terminal(desk, environment) -> bytes:
    """What `show` writes on a terminal."""
    master, slave = pty.openpty()
    shown = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "show", "support"], cwd=desk, env=environment, stdout=slave
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        seen += part
    os.close(master)
    assert shown.wait(20) == 0
    return seen


def test_a_reader_who_leaves_is_no_error(scene, desk, environment):
    scene.agent()
    scene.traffic(300)
    talking = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "failures", "support", "--limit", "10000"],
        cwd=desk, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert talking.stdout is not None
    assert talking.stderr is not None
    talking.stdout.close()
    assert talking.stderr.read() == b""
    talking.stderr.close()
    assert talking.wait(20) == 141


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(scene, desk, environment):
    wanted = scene.waiting()
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "surefoot", "approve", wanted, "--by", name], cwd=desk, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in ("bob", "eve")
    ]  # fmt: skip
    said = [one.communicate(timeout=60) for one in both]
    assert sorted(one.returncode for one in both) == [0, 1], said
    (refused,) = [err for (_, err), one in zip(said, both, strict=True) if one.returncode]
    assert f"approval {wanted}" in refused
    assert "hint: " in refused
    assert [number for number, _, _, _ in scene.see(lambda tx: tx.agents.lineage("support"))] == [1, 2]


@pytest.mark.slow
def test_of_an_approval_and_an_override_at_once_the_version_is_promoted_once(scene, desk, environment):
    wanted = scene.waiting()
    commands = (["approve", wanted, "--by", "bob"], ["rollout", "override", "support", "--by", "eve"])
    both = [
        subprocess.Popen([sys.executable, "-m", "surefoot", *arguments], cwd=desk, env=environment,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for arguments in commands
    ]  # fmt: skip
    said = [one.communicate(timeout=60) for one in both]
    assert 0 in [one.returncode for one in both], said
    assert all(one.returncode in (0, 1) for one in both), said
    assert [number for number, _, _, _ in scene.see(lambda tx: tx.agents.lineage("support"))] == [1, 2]


def test_a_full_disk_is_said_and_what_was_acknowledged_stays(shell, scene, desk):
    scene.agent()
    scene.traffic(5)
    room = scene.store.stat().st_size + 100_000
    lines = [json.dumps({"input": f"{n} {'word ' * 2000}", "expected": "refund"}) for n in range(200)]
    (desk / "big.jsonl").write_text("\n".join(lines))
    full = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))  # noqa: E731
    ran = shell("import", "support", "big.jsonl", code=3, preexec_fn=full)
    assert "the store .surefoot/surefoot.db" in ran.err
    assert "disk" in ran.err
    assert "hint: " in ran.err
    assert scene.see(lambda tx: tx.cases.counts("support")) == {}
    assert scene.see(lambda tx: tx.outcomes.labelled("support")).failure == 2


PREPARED = """
import os, sys
import surefoot.app, surefoot.engine.durable, surefoot.cli.commands, surefoot.cli.screen, surefoot.core.starter
import rich.table, getpass
import surefoot.cli.storefile, surefoot.cli.doctor, shutil, encodings.idna
if os.getuid() == 0:
    os.setgroups([]); os.setgid({uid}); os.setuid({uid})
from surefoot.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def foreign(environment):
    """A directory that can be read and not written, and a way to run commands there as somebody who is not root."""
    directory = Path(tempfile.mkdtemp(prefix="surefoot-foreign-"))

    def run(*arguments: str, code: int):
        directory.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", PREPARED.format(uid=ANYBODY), *arguments], cwd=directory, env=environment,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stdout + done.stderr
        return done

    yield directory, run
    directory.chmod(0o755)
    shutil.rmtree(directory)


def test_a_directory_that_cannot_be_written_is_named(foreign):
    _, run = foreign
    ran = run("init", "support", "--labels", "a,b", code=3)
    assert "the directory .surefoot cannot be made" in ran.stderr
    assert "choose another place with --store" in ran.stderr


def test_a_store_that_cannot_be_written_is_named(foreign, environment):
    directory, run = foreign
    made = [sys.executable, "-m", "surefoot", "init", "support", "--labels", "a,b"]
    subprocess.run(made, cwd=directory, env=environment, check=True, capture_output=True)
    for path in [*directory.rglob("*"), directory]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    ran = run("lessons", "support", "--add", "x", "--by", "ann", code=3)
    assert "the store .surefoot/surefoot.db cannot be " in ran.stderr
    assert "hint: " in ran.stderr
    for path in [directory, *directory.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_mistake_of_ours_is_a_short_message_and_a_traceback_only_on_request(cli, scene, monkeypatch, capsys):
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    scene.agent()
    monkeypatch.setattr("surefoot.engine.inspect.overview", broken)
    ran = cli("agents", code=70)
    assert "Surefoot made a mistake (ZeroDivisionError: oops)" in ran.err
    assert "please report it" in ran.err
    assert cli("agents", "--json", code=70).error["code"] == "internal"
    monkeypatch.setenv("SUREFOOT_DEBUG", "1")
    assert main(["agents"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_shell_completion_is_offered(shell):
    assert "--install-completion" in shell("--help").out

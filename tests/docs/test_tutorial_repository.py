"""The tutorial on a repository runs as it is written, and prints what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial-repository.md"


def runnable(text: str) -> list[tuple[str, str]]:
    """The command lines of blocks marked `<!-- run -->`, each with the output that is shown under it."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"^<!-- run -->\n```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            found.append((line, output))
    return found


def pattern(shown: str) -> re.Pattern[str]:
    """What is shown as an expression: `…` alone on a line is any lines, inside of a line any characters."""
    lines = [".*" if line.strip() == "…" else re.escape(line).replace("…", "[^\n]*") for line in shown.splitlines()]
    text = "\n".join(lines).replace("\n.*\n", r"\n(?:.*\n)*?")
    return re.compile(text.removesuffix("\n.*") + r"(?:\n.*)?" if text.endswith("\n.*") else text, re.DOTALL)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The reader's: this Surefoot and this Python on the path, a copy of the example where they stand."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("surefoot", '-m surefoot "$@"'), ("python3", '"$@"')):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}\n')
        (programs / name).chmod(0o755)
    desk = tmp_path / "desk"
    desk.mkdir()
    (desk / "examples").symlink_to(ROOT / "examples")
    return os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "120",
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


def test_what_is_shown_is_compared_line_by_line_but_for_what_is_left_out() -> None:
    shown = "one\n…\ntick …: shipped\n…\n"
    assert pattern(shown).fullmatch("one\ntwo\nthree\ntick 4: shipped\nmore")
    assert pattern(shown).fullmatch("one\ntick 4: shipped")
    assert not pattern(shown).fullmatch("one\ntick 4: failed")
    assert not pattern("one\n").fullmatch("one\ntwo")
    assert not pattern("").fullmatch("one")


def test_the_example_says_where_its_tutorial_is() -> None:
    for link in re.findall(r"\]\(([^)\s#]+)", (ROOT / "examples/one-night/README.md").read_text(encoding="utf-8")):
        assert (ROOT / "examples/one-night" / link).exists(), link


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial_on_a_repository_runs_as_it_is_written(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "desk"
    lines = runnable(PAGE.read_text(encoding="utf-8"))
    assert len(lines) > 20
    for line, shown in lines:
        if line.startswith("cd "):
            folder = folder / line.removeprefix("cd ")
            continue
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if not line.startswith("python3"):
            assert pattern(shown.rstrip("\n")).fullmatch(done.stdout.rstrip("\n")), f"{line}\n{done.stdout}"

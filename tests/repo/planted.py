"""Planted: real git repositories with a small shop in which eight unrelated things are wrong, a hidden test for each.

The shop and its levers are those of `examples/one-night`; the hidden tests below are nowhere in the repository, so that
no coding agent can see them. `plant` builds variants: with line ends of DOS, a submodule, a detached head, a long
history. `passing` tells which of the hidden tests hold at a commit, in a clean export of it.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "one-night"
SCRIPTED = Path(__file__).with_name("scripted.py")
HIDDEN = {
    "L-001": "from shop.bill import split; assert split(101, 4) == [26, 25, 25, 25] and sum(split(99, 7)) == 99",
    "L-002": "from shop.stock import grouped; grouped([('a', 2)]); assert grouped([('b', 1)]) == {'b': 1}",
    "L-003": "from shop.pages import count; assert [count(n, 3) for n in (0, 1, 3, 4)] == [0, 1, 1, 2]",
    "L-004": "from shop.weight import shown; assert [shown(n) for n in (999, 1000, 1250)] == "
    "['999 g', '1.0 kg', '1.2 kg']",
    "L-005": "from shop.calendar import days; assert [days(y) for y in (1800, 2000, 2024, 2200)] == "
    "[365, 366, 366, 365]",
    "L-006": "from shop.recent import Recent; r = Recent(2); r.put('a', '1'); r.put('b', '2'); r.get('a'); "
    "r.put('c', '3'); assert (r.get('a'), r.get('b'), r.get('c')) == ('1', None, '3')",
    "L-007": "from shop.settings import read; assert read('a = b=c=d') == {'a': 'b=c=d'}",
    "L-008": "from shop.slug import slug; assert slug('  Rooibos: (red) -- tea ') == 'rooibos-red-tea'",
}
_EXAM = """\
import sys, traceback
tests = {tests!r}
for name, test in tests.items():
    try:
        exec(test, {{}})
    except Exception:
        traceback.print_exc()
    else:
        print(name)
"""


def git(folder: Path, *words: str, stdin: bytes | None = None) -> str:
    """Run git as a person called Ada, without anybody's settings; gives what it printed."""
    env = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
    }  # fmt: skip
    run = subprocess.run(["git", *words], cwd=folder, env=env, input=stdin, capture_output=True, check=False)
    assert run.returncode == 0, f"git {' '.join(words)}: {run.stderr.decode()}"
    return run.stdout.decode().strip()


def plant(
    folder: Path, *, dos: bool = False, submodule: bool = False, detached: bool = False, older_commits: int = 0
) -> Path:
    """Make the repository with one commit (after `older_commits` others) and a clean working tree; gives its top."""
    top = folder / "shop"
    top.mkdir(parents=True)
    git(top, "init", "-q", "-b", "main")
    git(top, "config", "core.autocrlf", "false")
    if older_commits:
        _long_history(top, older_commits)
    shutil.copytree(EXAMPLE / "project", top, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    if dos:
        for path in [*top.glob("shop/*.py"), *top.glob("tests/*.py")]:
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    if submodule:
        _submodule(top, folder / "labels")
    commit(top, "The shop as it was found")
    if detached:
        git(top, "checkout", "-q", "--detach")
    return top


def commit(top: Path, message: str) -> str:
    """Commit everything that is there, as a person would; gives the commit."""
    git(top, "add", "-A")
    git(top, "commit", "-qm", message)
    return git(top, "rev-parse", "HEAD")


def _long_history(top: Path, commits: int) -> None:
    lines: list[str] = []
    for number in range(1, commits + 1):
        text, message = f"entry {number}\n", f"entry {number}"
        lines.append(
            f"commit refs/heads/main\ncommitter Ada <ada@example.com> {1_500_000_000 + number * 3600} +0000\n"
            f"data {len(message)}\n{message}\nM 100644 inline diary/{number:04d}.txt\ndata {len(text)}\n{text}"
        )
    git(top, "fast-import", "--quiet", stdin="\n".join(lines).encode())
    git(top, "reset", "-q", "--hard", "main")


def _submodule(top: Path, source: Path) -> None:
    source.mkdir()
    git(source, "init", "-q", "-b", "main")
    (source / "labels.txt").write_text("tea\nbread\n")
    commit(source, "labels")
    git(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(source), "vendor/labels")


def passing(top: Path, ref: str, wanted: Iterable[str] = tuple(HIDDEN)) -> set[str]:
    """Give the levers whose hidden test holds at a commit, in a clean export of it."""
    tests = {name: HIDDEN[name] for name in wanted}
    with tempfile.TemporaryDirectory() as place:
        export(top, ref, Path(place))
        run = subprocess.run(
            [sys.executable, "-c", _EXAM.format(tests=tests)], cwd=place, capture_output=True, text=True, timeout=60,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}, check=False,
        )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def export(top: Path, ref: str, to: Path) -> Path:
    """Write the files of a commit into a folder, without git."""
    packed = subprocess.run(["git", "archive", "--format=tar", ref], cwd=top, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(to, filter="data")
    return to


def changed_files(top: Path, sha: str) -> list[str]:
    """Give the paths that a commit changed against its first parent."""
    return git(top, "diff", "--name-only", f"{sha}^", sha).splitlines()

"""Nights: a planted repository with the four files of the loop, driven through the command line.

`Night.make` gives a repository on which a tick can run at once; `run` is a command in this process, `tick` one tick.
The rest looks at what became of the repository, always through git or the files, never through the loop's own report.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planted import EXAMPLE, SCRIPTED, commit, git, plant

from surefoot.cli import main
from surefoot.core.repo.commit import Signed, signed
from surefoot.core.repo.files import NAMES
from surefoot.core.repo.levers import RepoLever, levers, named
from surefoot.core.repo.paper import paper
from surefoot.core.repo.templates import genome_text, prompt_text

LOOP = "surefoot/loop"
UNITTEST = f"""\
[[repo.gates]]
name = "unittest"
kind = "test"
command = [{json.dumps(sys.executable)}, "-B", "-m", "unittest"]
"""
COMPILE = f"""\
[[repo.gates]]
name = "compile"
kind = "typecheck"
command = [{json.dumps(sys.executable)}, "-B", "-m", "compileall", "-q", "-f", "shop", "tests"]
"""


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@dataclass(frozen=True)
class Night:
    """A repository with its loop."""

    top: Path

    @classmethod
    def make(
        cls, folder: Path, agent: Sequence[str] | str = "good", *, gates: str = COMPILE + UNITTEST, more: str = "",
        budget: str = "", committed: bool = True, backlog: str | None = None, files: dict[str, str] | None = None,
        settings: str = "", **variant: Any,
    ) -> Night:  # fmt: skip
        """Plant a repository and give it a loop; `agent` is a mode of `scripted.py`, or the words of a command."""
        night = cls(plant(folder, **variant))
        for name, text in (files or {}).items():
            (night.top / name).parent.mkdir(parents=True, exist_ok=True)
            (night.top / name).write_text(text)
        if files:
            commit(night.top, "More of the shop")
        backlog = (EXAMPLE / "levers.md").read_text() if backlog is None else backlog
        night.write("levers.md", backlog)
        night.write("genome.md", genome_text("A shop whose numbers are right."))
        night.write("loop-prompt.md", prompt_text())
        night.write("surefoot.toml", toml(agent, gates=gates, more=more, budget=budget) + settings)
        if committed:
            commit(night.top, "The four files of the loop")
        return night

    def write(self, name: str, text: str) -> None:
        """Write a file as a person would."""
        (self.top / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a piece of a file that must be there."""
        text = (self.top / name).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new))

    # Acting

    def run(self, *words: str, code: int | None = 0) -> Ran:
        """Run a command in this process, in the repository's folder; expects an exit code."""
        logging.getLogger("dbos").handlers.clear()
        out, err = io.StringIO(), io.StringIO()
        here = Path.cwd()
        os.chdir(self.top)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                got = main([*words])
        finally:
            os.chdir(here)
        ran = Ran(got, out.getvalue(), err.getvalue())
        assert code is None or got == code, f"{words} gave {got}\n{ran.out}\n{ran.err}"
        assert "Traceback" not in ran.out + ran.err
        return ran

    def tick(self, code: int | None = None) -> dict[str, Any]:
        """Run one tick; gives its report."""
        ran = self.run("tick", "--repo", ".", "--json", code=code)
        return ran.json

    # Looking

    def git(self, *words: str) -> str:
        return git(self.top, *words)

    def has(self, ref: str) -> bool:
        return bool(git(self.top, "for-each-ref", f"refs/heads/{ref}"))

    def file(self, name: str, ref: str = LOOP) -> str:
        """Give a file as committed on the loop's branch."""
        return git(self.top, "show", f"{ref}:{name}") + "\n"

    def backlog(self, ref: str = LOOP) -> tuple[RepoLever, ...]:
        return levers(paper("levers.md", self.file("levers.md", ref)))

    def lever(self, name: str, ref: str = LOOP) -> RepoLever:
        return named(self.backlog(ref), name)

    def commits(self, ref: str = LOOP, *, since: str = "main") -> list[tuple[str, str, Signed]]:
        """Give the commits that a branch has and another has not, oldest first: (sha, subject, what it is signed)."""
        if not self.has(ref):
            return []
        shas = git(self.top, "rev-list", "--reverse", f"{since}..{ref}").split()
        return [(sha, git(self.top, "log", "-1", "--format=%s", sha),
                 signed(git(self.top, "log", "-1", "--format=%b", sha))) for sha in shas]  # fmt: skip

    def shipped(self) -> dict[str, str]:
        """Give the lever commits as lever → sha."""
        return {one.lever: sha for sha, _, one in self.commits() if one.kind == "lever"}

    def code(self, ref: str) -> dict[str, str]:
        """Give everything at a commit but the loop's own files, as path → mode and blob."""
        rows = (line.split("\t") for line in git(self.top, "ls-tree", "-r", ref).splitlines())
        return {path: about for about, path in rows if path not in NAMES}

    def untouched(self) -> dict[str, Any]:
        """Give all that belongs to the person: working tree, index, head, branches but the loop's, hooks, settings."""
        return {
            "status": git(self.top, "status", "--porcelain=v2", "--branch", "--ignored").replace("\n! .surefoot/", ""),
            "head": git(self.top, "rev-parse", "HEAD"),
            "refs": "\n".join(one for one in git(self.top, "for-each-ref").splitlines() if "surefoot" not in one),
            "stash": git(self.top, "stash", "list"),
            "index": git(self.top, "ls-files", "-s"),
            "files": "\n".join(f"{path.relative_to(self.top)} {path.lstat().st_mode:o} {_content(path)}"
                               for path in sorted(self.top.rglob("*")) if not _of_git(path, self.top)),
            "hooks": "\n".join(sorted(path.name for path in (self.top / ".git/hooks").glob("*"))),
            "settings": (self.top / ".git/config").read_text(),
            "worktrees": git(self.top, "worktree", "list", "--porcelain").count("worktree "),
        }  # fmt: skip


def _content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    return path.read_bytes().hex()[:4000] if path.is_file() else ""


def _of_git(path: Path, top: Path) -> bool:
    """Whether a path is git's or the loop's own room, which is ignored by git."""
    return path.relative_to(top).parts[0] in (".git", ".surefoot") or "__pycache__" in path.parts


def words_of(agent: Sequence[str] | str) -> list[str]:
    """Give the command of a mode of `scripted.py`."""
    return [sys.executable, "-B", str(SCRIPTED), agent] if isinstance(agent, str) else list(agent)


def toml(agent: Sequence[str] | str, *, gates: str, more: str = "", budget: str = "") -> str:
    """Give a `surefoot.toml`; `more` are lines for the section [repo], `budget` for [repo.budget]."""
    return (
        f'[repo]\nname = "shop"\nbase = "main"\n{more}\n[repo.agent]\nname = "command"\n'
        f"argv = {json.dumps(words_of(agent))}\n\n[repo.budget]\ntick_usd = 2.0\nday_usd = 10.0\n{budget}\n{gates}"
    )


def a_lever(title: str, scope: str, *, name: str = "L-001", text: str = "") -> str:
    """Give a `levers.md` with one lever."""
    return f"# Levers\n\n## {name} {title}\n\n- value: 5\n- cost: 1\n- scope: {scope}\n- status: open\n\n{text}\n"


def kept(night: Night, folder: Path) -> Night:
    """Give a copy of a night, so that many stories can begin with one preparation."""
    shutil.copytree(night.top, folder / "shop", symlinks=True)
    return Night(folder / "shop")


def swapped(night: Night, agent: str) -> None:
    """Put another agent in, and commit that as the person."""
    text = (night.top / "surefoot.toml").read_text()
    night.write(
        "surefoot.toml", re.sub(r"^argv = .*$", lambda _: f"argv = {json.dumps(words_of(agent))}", text, flags=re.M)
    )
    commit(night.top, f"Another agent: {agent}")

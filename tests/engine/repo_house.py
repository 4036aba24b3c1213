"""A repository to loop on: real git, the four files, a coding agent that obeys, gates that really run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from scripted_house import Builder

from surefoot.adapters.papers import FolderPapers
from surefoot.adapters.vcs.repository import GitRepository
from surefoot.core.repo import levers as lever_file
from surefoot.core.repo import templates
from surefoot.core.repo.levers import RepoLever
from surefoot.core.repo.paper import paper
from surefoot.engine.repo.open import ready
from surefoot.engine.repo.tick import repo_tick
from surefoot.ports import Ports
from surefoot.ports.repository import Delivery, Errand, GateResult, Usable
from surefoot.ports.site import Site

NAME = "demo"
SETTINGS = """\
[repo]
name = "demo"
base = "main"
{keys}

[repo.agent]
name = "command"
argv = ["scripted"]
{agent}

[repo.budget]
{budget}

{gates}
"""
GATES = """\
[[repo.gates]]
name = "tests"
kind = "test"
command = ["python3", "check.py"]
"""
CHECK = """\
import pathlib, sys
bad = [p for p in pathlib.Path('src').glob('*.py') if 'BROKEN' in p.read_text()]
print(*[f'{p}: broken' for p in bad])
sys.exit(bool(bad))
"""
Work = Callable[[Path, Errand], Delivery | None]


def git(folder: Path, *words: str) -> str:
    plain = ("-c", "user.name=Person", "-c", "user.email=person@localhost", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *plain, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


class Scripted:
    """A coding agent that does in the worktree what the test says."""

    name = "scripted"

    def __init__(self) -> None:
        self.errands: list[Errand] = []
        self.work_of: Work = lambda tree, _: (tree / "src" / "new.py").write_text("x = 1\n") and None

    async def work(self, errand: Errand) -> Delivery:
        self.errands.append(errand)
        return self.work_of(Path(errand.worktree), errand) or Delivery(status="ok", summary="done", cost_usd=0.25)

    async def usable(self) -> Usable:
        return Usable(name=self.name, installed=True, usable=True)


@dataclass
class RealGates:
    """Runs the command of a gate for real; `flaky` are gates that fail the first time with these words."""

    flaky: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    async def run(self, gate: Any, checkout: str, log: str) -> GateResult:
        self.ran.append(gate.name)
        if words := self.flaky.pop(gate.name, ""):
            return GateResult(name=gate.name, outcome="fail", sentence="exit 1", evidence=(words,))
        done = subprocess.run(gate.command.argv, cwd=checkout, capture_output=True, text=True)  # noqa: ASYNC221
        said = (done.stdout + done.stderr).strip()
        good = "pass" if done.returncode == 0 else "fail"
        return GateResult(name=gate.name, outcome=good, sentence=f"exit {done.returncode}", evidence=(said,))

    def layers(self) -> tuple[str, ...]:
        return ()


class Repo:
    """A repository with its four files, and a house that ticks on it."""

    def __init__(self, builder: Builder, folder: Path, scratch: Path) -> None:
        self.house = builder.open()
        self.folder, self.scratch = folder, scratch
        self.agent, self.gates = Scripted(), RealGates()
        self.git = GitRepository(folder, scratch=scratch)
        site = Site(folder=str(folder), git=self.git, papers=FolderPapers(folder), gates=self.gates,
                    agent=lambda _: self.agent, logs=str(scratch))  # fmt: skip
        self.site = site
        self.ports: Ports = replace(self.house.ports, site_at=lambda _: site)

    async def tick(self, **given: Any) -> dict[str, Any]:
        found = await ready(self.ports, self.site)
        assert found.wait is None, found.wait
        return await repo_tick(self.ports, str(self.folder), found.name, found.number, **given)

    def pass_time(self, **given: float) -> None:
        self.house.clock.advance(self.ports.clock() + timedelta(**given))

    def file(self, name: str, ref: str = "surefoot/loop") -> str:
        content = self.git.read(ref, name)
        assert content is not None, name
        return content.decode()

    def levers(self, ref: str = "surefoot/loop") -> dict[str, RepoLever]:
        return {one.id: one for one in lever_file.levers(paper("levers.md", self.file("levers.md", ref)))}

    def saved(self, name: str) -> str:
        return (self.folder / name).read_text()

    def save(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def git_says(self, *words: str) -> str:
        return git(self.folder, *words)


TWO = (("First", 5.0, "src/**"), ("Second", 3.0, "src/**"))


def planted(
    folder: Path, *, keys: str = "", budget: str = "", gates: str = GATES, agent: str = "",
    levers: tuple[tuple[str, float, str], ...] = TWO,
) -> None:  # fmt: skip
    """Make a repository with the four files, committed on main."""
    (folder / "src").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "src" / "old.py").write_text("y = 1\n")
    (folder / "check.py").write_text(CHECK)
    source = paper("levers.md", templates.levers_text())
    for title, value, scope in levers:
        source, _ = lever_file.added(source, title, value=value, cost=1, scope=scope.split(","))
    texts = {
        "genome.md": templates.genome_text("Make it good"), "levers.md": source.text,
        "loop-prompt.md": templates.prompt_text(),
        "surefoot.toml": SETTINGS.format(keys=keys, budget=budget, gates=gates, agent=agent),
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "start")


class Killed(BaseException):
    """As if the process had died here."""


class Memory:
    """Remembers finished steps as the workflow engine does, and dies once at one of them.

    With `after` its work is done and nobody remembers: what a kill between a write and its checkpoint leaves behind.
    """

    def __init__(self, step: str, *, after: bool) -> None:
        self._step, self._after = step, after
        self._done: dict[str, dict[str, Any]] = {}

    async def __call__(self, name: str, work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        if name == self._step:
            self._step = ""
            if self._after:
                await work()
            raise Killed(name)
        if name not in self._done:
            self._done[name] = json.loads(json.dumps(await work()))
        return self._done[name]


__all__ = ["Killed", "Memory", "Repo", "git", "planted"]

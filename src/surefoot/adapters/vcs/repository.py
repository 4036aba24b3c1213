"""A real git repository behind `ports.repository.Repository`: each method is one function of a neighbouring file."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from surefoot.adapters.vcs import committing, difference, joining, looking, worktrees
from surefoot.adapters.vcs.command import GitFailed, cleared, found, of_the_person
from surefoot.core.errors import SurefootError, Unavailable
from surefoot.ports.repository import Facts, Logged, Patch, Workspace

_NOTHING: Mapping[str, bytes | None] = MappingProxyType({})


class GitRepository:
    """The repository that a folder lies in; implements `ports.repository.Repository`.

    `scratch` is a folder outside the repository for worktrees and for the empty HOME of git; each repository gets a
    place of its own in it. Inside the repository, tools would find the person's files by walking upwards.
    """

    def __init__(self, folder: str | Path, *, scratch: str | Path) -> None:
        room = Path(scratch).resolve()
        home = room / "home"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._git = found(str(Path(folder).resolve()), str(home))
        common = Path(self._git.text("rev-parse", "--git-common-dir"))
        self._common = str((Path(self._git.top) / common).resolve())
        self._scratch = room / hashlib.sha256(self._common.encode()).hexdigest()[:12]
        self._person = of_the_person(self._git)

    def facts(self) -> Facts:
        with _plain():
            return looking.facts(self._person)

    def resolve(self, ref: str) -> str | None:
        with _plain():
            return looking.resolved(self._git, ref)

    def read(self, ref: str, path: str) -> bytes | None:
        with _plain():
            return looking.content(self._git, ref, path)

    def log(self, ref: str, *, limit: int = 50, after: str = "") -> list[Logged]:
        with _plain():
            return looking.log(self._git, ref, limit, after)

    def patch_of(self, base: str, commit: str) -> Patch:
        with _plain():
            old, new = looking.commit(self._git, base), looking.commit(self._git, commit)
            return difference.of_commits(self._git, old, new)

    def note(self, commit: str) -> str | None:
        with _plain():
            return looking.note(self._git, commit)

    def open(self, base: str, name: str) -> Workspace:
        with _plain():
            return worktrees.opened(self._git, self._common, self._scratch, base, name)

    def change(self, workspace: Workspace) -> Patch:
        with _plain():
            return worktrees.read(self._git, self._common, workspace)

    def checkout(self, base: str, patch: Patch | None, name: str) -> Workspace:
        with _plain():
            return worktrees.applied(self._git, self._common, self._scratch, base, patch, name)

    def close(self, workspace: Workspace) -> None:
        with _plain():
            worktrees.thrown_away(self._git, workspace.path)

    def sweep(self, keep: Collection[str] = ()) -> tuple[str, ...]:
        with _plain():
            return worktrees.swept(self._git, self._scratch, keep)

    def draft(
        self, parent: str, *, message: str, at: datetime, patch: Patch | None = None,
        files: Mapping[str, bytes | None] = _NOTHING,
    ) -> str:  # fmt: skip
        with _plain():
            return committing.drafted(self._git, parent, message=message, at=at, patch=patch, files=files)

    def revert(self, commit: str, *, parent: str, message: str, at: datetime) -> str:
        with _plain():
            return committing.reverted(self._git, commit, parent=parent, message=message, at=at)

    def merge(
        self, parent: str, other: str, *, message: str, at: datetime, files: Mapping[str, bytes | None] = _NOTHING
    ) -> str:
        with _plain():
            return joining.joined(self._git, parent, other, message=message, at=at, files=files)

    def move(self, branch: str, new: str, *, expected: str | None) -> None:
        with _plain():
            committing.moved(self._git, branch, new, expected)

    def forward(self, new: str, *, expected: str) -> None:
        with _plain():
            committing.forwarded(self._person, new, expected)

    def annotate(self, commit: str, text: str, *, at: datetime) -> None:
        with _plain():
            committing.annotated(self._git, commit, text, at)


class _plain:  # noqa: N801
    """Turns what nobody expected of git into an error with a hint."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> None:
        if isinstance(problem, GitFailed):
            raise Unavailable(str(problem), hint="run the same git command by hand to see why") from problem
        if isinstance(problem, OSError) and not isinstance(problem, SurefootError):
            raise Unavailable(f"the disk refuses: {problem}", hint="check space and permissions") from problem


def git_usable() -> str:
    """Give git's version, or nothing if it cannot be run."""
    try:
        said = subprocess.run(["git", "--version"], capture_output=True, env=cleared("/"), timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.decode(errors="replace").strip().removeprefix("git version ")

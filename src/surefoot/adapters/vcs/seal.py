"""The seal on git's own files: what an author could change beside the files, and no diff would show.

Taken when a worktree is opened and held against what is there when it is read: settings that could run a program,
hooks, attributes and exclusions, the link from the worktree to its repository, and the folder itself. A person may
create a branch meanwhile (`branch.*`); all else in a repository's settings changes so rarely that
a false alarm is cheap.
"""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from surefoot.adapters.vcs.command import Git

Seal = tuple[tuple[str, str], ...]
GIT_DIR = "git dir"  # not a fingerprint: where git keeps the worktree's administration
_OF_WORKTREE = ("commondir", "gitdir", "config.worktree", "info")
_OF_REPOSITORY = (
    "hooks", "info/attributes", "info/exclude", "info/grafts", "config.worktree", "objects/info/alternates",
)  # fmt: skip
_LARGEST = 2**20


def sealed(git: Git, common: str) -> Seal:
    """Give the fingerprints by name; `git` is that of the worktree, `common` the folder that all worktrees share."""
    top, own, shared = Path(git.top), Path(git.git_dir), Path(common)
    marks = {
        GIT_DIR: git.git_dir,
        ".": _place(top),
        ".git": _print(top / ".git"),
        ".git/config": _settings(git, shared),
    }
    for name in _OF_WORKTREE:
        marks |= _prints(own / name, f".git/worktrees/{own.name}/{name}")
    for name in _OF_REPOSITORY:
        marks |= _prints(shared / name, f".git/{name}")
    return tuple(sorted(marks.items()))


def broken(before: Seal, after: Seal) -> tuple[str, ...]:
    """Name what is not as it was."""
    old, new = dict(before), dict(after)
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def _settings(git: Git, shared: Path) -> str:
    said = git.asked("config", "--file", str(shared / "config"), "--no-includes", "--list", "--null")
    if said is None:
        return "unreadable"
    entries = sorted(entry for entry in said.split("\0") if not entry.startswith("branch."))
    return _digest("\0".join(entries).encode("utf-8", "surrogateescape"))


def _prints(path: Path, name: str) -> dict[str, str]:
    if path.is_symlink() or not path.is_dir():
        return {name: _print(path)}
    return {f"{name}/{file.name}": _print(file) for file in path.iterdir()}


def _print(path: Path) -> str:
    try:
        if path.is_symlink():
            return f"link to {path.readlink()}"
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
            return f"no file: {stat.S_IFMT(found.st_mode):o}"
        if found.st_size > _LARGEST:
            return f"{found.st_mode & 0o777:o} {found.st_size} {found.st_mtime_ns}"
        return f"{found.st_mode & 0o777:o} {_digest(path.read_bytes())}"
    except FileNotFoundError:
        return "nothing"
    except OSError as problem:
        return f"unreadable: {problem.strerror}"


def _place(top: Path) -> str:
    """Tell which folder this is, so that a link put in its place is seen."""
    try:
        found = top.lstat()
    except OSError:
        return "nothing"
    return f"{found.st_dev} {found.st_ino}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]

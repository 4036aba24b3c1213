"""Places to work in: detached worktrees of one commit, outside the person's tree, thrown away whatever is in them.

A worktree shares the objects of its repository, so that it costs the same after ten commits and after a million. What
is left of a killed tick is found by where it lies. The person's own worktrees are never pruned, not even those whose
disk is away.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import stat
from collections.abc import Callable, Collection
from pathlib import Path

from surefoot.adapters.vcs import difference
from surefoot.adapters.vcs.command import Git, GitFailed
from surefoot.adapters.vcs.looking import commit
from surefoot.adapters.vcs.seal import GIT_DIR, broken, sealed
from surefoot.core.change import Change
from surefoot.core.errors import Conflict, Invalid, Unavailable
from surefoot.ports.repository import Patch, Workspace

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")


def opened(git: Git, common: str, scratch: Path, base: str, name: str) -> Workspace:
    """Add a detached worktree of a commit."""
    tree, sha = _added(git, scratch, base, name)
    tree.run("read-tree", sha)
    return _filled(tree, common, sha, name)


def applied(git: Git, common: str, scratch: Path, base: str, patch: Patch | None, name: str) -> Workspace:
    """Add a worktree of a commit with a patch: first in its index, then on disk, so that both are what will be kept."""
    tree, sha = _added(git, scratch, base, name)
    tree.run("read-tree", sha)
    if patch is not None and patch.content:
        try:
            tree.run("apply", "--cached", "--binary", "--whitespace=nowarn", "-", stdin=patch.content)
        except GitFailed as failed:
            thrown_away(git, tree.top)
            raise Conflict(
                f"the patch does not apply to {sha[:12]}: {failed.said}", hint="begin again from the present base"
            ) from None
    return _filled(tree, common, sha, name)


def read(git: Git, common: str, workspace: Workspace) -> Patch:
    """Give our own diff of a worktree; only what was meddled with if its seal is broken."""
    tree = git.on(workspace.path, dict(workspace.seal)[GIT_DIR])
    meddled = broken(workspace.seal, sealed(tree, common))
    if meddled:
        return Patch(change=Change(base=workspace.base, meddled=meddled))
    return difference.of_worktree(tree, workspace.base)


def thrown_away(git: Git, path: str) -> None:
    """Remove a folder and what git knows of it as a worktree; nothing happens if it is gone."""
    _removed(Path(path))
    if path in known(git):
        try:
            git.run("worktree", "remove", "--force", "--force", path)
        except GitFailed as failed:
            raise Unavailable(
                f"the worktree {path} cannot be removed: {failed.said}", hint="remove it with `git worktree remove`"
            ) from None


def known(git: Git) -> tuple[str, ...]:
    """Give the paths of all worktrees that git knows of."""
    lines = git.run("worktree", "list", "--porcelain", "-z").decode("utf-8", "surrogateescape").split("\0")
    return tuple(line.removeprefix("worktree ") for line in lines if line.startswith("worktree "))


def swept(git: Git, scratch: Path, keep: Collection[str]) -> tuple[str, ...]:
    """Throw away everything in the scratch folder except the names to keep, and what git knows of it."""
    there = {path.name for path in scratch.iterdir()} if scratch.is_dir() else set[str]()
    there |= {Path(path).name for path in known(git) if Path(path).parent == scratch}
    gone = sorted(there - set(keep))
    for name in gone:
        thrown_away(git, str(scratch / name))
    return tuple(gone)


def _added(git: Git, scratch: Path, base: str, name: str) -> tuple[Git, str]:
    if not _NAME.fullmatch(name) or ".." in name:
        raise Invalid(f"{name!r} cannot name a worktree", hint="use letters, digits, dots and dashes")
    path, sha = scratch / name, commit(git, base)
    if path.exists() or path.is_symlink():
        raise Conflict(f"there is a worktree {name} already", hint="sweep what a killed tick left")
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    if str(path) in known(git):  # its folder is gone, and only git remembers
        thrown_away(git, str(path))
    git.run("worktree", "add", "--quiet", "--detach", "--no-checkout", str(path), sha)
    link = (path / ".git").read_text().removeprefix("gitdir:").strip()
    return git.on(str(path), link), sha


def _filled(tree: Git, common: str, sha: str, name: str) -> Workspace:
    tree.run("checkout-index", "--all", "--force", "--index")
    return Workspace(name=name, path=tree.top, base=sha, seal=sealed(tree, common))


def _removed(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if path.is_dir():
        shutil.rmtree(path, onerror=_forced)


def _forced(remove: Callable[..., object], path: str, _problem: object) -> None:
    """Remove what an author made unwritable; the folder above it too."""
    with contextlib.suppress(OSError):
        for place in (Path(path).parent, Path(path)):
            if not place.is_symlink():
                place.chmod(place.stat().st_mode | stat.S_IRWXU)
        if Path(path).is_dir() and not Path(path).is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove(path)

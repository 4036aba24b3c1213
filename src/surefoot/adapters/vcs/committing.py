"""History by plumbing: commits as objects first, then one step that publishes them, if the branch is where it was.

Trees are built in an index that is thrown away. Only `forwarded` writes to the person's tree: it is asked for by
choice, refuses uncommitted work, and refuses to overwrite a file that git ignores, which git itself would not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from surefoot.adapters.vcs import difference
from surefoot.adapters.vcs.command import Git, GitFailed
from surefoot.adapters.vcs.looking import NOTES, checked_out, commit, facts, resolved
from surefoot.core.change import FILE, LINK, SUBMODULE
from surefoot.core.errors import Conflict, Invalid, Unavailable
from surefoot.ports.repository import Patch


def drafted(
    git: Git, parent: str, *, message: str, at: datetime, patch: Patch | None, files: Mapping[str, bytes | None]
) -> str:
    """Make a commit on a parent from a patch and file contents; no branch moves."""
    onto = commit(git, parent)
    with git.with_index() as own:
        own.run("read-tree", onto)
        if patch is not None and patch.content:
            _apply(own, patch.content, onto)
        write(own, onto, files)
        return _committed(own, onto, message, at)


def reverted(git: Git, sha: str, *, parent: str, message: str, at: datetime) -> str:
    """Make a commit on a parent that undoes another one; no branch moves."""
    undone, onto = commit(git, sha), commit(git, parent)
    before = git.text("rev-list", "--parents", "-n", "1", undone).split(" ")[1:]
    if len(before) != 1:
        raise Invalid(f"{undone[:12]} has {len(before)} parents and cannot be undone alone", hint="revert it by hand")
    with git.with_index() as own:
        own.run("read-tree", onto)
        _apply(own, difference.of_commits(git, before[0], undone).content, onto, "--reverse")
        return _committed(own, onto, message, at)


def moved(git: Git, branch: str, new: str, expected: str | None) -> None:
    """Move or create a branch if it still stands where expected, and nobody has it checked out."""
    ref = f"refs/heads/{branch}"
    if git.asked("check-ref-format", ref) is None:
        raise Invalid(f"{branch!r} cannot name a branch", hint="use letters, digits, dashes and slashes")
    if branch in checked_out(git):
        raise Conflict(f"somebody has the branch {branch} checked out", hint="check out another branch there first")
    target = commit(git, new)
    try:
        git.run("update-ref", "-m", "surefoot", ref, target, expected or "0" * len(target))
    except GitFailed as failed:
        if resolved(git, ref) != expected:
            raise Conflict(f"the branch {branch} moved meanwhile", hint="read it again and repeat the tick") from None
        raise Unavailable(f"the branch {branch} cannot be moved: {failed.said}", hint="look for a lock file") from None


def forwarded(person: Git, new: str, expected: str) -> None:
    """Fast-forward the branch that the person has checked out, with their working tree."""
    now, target = facts(person), commit(person, new)
    if now.branch is None:
        raise Conflict("no branch is checked out here (detached head)", hint="check out the branch that is to move")
    if now.head != expected:
        raise Conflict(f"the branch {now.branch} moved meanwhile", hint="read it again and repeat the tick")
    if now.dirty:
        raise Conflict(
            f"there is uncommitted work: {', '.join(now.dirty[:5])}", hint="commit or stash it, or work on a branch"
        )
    _nothing_in_the_way(person, expected, target)
    try:
        person.run("merge", "--quiet", "--ff-only", "--no-verify-signatures", "--no-stat", target)
    except GitFailed as failed:
        raise Conflict(
            f"the branch {now.branch} cannot be fast-forwarded: {failed.said}", hint="rebase the work on it"
        ) from None


def annotated(git: Git, sha: str, text: str, at: datetime) -> None:
    """Leave a note on a commit."""
    git.run("notes", f"--ref={NOTES}", "add", "--force", "--file", "-", commit(git, sha), stdin=text.encode(), at=at)


def _apply(own: Git, content: bytes, onto: str, *how: str) -> None:
    if not content:
        return
    try:
        own.run("apply", "--cached", "--binary", "--whitespace=nowarn", *how, "-", stdin=content)
    except GitFailed as failed:
        raise Conflict(
            f"the patch does not apply to {onto[:12]}: {failed.said}", hint="begin again from the present base"
        ) from None


def write(own: Git, onto: str, files: Mapping[str, bytes | None]) -> None:
    """Put contents into the index as they are; an existing file keeps its mode."""
    for path in files:
        if path.startswith("/") or {"", ".", ".."} & set(path.split("/")) or ".git" in path.lower().split("/"):
            raise Invalid(f"{path!r} is no path inside the repository", hint="give paths relative to its top")
    lines: list[bytes] = []
    for path, content in sorted(files.items()):
        if content is None:
            mode, blob = "0", "0" * len(onto)
        else:
            mode = _mode(own, path)
            blob = own.text("hash-object", "-w", "--no-filters", "--stdin", stdin=content)
        lines.append(f"{mode} {blob}\t{path}".encode("utf-8", "surrogateescape"))
    if lines:
        own.run("update-index", "-z", "--replace", "--index-info", stdin=b"\0".join(lines) + b"\0")


def _mode(own: Git, path: str) -> str:
    mode = own.text("ls-files", "--stage", "--", path).split(" ")[0]
    if mode in (LINK, SUBMODULE):
        raise Conflict(f"{path} is a link or a submodule, not a file", hint="put a plain file in its place first")
    return mode or FILE


def _committed(own: Git, onto: str, message: str, at: datetime) -> str:
    tree = own.text("write-tree")
    if tree == own.text("rev-parse", f"{onto}^{{tree}}"):
        raise Invalid("the commit would change nothing", hint="skip it")
    return own.text("commit-tree", tree, "-p", onto, "-F", "-", stdin=message.encode(), at=at)


def _nothing_in_the_way(person: Git, old: str, new: str) -> None:
    added = [file.path for file in difference.of_commits(person, old, new).change.files if file.kind == "A"]
    taken = [path for path in added if os.path.lexists(Path(person.top) / path)]
    if taken:
        raise Conflict(f"ignored files are in the way: {', '.join(taken[:5])}", hint="move them elsewhere first")

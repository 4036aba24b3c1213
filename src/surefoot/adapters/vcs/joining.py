"""Two histories into one commit, without a working tree: git merges the trees, and the caller's files replace its word.

A path on which the two sides differ is a Conflict, unless the caller said what is to be in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from surefoot.adapters.vcs.command import Git, GitFailed
from surefoot.adapters.vcs.committing import write
from surefoot.adapters.vcs.looking import commit
from surefoot.core.errors import Conflict, Unavailable


def joined(git: Git, parent: str, other: str, *, message: str, at: datetime, files: Mapping[str, bytes | None]) -> str:
    """Make a merge commit of two commits; no branch moves."""
    ours, theirs = commit(git, parent), commit(git, other)
    tree, clashing = _merged(git, ours, theirs)
    if left := sorted(set(clashing) - set(files)):
        raise Conflict(
            f"your branch and the loop's changed the same lines: {', '.join(left[:5])}",
            hint="merge the loop's branch into yours by hand, then run the tick again",
        )
    with git.with_index() as own:
        own.run("read-tree", tree)
        write(own, ours, files)
        made = own.text("write-tree")
        return own.text("commit-tree", made, "-p", ours, "-p", theirs, "-F", "-", stdin=message.encode(), at=at)


def _merged(git: Git, ours: str, theirs: str) -> tuple[str, list[str]]:
    """The tree that git makes of both, and the paths it could not decide."""
    words = ("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs)
    try:
        said = git.run(*words)
    except GitFailed as failed:
        if failed.code != 1 or not failed.out:
            raise Unavailable(f"git cannot merge: {failed.said}", hint="use git 2.38 or newer") from None
        said = failed.out
    tree, *names = said.decode("utf-8", "surrogateescape").split("\0")
    return tree.strip(), [name for name in names if name]

"""What can be asked of a repository: where it stands, a file as committed, the log, a note."""

from __future__ import annotations

from datetime import UTC, datetime

from surefoot.adapters.vcs.command import Git
from surefoot.core.change import LINK, SUBMODULE
from surefoot.core.errors import Invalid
from surefoot.ports.repository import Facts, Logged

NOTES = "surefoot"
_FORMAT = "%x1f".join(("%H", "%P", "%ct", "%an", "%s", "%b"))


def facts(git: Git) -> Facts:
    """Give where the person's repository stands; neither their index nor their files are written."""
    return Facts(
        top=git.top,
        head=resolved(git, "HEAD") or "",
        branch=git.asked("symbolic-ref", "--quiet", "--short", "HEAD") or None,
        dirty=_dirty(git),
        submodules=_submodules(git),
        shallow=git.asked("rev-parse", "--is-shallow-repository") == "true",
    )


def resolved(git: Git, ref: str) -> str | None:
    """Give the commit that a ref names, or None."""
    return git.asked("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}") if ref else None


def commit(git: Git, ref: str) -> str:
    """Give the commit that a ref names, or raise Invalid."""
    sha = resolved(git, ref)
    if sha is None:
        raise Invalid(f"there is no commit {ref!r} in this repository", hint="see `git log --all`")
    return sha


def content(git: Git, ref: str, path: str) -> bytes | None:
    """Give a file's bytes as committed; None for what is no plain file there."""
    listing = git.run("ls-tree", "-z", commit(git, ref), "--", path).decode("utf-8", "surrogateescape")
    for entry in listing.split("\0"):
        head, _, name = entry.partition("\t")
        if name == path:
            mode, kind, blob = head.split(" ")
            return git.run("cat-file", "blob", blob) if kind == "blob" and mode != LINK else None
    return None


def log(git: Git, ref: str, limit: int, after: str) -> list[Logged]:
    """Give the newest commits first."""
    tip = resolved(git, ref)
    if tip is None:
        return []
    without = [f"^{commit(git, after)}"] if after else []
    words = ("log", "-z", f"--max-count={max(limit, 0)}", f"--format={_FORMAT}", "--no-color", tip, *without, "--")
    return [_logged(entry) for entry in git.text(*words).split("\0") if entry]


def note(git: Git, sha: str) -> str | None:
    """Give the note on a commit, or None."""
    return git.asked("notes", f"--ref={NOTES}", "show", commit(git, sha))


def checked_out(git: Git) -> frozenset[str]:
    """Give the branches that some worktree has checked out."""
    lines = git.text("worktree", "list", "--porcelain").split("\n")
    return frozenset(line.removeprefix("branch refs/heads/") for line in lines if line.startswith("branch refs/heads/"))


def _dirty(git: Git) -> tuple[str, ...]:
    words = ("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none")
    entries = git.run(*words).decode("utf-8", "surrogateescape").split("\0")
    return tuple(sorted(entry[3:] for entry in entries if len(entry) > 3))


def _submodules(git: Git) -> tuple[str, ...]:
    entries = git.run("ls-files", "--stage", "-z").decode("utf-8", "surrogateescape").split("\0")
    return tuple(entry.partition("\t")[2] for entry in entries if entry.startswith(SUBMODULE))


def _logged(entry: str) -> Logged:
    sha, parents, at, author, subject, body = entry.split("\x1f", 5)
    return Logged(
        sha=sha, parents=tuple(parents.split()), at=datetime.fromtimestamp(int(at), UTC), author=author,
        subject=subject, body=body.strip("\n"),
    )  # fmt: skip

"""Our own diff: what git's index says of a tree, read from `--raw` and `--numstat`, and the bytes of the patch.

Everything in a worktree that git does not ignore goes into an index of our own, so that flags an author set in the
worktree's index hide nothing. The author's worktree is first held against its seal.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from surefoot.adapters.vcs.command import Git, GitFailed
from surefoot.core.change import NO_MODE, SUBMODULE, Change, ChangedFile, Kind
from surefoot.core.errors import Conflict
from surefoot.ports.repository import Patch

LARGEST_CHANGE = 64 * 2**20
_EXACTLY = ("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none")
_PATCH = ("--binary", "--full-index", "-U3", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short")
_KINDS: dict[str, Kind] = {"A": "A", "M": "M", "D": "D", "T": "T"}


def of_worktree(git: Git, base: str) -> Patch:
    """Give what a worktree differs in from a commit; Conflict if it cannot be recorded, or is larger than 64 MB."""
    with git.with_index() as own:
        own.run("read-tree", base)
        nested = _measured(own)
        around = [f":(exclude,top,literal){path}" for path in nested]
        try:
            own.run("add", "--all", "--", ".", *around, literal=False)
        except GitFailed as failed:
            raise Conflict(
                f"the worktree cannot be recorded: {failed.said}", hint="only files, links and folders can be kept"
            ) from None
        patch = of_index(own, base)
    if not nested:
        return patch
    extra = tuple(ChangedFile(path=path, kind="A", new_mode=SUBMODULE) for path in nested)
    files = tuple(sorted((*patch.change.files, *extra), key=lambda file: file.path))
    return _patch(base, files, patch.content)


def of_index(git: Git, base: str) -> Patch:
    """Give what an index differs in from a commit."""
    return _of(git, base, "diff-index", "--cached", *_EXACTLY, base)


def of_commits(git: Git, base: str, commit: str) -> Patch:
    """Give what one commit differs in from another."""
    return _of(git, base, "diff-tree", "-r", *_EXACTLY, base, commit)


def _of(git: Git, base: str, verb: str, *words: str) -> Patch:
    listing = git.run(verb, "--raw", "--numstat", "-z", "--abbrev=64", *words)
    files = _files(git, listing)
    content = git.run(verb, "-p", *_PATCH, *words) if files else b""
    return _patch(base, files, content)


def _patch(base: str, files: tuple[ChangedFile, ...], content: bytes) -> Patch:
    digest = hashlib.sha256(content).hexdigest()
    return Patch(change=Change(base=base, files=files, digest=digest, patch_bytes=len(content)), content=content)


def _measured(git: Git) -> list[str]:
    """Give the repositories that lie inside this one, and refuse what is too large before it is read."""
    listing = git.run("ls-files", "-z", "--modified", "--others", "--exclude-standard")
    paths = [path for path in listing.decode("utf-8", "surrogateescape").split("\0") if path]
    total = sum(_size(Path(git.top) / path) for path in paths if not path.endswith("/"))
    if total > LARGEST_CHANGE:
        raise Conflict(
            f"the change is larger than {LARGEST_CHANGE >> 20} MB", hint="ignore what is built, and keep data elsewhere"
        )
    return sorted(path.rstrip("/") for path in paths if path.endswith("/"))


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _files(git: Git, listing: bytes) -> tuple[ChangedFile, ...]:
    """Read the answer of --raw --numstat -z: first ":modes ids kind" and path in turn, then "added removed path"."""
    parts = [part for part in listing.decode("utf-8", "surrogateescape").split("\0") if part]
    raw: list[tuple[str, str]] = []
    while parts and parts[0].startswith(":") and len(parts) > 1:
        raw.append((parts.pop(0), parts.pop(0)))
    counted = {path: (added, removed) for added, removed, path in (part.split("\t", 2) for part in parts)}
    sizes = _sizes(git, [head.split(" ")[3] for head, _ in raw])
    files = [_file(head, path, counted, sizes) for head, path in raw]
    return tuple(sorted(files, key=lambda file: file.path))


def _file(head: str, path: str, counted: dict[str, tuple[str, str]], sizes: dict[str, int]) -> ChangedFile:
    old_mode, new_mode, _, blob, kind = head[1:].split(" ")
    added, removed = counted.get(path, ("0", "0"))
    binary = added == "-"
    return ChangedFile(
        path=path, kind=_KINDS[kind[:1]], old_mode=old_mode, new_mode=new_mode, binary=binary,
        size=0 if new_mode in (NO_MODE, SUBMODULE) else sizes.get(blob, 0),
        added=0 if binary else int(added), removed=0 if binary else int(removed),
    )  # fmt: skip


def _sizes(git: Git, blobs: list[str]) -> dict[str, int]:
    wanted = sorted({blob for blob in blobs if set(blob) != {"0"}})
    if not wanted:
        return {}
    lines = git.text("cat-file", "--batch-check", stdin="\n".join(wanted).encode() + b"\n").split("\n")
    answers = [line.split(" ") for line in lines]
    return {answer[0]: int(answer[2]) for answer in answers if len(answer) == 3 and answer[1] == "blob"}

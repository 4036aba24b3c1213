"""Scope: which changes are refused, and why, before any gate runs on them.

Judged is our own diff, never the report of whoever made it. What is refused, in this order: git's own administration,
submodules, symbolic links, changed modes, the loop's own files, what judges the change (CI, hooks, gate files), paths
outside of the lever's globs, changes that are too large. One refused path refuses the whole change: half of a change
was tested by nobody. A lever may name a CI or gate file in its globs literally; then a person decided that it may
change. Engine, gates and policy stay out of reach in any case (models.md §4, C2).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from surefoot.core.change import Change, ChangedFile
from surefoot.core.repo.globs import inside

Why = Literal[
    "git", "submodule", "symlink", "mode", "loop_file", "prompt_early", "judge_file", "outside", "too_large", "too_many"
]
LOOP_FILES = ("genome.md", "levers.md", "surefoot.toml", ".surefoot")
PROMPT = "loop-prompt.md"
JUDGES = (
    ".github/**", ".gitlab-ci.yml", ".gitlab/**", ".circleci/**", ".travis.yml", "azure-pipelines.yml", "Jenkinsfile",
    ".woodpecker/**", ".woodpecker.yml", ".drone.yml", "bitbucket-pipelines.yml", ".buildkite/**", ".teamcity/**",
    ".pre-commit-config.yaml", ".husky/**", ".githooks/**", "lefthook.yml", ".gitattributes", ".gitmodules",
    "**/.gitattributes", "**/.gitmodules", ".claude/**", ".codex/**", ".gemini/**", ".cursor/**", ".mcp.json",
    "CODEOWNERS", "docs/CODEOWNERS",
)  # fmt: skip
GATE_FILES = (
    "Makefile", "GNUmakefile", "makefile", "tox.ini", "noxfile.py", "pytest.ini", "setup.cfg", "pyproject.toml",
    "mypy.ini", "pyrightconfig.json", "package.json", "tsconfig.json", "jest.config.*", "vitest.config.*", "Cargo.toml",
    "rust-toolchain", "rust-toolchain.toml", ".cargo/**", "go.mod", "**/conftest.py", "sitecustomize.py", "**/*.pth",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How large one change may be: files, lines added and removed together, bytes of the patch, bytes of one file."""

    files: int = 40
    lines: int = 2_000
    patch_bytes: int = 1_000_000
    file_bytes: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a change may not go on: a reason code, the path ("" for the whole change), and a sentence for people."""

    why: Why
    path: str
    sentence: str


def refusals(
    change: Change, globs: Sequence[str], *, bounds: Bounds, guarded: Sequence[str] = (), prompt_allowed: bool = False
) -> tuple[Refusal, ...]:
    """Judge a change against a lever's globs; nothing given back means that the gates may see it.

    `guarded` are paths that the project's own gates run or read; `prompt_allowed` says that the loop prompt may be
    changed now (the lever names it, and the last such change is long enough ago).
    """
    meddled = [_refused("git", path, "it is part of git itself") for path in change.meddled]
    judged = (_judged(file, globs, guarded, bounds, prompt_allowed) for file in change.files)
    return (*meddled, *(one for one in judged if one is not None), *_size(change, bounds))


def _judged(
    file: ChangedFile, globs: Sequence[str], guarded: Sequence[str], bounds: Bounds, prompt_allowed: bool
) -> Refusal | None:
    if (never := _never(file)) is not None:
        return never
    path = file.path
    if path.casefold() == PROMPT:
        return _prompt(path, globs, prompt_allowed)
    if _same(path, (*JUDGES, *GATE_FILES, *guarded)) and path not in globs:
        return _refused("judge_file", path, "it takes part in judging changes; a lever must name it literally")
    if not inside(path, globs):
        return _refused("outside", path, f"it is outside of the lever's scope ({', '.join(globs)})")
    if file.size > bounds.file_bytes:
        return _refused("too_large", path, f"it has {file.size:,} bytes, {bounds.file_bytes:,} are allowed")
    return None


def _never(file: ChangedFile) -> Refusal | None:
    """What no lever may do, whatever its globs say."""
    path = file.path
    if _of_git(path):
        return _refused("git", path, "it is part of git itself")
    if file.submodule:
        return _refused("submodule", path, "it is a submodule or another repository")
    if file.symlink:
        return _refused("symlink", path, "it is a symbolic link")
    if file.mode_changed:
        return _refused("mode", path, f"its mode changed ({file.old_mode} to {file.new_mode})")
    if _same(path, LOOP_FILES):
        return _refused("loop_file", path, "the loop's own files are written by people and by the loop alone")
    return None


def _prompt(path: str, globs: Sequence[str], allowed: bool) -> Refusal | None:
    if path not in globs or path != PROMPT:
        return _refused("loop_file", path, "only a lever that names the loop prompt literally may change it")
    return None if allowed else _refused("prompt_early", path, "the loop prompt was changed not long ago")


def _of_git(path: str) -> bool:
    """Whether any part of a path is git's own: also where a file system takes other spellings for the same name."""
    return any(_plain(part) in (".git", "git~1") for part in path.split("/"))


def _plain(part: str) -> str:
    """A name as the laxest file system reads it: case, invisible characters, trailing dots and spaces do not count."""
    seen = "".join(char for char in unicodedata.normalize("NFKC", part) if unicodedata.category(char) != "Cf")
    return seen.casefold().split(":")[0].rstrip(". ")


def _same(path: str, globs: Sequence[str]) -> bool:
    folded = "/".join(_plain(part) for part in path.split("/"))
    return inside(folded, tuple(glob.casefold() for glob in globs))


def _size(change: Change, bounds: Bounds) -> tuple[Refusal, ...]:
    lines = sum(file.added + file.removed for file in change.files)
    found: list[Refusal] = []
    if len(change.files) > bounds.files:
        found.append(_refused("too_many", "", f"{len(change.files)} files are changed, {bounds.files} are allowed"))
    if lines > bounds.lines:
        found.append(_refused("too_large", "", f"{lines:,} lines are changed, {bounds.lines:,} are allowed"))
    if change.patch_bytes > bounds.patch_bytes:
        said = f"the patch has {change.patch_bytes:,} bytes, {bounds.patch_bytes:,} are allowed"
        found.append(_refused("too_large", "", said))
    return tuple(found)


def _refused(why: Why, path: str, reason: str) -> Refusal:
    shown = path if len(path) <= 120 else f"{path[:119]}…"
    return Refusal(why=why, path=path, sentence=f"{shown}: {reason}" if path else reason)

"""The doors of the loop on a repository: who writes, what git keeps, and what judges a change.

The three know nothing of each other. A coding agent gets an `Errand` and gives a `Delivery`, which is believed for
nothing but its cost and its end: what changed is asked of `Repository.change`. Gates run in a fresh checkout of the
trusted base with the patch applied. Commits are made as objects first (`draft`, `revert`) and published in one step
(`move`, `forward`), so that a tick that is killed anywhere leaves the branch where it was or where it should be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from surefoot.core.change import Change
from surefoot.core.gate_spec import GateSpec

DeliveryStatus = Literal["ok", "no_change", "limit", "denied", "error", "timeout"]
GateOutcome = Literal["pass", "fail", "error", "timeout", "checked_nothing"]


# Coding agents


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One piece of work for a coding agent, in a worktree of its own.

    `writable` are the lever's globs, told to the agent and judged afterwards on our own diff. `deadline_s` is wall
    clock for all of it. `env` are the only variables it gets besides PATH, LANG and a HOME without secrets.
    """

    prompt: str
    worktree: str
    lever: str
    writable: tuple[str, ...] = ()
    deadline_s: float = 900.0
    max_turns: int | None = None
    max_usd: float | None = None
    env: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How an errand ended, as far as the agent's own report can be believed: not for what changed.

    `ok` means only that the agent finished in good order; `no_change` that it says so itself. `cost_usd`, `tokens` and
    `turns` are None where the agent does not tell. `transcript` is redacted and capped (head and tail are kept).
    `exit_code` is None when nothing was started, negative for a signal. `denials` are what it was forbidden to do.
    """

    status: DeliveryStatus
    summary: str = ""
    cost_usd: float | None = None
    tokens: int | None = None
    turns: int | None = None
    denials: tuple[str, ...] = ()
    transcript: str = ""
    exit_code: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usable:
    """Whether a coding agent can be used here, found out without spending anything; `why` says what to do if not."""

    name: str
    installed: bool
    usable: bool
    version: str = ""
    why: str = ""


class CodingAgent(Protocol):
    """A program that edits files in a worktree: Claude Code, Codex, Gemini, or any command."""

    @property
    def name(self) -> str: ...

    async def work(self, errand: Errand) -> Delivery:
        """Carry out the errand; whatever goes wrong comes back as a status, and no process is left behind."""
        ...

    async def usable(self) -> Usable:
        """Tell whether it is installed and signed in; asks no model."""
        ...


# Git


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The person's repository as it stands. `head` is "" before the first commit, `branch` is None when detached.

    `dirty` are the paths a person changed and did not commit, untracked ones included; ignored files do not count.
    """

    top: str
    head: str
    branch: str | None
    dirty: tuple[str, ...] = ()
    submodules: tuple[str, ...] = ()
    shallow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A detached worktree of the commit `base`. `seal` fingerprints git's own files at the moment it was opened."""

    name: str
    path: str
    base: str
    seal: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A change and the bytes that make it (`git apply --binary` on `change.base`)."""

    change: Change
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One commit of a log; `subject` is the first line of the message, `body` the rest."""

    sha: str
    parents: tuple[str, ...]
    at: datetime
    author: str
    subject: str
    body: str = ""


class Looking(Protocol):
    """What can be asked of a repository without changing anything."""

    def facts(self) -> Facts: ...

    def resolve(self, ref: str) -> str | None:
        """Give the commit that a branch, tag or id names, or None."""
        ...

    def read(self, ref: str, path: str) -> bytes | None:
        """Give a file's bytes as committed at a ref, or None if it is not a file there; Invalid for an unknown ref."""
        ...

    def log(self, ref: str, *, limit: int = 50, after: str = "") -> list[Logged]:
        """Give the newest commits first, without those that `after` already has; empty if the ref does not exist."""
        ...

    def patch_of(self, base: str, commit: str) -> Patch:
        """Give the difference between two commits."""
        ...

    def note(self, commit: str) -> str | None:
        """Give the note that `annotate` left on a commit."""
        ...


class Worktrees(Protocol):
    """Places to work in that are not the person's; never clones, so that a long history costs nothing."""

    def open(self, base: str, name: str) -> Workspace:
        """Add a detached worktree of a commit; Conflict if the name is taken."""
        ...

    def change(self, workspace: Workspace) -> Patch:
        """Give our own diff of the worktree against its base: untracked and binary files too, line ends as they are."""
        ...

    def checkout(self, base: str, patch: Patch | None, name: str) -> Workspace:
        """Add a clean worktree of a commit and apply a patch to its files; Conflict if it does not apply."""
        ...

    def close(self, workspace: Workspace) -> None:
        """Throw a worktree away, whatever is in it; nothing happens if it is gone."""
        ...

    def sweep(self, keep: Collection[str] = ()) -> tuple[str, ...]:
        """Throw away what killed ticks left, except the names to keep; gives the names that went."""
        ...


class Committing(Protocol):
    """Writes history by plumbing: the person's working tree and index are read by none of these but `forward`."""

    def draft(
        self,
        parent: str,
        *,
        message: str,
        at: datetime,
        patch: Patch | None = None,
        files: Mapping[str, bytes | None] = ...,
    ) -> str:
        """Make a commit on a parent from a patch, file contents (None deletes), or both; no branch moves yet.

        Conflict if the patch does not apply, Invalid if nothing would change.
        """
        ...

    def revert(self, commit: str, *, parent: str, message: str, at: datetime) -> str:
        """Make a commit on a parent that undoes another one; Conflict if later work stands on it. No branch moves."""
        ...

    def merge(
        self, parent: str, other: str, *, message: str, at: datetime, files: Mapping[str, bytes | None] = ...
    ) -> str:
        """Make a commit that joins two histories; `files` get their content from here, whatever the two sides say.

        Conflict names the other paths on which the two sides differ. No branch moves.
        """
        ...

    def move(self, branch: str, new: str, *, expected: str | None) -> None:
        """Move or (expected None) create a branch if it still stands where expected.

        Conflict if it moved meanwhile, or if somebody has it checked out: they would see our commits as their undoing.
        """
        ...

    def forward(self, new: str, *, expected: str) -> None:
        """Fast-forward the branch the person has checked out, with its working tree (`direct` mode).

        Conflict if uncommitted work is there, the head is detached or moved, or it is no fast-forward.
        """
        ...

    def annotate(self, commit: str, text: str, *, at: datetime) -> None:
        """Leave a note on a commit under refs/notes/surefoot (the head of the audit chain), replacing an older one."""
        ...


class Repository(Looking, Worktrees, Committing, Protocol):
    """A real git repository. The methods block for as long as git takes: call them in a worker thread.

    Errors: Invalid (not a repository, unknown ref, bad path), Conflict (as said above), Unavailable (git is missing,
    hangs or fails), each with a hint.
    """


# Gates


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What a gate found. Only `pass` is a pass; `error` means the gate itself could not be run.

    `sentence` is for people, `evidence` are facts worth keeping (counts, sizes, digests, the last lines of a failure),
    `log` is the path of the whole output, `layers` are the walls of the sandbox that were up.
    """

    name: str
    outcome: GateOutcome
    sentence: str
    exit_code: int | None = None
    seconds: float = 0.0
    log: str = ""
    evidence: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()


class Gates(Protocol):
    """Runs gates for real."""

    async def run(self, gate: GateSpec, checkout: str, log: str) -> GateResult:
        """Run one gate in a checkout and write its output to a log file; no process is left behind."""
        ...

    def layers(self) -> tuple[str, ...]:
        """Name the walls of the sandbox that are up on this machine."""
        ...

"""A job: long work that somebody asked for over the API, done by a process of its own.

The process runs a command of the command line and leaves its document and exit code. It says every few seconds that
it is there (`core.worker`); a job whose process is gone, or silent for too long, reads as `lost`, and a process that
wakes up after that stops. Nothing is begun again by itself: a tick or a run that was cut short is finished by asking
for it again, since these are durable by themselves.

Somebody may cancel it: then it is `cancelling` until its process has stopped, and `cancelled` after that. What had
finished by then has finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.worker import holds

JobKind = Literal["tick", "evaluate", "shadow", "sentinel", "prune", "bisect", "probes", "eval"]
JobState = Literal["waiting", "running", "cancelling", "done", "failed", "cancelled", "lost"]
OPEN: frozenset[JobState] = frozenset({"waiting", "running", "cancelling"})
INTERRUPTED = 130  # the exit code of a command that was told to stop
AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work; `words` is the command, `result` its document, `owner` the process that does it.

    `files` are texts that the command reads, by name; a word such as `{suite.yaml}` stands for the place of one. They
    are dropped once it has ended. `seen_at` is when its process said last that it is there; `cancelled_by` and `why`
    say who cancelled it.
    """

    id: str
    kind: JobKind
    agent: str
    words: tuple[str, ...]
    by: str
    at: datetime
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    state: JobState = "waiting"
    owner: str = ""
    seen_at: datetime | None = None
    cancelled_by: str = ""
    why: str = ""
    ended_at: datetime | None = None
    exit_code: int | None = None
    result: Mapping[str, object] = field(default_factory=dict[str, object])
    revision: int = 0


def standing(job: Job, now: datetime, *, alive_here: bool | None) -> JobState:
    """Give the state as it reads now; `alive_here` says whether its process lives, None where that cannot be seen."""
    if job.state not in OPEN or holds(job.seen_at, now, alive_here=alive_here):
        return job.state
    return "cancelled" if job.state == "cancelling" else "lost"


def end_of(job: Job, *, exit_code: int | None, result: Mapping[str, object]) -> JobState:
    """Give the state in which a job ends; without an exit code it broke off or never began."""
    failed = exit_code is None or "error" in result or (exit_code == INTERRUPTED and not result)
    stopped = failed or exit_code == INTERRUPTED or result.get("outcome") == "cancelled"
    if job.state == "cancelling" and stopped:
        return "cancelled"
    return "failed" if failed else "done"


def must_be_open(job: Job, stands: JobState) -> None:
    """Raise Conflict for a job that has ended, which nobody can cancel."""
    if stands not in OPEN:
        raise Conflict(f"job {job.id} is {stands}", hint="only one that is at work can be cancelled")


def must_say(by: str, reason: str) -> None:
    """Raise Invalid where nobody says who cancels something, or why."""
    if not by.strip() or not reason.strip():
        raise Invalid("work is cancelled by a person, with a reason", hint="say who (--by NAME) and why (--why TEXT)")


def must_have_room(running: int) -> None:
    """Raise Conflict where as many jobs are at work as may be at once."""
    if running >= AT_ONCE:
        raise Conflict(f"{running} jobs are at work", hint="GET /api/v1/jobs shows them; ask again when one has ended")

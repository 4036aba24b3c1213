"""A job: long work that somebody asked for over the API, done by a process of its own.

The process runs a command of the command line and leaves its document and exit code. A process that died leaves its
job `running` with an owner that is gone; such a job reads as `lost`. Nothing is begun again by itself: a tick or a run
that was cut short is finished by asking for it again, since these are durable by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from surefoot.core.errors import Conflict

JobKind = Literal["tick", "evaluate", "shadow", "sentinel", "prune", "bisect", "probes", "eval"]
JobState = Literal["waiting", "running", "done", "failed", "lost"]
AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work; `words` is the command, `result` its document, `owner` the process that does it.

    `files` are texts that the command reads, by name; a word such as `{suite.yaml}` stands for the place of one. They
    are dropped once it has ended.
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
    ended_at: datetime | None = None
    exit_code: int | None = None
    result: Mapping[str, object] = field(default_factory=dict[str, object])
    revision: int = 0


def standing(job: Job, *, alive: bool) -> JobState:
    """Give the state as it reads now; `alive` says whether the owner still works."""
    return "lost" if job.state == "running" and not alive else job.state


def must_have_room(running: int) -> None:
    """Raise Conflict where as many jobs are at work as may be at once."""
    if running >= AT_ONCE:
        raise Conflict(f"{running} jobs are at work", hint="GET /api/v1/jobs shows them; ask again when one has ended")

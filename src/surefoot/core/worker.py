"""A worker: a process that carries long work out, and whether it still holds what it carries out.

It says every ten seconds that it is there. What it holds is free once it is silent for longer than its lease: a
process that hangs, or that slept with its machine, looks the same from outside as one that died, so whoever wakes up
after its lease asks first whether the work is still its own (`fenced`). Where the process itself can be seen, because
it is on this machine, its end counts at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

LEASE = timedelta(seconds=60)
HEARTBEAT_S = 10.0  # six of them fit into a lease
LEFT = -1  # the process number of one that ended in peace and left its work to others
Standing = Literal["at work", "silent", "dead", "left"]


def standing(seen_at: datetime | None, now: datetime, *, alive_here: bool | None, pid: int = 0) -> Standing:
    """Give how a worker stands, heard of last at `seen_at` (None: it never says so, and only its process counts).

    `alive_here` says whether its process lives on this machine; None for one of another, which cannot be seen.
    """
    if pid == LEFT:
        return "left"
    if alive_here is False:
        return "dead"
    if seen_at is not None and now - seen_at > LEASE:
        return "silent"
    return "at work"


def holds(seen_at: datetime | None, now: datetime, *, alive_here: bool | None, pid: int = 0) -> bool:
    """Whether a worker still holds what it carries out."""
    return standing(seen_at, now, alive_here=alive_here, pid=pid) == "at work"


def fenced(held_until: datetime, now: datetime, *, taken: bool) -> bool:
    """Whether a worker must stop: it slept past its lease, and somebody else took or closed the work meanwhile."""
    return now > held_until and taken

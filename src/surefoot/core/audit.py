"""The audit record: append-only and hash-chained.

Each entry's digest covers the entry and the digest before it, so a changed, removed or reordered entry breaks the
chain from there on. A cut tail leaves a whole chain behind; it is found by comparing with a head (count and digest)
that was written down elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from surefoot.core.digest import digest

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One state change: who did what to which thing; `payload` is JSON-shaped. `seq` counts from 1."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    payload: Mapping[str, object]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a check of the chain found; `broken_at` is the first bad sequence number."""

    intact: bool
    entries: int
    head: str
    broken_at: int | None = None
    problem: str = ""


def entry_digest(
    previous: str, seq: int, at: datetime, actor: str, action: str, subject: str, payload: Mapping[str, object]
) -> str:
    """Give the digest that chains an entry to the one before it; the same moment in another time zone is the same."""
    moment = at.astimezone(UTC) if at.tzinfo else at
    return digest([previous, seq, moment.isoformat(), actor, action, subject, dict(payload)])


def sealed(
    last: tuple[int, str] | None, *, at: datetime, actor: str, action: str, subject: str, payload: Mapping[str, object]
) -> Entry:
    """Give the next entry after `last` = (seq, digest), or the first one."""
    seq, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
    mark = entry_digest(previous, seq, at, actor, action, subject, payload)
    return Entry(
        seq=seq, at=at, actor=actor, action=action, subject=subject, payload=payload, previous=previous, digest=mark
    )


def verify(entries: Iterable[Entry], *, head: tuple[int, str] | None = None) -> Verification:
    """Walk the chain; `head` = (count, digest) noted earlier must still be on it."""
    count, previous, head_seen = 0, GENESIS, head is None or head[0] == 0
    for entry in entries:
        if problem := _problem(entry, count + 1, previous):
            return Verification(intact=False, entries=count, head=previous, broken_at=count + 1, problem=problem)
        count, previous = entry.seq, entry.digest
        head_seen = head_seen or (count, previous) == head
    if not head_seen and head is not None:
        problem = f"the noted head (entry {head[0]}) is not in the record: entries were removed or rewritten"
        return Verification(
            intact=False, entries=count, head=previous, broken_at=min(count + 1, head[0]), problem=problem
        )
    return Verification(intact=True, entries=count, head=previous)


def _problem(entry: Entry, seq: int, previous: str) -> str:
    if entry.seq != seq:
        return f"entry {seq} is missing or out of order (found {entry.seq})"
    if entry.previous != previous:
        return f"entry {seq} does not follow the entry before it"
    expected = entry_digest(
        entry.previous, entry.seq, entry.at, entry.actor, entry.action, entry.subject, entry.payload
    )
    return "" if expected == entry.digest else f"entry {seq} was changed after it was written"

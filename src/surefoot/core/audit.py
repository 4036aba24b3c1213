"""The audit record: append-only and hash-chained.

Each entry's digest covers the entry and the digest before it, so a changed, removed or reordered entry breaks the
chain from there on. A cut tail leaves a whole chain behind; it is found by comparing with a head (count and digest)
that was written down elsewhere.

A long record is not walked at each look: what was walked once is remembered with its head, and a look goes on from
there. Who changes an old entry together with nothing else is then found by the next walk along all of it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How far the chain was walked (`entries`, `head`, `at`), and who walked all of it last, and when.

    `broken_at` and `problem` are what that found; they stay until a walk along all of it finds none.
    """

    entries: int = 0
    head: str = GENESIS
    at: datetime | None = None
    broken_at: int | None = None
    problem: str = ""
    whole_at: datetime | None = None
    whole_by: str = ""


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


def verify(
    entries: Iterable[Entry], *, head: tuple[int, str] | None = None, since: tuple[int, str] = (0, GENESIS)
) -> Verification:  # fmt: skip
    """Walk the chain; `head` = (count, digest) noted earlier must still be on it.

    With `since` = (count, digest) the walk goes on behind an entry that was walked before.
    """
    (count, previous), head_seen = since, head is None or head[0] == 0 or head == since
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


def after_walk(kept: Checked, found: Verification, at: datetime, *, by: str = "") -> Checked:
    """Give what is remembered after a walk; `by` is who walked along all of it (empty: it went on from `kept`)."""
    whole_at, whole_by = (at, by) if by else (kept.whole_at, kept.whole_by)
    return Checked(
        entries=found.entries, head=found.head, at=at, broken_at=found.broken_at, problem=found.problem,
        whole_at=whole_at, whole_by=whole_by,
    )  # fmt: skip


def _problem(entry: Entry, seq: int, previous: str) -> str:
    if entry.seq != seq:
        return f"entry {seq} is missing or out of order (found {entry.seq})"
    if entry.previous != previous:
        return f"entry {seq} does not follow the entry before it"
    expected = entry_digest(
        entry.previous, entry.seq, entry.at, entry.actor, entry.action, entry.subject, entry.payload
    )
    return "" if expected == entry.digest else f"entry {seq} was changed after it was written"

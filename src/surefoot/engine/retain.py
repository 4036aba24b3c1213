"""Retain: delete what is older than it is to be kept, a few rows at a time, while everything goes on.

What may go is decided anew in each transaction, because a rollout may begin between two of them. Between two batches
the writers of requests get their turn. A run that is cut short goes on with the next one; nothing is half deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from surefoot.core.retention import RETAINED, RetainedKind, Retention, due
from surefoot.engine.once import forget
from surefoot.engine.work import bury
from surefoot.ports import Ports, Tx
from surefoot.ports.deleting import Gone

BATCH = 50
PAUSE_S = 0.01
_OVER = frozenset({"promoted", "closed", "rolled_back", "inconclusive", "aborted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What went by kind (`kept` are requests that lost their texts only), and which rollout holds back whose requests.

    Of a dry run: what would go.
    """

    counts: Mapping[str, int]
    held: Mapping[str, str] = field(default_factory=dict[str, str])
    dry_run: bool = False


async def retain(ports: Ports, retention: Retention, *, dry_run: bool = False) -> Retained:
    """Delete what is too old by now; the record says how much of what went."""
    if not dry_run:
        await forget(ports)
        await bury(ports)
    now, gone, held = ports.clock(), Gone(), dict[str, str]()
    for agent in await ports.store.read(lambda tx: tx.agents.all()):
        if holder := await _traces(ports, retention, agent.name, now, gone, dry_run=dry_run):
            held[agent.name] = holder
    for kind in RETAINED[1:]:
        await _others(ports, retention, kind, now, gone, dry_run=dry_run)
    if gone.counts and not dry_run:
        await ports.store.write(lambda tx: tx.audit.append(
            at=now, actor="retention", action="deleted-by-age", subject="store", payload=dict(gone.counts)
        ))  # fmt: skip
    return Retained(counts=dict(gone.counts), held=held, dry_run=dry_run)


async def retain_daily(ports: Ports, retention: Retention) -> Retained | None:
    """The same once a day, whichever worker comes first; None where it was done today, or nothing is to go.

    Keys of requests go after a day, and texts of jobs whose process died at once, in any case.
    """
    await forget(ports)
    await bury(ports)
    if all(retention.days(kind) is None for kind in RETAINED):
        return None
    now = ports.clock()
    key = f"retention:{now:%Y-%m-%d}"
    if await ports.store.read(lambda tx: tx.marks.get(key)) is not None:
        return None

    def taken(tx: Tx) -> bool:
        if tx.marks.get(key) is not None:
            return False
        tx.marks.add(key, {}, now)
        return True

    return await retain(ports, retention) if await ports.store.write(taken) else None


async def _traces(ports: Ports, retention: Retention, agent: str, now: datetime, gone: Gone, *, dry_run: bool) -> str:
    """Delete an agent's old requests, and give which rollout holds some back."""
    if dry_run:
        found = await ports.store.read(lambda tx: due(retention, now, needed(tx, agent)))
        if found.before is not None:
            before = found.before
            gone.add("traces", await ports.store.read(lambda tx: tx.deleting.count("traces", before, agent=agent)))
        return found.held_by

    since: datetime | None = None
    while True:
        some, held, since = await _batch(ports, retention, agent, now, since)
        gone.merge(some)
        if since is None:
            return held
        await asyncio.sleep(PAUSE_S)


async def _batch(
    ports: Ports, retention: Retention, agent: str, now: datetime, since: datetime | None
) -> tuple[Gone, str, datetime | None]:
    """Delete some, and give which rollout holds back others, and from when to go on (None = there are no more).

    They are looked for without the write lock, since many may be passed over; what may go is decided again under it.
    """

    def look(tx: Tx) -> list[tuple[str, datetime]]:
        allowed = due(retention, now, needed(tx, agent))
        if allowed.before is None:
            return []
        return tx.deleting.old_traces(agent, allowed.before, limit=BATCH, since=since)

    def work(tx: Tx) -> tuple[Gone, str]:
        allowed = due(retention, now, needed(tx, agent))
        if allowed.before is None or not found:
            return Gone(), allowed.held_by
        ids = tx.deleting.still_old(agent, allowed.before, [name for name, _ in found])
        return tx.deleting.traces(ids), allowed.held_by

    found = await ports.store.read(look)
    some, held = await (ports.store.write(work) if found else ports.store.read(work))
    return some, held, found[-1][1] if len(found) == BATCH and some.counts else None


async def _others(
    ports: Ports, retention: Retention, kind: RetainedKind, now: datetime, gone: Gone, *, dry_run: bool
) -> None:
    before = retention.before(kind, now)
    if before is None:
        return
    if dry_run:
        gone.add(kind, await ports.store.read(lambda tx: tx.deleting.count(kind, before)))
        return
    while True:
        many = await ports.store.write(lambda tx: tx.deleting.old(kind, before, limit=BATCH))
        gone.add(kind, many)
        if many < BATCH:
            return
        await asyncio.sleep(PAUSE_S)


def needed(tx: Tx, agent: str) -> list[tuple[str, datetime]]:
    """Give the rollouts of an agent that are not over, each with the moment since when it needs all requests."""
    waiting = [one for one in tx.rollouts.all(agent) if one.queued or one.watched or one.state not in _OVER]
    return [(one.id, min(one.started_at, tx.versions.get(agent, one.challenger).created_at)) for one in waiting]

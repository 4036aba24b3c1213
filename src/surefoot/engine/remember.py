"""Remember: write, read, append to and forget what an agent keeps, each in one transaction.

An append reads and writes under the store's write lock, so that fifty writers lose nothing. What has expired is as if
it were not there, and goes when somebody looks or writes. Values, keys and owners are redacted before they are stored.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import cast

from surefoot.core.errors import Conflict
from surefoot.core.memory import (
    MOST_ITEMS,
    MOST_KEYS,
    Entry,
    MemoryChange,
    Place,
    Where,
    appended,
    checked_key,
    checked_value,
    expiry,
    matches,
    text_of,
)
from surefoot.core.similar import nearest
from surefoot.engine.serve import storable
from surefoot.engine.settle import veiled
from surefoot.ports import Ports, Tx

SWEPT = 100
PAGE = 1000
STRETCH = 200


async def remember(
    ports: Ports, where: Where, key: str, value: object, *, scope: str = "", ttl_s: float | None = None
) -> Entry:
    """Write a value under a key in the named scope, else the most specific one; it replaces what was there."""
    now, where, key = ports.clock(), _kept(ports, where), _key(ports, key)
    entry = Entry(place=where.place(scope), key=key, value=veiled(ports, checked_value(value, key)), written_at=now,
                  expires_at=expiry(now, ttl_s))  # fmt: skip
    return await ports.store.write(lambda tx: _written(tx, entry))


def _kept(ports: Ports, where: Where) -> Where:
    """The same names as they are stored after redaction, in writing and in looking up alike."""
    return replace(
        where, workflow=ports.redact_name(storable(where.workflow)), session=ports.redact_name(storable(where.session)),
        actor=ports.redact_name(storable(where.actor)),
    )  # fmt: skip


def _key(ports: Ports, key: str) -> str:
    return ports.redact_slices({"key": checked_key(storable(key))})["key"]


def _written(tx: Tx, entry: Entry) -> Entry:
    _sweep(tx, entry)
    if tx.memories.get(entry.place, entry.key) is None and tx.memories.count(entry.place) >= MOST_KEYS:
        raise Conflict(
            f"the {entry.place.scope} {entry.place.owner!r} remembers {MOST_KEYS} keys already",
            hint="forget some, give them a time to live, or append to lists",
        )
    tx.memories.put(entry, action="set")
    return entry


def _sweep(tx: Tx, entry: Entry) -> None:
    for old in tx.memories.expired(entry.written_at, limit=SWEPT):
        tx.memories.drop(old.place, old.key, at=entry.written_at, action="expire")


async def append(
    ports: Ports, where: Where, key: str, item: object, *, scope: str = "", keep: int = MOST_ITEMS
) -> Entry:
    """Append to the list under a key, which begins empty; of more than `keep` items the oldest go."""
    (place, key), now = address(ports, where, key, scope), ports.clock()
    item = veiled(ports, checked_value(item, key))

    def work(tx: Tx) -> Entry:
        old = tx.memories.get(place, key)
        there = old if old is not None and old.alive(now) else None
        items = appended(there.value if there else None, item, key, keep)
        entry = Entry(place=place, key=key, value=items, written_at=now, expires_at=there.expires_at if there else None)
        if there is None:
            return _written(tx, entry)
        tx.memories.put(entry, action="append")
        return entry

    return await ports.store.write(work)


async def recall(ports: Ports, where: Where, key: str, *, scope: str = "") -> Entry | None:
    """Give what is remembered under a key: in the named scope only, else in the first scope that has it."""
    here, key, now = places(ports, where, scope), _key(ports, key), ports.clock()

    def work(tx: Tx) -> Entry | None:
        found = (tx.memories.get(place, key) for place in here)
        return next((entry for entry in found if entry is not None and entry.alive(now)), None)

    return await ports.store.read(work)


async def forget(ports: Ports, where: Where, key: str, *, scope: str = "") -> bool:
    """Delete a key in one scope; False if nothing was there."""
    (place, key), now = address(ports, where, key, scope), ports.clock()
    return await ports.store.write(lambda tx: tx.memories.drop(place, key, at=now))


async def entries(
    ports: Ports, where: Where, *, scope: str, pattern: str = "*", after: str = "", limit: int = MOST_KEYS
) -> list[Entry]:
    """List one scope by key, from after a key on; a list over all scopes would hide which is which."""
    place, now = _kept(ports, where).place(scope), ports.clock()
    return await ports.store.read(lambda tx: _listed(tx, place, now, pattern, after, limit))


def _listed(tx: Tx, place: Place, now: datetime, pattern: str, after: str, limit: int) -> list[Entry]:
    found: list[Entry] = []
    while len(found) < limit:
        rows = tx.memories.of(place, after=after, limit=STRETCH)
        found += [entry for entry in rows if entry.alive(now) and matches(pattern, entry.key)]
        if len(rows) < STRETCH:
            break
        after = rows[-1].key
    return found[:limit]


async def similar(ports: Ports, where: Where, text: str, *, scope: str = "", limit: int = 10) -> list[Entry]:
    """Give the entries and list items most like a text, nearest first, from the named scope or all of them."""
    here, text, now = places(ports, where, scope), ports.redact(storable(text)), ports.clock()
    found = await ports.store.read(lambda tx: [entry for place in here for entry in tx.memories.of(place)])
    parts = [part for entry in found if entry.alive(now) for part in _parts(entry)]
    order = nearest([text], [f"{part.key} {text_of(part.value)}" for part in parts], min(limit, len(parts)))
    return [parts[at] for at in order]


def _parts(entry: Entry) -> list[Entry]:
    value = entry.value
    if not isinstance(value, list):
        return [entry]
    return [replace(entry, value=item) for item in cast("list[object]", value)]


async def changes(
    ports: Ports, where: Where, *, scope: str = "", after: int = 0, pattern: str = "*", limit: int = PAGE
) -> list[MemoryChange]:
    """Give what happened to matching keys in the request's scopes after the change `after`, oldest first."""
    found, here, stretch = list[MemoryChange](), places(ports, where, scope), limit if pattern == "*" else PAGE
    while len(found) < limit:
        page = await ports.store.read(lambda tx, at=after: tx.memories.changes(here, after=at, limit=stretch))
        found += [change for change in page if matches(pattern, change.key)]
        if len(page) < stretch:
            break
        after = page[-1].seq
    return found[:limit]


def places(ports: Ports, where: Where, scope: str = "") -> tuple[Place, ...]:
    """Give the places of a request as they are stored: that of the named scope, else all that a read walks."""
    where = _kept(ports, where)
    return (where.place(scope),) if scope else where.places()


def address(ports: Ports, where: Where, key: str, scope: str = "") -> tuple[Place, str]:
    """Give where a write of a key would land, and the key, both as they are stored."""
    return _kept(ports, where).place(scope), _key(ports, key)

"""Verify: whether the chain of the audit record holds, at a look and along all of it.

A look takes what was walked before as its beginning: the entry there must still be what it was, and what came since
is walked, up to `MOST` entries. Whoever minds the server goes on with the rest in the background, so that a look
never takes long. A walk along all of it, which somebody asks for, believes nothing of that: it begins at the first
entry and finds a changed old one. What it found stays to be seen until the next such walk, where a person asked for
it by name; who only wants to know may have it walked without a name, and then nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, cast

from surefoot.core.audit import GENESIS, Checked, Verification, after_walk, verify
from surefoot.engine.inspect import miscounted
from surefoot.ports import Ports, Tx

SWITCH = "audit-chain"
MOST, BATCH, ENOUGH = 400, 2_000, 200
_BEFORE_ALL = -(2**62)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the chain stands at a look: what was found, how many entries there are, and what is remembered."""

    found: Verification
    last: int
    kept: Checked

    @property
    def left(self) -> int:
        """How many entries were not walked yet."""
        return max(0, self.last - self.found.entries) if self.found.intact else 0


async def chain(ports: Ports) -> Standing:
    """Give how the chain stands; walks no more than `MOST` entries, and writes nothing."""
    return await ports.store.read(standing)


def standing(tx: Tx) -> Standing:
    """Give how the chain stands, within a transaction."""
    kept, last = kept_in(tx), tx.audit.last()
    return Standing(found=_gone_on(tx, kept, MOST), last=last, kept=kept)


def kept_in(tx: Tx) -> Checked:
    """Give what is remembered of earlier walks."""
    noted = tx.switches.get(SWITCH)
    return Checked() if noted is None else _read(noted)


async def go_on(ports: Ports) -> int:
    """Walk the next part of the chain and remember it; gives how many entries were walked, 0 where it is not worth it.

    What a walk found broken is left as it is: only a walk along all of it can say that it is mended.
    """
    seen = await ports.store.read(lambda tx: (kept_in(tx), tx.audit.last()))
    kept, last = seen
    if kept.broken_at is not None or 0 <= last - kept.entries < ENOUGH:
        return 0
    found = await ports.store.read(lambda tx: _gone_on(tx, kept, BATCH))

    def work(tx: Tx) -> int:
        if kept_in(tx) != kept:
            return 0
        remember(tx, after_walk(kept, found, ports.clock()))
        return found.entries - kept.entries

    return await ports.store.write(work)


async def walk(ports: Ports, *, by: str, head: tuple[int, str] | None = None) -> Verification:
    """Walk along all of the chain, and remember what `by` found; `head` noted earlier must be on it."""
    found = await _walked(ports)
    await _noted(ports, found, by)
    return found if head is None else await held_to(ports, found, head)


async def held_to(ports: Ports, found: Verification, head: tuple[int, str]) -> Verification:
    """Give what a walk found if a head that was noted elsewhere is on the chain; else that it is not.

    What was appended since that walk is walked too, since the head may be of that.
    """
    found = await _walked(ports, since=found)
    if not found.intact or head[0] == 0:
        return found
    rows = await ports.store.read(lambda tx: tx.audit.after(head[0] - 1, limit=1))
    if any((one.seq, one.digest) == head for one in rows):
        return found
    return verify((), since=(found.entries, found.head), head=head)  # whose head it is, the record cannot say


async def _walked(ports: Ports, *, since: Verification | None = None) -> Verification:
    """Walk along the chain in parts, from before its first entry or on from where a walk ended; writes nothing."""
    found = since or Verification(intact=True, entries=0, head=GENESIS)
    after = since.entries if since else _BEFORE_ALL

    def part(tx: Tx) -> tuple[Verification, int | None]:
        rows = tx.audit.after(after, limit=BATCH)
        return verify(rows, since=(found.entries, found.head)), rows[-1].seq if rows else None

    while found.intact:
        found, last = await ports.store.read(part)
        if last is None:
            break
        after = last
    return found


async def _noted(ports: Ports, found: Verification, by: str) -> None:
    now = ports.clock()
    await ports.store.write(lambda tx: remember(tx, after_walk(kept_in(tx), found, now, by=by)))


class Walking:
    """A walk along all of the chain in this process, one at a time, that goes on when nobody waits for it any more.

    So it is with counting the labels of all rollouts anew. A walk is remembered under the first name that anybody gives
    who asks for it, and not at all where nobody gives one.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._going: asyncio.Task[Verification] | None = None
        self._counting: asyncio.Task[list[str]] | None = None
        self._by = ""

    @property
    def going(self) -> bool:
        """Whether somebody has asked for one that has not ended."""
        return self._going is not None and not self._going.done()

    async def asked(self, *, by: str, wait_s: float) -> Verification | None:
        """Begin a walk, or join the one that goes on; gives what it found, or None where it takes longer."""
        going = self._joined(by)
        done, _ = await asyncio.wait({going}, timeout=wait_s)
        return going.result() if done else None

    async def awaited(self, *, by: str = "") -> Verification:
        """Begin a walk, or join the one that goes on, and give what it found however long it takes."""
        going = self._joined(by)
        await asyncio.wait({going})
        return going.result()

    async def miscounted(self) -> list[str]:
        """Count all labels anew, or join who does so now, and give the rollouts that were counted wrongly."""
        going = self._counting
        if going is None or going.done():
            going = self._counting = asyncio.get_running_loop().create_task(miscounted(self._ports))
            going.add_done_callback(_heard)
        await asyncio.wait({going})
        return going.result()

    def _joined(self, by: str) -> asyncio.Task[Verification]:
        if self._going is None or self._going.done():
            self._by = ""
            self._going = asyncio.get_running_loop().create_task(self._walk())
            self._going.add_done_callback(_heard)
        self._by = self._by or by
        return self._going

    async def _walk(self) -> Verification:
        found = await _walked(self._ports)
        if self._by:
            await _noted(self._ports, found, self._by)
        return found


def _heard(ended: asyncio.Task[Any]) -> None:
    """What goes wrong when nobody waits any more is found by whoever asks next."""
    if not ended.cancelled():
        ended.exception()


def _gone_on(tx: Tx, kept: Checked, most: int) -> Verification:
    """The remembered head must be what it was; then what came since is walked."""
    if kept.broken_at is not None:
        return Verification(
            intact=False, entries=kept.entries, head=kept.head, broken_at=kept.broken_at, problem=kept.problem
        )
    if kept.entries:
        rows = tx.audit.after(kept.entries - 1, limit=1)
        first = rows[0].previous if rows else GENESIS
        found = verify(rows, since=(kept.entries - 1, first), head=(kept.entries, kept.head))
        if not found.intact:
            return replace(found, entries=0, head=GENESIS)
    return verify(tx.audit.after(kept.entries, limit=most), since=(kept.entries, kept.head))


def remember(tx: Tx, kept: Checked) -> None:
    """Keep what is known of the chain, within a transaction."""
    told = {name: one.isoformat() if isinstance(one, datetime) else one for name, one in asdict(kept).items()}
    tx.switches.on(SWITCH, told)


def _read(noted: Mapping[str, object]) -> Checked:
    given = cast("dict[str, Any]", dict(noted))
    for name in ("at", "whole_at"):
        given[name] = datetime.fromisoformat(given[name]) if given.get(name) else None
    return Checked(**given)

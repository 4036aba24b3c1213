"""Take: requests of instrumented code with spans and evaluations, kept when this returns.

In this order: know which agents there are, read the request, keep what is in it. A long request is read beside the
event loop. What waits is bounded in bytes: a request takes its room as it comes in, and gives it back when it is
answered. What is sent twice is kept once, so whoever is not answered sends it again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from surefoot.engine.lodge import Lodging
from surefoot.ports import Ports
from surefoot.ports.recorder import Full, Recorder
from surefoot.ports.spans import Packer, Parcel, Terms

FRESH_S = 1.0
BESIDE_BYTES = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a request: how many were refused, and why, in one sentence (empty: nothing to say)."""

    rejected: int = 0
    why: str = ""


class Taking:
    """Takes the requests of one process; `most_bytes` bounds what may wait. `steady` is a clock in seconds."""

    def __init__(
        self, ports: Ports, recorder: Recorder, packer: Packer, *, most_bytes: int,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._ports = ports
        self.lodging = Lodging(ports, recorder, lambda agent: self._live.get(agent, 0))
        self.packer = packer
        self._most = most_bytes
        self._steady = steady
        self._live: Mapping[str, int] = {}
        self._read_at = -1e9
        self._meeting: asyncio.Task[None] | None = None
        self.waiting_bytes = 0
        self.refused = Counter[str]()

    @contextmanager
    def room(self) -> Generator[Callable[[int], None]]:
        """Give a function that takes so many bytes of room; Full when there is none. All is given back at the end."""
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if self.waiting_bytes + size > self._most:
                raise Full("too many spans wait to be written", hint="send them again later")
            self.waiting_bytes += size
            mine += size

        try:
            yield take
        finally:
            self.waiting_bytes -= mine

    async def traces(self, content: bytes, *, sees: Callable[[str], bool], as_json: bool) -> Receipt:
        """Keep spans; Invalid for what is no request for traces, Full when the recorder is."""
        return await self._taken(self.packer.traces, content, sees, as_json)

    async def logs(self, content: bytes, *, sees: Callable[[str], bool], as_json: bool) -> Receipt:
        """Keep the evaluations among log records."""
        return await self._taken(self.packer.logs, content, sees, as_json)

    async def _taken(
        self, read: Callable[..., Parcel], content: bytes, sees: Callable[[str], bool], as_json: bool
    ) -> Receipt:
        if self._steady() - self._read_at >= FRESH_S:
            await self._meet()
        parcel = await self._read(read, content, sees, as_json)
        self.refused.update(parcel.rejected)
        notes = Counter[str]()
        if parcel.groups or parcel.evaluations:
            lodged = await self.lodging.lodge(parcel)
            if lodged.met:  # an agent was made since we looked, and what speaks for its requests was passed over
                await self._meet()
                lodged = await self.lodging.lodge(await self._read(read, content, sees, as_json))
            notes = lodged.notes
        return Receipt(rejected=parcel.rejected.total(), why=_sentence(parcel.rejected + notes))

    async def _read(
        self, read: Callable[..., Parcel], content: bytes, sees: Callable[[str], bool], as_json: bool
    ) -> Parcel:
        terms = Terms(now=self._ports.clock(), sees=sees, knows=self._live.__contains__)
        if len(content) > BESIDE_BYTES:  # others must not wait while a long request is read
            return await asyncio.to_thread(read, content, terms, as_json=as_json)
        return read(content, terms, as_json=as_json)

    async def _meet(self) -> None:
        """Know which agents there are now, and which version of each is live; who comes meanwhile waits for it too."""
        if self._meeting is None:
            self._meeting = asyncio.get_running_loop().create_task(self._met())
            self._meeting.add_done_callback(self._over)
        await asyncio.shield(self._meeting)

    async def _met(self) -> None:
        began = self._steady()
        self._live = await self._ports.store.read(lambda tx: {one.name: one.live for one in tx.agents.all()})
        self._read_at = began

    def _over(self, task: asyncio.Task[None]) -> None:
        self._meeting = None
        if not task.cancelled():
            task.exception()  # whoever waits is told; without anyone it is no news


def _sentence(reasons: Counter[str]) -> str:
    return "; ".join(f"{why} ({n})" for why, n in reasons.most_common(5))

"""A turnstile before each provider: so many calls in flight, and the places go around between runs.

Runs wait in queues of their own, and a place that becomes free goes to the next run in turn, so a run of ten thousand
cases cannot starve one of ten. Where a place is free and nobody waits, nothing is waited for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Waiting = asyncio.Future[None]


@dataclass(slots=True)
class _Gate:
    free: int
    queues: OrderedDict[str, deque[Waiting]] = field(default_factory=OrderedDict[str, deque[Waiting]])


class FairTurnstile:
    """Limits by provider name; a provider that is not named is not limited. Implements `ports.exam.Turnstile`."""

    def __init__(self, limits: Mapping[str, int] | None = None) -> None:
        self._gates = {name: _Gate(limit) for name, limit in (limits or {}).items()}

    def limited(self, provider: str) -> bool:
        """Whether calls to a provider are limited."""
        return provider in self._gates

    @asynccontextmanager
    async def seat(self, provider: str, run: str) -> AsyncGenerator[None]:
        """Wait for a place at a provider, and hold it."""
        gate = self._gates.get(provider)
        if gate is None:
            yield
            return
        await self._enter(gate, run)
        try:
            yield
        finally:
            self._leave(gate)

    async def _enter(self, gate: _Gate, run: str) -> None:
        if gate.free and not gate.queues:
            gate.free -= 1
            return
        waiting: Waiting = asyncio.get_running_loop().create_future()
        gate.queues.setdefault(run, deque()).append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # the place came just as we left: hand it on
                self._leave(gate)
            raise

    def _leave(self, gate: _Gate) -> None:
        """Give the place to the run whose turn it is; it goes to the end of the line then."""
        while gate.queues:
            run, queue = next(iter(gate.queues.items()))
            waiting = queue.popleft()
            if queue:
                gate.queues.move_to_end(run)
            else:
                del gate.queues[run]
            if not waiting.done():
                waiting.set_result(None)
                return
        gate.free += 1

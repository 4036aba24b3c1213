"""Tranches: the trials of a run in the order they are done, with money set aside for a few at a time.

One reservation covers as many trials as are in flight, so that ten thousand trials do not make ten thousand rows. It
is settled when its last trial ends; what a trial cost that was broken off is not known, so its worst case stays spent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from surefoot.core.errors import BudgetExhausted
from surefoot.core.exam.suite import SuiteCase
from surefoot.core.proposal import Cost
from surefoot.engine.ink import Ink
from surefoot.engine.purse import Purse, Reserved
from surefoot.ports.exam import Subject


@dataclass(slots=True, eq=False)
class Tranche:
    """One reservation over several trials."""

    held: Reserved
    open: int
    actual: Cost = field(default_factory=Cost)
    flying: dict[int, Cost] = field(default_factory=dict[int, Cost])


@dataclass(slots=True, eq=False)
class Trial:
    """One epoch of one case, with the reservation it is paid from."""

    case: SuiteCase
    epoch: int
    worst: Cost | None = None
    tranche: Tranche | None = None


Choose = Callable[[Sequence[Trial]], Awaitable[list[Trial]]]
SHARED_BLOCK = 32


class Trials:
    """Hands out trials; `why` says what ended them early; `choose` which of a block are ours, if others work too."""

    def __init__(
        self, trials: Iterable[Trial], subject: Subject, purse: Purse, ink: Ink, *, at_once: int,
        choose: Choose | None = None,
    ) -> None:  # fmt: skip
        self._rest: Iterator[Trial] = iter(trials)
        self._ready: deque[Trial] = deque()
        self._unpaid: list[Trial] = []
        self._subject, self._purse, self._ink = subject, purse, ink
        self._choose, self._lock = choose, asyncio.Lock()
        self._size = max(at_once, SHARED_BLOCK) if choose else at_once
        self._open: set[Tranche] = set()
        self._settled = asyncio.Event()
        self.why = ""

    async def next(self) -> Trial | None:
        """Give the next trial; None when there are no more, or there is no money for one."""
        if not self._ready:
            async with self._lock:
                if not self._ready and not self.why:
                    await self._fetch()
        return self._ready.popleft() if self._ready else None

    async def _fetch(self) -> None:
        """Get the next trials ready; those that there is no money for yet wait until others are done."""
        if not self._unpaid:
            self._unpaid = await self._block()
        size = len(self._unpaid)
        if self._purse.bounded and size:
            size = await self._reserved(self._unpaid)
        self._ready += self._unpaid[:size]
        self._unpaid = self._unpaid[size:]

    async def _block(self) -> list[Trial]:
        """Give the next trials that are ours; nothing when there are no more."""
        while block := list(islice(self._rest, self._size)):
            if mine := await self._choose(block) if self._choose else block:
                for trial in mine if self._purse.bounded else ():
                    trial.worst = self._subject.price(trial.case, trial.epoch)
                return mine
        return []

    async def _reserved(self, block: list[Trial]) -> int:
        """Reserve for as much of the beginning of a block as there is money for; gives how much that is."""
        size = len(block)
        while True:
            worst = _sum(trial.worst for trial in block[:size])
            try:
                held = await self._purse.reserve(f"{block[0].case.id}/{block[0].epoch}", worst)
                break
            except BudgetExhausted as problem:
                if size > 1:
                    size //= 2
                elif await self._freed():
                    size = len(block)
                else:
                    self.why = self.why or problem.message
                    return 0
        tranche = Tranche(held, size)
        self._open.add(tranche)
        for trial in block[:size]:
            trial.tranche = tranche
        return size

    async def _freed(self) -> bool:
        """Wait for what is under way, which may free some of what was set aside for it; False if nothing can come."""
        if self._open and not self.why:
            self._settled.clear()
            await self._settled.wait()
        elif self._ink.idle:
            return False
        await self._ink.written()
        return not self.why

    def stop(self, why: str) -> None:
        """Hand out no more, because of this; what is under way goes on."""
        self.why = why
        self._ready.clear()
        self._settled.set()

    def started(self, trial: Trial) -> None:
        """Note that a trial's worst case may be spent from now on."""
        if trial.tranche is not None and trial.worst is not None:
            trial.tranche.flying[id(trial)] = trial.worst

    def ended(self, trial: Trial, cost: Cost | None) -> None:
        """Note what a trial cost (None: nobody knows, so its worst case), and settle a reservation that is done."""
        tranche = trial.tranche
        if tranche is None:
            return
        worst = tranche.flying.pop(id(trial), Cost())
        tranche.actual += worst if cost is None else cost
        tranche.open -= 1
        if not tranche.open:
            self._settle(tranche)

    def close(self) -> None:
        """Settle what is left: trials that never started cost nothing, those that were broken off their worst case."""
        for tranche in list(self._open):
            tranche.actual = _sum([tranche.actual, *tranche.flying.values()])
            self._settle(tranche)

    def _settle(self, tranche: Tranche) -> None:
        self._open.discard(tranche)
        self._ink.bill(tranche.held, tranche.actual)
        self._settled.set()


def _sum(costs: Iterable[Cost | None]) -> Cost:
    total = Cost()
    for cost in costs:
        total += cost or Cost()
    return total

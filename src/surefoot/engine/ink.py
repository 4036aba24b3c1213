"""Ink: verdicts become durable in groups, as fast as the store can commit them.

While one group is written the next one gathers, so nothing waits for a full batch and a slow disk only makes groups
larger. What was counted as progress is committed. Each group also looks whether somebody cancelled the run, and
whether the run is still this worker's to write about (`must_hold`, which raises where it is not).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from surefoot.core.exam.observed import Observed, Taken
from surefoot.core.exam.run import Spent
from surefoot.core.exam.verdict import Verdict
from surefoot.core.proposal import Cost
from surefoot.engine.purse import Reserved, settled
from surefoot.ports import Ports, Tx

BACKLOG = 4096
LOOK_S = 0.5


@dataclass(slots=True)
class _Group:
    answers: list[Taken] = field(default_factory=list[Taken])
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    bills: list[tuple[Reserved, Cost]] = field(default_factory=list[tuple[Reserved, Cost]])
    cache: dict[str, Observed] = field(default_factory=dict[str, Observed])

    @property
    def size(self) -> int:
        return len(self.answers) + len(self.verdicts) + len(self.bills)


class Ink:
    """Writes for one run; use as an async context, so that all is written when it is left."""

    def __init__(
        self, ports: Ports, run: str, spent: Spent, progress: Callable[[Spent], None],
        must_hold: Callable[[Tx], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._ports, self._run, self._progress, self._must_hold = ports, run, progress, must_hold
        self._group, self._more, self._free = _Group(), asyncio.Event(), asyncio.Event()
        self._spent, self._closing, self._task = spent, False, None
        self._problem: BaseException | None = None
        self._writing = False
        self.cancelled = False

    async def __aenter__(self) -> Ink:
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._closing = True
        self._more.set()
        if self._task is not None:
            await self._task
        if self._problem is not None:
            raise self._problem

    def answer(self, taken: Taken, *, cache_key: str = "") -> None:
        """Write down an answer."""
        self._group.answers.append(taken)
        if cache_key and taken.observed.whole:
            self._group.cache[cache_key] = taken.observed
        self._more.set()

    def verdict(self, verdict: Verdict) -> None:
        """Write down a verdict."""
        self._group.verdicts.append(verdict)
        self._more.set()

    def bill(self, held: Reserved, actual: Cost) -> None:
        """Write down what a reservation really cost."""
        if held.keys:
            self._group.bills.append((held, actual))
            self._more.set()

    @property
    def full(self) -> bool:
        """Whether a writer should wait; also when the store failed, so that nobody works in vain."""
        return self._group.size >= BACKLOG or self._problem is not None

    async def room(self) -> None:
        """Wait until there is room; raises what the store raised."""
        while self.full:
            if self._problem is not None:
                raise self._problem
            self._free.clear()
            await self._free.wait()

    @property
    def idle(self) -> bool:
        """Whether all that was written down is durable."""
        return not self._group.size and not self._writing

    async def written(self) -> None:
        """Wait until the next group is durable."""
        if not self.idle and self._problem is None:
            self._free.clear()
            await self._free.wait()

    async def _write(self) -> None:
        try:
            while not (self._closing and not self._group.size):
                await self._next()
        except BaseException as problem:
            self._problem = problem
            self._free.set()
            if not isinstance(problem, Exception):
                raise

    async def _next(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._more.wait()
        except TimeoutError:
            pass
        group, self._group = self._group, _Group()
        self._writing = group.size > 0
        self._more.clear()
        if self._closing:
            self._more.set()
        if group.size:
            state = await self._ports.store.write(lambda tx: (self._must_hold(tx), _recorded(tx, self._run, group))[1])
            self._count(group)
            self._progress(self._spent)
        else:
            state = await self._ports.store.read(lambda tx: (self._must_hold(tx), tx.evals.state(self._run))[1])
        self._writing = False
        self.cancelled = self.cancelled or state == "cancelling"
        self._free.set()

    def _count(self, group: _Group) -> None:
        costs = [taken.observed.cost for taken in group.answers]
        paid = [cost for cost in costs if cost is not None]
        cost = Cost(
            calls=self._spent.cost.calls + sum(one.calls for one in paid),
            tokens=self._spent.cost.tokens + sum(one.tokens for one in paid),
            usd=self._spent.cost.usd + sum(one.usd for one in paid),
        )
        known = self._spent.known and len(paid) == len(costs)
        self._spent = Spent(answers=self._spent.answers + len(costs), cost=cost, known=known)


def _recorded(tx: Tx, run: str, group: _Group) -> str:
    tx.evals.record(run, group.answers, group.verdicts)
    for held, actual in group.bills:
        settled(tx, held, actual)
    if group.cache:
        tx.evals.cache(group.cache)
    return tx.evals.state(run)

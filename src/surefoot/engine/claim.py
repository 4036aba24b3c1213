"""Claim: several workers share one eval run, each doing trials that nobody else is doing.

A claim is a lease that its worker renews while it lives; what a dead worker held is free again when the lease is
over. A trial that somebody answered since this worker last looked is left alone. Whoever carries a run out, alone or
with others, also holds a lease on being there (`attended`), from which other hosts can tell that it lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from surefoot.core.exam.run import EvalRun, carried
from surefoot.engine.once import alive_here, this_process
from surefoot.engine.tranche import Trial
from surefoot.ports import Ports, Tx

LEASE = timedelta(seconds=20)
RENEW_S = 5.0
WAIT_S = 0.2
_THERE = -1  # an epoch that no trial has
Key = tuple[str, int]


class Claims:
    """The claims of one worker on one run; `known` are the trials it knew to be answered when it began."""

    def __init__(self, ports: Ports, run: str, known: Collection[Key], *, me: str = "") -> None:
        self._ports, self._run, self._known = ports, run, frozenset(known)
        self._me = me or ports.new_id()
        self.taken = 0

    async def take(self, trials: Sequence[Trial]) -> list[Trial]:
        """Give those of the trials that are this worker's to do."""
        keys = [(trial.case.id, trial.epoch) for trial in trials]
        now = self._ports.clock()

        def work(tx: Tx) -> set[Key]:
            mine = tx.evals.claim(self._run, keys, by=self._me, now=now, until=now + LEASE)
            return set(mine) - (tx.evals.answered(self._run, mine) - self._known)

        mine = await self._ports.store.write(work)
        self.taken += len(mine)
        return [trial for trial, key in zip(trials, keys, strict=True) if key in mine]

    async def renew(self) -> None:
        """Keep what is held, until cancelled."""
        while True:
            await asyncio.sleep(RENEW_S)
            until = self._ports.clock() + LEASE
            await self._ports.store.write(lambda tx, u=until: tx.evals.renew(self._run, by=self._me, until=u))

    async def attend(self) -> None:
        """Hold a lease on being there."""
        now = self._ports.clock()
        await self._ports.store.write(
            lambda tx: tx.evals.claim(self._run, [(self._me, _THERE)], by=self._me, now=now, until=now + LEASE)
        )

    async def release(self) -> None:
        """Let go of everything; what is done stays done."""
        await self._ports.store.write(lambda tx: tx.evals.unclaim(self._run, by=self._me))


@asynccontextmanager
async def attended(ports: Ports, run: str) -> AsyncGenerator[None]:
    """Say that a run is carried out, as long as the block goes on."""
    there = Claims(ports, run, (), me=f"{this_process()} {ports.new_id()}")
    await there.attend()
    renewing = asyncio.create_task(there.renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await asyncio.shield(there.release())


def carried_now(tx: Tx, run: EvalRun, now: datetime) -> bool | None:
    """Whether a process carries a run out now; None where it did not say which one does.

    Of a worker that died on this host its own lease is not believed, though it may hold for some seconds yet.
    """
    alive = alive_here(run.worker)
    held = tx.evals.held(run.id, now=now, besides=run.worker if alive is False else "")
    return carried(run, alive_here=alive, held=held)

"""Claim: several workers share one eval run, each doing trials that nobody else is doing.

A claim is a lease that its worker renews while it lives; what a dead worker held is free again when the lease is
over. A trial that somebody answered since this worker last looked is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta

from surefoot.engine.tranche import Trial
from surefoot.ports import Ports, Tx

LEASE = timedelta(seconds=20)
RENEW_S = 5.0
WAIT_S = 0.2
Key = tuple[str, int]


class Claims:
    """The claims of one worker on one run; `known` are the trials it knew to be answered when it began."""

    def __init__(self, ports: Ports, run: str, known: Collection[Key]) -> None:
        self._ports, self._run, self._known = ports, run, frozenset(known)
        self._me = ports.new_id()
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

    async def release(self) -> None:
        """Let go of everything; what is done stays done."""
        await self._ports.store.write(lambda tx: tx.evals.unclaim(self._run, by=self._me))

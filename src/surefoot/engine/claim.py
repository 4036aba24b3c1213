"""Claim: several workers share one eval run, each doing trials that nobody else is doing.

A claim is a lease that its worker renews while it lives; what a dead worker held is free again when the lease is
over. A trial that somebody answered since this worker last looked is left alone. Whoever carries a run out, alone or
with others, also holds a lease on being there (`attended`), from which other hosts can tell that it lives.

A worker that slept past its lease, because its machine was suspended, may wake up when its work is another's. So each
of its writes asks first, in its own transaction, whether it still holds what it writes about (`must_hold`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from surefoot.core.errors import Conflict, Unavailable
from surefoot.core.exam.run import EvalRun, carried
from surefoot.core.worker import fenced
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
        self._keys, self._until, self._session = set[Key](), ports.clock() + LEASE, ("", None)
        self.taken = 0

    async def take(self, trials: Sequence[Trial]) -> list[Trial]:
        """Give those of the trials that are this worker's to do."""
        keys = [(trial.case.id, trial.epoch) for trial in trials]
        now = self._ports.clock()

        def work(tx: Tx) -> set[Key]:
            self.must_hold(tx)
            mine = tx.evals.claim(self._run, keys, by=self._me, now=now, until=now + LEASE)
            self._keys |= set(mine)
            return set(mine) - (tx.evals.answered(self._run, mine) - self._known)

        mine = await self._ports.store.write(work)
        self.taken += len(mine)
        return [trial for trial, key in zip(trials, keys, strict=True) if key in mine]

    async def renew(self) -> None:
        """Keep what is held, until cancelled; Conflict where it is another's by now."""
        while True:
            await asyncio.sleep(RENEW_S)
            with suppress(Unavailable):  # a store that is busy now is not the next time
                await self.renewed()

    async def renewed(self) -> None:
        """Hold what is held for longer; Conflict where it is another's by now."""
        until = self._ports.clock() + LEASE

        def work(tx: Tx) -> None:
            self.must_hold(tx)
            tx.evals.renew(self._run, by=self._me, until=until)

        await self._ports.store.write(work)
        self._until = until

    def took_up(self, run: EvalRun) -> None:
        """Say as which session this worker carries the run out alone; where another takes it up, it is that one's."""
        self._session = (run.worker, run.taken_at)

    def must_hold(self, tx: Tx) -> None:
        """Raise Conflict where this worker slept past its lease and others took or closed what it held."""
        now = self._ports.clock()
        if now > self._until and fenced(self._until, now, taken=self._overtaken(tx)):
            raise Conflict(
                f"this worker of eval run {self._run} slept past its lease, and others went on with it",
                hint="what it had written before is kept; surefoot eval run --resume does what is missing",
            )

    def _overtaken(self, tx: Tx) -> bool:
        run, alone = tx.evals.run(self._run), self._session != ("", None)
        if run.state not in ("running", "cancelling") or (alone and (run.worker, run.taken_at) != self._session):
            return True
        return tx.evals.claimed(self._run, by=self._me) < len(self._keys)

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
async def attended(ports: Ports, run: str) -> AsyncGenerator[Claims]:
    """Say that a run is carried out, as long as the block goes on; gives what holds that."""
    there = Claims(ports, run, (), me=f"{this_process()} {ports.new_id()}")
    await there.attend()
    renewing = asyncio.create_task(there.renew())
    try:
        yield there
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

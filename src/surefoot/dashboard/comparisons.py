"""Comparisons of evals, kept in this process: an eval of ten thousand cases takes a second or two to compare.

What is kept stands under everything that it was computed from (the revisions of both runs, how many answers they have,
which cases are in quarantine), so it is never old. A page waits a moment and then appears without; what it asked for
is compared in the background, and whoever asks next finds it; a small eval is always waited for. Of one thing only
one comparison is under way.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from surefoot.core.exam.run import EvalRun
from surefoot.engine.compare import Compared
from surefoot.ports import Ports, Tx

SOON_S = 0.06
SMALL = 1000  # so many answers are compared before a page would have been sent without
MOST_CASES = 60_000

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One comparison: the key under which it is kept, and how it is read."""

    key: Key
    work: Callable[[Tx], Compared]


def state_of(tx: Tx, run: EvalRun) -> Key:
    """Give all that a comparison depends on in a run."""
    answers = 0 if run.state == "done" else tx.evals.spent(run.id).answers
    return (run.id, run.revision, answers, tuple(sorted(tx.evals.quarantine(run.suite))))


class Comparisons:
    """What was compared lately, the latest used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Compared] = OrderedDict()
        self._busy: dict[Key, asyncio.Task[Compared]] = {}

    async def found(self, ports: Ports, wanted: list[Wanted], *, within_s: float | None) -> list[Compared | None]:
        """Give each of them; None for one that takes longer than all of them may (None: as long as it takes)."""
        tasks = {one.key: self._task(ports, one) for one in wanted if one.key not in self._kept}
        if tasks:
            await asyncio.wait(tasks.values(), timeout=within_s)
        return [self._found(one.key, tasks.get(one.key)) for one in wanted]

    def _task(self, ports: Ports, one: Wanted) -> asyncio.Task[Compared]:
        task = self._busy.get(one.key)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = asyncio.create_task(self._compared(ports, one))
            self._busy[one.key] = task
            task.add_done_callback(lambda done: self._over(one.key, done))
        return task

    async def _compared(self, ports: Ports, one: Wanted) -> Compared:
        found = await ports.store.read(one.work)
        self._kept[one.key] = found
        while len(self._kept) > 1 and sum(len(kept.after.cases) for kept in self._kept.values()) > MOST_CASES:
            self._kept.popitem(last=False)
        return found

    def _over(self, key: Key, done: asyncio.Task[Compared]) -> None:
        if self._busy.get(key) is done:
            del self._busy[key]
        if not done.cancelled():
            done.exception()  # whoever waits for it is told; where nobody does any more, nobody needs to be

    def _found(self, key: Key, task: asyncio.Task[Compared] | None) -> Compared | None:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        return task.result() if task is not None and task.done() else None

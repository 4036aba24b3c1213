"""A worker's shift: tick, watch the rollout, pause, and again, until a signal or until there is nothing to do.

The work itself is durable, so the shift may end at any moment: a tick that is cut short goes on with the next shift.
There is nothing to do when no tick is due, or when a whole round of levers was tried and no version came of it. Where
the shift does not end then, it rests longer and longer, until something is new (`core.policy.rest_after`).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Generator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from surefoot.cli.rollouts import step_line
from surefoot.cli.ticks import show_tick, tick_document
from surefoot.core.errors import BudgetExhausted, Conflict, Forbidden, SurefootError, Unavailable
from surefoot.core.policy import rest_after
from surefoot.core.token import any_agent
from surefoot.engine.inspect import agent_named, history
from surefoot.engine.notify import delivering
from surefoot.engine.retain import retain_daily
from surefoot.engine.watch import due
from surefoot.ports.audit import AuditFilter

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.desk import Desk, Page
    from surefoot.core.rollout.standing import Rollout
    from surefoot.engine.durable import Durable
    from surefoot.ports import Tx

Ended = Literal["ticks", "idle", "SIGINT", "SIGTERM"]
CODES: dict[Ended, int] = {"ticks": 0, "idle": 0, "SIGINT": 130, "SIGTERM": 0}
_NOTHING = ("hold", "nothing_to_fix")
_STILL = ("hold", "await_approval")


class Shift:
    """One worker on one agent."""

    def __init__(
        self, desk: Desk, app: App, agent: str, *, pause_s: float, ticks: int | None, until_idle: bool
    ) -> None:
        self._desk = desk
        self._app = app
        self._agent = agent
        self._pause_s = pause_s
        self._ticks = ticks
        self._until_idle = until_idle
        self._signal: Ended | None = None
        self._stopping = asyncio.Event()
        self._reports: list[dict[str, Any]] = []
        self._seen: dict[str, int] = {}
        self._said = ""
        self._watched = ""
        self._in_vain = 0
        self._idle = 0
        self._last: tuple[datetime, tuple[int, int] | None] = (datetime.min.replace(tzinfo=UTC), None)

    async def work(self) -> int:
        """Work until the shift ends, and give the exit code."""
        await agent_named(self._app.ports, self._agent, sees=any_agent)
        with self._signals():
            async with self._app.worker() as worker, delivering(self._app.ports):
                self._remark(f"working on {self._agent}; Ctrl-C ends the shift")
                ended = await self._turns(worker)
        if self._desk.as_json:
            self._desk.give(
                {"agent": self._agent, "ended": ended, "ticks": [tick_document(one) for one in self._reports]},
                lambda _: None,
            )
        else:
            self._remark(f"ended ({ended}) after {len(self._reports)} tick(s); what is unfinished goes on next time")
        return CODES[ended]

    async def turn(self, worker: Durable) -> None:
        """Take one turn: a tick, the sentinel's night, and a look at the rollouts; for whoever works on many agents."""
        await self._tick(worker)
        await self._night(worker)
        await self._watch(worker)

    async def _turns(self, worker: Durable) -> Ended:
        while True:
            report = await self._unless_stopped(self._tick(worker))
            await self._unless_stopped(self._night(worker))
            moved = await self._unless_stopped(self._watch(worker))
            if self._signal is not None:
                return self._signal
            if self._ticks is not None and len(self._reports) >= self._ticks:
                return "ticks"
            busy = report is not None and report["outcome"] not in _NOTHING
            released = report is not None and bool(report.get("release")) and bool(report.get("rollout"))
            self._in_vain = 0 if moved or released else self._in_vain + 1
            if self._until_idle and not moved and (not busy or self._in_vain > await self._round()):
                return "idle"
            if not (self._until_idle and busy):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._pause_s)

    async def _tick(self, worker: Durable) -> dict[str, Any] | None:
        """Run a tick if there may be something to do; what forbids one now is said once, and is no reason to leave."""
        began, news = self._app.ports.clock(), await self._app.store.read(self._news)
        if began < self._rest_until(news):
            return None
        self._idle, self._last = self._idle + 1, (began, None)  # time alone may lift what forbids one
        try:
            report = await worker.tick(self._agent)
        except (Conflict, Forbidden, BudgetExhausted, Unavailable) as reason:
            self._explain(reason)
            return None
        self._last = (began, None if report.get("passing") else news)
        self._reports.append(report)
        if report["outcome"] not in _NOTHING or (report.get("release") and not report.get("waits")):
            self._idle = 0
        if report["outcome"] not in _NOTHING or report.get("reason") != self._said:
            self._print(partial(show_tick, agent=self._agent, report=report))
        self._said = str(report.get("reason", ""))
        return report

    def _rest_until(self, news: tuple[int, int]) -> datetime:
        """When a tick may find more than the last one did; a shift that is to end finds out by ticking."""
        began, heard = self._last
        if not self._idle or self._until_idle or self._ticks is not None:
            return began
        return began + rest_after(self._idle, timedelta(seconds=self._pause_s), news=news != heard)

    def _news(self, tx: Tx) -> tuple[int, int]:
        """What moves when there may be something to do: outcomes, and what others than the loop did to the agent."""
        done = tx.audit.listed(AuditFilter(agent=self._agent), before=None, limit=20)
        return tx.beats.now().outcomes, next((one.seq for one in done if one.actor != "loop"), 0)

    async def _night(self, worker: Durable) -> None:
        """Delete what is too old and run the sentinel's window, once a day; a missing night is no reason to leave."""
        await retain_daily(self._app.ports, self._app.retention)
        today = f"{self._app.ports.clock():%Y-%m-%d}"
        if self._watched == today or not await self._app.store.read(lambda tx: tx.cases.counts(self._agent).get("val")):
            return
        self._watched = today
        try:
            night = await worker.sentinel(self._agent)
        except SurefootError as reason:
            self._remark(f"no sentinel tonight: {reason.message}")
            return
        if night["alarm"]:
            self._remark(f"{night['alarm']} (surefoot sentinel {self._agent})")

    async def _round(self) -> int:
        """How many ticks it takes to try every lever, and to release what was kept."""
        agent, levers = await self._app.store.read(lambda tx: (tx.agents.get(self._agent), tx.levers.all(self._agent)))
        return max(agent.habits.release_ticks, len(levers))

    async def _watch(self, worker: Durable) -> bool:
        """Keep the operators of what is due going and print their new steps; gives whether anything moved."""
        moved = False
        for rollout in await self._app.store.read(lambda tx: due(tx, self._agent)):
            if self._until_idle:
                await worker.reconcile(rollout.id)  # nobody looks again after this shift
            else:
                await worker.operate(rollout.id, interval_s=self._pause_s)
            moved = await self._print_steps(rollout) or moved
        return moved

    async def _print_steps(self, rollout: Rollout) -> bool:
        rows = [row for row in await history(self._app.ports, rollout.id) if row.seq > self._seen.get(rollout.id, 0)]
        for row in rows:
            self._seen[rollout.id] = row.seq
            if row.action != "hold":
                self._print(partial(step_line, row=row))
        return any(row.action not in _STILL for row in rows)

    async def _unless_stopped(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Give what the work gives, or None when a signal comes first."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return None
        return task.result()

    @contextlib.contextmanager
    def _signals(self) -> Generator[None]:
        """Let the first signal end the shift in good order; a second one is Python's own business."""
        running = asyncio.get_running_loop()

        def caught(name: Ended) -> None:
            self._signal = name
            self._stopping.set()
            running.remove_signal_handler(signal.SIGINT)

        running.add_signal_handler(signal.SIGINT, caught, "SIGINT")
        running.add_signal_handler(signal.SIGTERM, caught, "SIGTERM")
        try:
            yield
        finally:
            running.remove_signal_handler(signal.SIGINT)
            running.remove_signal_handler(signal.SIGTERM)

    def _explain(self, reason: SurefootError) -> None:
        if reason.message != self._said:
            self._remark(f"no tick now: {reason.message}" + (f" ({reason.hint})" if reason.hint else ""))
        self._said = reason.message

    def _remark(self, text: str) -> None:
        if not self._desk.as_json:
            self._desk.remark(text)

    def _print(self, page: Page) -> None:
        if not self._desk.as_json:
            self._desk.give({}, page)

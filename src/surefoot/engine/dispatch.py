"""Dispatch: send executions to processes, hear how they end, and answer for those of servers that are gone.

Every execution has an owner, which renews its hold while it lives. Of an owner that is gone, what was not sent yet is
sent by another server, if its input could be stored as it was; what was sent is lost, and said to be lost, unless its
process took it over and will report. So nothing is sent twice, and nothing is waited for that cannot come. A process
that cannot be connected to has heard nothing: the request goes to the next one, and it gets no other until it answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from surefoot.core.errors import Conflict, SurefootError
from surefoot.core.execution import (
    WAIT_LEASE,
    Execution,
    ExecutionState,
    ended,
    forsaken,
    overdue,
    sent,
    taken_over,
)
from surefoot.core.process import fallen
from surefoot.engine.execute import Handling, Request, elsewhere, opened
from surefoot.engine.fit import misfit_of
from surefoot.engine.heed import Report, heeded
from surefoot.engine.oversee import execution
from surefoot.engine.pause import expire
from surefoot.engine.pulse import pulse
from surefoot.engine.settle import settle, veiled
from surefoot.engine.wait import wake
from surefoot.ports import Ports, Tx
from surefoot.ports.node import Broken, Node, NotSent, Said, Schemas
from surefoot.ports.recorder import Full

_log = logging.getLogger("surefoot.executions")
TRIES = 3
HOLD = timedelta(seconds=10)
LOOK_EVERY_S = 0.5
LOOK_AFTER_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a server allows: times in seconds, and how much at once."""

    ttl: timedelta = timedelta(minutes=5)
    probe_every_s: float = 5.0
    deadline: timedelta = timedelta(seconds=120)
    longest: timedelta = timedelta(days=1)
    at_once: int = 64
    most_waiting: int = 1_000
    most_open: int = 4_000
    most_open_of_agent: int = 2_000
    drain_s: float = 5.0
    wait_lease: timedelta = WAIT_LEASE


@dataclass(slots=True)
class _Flight:
    """One execution that is being sent or waited for here; `result` is what was heard, as it was said."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    result: object = None
    task: asyncio.Task[Execution] | None = None


class Dispatching:
    """What one server does with executions; `running` keeps it going."""

    def __init__(
        self, ports: Ports, node: Node, terms: Terms | None = None, schemas: Schemas | None = None
    ) -> None:  # fmt: skip
        self.ports = ports
        self.node = node
        self.schemas = schemas
        self.terms = terms or Terms()
        self.owner = ports.new_id()
        self._flights: dict[str, _Flight] = {}
        self._lanes = asyncio.Semaphore(self.terms.at_once)
        self._waiting_callers = 0
        self._leaving = False
        self.stuck = 0

    # Asked for --------------------------------------------------------------------------------------------------------

    async def execute(
        self, asked: Request, *, deadline: timedelta | None = None, ports: Ports | None = None
    ) -> tuple[Execution, object]:  # fmt: skip
        """Ask, and wait for the end: the execution, and its result as the process said it.

        `ports` are those of the request that asks. NotFound for a reasoner that is not offered, Full where too much is
        under way, Unavailable where no process can serve.
        """
        if self._waiting_callers >= self.terms.at_once:
            raise Full(f"{self.terms.at_once} callers wait for an answer here", hint="try again in a moment")
        self._waiting_callers += 1
        try:
            one = await self._opened(ports, asked, deadline, asynchronous=False)
            return await self._awaited(one, asked)
        finally:
            self._waiting_callers -= 1

    async def _awaited(self, one: Execution, asked: Request) -> tuple[Execution, object]:
        flight, until = _Flight(), one.deadline
        self._flights[one.id] = flight
        flight.task = asyncio.get_running_loop().create_task(self._sent(one, asked))
        try:
            await asyncio.wait([flight.task])
            called_off = flight.task.cancelled()
            one = await execution(self.ports, one.id) if called_off else flight.task.result()
            return await self._heard(one, flight, until), flight.result
        except asyncio.CancelledError:
            flight.task.cancel()
            await asyncio.shield(self._left(one))
            raise
        finally:
            self._flights.pop(one.id, None)

    async def submit(
        self, asked: Request, *, deadline: timedelta | None = None, ports: Ports | None = None
    ) -> Execution:  # fmt: skip
        """Ask without waiting: the execution as it was written down, to be sent as soon as there is room."""
        one = await self._opened(ports, asked, deadline, asynchronous=True)
        self._later(one, asked)
        return one

    async def report(self, said: Report) -> Execution:
        """Hear from a process how an execution goes; saying the same end twice changes nothing."""
        done = await heeded(self.ports, said, lease=self.terms.wait_lease, schemas=self.schemas)
        if (flight := self._flights.get(said.execution)) is not None and done.over:
            flight.result = said.result
            flight.over.set()
        return done

    def dropped(self, names: Iterable[str]) -> None:
        """Let go of executions that were cancelled: their connections close, which their processes can notice."""
        for name in names:
            flight = self._flights.get(name)
            if flight is not None:
                flight.over.set()
                if flight.task is not None:
                    flight.task.cancel()

    # Sent -------------------------------------------------------------------------------------------------------------

    async def _opened(
        self, ports: Ports | None, asked: Request, deadline: timedelta | None, *, asynchronous: bool
    ) -> Execution:  # fmt: skip
        return await opened(ports or self.ports, asked, Handling(
            deadline=min(deadline or self.terms.deadline, self.terms.longest), owner=self.owner, held=HOLD,
            asynchronous=asynchronous, most_waiting=self.terms.most_waiting, most_open=self.terms.most_open,
            most_open_of_agent=self.terms.most_open_of_agent,
        ), self.schemas)  # fmt: skip

    def _later(self, one: Execution, asked: Request) -> None:
        flight = self._flights[one.id] = _Flight()

        async def work() -> Execution:
            try:
                async with self._lanes:
                    return one if self._leaving else await self._sent(one, asked)
            finally:
                self._flights.pop(one.id, None)

        flight.task = asyncio.get_running_loop().create_task(work())
        flight.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _sent(self, one: Execution, asked: Request) -> Execution:
        """Send an execution, to another process where one could not be connected to, and write its end down."""
        tried: list[str] = []
        while True:
            try:
                one = await self._begun(one) if tried or one.state == "queued" else one
            except Conflict:  # it was cancelled, or is somebody else's now
                return await execution(self.ports, one.id)
            tried.append(one.process)
            left = (one.deadline - self.ports.clock()).total_seconds()
            try:
                said = await self.node.call(one.base_url, one.path, asked.input, _headers(one, asked), max(0.0, left))
            except NotSent as problem:
                await self._fell(one, problem.message)
                moved = await self._moved(one, problem.message, tried) if len(tried) < TRIES else None
                if moved is None:
                    return await self._over(one, "failed", error=problem.message)
                one = moved
            except Broken as problem:
                return await self._over(one, "failed", error=problem.message)
            except TimeoutError:
                return await self._over(one, "timeout", error=_late(one))
            else:
                return await self._said(one, said)

    async def _begun(self, one: Execution) -> Execution:
        now = self.ports.clock()
        return await self.ports.store.write(lambda tx: tx.executions.swap(sent(one, self.owner, now + HOLD, now)))

    async def _moved(self, one: Execution, because: str, tried: list[str]) -> Execution | None:
        """Give the execution with another process, None where there is no other."""
        found = await self.ports.store.write(lambda tx: elsewhere(tx, self.ports, one, because, tried))
        return None if found.process in tried else found

    async def _fell(self, one: Execution, because: str) -> None:
        """Give a process no further request until it is found well."""

        def work(tx: Tx) -> None:
            if (process := tx.processes.find(one.process)) is not None and process.health != "unhealthy":
                tx.processes.swap(fallen(process, because))

        with contextlib.suppress(Conflict):
            await self.ports.store.write(work)

    async def _said(self, one: Execution, said: Said) -> Execution:
        if said.status == 202:
            return await self._taken(one)
        if 200 <= said.status < 300:
            misfit = await misfit_of(self.ports, self.schemas, one, said.body)
            return await self._over(one, "failed" if misfit else "succeeded", result=said.body, error=misfit)
        told = f"the process answered {said.status}"
        return await self._over(one, "failed", error=f"{told}: {said.body}"[:2000] if said.body else told)

    async def _taken(self, one: Execution) -> Execution:
        """Write down that a process will report by itself; it may have done so already."""

        def work(tx: Tx) -> Execution:
            found = tx.executions.get(one.id)
            return found if found.over else tx.executions.swap(taken_over(found))

        return await self.ports.store.write(work)

    async def _over(
        self, one: Execution, state: ExecutionState, *, result: object = None, error: str = ""
    ) -> Execution:  # fmt: skip
        """Write an end down, unless somebody else did: what is over stays as it is."""
        try:
            kept, error = veiled(self.ports, result), self.ports.redact(error)
        except SurefootError as problem:
            state, kept, error, result = "failed", None, f"the result cannot be kept: {problem.message}", None

        def work(tx: Tx) -> Execution:
            found = tx.executions.get(one.id)
            waited = found.paused_at is not None or found.deadline > one.deadline
            if found.over or (state == "timeout" and waited):
                return found  # whoever looks after it ends it at the deadline that it has now
            after = ended(found, state, self.ports.clock(), result=kept, error=error)
            return settle(tx, self.ports, replace(after, redacted=kept != result))

        if (flight := self._flights.get(one.id)) is not None:
            flight.result = result
        return await self.ports.store.write(work)

    async def _heard(self, one: Execution, flight: _Flight, until: datetime) -> Execution:
        """Wait for the end of an execution that its process reports, here or at another server.

        Of one that waits for a person the caller hears at its first deadline that it is open, and the lane is free.
        """
        while not one.over:
            if overdue(one, self.ports.clock()):
                return await self._over(one, "timeout", error=_late(one))
            if until <= self.ports.clock():
                return one
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await flight.over.wait()
            one = await execution(self.ports, one.id)
            if one.over and flight.result is None:
                flight.result = one.result
        return one

    async def _left(self, one: Execution) -> None:
        """End an execution whose caller went away, since nobody would hear how it ends."""
        with contextlib.suppress(SurefootError):
            await self._over(one, "cancelled", error="its caller went away")

    # Looked after -----------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Probe, renew holds and look for the forsaken for as long as the block lasts; then let go of what is here."""
        turns = [
            asyncio.create_task(_again(self._probe, self.terms.probe_every_s)),
            asyncio.create_task(_again(self.look_after, LOOK_AFTER_EVERY_S)),
        ]
        try:
            yield
        finally:
            await self._drained()
            for turn in turns:
                turn.cancel()
            await asyncio.gather(*turns, return_exceptions=True)
            await self.node.aclose()

    async def _probe(self) -> None:
        await pulse(self.ports, self.node)

    async def look_after(self) -> None:
        """Renew our holds, wake whose wait is over, end what is overdue or lost, take over what was never sent.

        What was cancelled is dropped.
        """
        now = self.ports.clock()
        mine = set(self._flights)
        found, open_ones = await self.ports.store.read(
            lambda tx: (tx.executions.due(now, limit=self.terms.most_open), tx.executions.open_among(mine))
        )
        if open_ones:
            await self.ports.store.write(lambda tx: tx.executions.hold(self.owner, now + HOLD))
        self.dropped(mine - open_ones)
        await expire(self.ports, found)
        await wake(self.ports, found)
        for one in found:
            if one.id not in mine and not self._leaving:
                await self._one_orphan(one, now)

    async def _one_orphan(self, one: Execution, now: datetime) -> None:
        """See to one; where that fails, it is counted, the others are seen to, and this one again next time."""
        try:
            await self._orphan(one, now)
        except Conflict:  # somebody else saw to it
            pass
        except SurefootError as problem:
            self.stuck += 1
            _log.warning("execution %s cannot be ended: %s", one.id, problem.message)

    async def _orphan(self, one: Execution, now: datetime) -> None:
        becomes = forsaken(one, now)
        if overdue(one, now):
            await self._over(one, "timeout", error=_late(one))
        elif becomes == "queued":
            self._later(one, _asked_again(one))
        elif becomes is not None:
            await self._over(one, becomes, error=_lost(one))

    async def aclose(self) -> None:
        """End what is under way here, and close all connections."""
        await self._drained()
        await self.node.aclose()

    async def _drained(self) -> None:
        """Send nothing more, wait a while for what is under way, and say what nobody will hear the end of."""
        self._leaving = True
        tasks = [flight.task for flight in self._flights.values() if flight.task is not None]
        mine = list(self._flights)
        if tasks:
            await asyncio.wait(tasks, timeout=self.terms.drain_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(SurefootError):
            for one in await self.ports.store.read(lambda tx: tx.executions.some(mine)):
                if one.state == "running" and not one.accepted:
                    await self._over(one, "lost", error=_lost(one))


async def _again(work: Callable[[], Awaitable[None]], every_s: float) -> None:
    while True:
        with contextlib.suppress(SurefootError):  # a store that is busy now is not in a moment
            await work()
        await asyncio.sleep(every_s)


def _headers(one: Execution, asked: Request) -> dict[str, str]:
    """What a process is told beside the input, each on one line of plain text."""
    told = {
        "X-Execution-ID": one.id, "X-Workflow-ID": asked.workflow or one.id, "X-Parent-Execution-ID": asked.parent,
        "X-Session-ID": asked.session, "X-Actor-ID": asked.actor, "X-Surefoot-Version": one.version,
        "X-Surefoot-Trace-Id": one.id,
    }  # fmt: skip
    return {name: "".join(c if " " <= c <= "~" else "?" for c in text) for name, text in told.items() if text}


def _asked_again(one: Execution) -> Request:
    """Give the request of an execution as far as it was stored."""
    return Request(
        target=f"{one.agent}.{one.reasoner}", input=one.input, by=one.by, session=one.session, actor=one.actor,
        workflow=one.workflow, parent=one.parent,
    )  # fmt: skip


def _late(one: Execution) -> str:
    return f"{one.agent} {one.version} did not end it before its deadline"


def _lost(one: Execution) -> str:
    if one.state == "queued":
        return "the server ended before it was sent, and its input was not stored as it was (redaction): send it again"
    return (
        "the server ended while the process worked on it: it may have been carried out; look there before asking again"
    )

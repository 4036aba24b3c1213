"""Durable: ticks and rollouts as workflows that survive `kill -9`, on DBOS, and the only room that knows DBOS.

Workflows carry ids only; all facts live in our tables. Finished steps are remembered by the workflow engine, and
every write of a step is idempotent or compare-and-set, because a step that was killed between its write and its
checkpoint runs again. Each process has an executor id of its own and a heartbeat; whoever starts next takes over the
workflows of executors that died. Waiting for a person is a durable wait that costs nothing and wakes on a signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID, WorkflowHandleAsync

from surefoot.core.errors import BudgetExhausted, Conflict, Forbidden, Invalid, NotFound, SurefootError, Unavailable
from surefoot.core.worker import HEARTBEAT_S, LEFT, holds
from surefoot.engine.once import lives
from surefoot.engine.operate import over, reconcile
from surefoot.engine.repo.open import ready, unfinished
from surefoot.engine.repo.tick import repo_tick
from surefoot.engine.sentinel import sentinel
from surefoot.engine.shadow import shadow
from surefoot.engine.tick import next_number, tick
from surefoot.ports import Ports

Handle = WorkflowHandleAsync[dict[str, Any]]
CONTRACT = "3"  # the number of our workflow contract: workflows of another number are never resumed by this code
TURNS = 200  # reconciles per workflow; then a fresh one goes on, so that no history grows without end
WAKE = "wake"
FAMILIES = (BudgetExhausted, Conflict, Forbidden, Invalid, NotFound, Unavailable)
_FAMILIES: dict[str, type[SurefootError]] = {f.code: f for f in FAMILIES}
_bound: list[Ports] = []


def _ports() -> Ports:
    if not _bound:
        raise Unavailable("the workflow engine is not running", hint="start it with app.worker()")
    return _bound[-1]


async def _step(name: str, work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Carry a step out once and remember what it gave; errors that people can act on travel as values."""

    async def told() -> dict[str, Any]:
        try:
            return await work()
        except SurefootError as error:
            return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}

    return _raised(await DBOS.run_step_async({"name": name}, told))


def _raised(result: dict[str, Any]) -> dict[str, Any]:
    if (error := result.get("error")) is not None:
        raise _FAMILIES.get(error["code"], SurefootError)(error["message"], hint=error["hint"])
    return result


@DBOS.workflow(name="surefoot.tick")
async def _tick(agent: str, number: int, ask_release: bool) -> dict[str, Any]:
    try:
        return await tick(_ports(), agent, number, run=_step, ask_release=ask_release)
    except SurefootError as error:
        return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


@DBOS.workflow(name="surefoot.operate")
async def _operate(rollout_id: str, interval_s: float, link: int) -> dict[str, Any]:
    """Reconcile, wait for the next look or for a signal, and again, until the rollout has ended.

    After `TURNS` looks the next link of the chain goes on, so that no workflow's history grows without end.
    """
    row: dict[str, Any] = {}
    for _ in range(TURNS):
        row = await _step("reconcile", lambda: _reconciled(rollout_id))
        if over(row):
            return row
        if row["state"] == "shadow" and await _shadow_batch(rollout_id):
            continue
        await DBOS.recv_async(WAKE, timeout_seconds=interval_s)
    with SetWorkflowID(_link(rollout_id, link + 1)):
        await DBOS.start_workflow_async(_operate, rollout_id, interval_s, link + 1)
    return row


async def _shadow_batch(rollout_id: str) -> bool:
    """Let both versions answer one batch of recorded requests; gives whether it is worth looking again at once."""
    done = await _step("shadow", lambda: _shadowed(rollout_id))
    return bool(done["added"]) or done["verdict"] != "collecting"


async def _shadowed(rollout_id: str) -> dict[str, Any]:
    """One batch; where the day's budget is spent or the model is down, the next look goes on."""
    try:
        done = await shadow(_ports(), rollout_id)
    except (BudgetExhausted, Unavailable) as reason:
        return {"added": 0, "verdict": "collecting", "waits": reason.message}
    return {"added": done.added, "verdict": done.verdict, "waits": done.waits}


def _link(rollout_id: str, link: int) -> str:
    return f"operate:{rollout_id}:{link}"


@DBOS.workflow(name="surefoot.reconcile")
async def _reconcile(rollout_id: str) -> dict[str, Any]:
    """One reconcile alone, for those who drive a rollout by hand; a shadow first gets all requests there are."""
    row = await _step("reconcile", lambda: _reconciled(rollout_id))
    while row["state"] == "shadow" and await _shadow_batch(rollout_id):
        row = await _step("reconcile", lambda: _reconciled(rollout_id))
    return row


async def _reconciled(rollout_id: str) -> dict[str, Any]:
    """Reconcile; when somebody else was faster, look again, and say what was found."""
    for _ in range(3):
        try:
            row = await reconcile(_ports(), rollout_id)
        except Conflict:
            continue
        return {
            "seq": row.seq, "action": row.action, "reason": row.reason, "sentence": row.sentence,
            "weight_before": row.weight_before, "weight_after": row.weight_after, **row.evidence,
        }  # fmt: skip
    raise Conflict(f"rollout {rollout_id} is being moved by others", hint="look again in a moment")


@DBOS.workflow(name="surefoot.sentinel")
async def _sentinel(agent: str, window: str) -> dict[str, Any]:
    """One night of the sentinel; a night that could not be is told as a value, and the next one goes on."""

    async def work() -> dict[str, Any]:
        night = await sentinel(_ports(), agent, window=window)
        return {"window": night.window, "asked": night.asked, "evidence": night.evidence, "alarm": night.alarm}

    try:
        return await _step("sentinel", work)
    except SurefootError as error:
        return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


@DBOS.workflow(name="surefoot.repo_tick")
async def _repo_tick(folder: str, name: str, number: int) -> dict[str, Any]:
    try:
        return await repo_tick(_ports(), folder, name, number, run=_step)
    except SurefootError as error:
        return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A workflow that has not ended."""

    id: str
    name: str
    status: str
    executor: str


class Durable:
    """The workflow engine of this process; use it as an async context.

    `engine` is the store's own database engine, which the workflow engine shares; of what kind is the store's business.
    """

    def __init__(self, ports: Ports, engine: Any, *, poll_s: float = 0.2) -> None:
        self._ports = ports
        self._engine = engine
        self._poll_s = poll_s
        self.executor = f"{socket.gethostname()}-{os.getpid()}-{ports.new_id()[-8:]}"
        self._heart: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Durable:
        """Start, and take over what dead executors left behind."""
        _bound.append(self._ports)
        config: DBOSConfig = {
            "name": "surefoot",
            "system_database_url": str(self._engine.url),
            "system_database_engine": self._engine,
            "executor_id": self.executor,
            "application_version": f"workflows-{CONTRACT}",
            "serializer": DBOSPortableJSONSerializer(),
            "notification_listener_polling_interval_sec": self._poll_s,
            "log_level": "ERROR",
        }
        await asyncio.to_thread(lambda: (DBOS(config=config), DBOS.launch()))
        await self._beat()
        await self.sweep()
        self._heart = asyncio.create_task(self._beating())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; workflows that wait are left for whoever starts next."""
        if self._heart is not None:
            self._heart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heart
        await _cancelled(_running())
        await self._ports.store.write(lambda tx: tx.executors.seen(self.executor, "", LEFT, self._ports.clock()))
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=0)
        # DBOS made its own threads the loop's default ones, and has just ended them.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="surefoot"))
        _bound.remove(self._ports)

    async def _beating(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            with contextlib.suppress(SurefootError):  # a store that is busy now is not at the next beat
                await self._beat()
                await self.sweep()

    async def _beat(self) -> None:
        """Say that this process is there; where others took its work over while it slept, it lets go of it first."""
        now, host, pid = self._ports.clock(), socket.gethostname(), os.getpid()
        known = await self._ports.store.write(lambda tx: tx.executors.seen(self.executor, host, pid, now))
        if not known and self._heart is not None:
            await _cancelled(_running())

    async def sweep(self) -> int:
        """Take over the workflows of executors that died or whose lease ran out; gives how many there were."""
        now, host = self._ports.clock(), socket.gethostname()
        dead = await self._ports.store.write(lambda tx: tx.executors.claim(
            lambda other, pid, seen: other != self.executor and not holds(
                seen, now, pid=pid, alive_here=lives(pid) if _host(other) == host else None
            )
        ))  # fmt: skip
        if not dead:
            return 0
        left = await DBOS.list_workflows_async(status="PENDING", executor_id=dead)
        mine = [one.workflow_id for one in left if one.app_version == f"workflows-{CONTRACT}"]
        if mine:
            await DBOS.resume_workflows_async(mine)
        return len(mine)

    async def tick(self, agent: str, *, ask_release: bool = False) -> dict[str, Any]:
        """Run the next tick of an agent to its end and give its report; a tick that was killed is finished first."""
        number = await next_number(self._ports, agent)
        await self._finish(f"tick:{agent}:{number - 1}")
        with SetWorkflowID(f"tick:{agent}:{number}"):
            handle = await DBOS.start_workflow_async(_tick, agent, number, ask_release)
        return _raised(await handle.get_result(polling_interval_sec=self._poll_s))

    async def repo_tick(self, folder: str, *, scheduled: bool = False) -> dict[str, Any]:
        """Run the next tick on the repository in a folder to its end and give its report.

        A tick that was killed is finished first. Conflict when it must wait (`scheduled` minds the quiet hours too).
        """
        site = self._ports.site_at(folder)
        await self._finish(await unfinished(self._ports, site, _repo_id))
        found = await ready(self._ports, site, scheduled=scheduled)
        if found.wait is not None:
            raise Conflict(found.wait.sentence, hint=f"wait until {found.wait.until:%Y-%m-%d %H:%M:%S} UTC")
        with SetWorkflowID(_repo_id(found.name, found.number)):
            handle = await DBOS.start_workflow_async(_repo_tick, folder, found.name, found.number)
        return _raised(await handle.get_result(polling_interval_sec=self._poll_s))

    async def _finish(self, workflow_id: str) -> None:
        status = await DBOS.get_workflow_status_async(workflow_id)
        if status is not None and status.status in ("PENDING", "ENQUEUED"):
            if status.app_version != f"workflows-{CONTRACT}":
                raise Conflict(
                    f"{workflow_id} was begun by another version of Surefoot and cannot be finished by this one",
                    hint="finish it with the version that began it",
                )
            handle: Handle = await DBOS.retrieve_workflow_async(workflow_id)
            await handle.get_result(polling_interval_sec=self._poll_s)

    async def reconcile(self, rollout_id: str) -> dict[str, Any]:
        """Take one step of a rollout now."""
        handle = await DBOS.start_workflow_async(_reconcile, rollout_id)
        return _raised(await handle.get_result(polling_interval_sec=self._poll_s))

    async def operate(self, rollout_id: str, *, interval_s: float) -> None:
        """Let a rollout be looked at every `interval_s` seconds until it ends; asking again changes nothing."""
        with SetWorkflowID(_link(rollout_id, 0)):
            await DBOS.start_workflow_async(_operate, rollout_id, interval_s, 0)

    async def sentinel(self, agent: str) -> dict[str, Any]:
        """Run tonight's window of an agent's sentinel, at most once a day (UTC), and give what it found."""
        window = f"{self._ports.clock():%Y-%m-%d}"
        with SetWorkflowID(f"sentinel:{agent}:{window}"):
            handle = await DBOS.start_workflow_async(_sentinel, agent, window)
        return _raised(await handle.get_result(polling_interval_sec=self._poll_s))

    async def operated(self, rollout_id: str) -> dict[str, Any]:
        """Wait until the operator of a rollout has ended, and give its last step."""
        link, row = 0, dict[str, Any]()
        while not row or not over(row):
            handle: Handle = await DBOS.retrieve_workflow_async(_link(rollout_id, link))
            row, link = _raised(await handle.get_result(polling_interval_sec=self._poll_s)), link + 1
        return row

    async def wake(self, rollout_id: str) -> None:
        """Let the operator of a rollout look now (a decision was made); nothing happens if there is none."""
        links = await DBOS.list_workflows_async(workflow_id_prefix=f"operate:{rollout_id}:", status="PENDING")
        for one in links:
            await DBOS.send_async(one.workflow_id, "look", WAKE)

    async def settled(self) -> None:
        """Wait until no workflow is left to run in this store."""
        while await self.pending():  # noqa: ASYNC110  the facts are in the database, where other processes change them
            await asyncio.sleep(self._poll_s)

    async def pending(self) -> list[Pending]:
        """Give the workflows that have not ended."""
        found = await DBOS.list_workflows_async(status=["PENDING", "ENQUEUED"])
        return [Pending(id=w.workflow_id, name=w.name, status=w.status, executor=w.executor_id or "") for w in found]


def _host(executor: str) -> str:
    """The machine of an executor, whose name may hold dashes itself."""
    return executor.rsplit("-", 2)[0]


def _repo_id(name: str, number: int) -> str:
    return f"repo:{name}:{number}"


def _running() -> list[asyncio.Task[Any]]:
    """The workflows that run in this loop; their checkpoints stay, so whoever starts next goes on with them."""
    name = "_execute_workflow_async"
    return [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == name]


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

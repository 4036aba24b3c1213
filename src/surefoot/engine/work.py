"""Work: ask for long work, do it in a process of its own, and see what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from surefoot.core.errors import Conflict
from surefoot.core.job import Job, JobKind, JobState, must_have_room, standing
from surefoot.engine.once import this_process, works
from surefoot.ports import Ports, Tx
from surefoot.ports.jobs import Launcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A job, and its state as it reads now."""

    job: Job
    state: JobState


async def ask(
    ports: Ports, launcher: Launcher, kind: JobKind, words: Sequence[str], *, agent: str, by: str,
    files: Mapping[str, str] | None = None,
) -> Seen:  # fmt: skip
    """Begin a job; Conflict where too many are at work, or the same one is.

    `words` is a command of the command line without its program; `files` are texts that it reads.
    """
    job = Job(id=ports.new_id(), kind=kind, agent=agent, words=tuple(words), by=by, at=ports.clock(),
              files=dict(files or {}), owner=this_process(), state="running")  # fmt: skip

    dead = await _dead(ports)

    def work(tx: Tx) -> None:
        busy = _without(tx, dead, job.at)
        if twin := next((one for one in busy if (one.words, one.files) == (job.words, job.files)), None):
            raise Conflict(f"job {twin.id} does this already", hint=f"GET /api/v1/jobs/{twin.id} shows it")
        must_have_room(len(busy))
        tx.jobs.add(job)
        tx.audit.append(at=job.at, actor=by, action="job-asked", subject=agent or "jobs",
                        payload={"job": job.id, "kind": kind})  # fmt: skip

    await ports.store.write(work)
    try:
        owner = await launcher.launch(job.id)
    except BaseException:
        await ended(ports, job.id, exit_code=None, result={})
        raise
    return Seen(job=await _owned(ports, job.id, owner), state="running")


async def bury(ports: Ports) -> None:
    """Write down which jobs are lost, and drop the texts that they read."""
    now, dead = ports.clock(), await _dead(ports)
    if dead:
        await ports.store.write(lambda tx: _without(tx, dead, now))


async def _dead(ports: Ports) -> set[str]:
    """The processes that ended before their jobs did; asked outside of a transaction, which holds the lock."""
    return {one.owner for one in await ports.store.read(lambda tx: tx.jobs.unfinished()) if not works(one.owner)}


def _without(tx: Tx, dead: Collection[str], now: datetime) -> list[Job]:
    """The jobs that are at work, once those of dead processes are written down as lost."""
    there = tx.jobs.unfinished()
    for one in there:
        if one.owner in dead:
            tx.jobs.swap(replace(one, state="lost", ended_at=now, files={}))
    return [one for one in there if one.owner not in dead]


async def _owned(ports: Ports, job_id: str, owner: str) -> Job:
    """Write down which process does it; a job that has ended by now stays as it is."""

    def work(tx: Tx) -> Job:
        now = tx.jobs.get(job_id)
        return tx.jobs.swap(replace(now, owner=owner)) if now.state == "running" else now

    return await ports.store.write(work)


async def taken(ports: Ports, job_id: str) -> Job:
    """Take a job, in the process that does it; Conflict for one that has ended."""

    def work(tx: Tx) -> Job:
        job = tx.jobs.get(job_id)
        if job.state != "running":
            raise Conflict(f"job {job_id} is {job.state}", hint="ask for it again")
        return tx.jobs.swap(replace(job, owner=this_process()))

    return await ports.store.write(work)


async def ended(ports: Ports, job_id: str, *, exit_code: int | None, result: Mapping[str, object]) -> Job:
    """Write down what came of a job; without an exit code it failed before it began."""
    now = ports.clock()

    def work(tx: Tx) -> Job:
        job = tx.jobs.get(job_id)
        failed = exit_code is None or "error" in result
        after = replace(job, state="failed" if failed else "done", ended_at=now, exit_code=exit_code,
                        result=dict(result), files={})  # fmt: skip
        return tx.jobs.swap(after)

    return await ports.store.write(work)


async def shown(ports: Ports, job_id: str) -> Seen:
    """Give a job as it reads now."""
    return _seen(await ports.store.read(lambda tx: tx.jobs.get(job_id)))


async def listed(
    ports: Ports, *, limit: int, after: str = "", agents: Collection[str] = (), kind: str = ""
) -> list[Seen]:  # fmt: skip
    """Give jobs, newest first, of some agents (none named is all) and of one kind (empty is any)."""
    found = await ports.store.read(lambda tx: tx.jobs.all(limit=limit, after=after, agents=agents, kind=kind))
    return [_seen(job) for job in found]


def _seen(job: Job) -> Seen:
    return Seen(job=job, state=standing(job, alive=works(job.owner)))

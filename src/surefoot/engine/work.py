"""Work: ask for long work, do it in a process of its own that says it is there, and see what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from surefoot.core.errors import Conflict
from surefoot.core.job import OPEN, Job, JobKind, JobState, end_of, must_be_open, must_have_room, must_say, standing
from surefoot.engine.cancel import close_tick_of, flag_tick_of
from surefoot.engine.once import alive_here, this_process
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
    now = ports.clock()
    job = Job(id=ports.new_id(), kind=kind, agent=agent, words=tuple(words), by=by, at=now, seen_at=now,
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
    """Write down which jobs are lost, or were cancelled and died of it, and drop the texts that they read."""
    now, dead = ports.clock(), await _dead(ports)
    if dead:
        await ports.store.write(lambda tx: _without(tx, dead, now))


async def _dead(ports: Ports) -> dict[str, JobState]:
    """How jobs read whose processes ended before they did; asked outside of a transaction, which holds the lock."""
    there, now = await ports.store.read(lambda tx: tx.jobs.unfinished()), ports.clock()
    stands: dict[str, JobState] = {one.id: standing(one, now, alive_here=alive_here(one.owner)) for one in there}
    return {name: state for name, state in stands.items() if state not in OPEN}


def _without(tx: Tx, dead: Mapping[str, JobState], now: datetime) -> list[Job]:
    """The jobs that are at work, once those of dead processes are written down as what they are."""
    there = tx.jobs.unfinished()
    for one in there:
        if one.id in dead:
            tx.jobs.swap(
                replace(one, state="cancelled" if one.state == "cancelling" else "lost", ended_at=now, files={})
            )
            close_tick_of(tx, tx.jobs.get(one.id), now)
    return [one for one in there if one.id not in dead]


async def _owned(ports: Ports, job_id: str, owner: str) -> Job:
    """Write down which process does it; a job that has ended by now stays as it is."""

    def work(tx: Tx) -> Job:
        now = tx.jobs.get(job_id)
        return tx.jobs.swap(replace(now, owner=owner)) if now.state in OPEN else now

    return await ports.store.write(work)


async def taken(ports: Ports, job_id: str) -> Job:
    """Take a job, in the process that does it; Conflict for one that has ended, or was cancelled before it began."""
    now = ports.clock()

    def work(tx: Tx) -> Job:
        job = tx.jobs.get(job_id)
        if job.state == "cancelling":
            return tx.jobs.swap(replace(job, state="cancelled", ended_at=now, files={}))
        return tx.jobs.swap(replace(job, owner=this_process(), seen_at=now)) if job.state == "running" else job

    job = await ports.store.write(work)
    if job.state != "running":
        raise Conflict(f"job {job_id} is {job.state}", hint="ask for it again")
    return job


async def must_stop(ports: Ports, job_id: str) -> bool:
    """Whether the process of a job must stop: somebody cancelled it, or it was given up for lost meanwhile."""
    return await ports.store.read(lambda tx: not _mine(tx.jobs.get(job_id)))


async def renewed(ports: Ports, job_id: str) -> None:
    """Say that the process of a job is there, unless it is its job no more."""
    now = ports.clock()

    def work(tx: Tx) -> None:
        if _mine(job := tx.jobs.get(job_id)):
            tx.jobs.swap(replace(job, seen_at=now))

    await ports.store.write(work)


def _mine(job: Job) -> bool:
    return job.state == "running" and job.owner == this_process()


async def ended(ports: Ports, job_id: str, *, exit_code: int | None, result: Mapping[str, object]) -> Job:
    """Write down what came of a job; without an exit code it broke off, or never began.

    One that was given up for lost while its process slept stays as it is.
    """
    now = ports.clock()

    def work(tx: Tx) -> Job:
        job = tx.jobs.get(job_id)
        if job.state not in OPEN:
            return job
        after = tx.jobs.swap(replace(
            job, state=end_of(job, exit_code=exit_code, result=result), ended_at=now, exit_code=exit_code,
            result=dict(result), files={},
        ))  # fmt: skip
        close_tick_of(tx, after, now)
        return after

    return await ports.store.write(work)


async def shown(ports: Ports, job_id: str) -> Seen:
    """Give a job as it reads now."""
    return seen_at(await ports.store.read(lambda tx: tx.jobs.get(job_id)), ports.clock())


async def listed(
    ports: Ports, *, limit: int, agents: Collection[str], after: str = "", kind: str = ""
) -> list[Seen]:  # fmt: skip
    """Give jobs, newest first, of some agents (none named is all) and of one kind (empty is any)."""
    found = await ports.store.read(lambda tx: tx.jobs.all(limit=limit, after=after, agents=agents, kind=kind))
    now = ports.clock()
    return [seen_at(job, now) for job in found]


def seen_at(job: Job, now: datetime) -> Seen:
    """Give a job as it reads at a moment."""
    return Seen(job=job, state=standing(job, now, alive_here=alive_here(job.owner)))


async def cancel_job(ports: Ports, launcher: Launcher, job_id: str, *, by: str, reason: str) -> Seen:
    """Ask a job to stop: its process is told at once where it is on this machine, and else when it looks next.

    Invalid without a name or a reason; Conflict for one that has ended. A second time its process is told again.
    """
    must_say(by, reason)
    before, now = await ports.store.read(lambda tx: tx.jobs.get(job_id)), ports.clock()
    alive = alive_here(before.owner)

    def work(tx: Tx) -> Job:
        job = tx.jobs.get(job_id)
        must_be_open(job, standing(job, now, alive_here=alive if job.owner == before.owner else None))
        if job.state == "cancelling":
            return job
        tx.audit.append(at=now, actor=by, action="job-cancelled", subject=job.agent or "jobs",
                        payload={"job": job.id, "kind": job.kind, "reason": reason})  # fmt: skip
        flag_tick_of(tx, job, now, by=by, reason=reason)
        return tx.jobs.swap(replace(job, state="cancelling", cancelled_by=by, why=reason))

    after = await ports.store.write(work)
    if after.seen_at != after.at:  # one that is only just starting sees the flag when it takes the job, and closes it
        await launcher.stop(after.id, after.owner)
    return seen_at(after, now)

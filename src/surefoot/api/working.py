"""Routes of long work: each answers 202 at once, with the job to look at; a process of its own does it.

What a job answers is what the command of the same name answers with `--json`. Ticks and eval runs are durable by
themselves: one that was cut short is finished by asking again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from surefoot.api.agent_documents import Taken
from surefoot.api.documents import Name
from surefoot.api.finding import Said
from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Here, Looker, Operator, Reception, reads
from surefoot.api.seeing import rollout_seen, seen
from surefoot.core.job import JobKind
from surefoot.core.token import Token
from surefoot.engine.cancel import cancel_tick as asked_to_stop
from surefoot.engine.inspect import agent_named
from surefoot.engine.survey import WorkState
from surefoot.engine.work import Seen, ask, cancel_job, listed, shown

router = APIRouter(tags=["work"])
Number = Annotated[int, Path(ge=1, le=10**9)]
VersionNumber = Annotated[int | None, Field(ge=1, le=10**9)]


class JobDocument(BaseModel):
    """Long work: its state, and once it has ended its exit code and the command's document."""

    id: str
    kind: str
    agent: str | None
    state: str
    by: str
    at: datetime
    ended_at: datetime | None
    exit_code: int | None
    result: Mapping[str, Any]
    hidden: bool = Field(description="whether there may be a result that is not shown to you")


class Jobs(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobDocument]
    next: str | None


class CancelBody(Taken):
    """Why somebody cancels work; it is kept in the record."""

    reason: Said


class TickCancelled(BaseModel):
    """A tick that stops, or has stopped: `state` is `cancelling` or `cancelled`."""

    agent: str
    tick: int
    state: WorkState


class TickBody(Taken):
    """With `release` the draft is put before the sealed cases now."""

    release: bool = False


class AskBody(Taken):
    """How many more recorded requests both versions answer."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 100


class PruneBody(Taken):
    """With `apply` what no longer helps goes into the draft."""

    apply: bool = False


class BisectBody(Taken):
    """Between which versions, on which cases, and the most model calls."""

    good: VersionNumber = None
    bad: VersionNumber = None
    cases: Literal["all", "held", "failing"] = "all"
    calls: Annotated[int, Field(ge=1, le=1_000_000)] = 5000


class ProbesBody(Taken):
    """Of which version, how many at most, with which tools; `run` asks them too."""

    version: Annotated[int, Field(ge=0, le=10**9)] = 0
    most: Annotated[int, Field(ge=1, le=200)] = 12
    tools: Annotated[list[Name], Field(max_length=100, default_factory=list)]
    run: bool = False
    judge: Annotated[str, Field(max_length=200)] = ""


@router.post("/agents/{agent}/ticks", status_code=202, responses=declared(404, 409))
async def tick(agent: str, body: TickBody, here: Here, caller: Operator, response: Response) -> JobDocument:
    """Run one cycle on one lever; a tick that was killed is finished first."""
    await agent_named(here.ports, agent, sees=caller.sees)
    words = ["tick", agent, *(["--release"] if body.release else [])]
    return await begun(here, caller, response, "tick", words, agent=agent)


@router.get("/agents/{agent}/ticks", responses=declared(404))
async def ticks(agent: str, here: Here, caller: Looker, asked: Paged) -> Jobs:
    """List the ticks that were asked for over the API, newest first."""
    await agent_named(here.ports, agent, sees=caller.sees)
    found = await listed(here.ports, limit=asked.limit + 1, after=asked.after, agents=[agent], kind="tick")
    rows, after = asked.cut(found, lambda one: one.job.id)
    return Jobs(jobs=[document(one, caller) for one in rows], next=after)


@router.post("/agents/{agent}/ticks/{tick}/cancel", responses=declared(404, 409))
async def cancel_tick(agent: str, tick: Number, here: Here, caller: Operator, body: CancelBody) -> TickCancelled:
    """Cancel a tick, whoever began it, with a reason; what it had settled stands, and no more is settled."""
    await agent_named(here.ports, agent, sees=caller.sees)
    stopped = await asked_to_stop(here.ports, agent, tick, by=caller.name, reason=body.reason)
    return TickCancelled(agent=agent, tick=tick, state="cancelled" if stopped else "cancelling")


@router.post("/agents/{agent}/versions/{version}/gate", status_code=202, responses=declared(404, 409))
async def gate(agent: str, version: Number, here: Here, caller: Operator, response: Response) -> JobDocument:
    """Put a candidate before the gate: pass, fail or inconclusive."""
    await agent_named(here.ports, agent, sees=caller.sees)
    await here.ports.store.read(lambda tx: tx.versions.get(agent, version))
    return await begun(here, caller, response, "evaluate", ["evaluate", agent, str(version)], agent=agent)


@router.post("/rollouts/{rollout}/shadow", status_code=202, responses=declared(404, 409))
async def shadow(
    rollout: Annotated[str, Path(max_length=200)], body: AskBody, here: Here, caller: Operator, response: Response
) -> JobDocument:
    """Let both versions answer more recorded requests, which no user sees."""
    found = await rollout_seen(here, caller, rollout)
    words = ["shadow", found.agent, f"--rollout={found.id}", f"--ask={body.limit}"]
    return await begun(here, caller, response, "shadow", words, agent=found.agent)


@router.post("/agents/{agent}/sentinel", status_code=202, responses=declared(404, 409))
async def sentinel(agent: str, here: Here, caller: Operator, response: Response) -> JobDocument:
    """Ask the live version tonight's banked cases, and see whether it moved."""
    await agent_named(here.ports, agent, sees=caller.sees)
    return await begun(here, caller, response, "sentinel", ["sentinel", agent], agent=agent)


@router.post("/agents/{agent}/prune", status_code=202, responses=declared(404, 409))
async def prune(agent: str, body: PruneBody, here: Here, caller: Operator, response: Response) -> JobDocument:
    """Measure what each learned block buys, by taking it away."""
    await agent_named(here.ports, agent, sees=caller.sees)
    words = ["prune", agent, *(["--apply"] if body.apply else [])]
    return await begun(here, caller, response, "prune", words, agent=agent)


@router.post("/agents/{agent}/bisect", status_code=202, responses=declared(404, 409))
async def bisect(agent: str, body: BisectBody, here: Here, caller: Operator, response: Response) -> JobDocument:
    """Find the version, and in it the edit, since which the agent is worse."""
    await agent_named(here.ports, agent, sees=caller.sees)
    ends = [f"--{name}={number}" for name, number in (("good", body.good), ("bad", body.bad)) if number is not None]
    words = ["bisect", agent, *ends, f"--cases={body.cases}", f"--calls={body.calls}"]
    return await begun(here, caller, response, "bisect", words, agent=agent)


@router.post("/agents/{agent}/probes", status_code=202, responses=declared(404, 409))
async def probes(agent: str, body: ProbesBody, here: Here, caller: Operator, response: Response) -> JobDocument:
    """Write probes of what an agent's instructions promise, and with `run` ask them."""
    await agent_named(here.ports, agent, sees=caller.sees)
    words = ["probes", agent, f"--version={body.version}", f"--most={body.most}", *(f"--tool={t}" for t in body.tools)]
    words += ["--run", *([f"--judge={body.judge}"] if body.judge else [])] if body.run else []
    return await begun(here, caller, response, "probes", words, agent=agent)


@router.get("/jobs", responses=declared())
async def jobs(here: Here, caller: Looker, asked: Paged) -> Jobs:
    """List long work, newest first."""
    found = await listed(here.ports, limit=asked.limit + 1, after=asked.after, agents=caller.agents)
    rows, after = asked.cut(found, lambda one: one.job.id)
    return Jobs(jobs=[document(one, caller) for one in rows], next=after)


@router.get("/jobs/{job}", responses=declared(404))
async def job(job: Annotated[str, Path(max_length=200)], here: Here, caller: Looker) -> JobDocument:
    """Show what became of long work."""
    await seen(here, "job", job, lambda tx: tx.jobs.get(job), lambda one: caller.sees(one.agent))
    return document(await shown(here.ports, job), caller)


@router.post("/jobs/{job}/cancel", responses=declared(404, 409))
async def cancel(
    job: Annotated[str, Path(max_length=200)], here: Here, caller: Operator, body: CancelBody
) -> JobDocument:
    """Cancel a job, with a reason: its process is told to stop; what is durable of its work is kept."""
    await seen(here, "job", job, lambda tx: tx.jobs.get(job), lambda one: caller.sees(one.agent))
    return document(await cancel_job(here.ports, here.launcher, job, by=caller.name, reason=body.reason), caller)


async def begun(
    here: Reception, caller: Token, response: Response, kind: JobKind, words: Sequence[str], *, agent: str,
    files: Mapping[str, str] | None = None,
) -> JobDocument:  # fmt: skip
    """Begin a job, and say where to look."""
    done = await ask(here.ports, here.launcher, kind, words, agent=agent, by=caller.name, files=files)
    response.headers["Location"] = f"/api/v1/jobs/{done.job.id}"
    return document(done, caller)


def document(one: Seen, caller: Token) -> JobDocument:
    """Give a job as it goes over the wire; what it made quotes texts, and is for who may read them."""
    job, hidden = one.job, not reads(caller)
    return JobDocument(
        id=job.id, kind=job.kind, agent=job.agent or None, state=one.state, by=job.by, at=job.at,
        ended_at=job.ended_at, exit_code=job.exit_code, result={} if hidden else job.result, hidden=hidden,
    )  # fmt: skip

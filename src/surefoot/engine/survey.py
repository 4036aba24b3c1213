"""Survey: all long work, in progress and done: eval runs, ticks, and what was asked for over the API.

Whether somebody still works on it is asked of the processes, not of what they once wrote: work whose worker is gone is
`stale`, whatever its row says. A tick that a job carries out is one piece of work, and so is an eval run: the job is
left out where the work itself stands in the list.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from surefoot.core.budget import Budget
from surefoot.core.errors import NotFound
from surefoot.core.exam.pace import Pace, pace
from surefoot.core.exam.run import EvalRun
from surefoot.core.job import Job, standing
from surefoot.core.proposal import Cost
from surefoot.engine.claim import carried_now
from surefoot.engine.once import works
from surefoot.ports import Ports, Tx
from surefoot.ports.trends import Executor, WorkKind, WorkSpot

LEASE = timedelta(seconds=60)  # as in `engine.durable`: a worker is heard of every ten seconds
WorkState = Literal["running", "cancelling", "stale", "done", "failed", "cancelled", "stopped", "lost"]
OPEN: frozenset[str] = frozenset({"running", "cancelling", "stale"})
KINDS: tuple[WorkKind, ...] = ("eval", "tick", "job")


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    """One piece of long work.

    `done` of `planned` are answers of a run, steps of a tick (0: nobody can count it). `spent` stands against
    `limits`, both None where nothing is counted. `made` is where what it makes can be looked at: a run, a tick's
    rollout or version, by kind and id.
    """

    spot: WorkSpot
    agent: str
    what: str
    about: str
    state: WorkState
    sentence: str
    by: str = ""
    ended_at: datetime | None = None
    done: int = 0
    planned: int = 0
    pace: Pace = field(default_factory=lambda: Pace(per_minute=None, rest_s=None))
    spent: Cost | None = None
    limits: Budget | None = None
    made: tuple[tuple[str, str], ...] = ()

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.state in OPEN


async def survey(
    ports: Ports, *, limit: int, kinds: Collection[WorkKind] = KINDS, agents: Collection[str] = (),
    after: WorkSpot | None = None, most: WorkSpot | None = None,
) -> tuple[list[Undertaking], WorkSpot | None]:  # fmt: skip
    """Give a page of the work that concerns these agents (none named: all), newest first, and where the next goes on.

    `most` leaves out what began later than it.
    """
    now = ports.clock()

    def work(tx: Tx) -> tuple[list[Undertaking], WorkSpot | None]:
        spots = tx.trends.work(limit=limit + 1, kinds=kinds, agents=agents, after=after, most=most)
        rest = spots[limit - 1] if len(spots) > limit else None
        found = [_read(tx, one, now) for one in spots[:limit]]
        return [one for one in found if one is not None], rest

    return await ports.store.read(work)


async def newest(
    ports: Ports, *, kinds: Collection[WorkKind] = KINDS, agents: Collection[str] = (), limit: int = 1
) -> list[WorkSpot]:  # fmt: skip
    """Give where the newest work stands."""
    return await ports.store.read(lambda tx: tx.trends.work(limit=limit, kinds=kinds, agents=agents))


def _read(tx: Tx, spot: WorkSpot, now: datetime) -> Undertaking | None:
    if spot.kind == "eval":
        return _run(tx, spot, now)
    return _tick(tx, spot, now) if spot.kind == "tick" else _job(tx, spot)


def _run(tx: Tx, spot: WorkSpot, now: datetime) -> Undertaking:
    run = tx.evals.run(spot.id)
    spent = tx.evals.spent(run.id)
    state: WorkState = run.state
    if run.state in ("running", "cancelling"):
        state = "stale" if carried_now(tx, run, now) is False else run.state
    going = state == "running"
    speed = pace(done=spent.answers, planned=run.planned, had=run.had, since=run.taken_at if going else None, now=now)
    return Undertaking(
        spot=spot, agent=run.about, what=run.suite, about=run.subject, state=state, ended_at=run.ended_at,
        sentence=_run_sentence(run, state), done=spent.answers, planned=max(run.planned, spent.answers), pace=speed,
        spent=spent.cost, limits=_limits(run.limits), made=(("eval", run.id),),
    )  # fmt: skip


def _run_sentence(run: EvalRun, state: WorkState) -> str:
    match state:
        case "stale":
            return f"its worker is gone; surefoot eval run --resume {run.id} does the rest"
        case "running" if not run.worker:
            return "nobody has said who works on it"
        case "cancelling":
            return "stops when the answers under way are there"
        case _:
            return run.why


def _limits(limits: Mapping[str, float]) -> Budget | None:
    if not limits:
        return None
    calls, tokens = limits.get("calls"), limits.get("tokens")
    return Budget(calls=None if calls is None else int(calls), tokens=None if tokens is None else int(tokens),
                  usd=limits.get("usd"))  # fmt: skip


def _tick(tx: Tx, spot: WorkSpot, now: datetime) -> Undertaking | None:
    """A tick counts three steps: what to mend and how, whether to release, and the report."""
    agent, _, number = spot.id.partition("/tick-")
    try:
        standing_now = tx.agents.get(agent)
    except NotFound:
        return None
    scope = f"{agent}/tick/{number}"
    lever, end = tx.marks.get(f"{scope}/lever"), tx.marks.get(f"{scope}/end")
    ledger = tx.ledgers.get(scope, standing_now.habits.tick_budget)
    state: WorkState = "done" if end is not None else "lost"
    if end is None and number == str(standing_now.tick):
        state = "running" if _carried(tx.trends.executor(f"tick:{agent}:{number}"), now) is not False else "stale"
    report = end or lever or {}
    return Undertaking(
        spot=spot, agent=agent, what=f"tick {number}", about=str(report.get("title") or ""), state=state, by="loop",
        sentence=_tick_sentence(state, report), done=3 if end is not None else 1 if lever is not None else 0, planned=3,
        spent=ledger.committed, limits=ledger.budget, made=_made(report),
    )  # fmt: skip


def _carried(executor: Executor | None, now: datetime) -> bool | None:
    """Whether a workflow's process lives and is heard of; None where it is not known which it is."""
    if executor is None:
        return None
    return executor.pid > 0 and works(f"{executor.host}:{executor.pid}") and now - executor.seen_at <= LEASE


def _tick_sentence(state: WorkState, report: Mapping[str, Any]) -> str:
    match state:
        case "stale":
            return "its worker is gone; whoever starts next finishes it"
        case "lost":
            return "it ended without a report"
        case "running":
            return "decides whether to release" if report else "looks for the lever and an edit for it"
        case _:
            told = report.get("sentence") or report.get("reason") or ""
            return f"{str(report.get('outcome', '')).replace('_', ' ')}: {told}" if told else ""


def _made(report: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    release: Mapping[str, Any] = report.get("release") or {}
    found = [("rollout", report.get("rollout")), ("version", release.get("version")), ("lever", report.get("lever"))]
    return tuple((kind, str(one)) for kind, one in found if one)


def _job(tx: Tx, spot: WorkSpot) -> Undertaking | None:
    """A job whose work stands in the list by itself is left out: a tick, and an eval that has become a run."""
    job = tx.jobs.get(spot.id)
    stands = standing(job, alive=works(job.owner))
    state: WorkState = "running" if stands == "waiting" else stands
    if job.kind in ("tick", "eval") and (state == "done" or (state == "running" and _began(tx, job))):
        return None
    error: Mapping[str, Any] = job.result.get("error") or {}  # type: ignore[assignment]
    said = str(error.get("message") or "") or (
        "its process is gone; asking again finishes what is durable" if state == "lost" else _outcome(job)
    )
    return Undertaking(
        spot=spot, agent=job.agent, what=job.kind, about=" ".join(job.words[:6]), state=state, sentence=said, by=job.by,
        ended_at=job.ended_at,
    )  # fmt: skip


def _began(tx: Tx, job: Job) -> bool:
    """Whether what a job was asked for has begun and can be seen itself."""
    kind: WorkKind = "tick" if job.kind == "tick" else "eval"
    since = tx.trends.work(limit=1, kinds=[kind], agents=[job.agent] if job.agent else [])
    return bool(since) and since[0].at >= job.at


def _outcome(job: Job) -> str:
    said = job.result.get("sentence") or job.result.get("verdict") or ""
    return str(said)[:300]

"""Survey: all long work, in progress and done: eval runs, ticks, and what was asked for over the API.

Whether somebody still works on it is asked of the processes, not of what they once wrote: work whose worker is gone is
`stale`, whatever its row says. A tick that a job carries out is one piece of work, and so is an eval run: the job is
left out where the work itself stands in the list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from surefoot.core.budget import Budget
from surefoot.core.errors import Invalid, NotFound
from surefoot.core.exam.pace import Pace, pace
from surefoot.core.exam.run import EvalRun
from surefoot.core.job import Job, standing
from surefoot.core.mask import masked_quotes
from surefoot.core.proposal import Cost
from surefoot.engine.cancel import CANCELLED, broke_off, carried_out, end_mark, mark_of
from surefoot.engine.claim import carried_now
from surefoot.engine.once import alive_here
from surefoot.ports import Ports, Tx
from surefoot.ports.audit import AuditFilter
from surefoot.ports.undertakings import WorkKind, WorkSpot

WorkState = Literal["running", "cancelling", "stale", "done", "failed", "cancelled", "stopped", "lost"]
OPEN: frozenset[str] = frozenset({"running", "cancelling", "stale"})
KINDS: tuple[WorkKind, ...] = ("eval", "tick", "job")
STATES: tuple[WorkState, ...] = get_args(WorkState)
MOST_LOOKED = 1000  # pieces that one page with a state looks at; the next page goes on from there
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    ports: Ports, *, limit: int, agents: Collection[str], kinds: Collection[WorkKind] = KINDS,
    after: WorkSpot | None = None, most: WorkSpot | None = None, states: Collection[WorkState] = STATES,
) -> tuple[list[Undertaking], WorkSpot | None]:  # fmt: skip
    """Give a page of the work that concerns these agents (none named: all), newest first, and where the next goes on.

    `most` leaves out what began later than it. A state is worked out and not stored, so a page of some `states` may
    hold fewer rows than `limit`, or none, and go on all the same.
    """
    now, some = ports.clock(), len(set(states)) < len(STATES)

    def work(tx: Tx) -> tuple[list[Undertaking], WorkSpot | None]:
        looked_at = MOST_LOOKED if some else limit
        spots = tx.undertakings.listed(limit=looked_at + 1, kinds=kinds, agents=agents, after=after, most=most)
        found: list[Undertaking] = []
        for count, spot in enumerate(spots[:looked_at], start=1):
            one = _read(tx, spot, now, states=states)
            found += [one] if one is not None and one.state in states else []
            if len(found) == limit or count == looked_at:
                return found, spot if len(spots) > count else None
        return found, None

    return await ports.store.read(work)


async def found(ports: Ports, kind: WorkKind, name: str, *, sees: Callable[[str], bool]) -> Undertaking:
    """Give one piece of work by its whole id; NotFound as well where `sees` says no to its agent."""
    now = ports.clock()

    def work(tx: Tx) -> Undertaking | None:
        spot = _spot(tx, kind, name)
        return None if spot is None else _read(tx, spot, now, alone=True)

    one = await ports.store.read(work)
    if one is None or not sees(one.agent):
        raise NotFound(f"there is no {kind} {name[:200]!r}", hint="the list of work has what there is, by whole ids")
    return one


async def found_anywhere(ports: Ports, name: str, *, sees: Callable[[str], bool]) -> Undertaking:
    """Give one piece of work of whatever kind by its whole id; NotFound where there is none."""
    for kind in KINDS:
        try:
            return await found(ports, kind, name, sees=sees)
        except NotFound:
            continue
    raise NotFound(f"there is no work {name[:200]!r}", hint="surefoot work lists what there is, by whole ids")


def shown(one: Undertaking, *, reads: bool) -> Undertaking:
    """Leave out what names answers, for whom they are not: the title of a tick's lever, and what a sentence quotes."""
    if reads:
        return one
    return replace(one, about="" if one.spot.kind == "tick" else one.about, sentence=masked_quotes(one.sentence))


def place(spot: WorkSpot) -> str:
    """Say where a page of the list begins."""
    return f"{(spot.at - _EPOCH) // timedelta(microseconds=1)}.{spot.kind}.{spot.id}"


def spot_of(text: str) -> WorkSpot | None:
    """Read where a page of the list begins; Invalid for what no page ever said."""
    if not text:
        return None
    moment, _, rest = text.partition(".")
    kind, _, name = rest.partition(".")
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 17 and kind in KINDS and name):
        raise Invalid(f"{text[:40]!r} is no place in this list", hint="begin at its first page")
    return WorkSpot(at=_EPOCH + timedelta(microseconds=int(moment)), kind=kind, id=name)


async def newest(
    ports: Ports, *, agents: Collection[str], kinds: Collection[WorkKind] = KINDS, limit: int = 1
) -> list[WorkSpot]:  # fmt: skip
    """Give where the newest work stands."""
    return await ports.store.read(lambda tx: tx.undertakings.listed(limit=limit, kinds=kinds, agents=agents))


def _spot(tx: Tx, kind: WorkKind, name: str) -> WorkSpot | None:
    """Where one piece of work stands; None for an id that is not the whole one of anything."""
    try:
        if kind == "eval":
            run = tx.evals.run(name)
            return WorkSpot(at=run.started_at, kind=kind, id=name) if run.id == name else None
        if kind == "job":
            return WorkSpot(at=tx.jobs.get(name).at, kind=kind, id=name)
    except NotFound:
        return None
    begun = tx.audit.listed(AuditFilter(agent=name, action="tick-started"), before=None, limit=1)
    return WorkSpot(at=begun[0].at, kind=kind, id=name) if begun and begun[0].subject == name else None


def _read(
    tx: Tx, spot: WorkSpot, now: datetime, *, alone: bool = False, states: Collection[WorkState] = STATES
) -> Undertaking | None:  # fmt: skip
    """Read one piece; in the list (not `alone`) None for a job whose work stands there itself."""
    if spot.kind == "eval":
        return _run(tx, spot, now, states)
    return _tick(tx, spot, now) if spot.kind == "tick" else _job(tx, spot, now, alone)


def _run(tx: Tx, spot: WorkSpot, now: datetime, states: Collection[WorkState]) -> Undertaking | None:
    """Give a run; None for one in no state that is asked for, before all of its answers are added up."""
    run = tx.evals.run(spot.id)
    state: WorkState = run.state
    if run.state in ("running", "cancelling"):
        state = "stale" if carried_now(tx, run, now) is False else run.state
    if state not in states:
        return None
    going, spent = state == "running", tx.evals.spent(run.id)
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
    lever, end = tx.marks.get(f"{scope}/lever"), tx.marks.get(end_mark(agent, number))
    ledger = tx.ledgers.get(scope, standing_now.habits.tick_budget)
    asked, report = tx.marks.get(mark_of(agent, number)), end or lever or {}
    if end is not None:
        state: WorkState = "cancelled" if end.get("outcome") == CANCELLED else "done"
    else:
        state = _unended(tx, agent, number, now, current=number == str(standing_now.tick), asked=asked is not None)
    steps = 3 if state == "done" else 1 if lever is not None else 0
    return Undertaking(
        spot=spot, agent=agent, what=f"tick {number}", about=str(report.get("title") or ""), state=state, by="loop",
        sentence=_tick_sentence(state, report, asked or {}), done=steps, planned=3, spent=ledger.committed,
        limits=ledger.budget, made=_made(report),
    )  # fmt: skip


def _unended(tx: Tx, agent: str, number: str, now: datetime, *, current: bool, asked: bool) -> WorkState:
    """How a tick without an end stands; one that was `asked` to stop and that nobody holds does nothing again."""
    if current and carried_out(tx, agent, number, now) is not False:
        return "cancelling" if asked else "running"
    left = current and not broke_off(tx, agent, number)
    return "cancelled" if asked else "stale" if left else "lost"


def _tick_sentence(state: WorkState, report: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    match state:
        case "stale":
            return "its worker is gone; whoever starts next finishes it"
        case "lost":
            return "it ended without a report"
        case "cancelling" | "cancelled":
            return f"{asked.get('by')} cancelled it: {asked.get('reason')}"
        case "running":
            return "decides whether to release" if report else "looks for the lever and an edit for it"
        case _:
            told = report.get("sentence") or report.get("reason") or ""
            return f"{str(report.get('outcome', '')).replace('_', ' ')}: {told}" if told else ""


def _made(report: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    release: Mapping[str, Any] = report.get("release") or {}
    found = [("rollout", report.get("rollout")), ("version", release.get("version")), ("lever", report.get("lever"))]
    return tuple((kind, str(one)) for kind, one in found if one)


def _job(tx: Tx, spot: WorkSpot, now: datetime, alone: bool) -> Undertaking | None:
    """A job whose work stands in the list by itself is left out: a tick, and an eval that has become a run."""
    job = tx.jobs.get(spot.id)
    stands = standing(job, now, alive_here=alive_here(job.owner))
    state: WorkState = "running" if stands == "waiting" else stands
    if (
        not alone
        and job.kind in ("tick", "eval")
        and (state == "done" or (state in ("running", "cancelling", "cancelled") and _began(tx, job)))
    ):
        return None
    said = _job_sentence(job, state)
    return Undertaking(
        spot=spot, agent=job.agent, what=job.kind, about=" ".join(job.words[:6]), state=state, sentence=said, by=job.by,
        ended_at=job.ended_at,
    )  # fmt: skip


def _job_sentence(job: Job, state: WorkState) -> str:
    error: Mapping[str, Any] = job.result.get("error") or {}  # type: ignore[assignment]
    match state:
        case "lost":
            return "its process is gone; asking again finishes what is durable"
        case "cancelling":
            return f"{job.cancelled_by} cancelled it: {job.why}; its process is told"
        case "cancelled":
            return f"{job.cancelled_by} cancelled it: {job.why}"
        case _:
            said = error.get("message") or job.result.get("sentence") or job.result.get("verdict") or ""
            return str(said)[:300]


def _began(tx: Tx, job: Job) -> bool:
    """Whether what a job was asked for has begun and can be seen itself."""
    kind: WorkKind = "tick" if job.kind == "tick" else "eval"
    since = tx.undertakings.listed(limit=1, kinds=[kind], agents=[job.agent] if job.agent else [])
    return bool(since) and since[0].at >= job.at

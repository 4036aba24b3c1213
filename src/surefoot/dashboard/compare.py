"""One eval beside another: the paired difference and its verdict, then case by case, then one case word by word.

Verdicts, deltas and flips are those of `core`. What a case says is shown to whoever may read it (`core.exam.held`); of
the others the page, its twin in JSON and its forms know the numbers only, because the page's model holds no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from surefoot.core.errors import Invalid, NotFound
from surefoot.core.exam.held import held_out, may_read, sees_run
from surefoot.core.exam.label import Label
from surefoot.core.exam.run import EvalRun
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.casepage import Opened, open_case
from surefoot.dashboard.caserows import TONES, WORDS, CaseRow, change_of, chips_of, flips_of, place_of, row_of
from surefoot.dashboard.comparisons import SMALL, SOON_S, Key, Wanted, state_of
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page, wants_json
from surefoot.engine.compare import OTHERS, Compared, Side, compared, looked, usual
from surefoot.engine.inspect import agent_named
from surefoot.engine.labelled import Word, say
from surefoot.engine.run import at_work, cancel
from surefoot.ports import Tx

ROWS = 100
RIGHT = {"before": (True, False), "after": (False, True), "both": (True, True), "neither": (False, False)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One side at the head of the page."""

    id: str
    name: str
    version: int | None
    state: str
    judge: str
    cases: int
    usd: float | None
    calls: int
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The paired difference as `core` gives it."""

    word: str
    tone: str
    sentence: str
    delta: float | None
    low: float
    high: float
    compared: int
    gained: int
    lost: int
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalPage:
    """Everything on the page; while `pending` the eval is still being weighed, and `left` means by its worker."""

    eval: str
    agent: str
    suite: str
    names: tuple[str, ...]
    look: bool
    pending: bool
    word: str
    tone: str
    sentence: str
    after: Head | None
    before: Head | None
    others: tuple[tuple[str, str], ...]
    delta: Delta | None
    apart: str
    chips: tuple[tuple[str, str, int], ...]
    change: str
    total: int
    matching: int
    rows: tuple[CaseRow, ...]
    older: str
    first: bool
    shown: Opened | None
    held: int
    is_open: bool
    left: bool
    may_cancel: bool
    may_say: bool
    copies: Copies | None
    cancel: Copies | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The run of the address, the one beside it, those that it could be compared with, and what people said."""

    run: EvalRun
    before: EvalRun | None
    others: tuple[EvalRun, ...]
    labels: tuple[Label, ...]
    key: Key

    @property
    def open(self) -> bool:
        """Whether it is being carried out."""
        return self.run.state in ("running", "cancelling")


async def screen(asking: Asking) -> Page:
    """Show an eval; `before` names the run beside it, `change` keeps some cases, `case` and `epoch` open one."""
    wanted = asking.part("eval")
    if wanted.startswith("look:"):
        return await _look(asking, wanted)
    found = await asking.ports.store.read(lambda tx: _runs(tx, asking, wanted))
    run, before = found.run, found.before
    work = Wanted(key=found.key, work=lambda tx: compared(tx, run, before))
    within_s = patience(asking, run.planned + (before.planned if before else 0))
    (seen,) = await asking.house.comparisons.found(asking.ports, [work], within_s=within_s)
    model = await _model(asking, wanted, seen, found)
    return Page(template="compare.html", model=model, title=f"{run.suite}: {run.subject}", place="agents",
                agent=run.about, tab="evals", live=("audit", "work") if found.open else ("audit",))  # fmt: skip


async def _look(asking: Asking, wanted: str) -> Page:
    name, _, digest = wanted.removeprefix("look:").rpartition(":")
    agent = await agent_named(asking.ports, name, sees=asking.visitor.sees)
    work = Wanted(key=("look", name, digest), work=lambda tx: looked(tx, asking.ports, agent, digest))
    (seen,) = await asking.house.comparisons.found(asking.ports, [work], within_s=patience(asking))
    model = await _model(asking, wanted, seen, None, agent=name)
    return Page(template="compare.html", model=model, title=f"{name}: a look at the sealed cases", place="agents",
                agent=name, tab="evals")  # fmt: skip


async def speak(asking: Asking, fields: dict[str, str]) -> str:
    """Keep what a person says of a case: which answer is right, what the right one is, and why."""
    found = await asking.ports.store.read(lambda tx: _runs(tx, asking, asking.part("eval"), fields.get("before", "")))
    asking.visitor.must("decide", found.run.about)
    case, right, epoch = fields.get("case", ""), fields.get("right", ""), fields.get("epoch", "1")
    if right not in ("", *RIGHT) or not (epoch.isdecimal() and len(epoch) <= 4 and int(epoch)):
        raise Invalid("this says of no answer that it is right", hint="reload the page and say it there")
    old, new = RIGHT.get(right, (None, None))
    sides = [(found.run, new, fields.get("expected", ""))]
    if found.before is not None and old is not None:
        sides.append((found.before, old, ""))
    words = [
        Word(run=run.id, case=case, epoch=int(epoch) - 1, passed=passed, expected=expected, note=fields.get("note", ""))
        for run, passed, expected in sides
    ]  # fmt: skip
    await say(asking.ports, words, by=asking.visitor.name)
    return back_to(found.run.id, fields, "said")


async def call_off(asking: Asking, fields: dict[str, str]) -> str:
    """Cancel a run, with a reason; what finished is kept."""
    run = await asking.ports.store.read(lambda tx: run_seen(tx, asking, asking.part("eval")))
    asking.visitor.must("operate", run.about)
    reason = fields.get("reason", "").strip()[:2000]
    if not reason:
        raise Invalid("to cancel a run takes a reason", hint="say in a few words why; it is kept")
    await cancel(asking.ports, run.id, by=asking.visitor.name, reason=reason)
    return "/runs?done=cancelled" if fields.get("from") == "runs" else f"/evals/{run.id}?done=cancelled"


def back_to(run: str, fields: dict[str, str], done: str) -> str:
    """Give the address of the page that a form came from."""
    kept = {name: fields[name] for name in ("before", "change", "case", "epoch", "after") if fields.get(name)}
    return f"/evals/{run}?{urlencode(kept | {'done': done})}"


def patience(asking: Asking, answers: int = SMALL + 1) -> float | None:
    """How long a page waits; a program waits until it is weighed, and so does the part that a page loads later."""
    return None if answers <= SMALL or wants_json(asking.request) or asking.query("wait") else SOON_S


def run_seen(tx: Tx, asking: Asking, wanted: str) -> EvalRun:
    """Give a run by its whole id; NotFound as well for one that the visitor does not see."""
    missing = NotFound(f"there is no eval {wanted[:80]!r}", hint="the agent's evals list them")
    try:
        run = tx.evals.run(wanted)
    except NotFound:
        raise missing from None
    if run.id != wanted or not sees_run(asking.visitor.token, run):
        raise missing
    return run


def _runs(tx: Tx, asking: Asking, wanted: str, named: str = "") -> Runs:
    run = run_seen(tx, asking, wanted)
    others = tuple(one for one in tx.evals.runs(limit=OTHERS, suite=run.suite)
                   if one.id != run.id and sees_run(asking.visitor.token, one))  # fmt: skip
    named = named or asking.query("before")
    before = None if named == "none" else run_seen(tx, asking, named) if named else usual(tx, run, others)
    if before is not None and (before.id == run.id or not sees_run(asking.visitor.token, before)):
        before = None
    key = (state_of(tx, run), state_of(tx, before) if before is not None else ())
    said = [*tx.evals.labels(run.id), *(tx.evals.labels(before.id) if before else [])]
    return Runs(run=run, before=before, others=others, key=key,
                labels=tuple(one for one in said if one.drawn == "open"))  # fmt: skip


async def _model(
    asking: Asking, wanted: str, seen: Compared | None, runs: Runs | None, *, agent: str = ""
) -> EvalPage:  # fmt: skip
    run = runs.run if runs else None
    agent, is_open = run.about if run else agent, runs is not None and runs.open
    change, flips = asking.query("change"), flips_of(seen) if seen else []
    matching = [one for one in flips if seen and (not change or change_of(seen, one) == change)]
    start, labels = place_of(matching, asking.query("after")), runs.labels if runs else ()
    page = matching[start : start + ROWS]
    return EvalPage(
        eval=wanted, agent=agent, suite=run.suite if run else "sealed cases", names=_names(seen, runs, agent),
        look=runs is None, pending=seen is None,
        word=WORDS.get(seen.word, seen.word) if seen else "", tone=TONES.get(seen.word, "idle") if seen else "wait",
        sentence=seen.sentence if seen else "", after=_head(seen.after) if seen else None,
        before=_head(seen.before) if seen and seen.before else None,
        others=tuple((one.id, _dated(one)) for one in runs.others) if runs else (),
        delta=_delta(seen) if seen else None, apart=seen.apart if seen else "",
        chips=chips_of(seen, flips) if seen else (), change=change, total=len(flips), matching=len(matching),
        rows=tuple(row_of(asking.visitor.token, seen, one, labels) for one in page) if seen else (), first=not start,
        older=page[-1].case if len(matching) > start + ROWS else "",
        shown=await _opened(asking, seen, runs) if seen and asking.query("case") else None,
        held=sum(held_out(one.split) for one in seen.after.cases.values()) if seen else 0,
        is_open=is_open, left=run is not None and is_open and await at_work(asking.ports, run) is False,
        may_cancel=is_open and asking.visitor.may("operate", agent), may_say=asking.visitor.may("decide", agent),
        copies=_copies(runs), cancel=cancelling(run.id) if run and is_open else None,
    )  # fmt: skip


def _dated(run: EvalRun) -> str:
    return f"{run.subject}, {run.started_at.day} {run.started_at:%b %H:%M}"


def _names(seen: Compared | None, runs: Runs | None, agent: str) -> tuple[str, ...]:
    """Name both sides, also while they are still being weighed."""
    if runs is not None:
        return tuple(one.subject for one in (runs.run, runs.before) if one)
    return tuple(one.name for one in (seen.after, seen.before) if one) if seen else (f"{agent}, sealed cases",)


async def _opened(asking: Asking, seen: Compared, runs: Runs | None) -> Opened | None:
    flip = next((one for one in flips_of(seen) if one.case == asking.query("case")), None)
    if flip is None:
        return None
    row, epoch = row_of(asking.visitor.token, seen, flip, runs.labels if runs else ()), asking.number("epoch") or 1
    if runs is None or not row.readable:
        return Opened(row=row, epoch=1, epochs=1)
    before = _beside(asking, seen, runs, flip.case)
    case = seen.after.cases[flip.case]
    shown = {runs.run.id} if before is None else {runs.run.id, before.id}
    said = [one for one in runs.labels if one.run in shown]  # those of a run that is not shown may be of held-out cases
    return await asking.ports.store.read(
        lambda tx: open_case(tx, row, case, runs.run, before, epoch=epoch, labels=said)
    )


def _beside(asking: Asking, seen: Compared, runs: Runs, case: str) -> EvalRun | None:
    """Give the run beside this one where both can be compared and the visitor may read the case there as well.

    Whoever sends a suite chooses the splits of its cases, so what this run says of a case opens nothing of another.
    """
    before, sides = runs.before, seen.before
    if before is None or sides is None or seen.difference is None or case not in sides.cases:
        return None
    return before if may_read(asking.visitor.token, sides.cases[case].split, agent=before.about) else None


def _head(side: Side) -> Head:
    run, cost = side.run, side.spent.cost
    return Head(
        id=run.id if run else "", name=side.name, version=side.version, state=run.state if run else "",
        judge=run.judge if run else "", cases=len(side.results), calls=cost.calls,
        usd=cost.usd if run and side.spent.known else None, started_at=run.started_at if run else None,
        ended_at=run.ended_at if run else None,
    )  # fmt: skip


def _delta(seen: Compared) -> Delta | None:
    one = seen.difference
    if one is None:
        return None
    return Delta(word=one.word, tone=TONES[one.word], sentence=one.sentence, delta=one.delta, low=one.low,
                 high=one.high, compared=one.compared, gained=one.gained, lost=one.lost,
                 left_out=len(one.left_out))  # fmt: skip


def _copies(runs: Runs | None) -> Copies | None:
    if runs is None:
        return None
    if runs.before is None:
        return copies(("eval", "list", runs.run.id), "GET", f"/api/v1/evals/{runs.run.id}")
    where = f"/api/v1/evals/{runs.run.id}/compare?before={runs.before.id}"
    return copies(("eval", "compare", runs.before.id, runs.run.id), "GET", where)


def cancelling(run: str) -> Copies:
    """Give cancelling a run as a command and as a request."""
    return copies(("eval", "cancel", run, "--by", "NAME", "--why", "TEXT"), "POST", f"/api/v1/evals/{run}/cancel",
                  {"reason": "why"})  # fmt: skip

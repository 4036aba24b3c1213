"""Routes of evals: run a suite, see what it means, compare, cancel, and label what a judge judged.

A suite comes in the request. Whatever of it would run code is refused where it is read, because only an operator's own
file may: it is listed as disabled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from surefoot.api.agent_documents import Taken
from surefoot.api.documents import Name, Text
from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Decider, Here, Looker, Operator, Reception
from surefoot.api.seeing import seen
from surefoot.api.working import CancelBody, JobDocument, begun
from surefoot.core.errors import Conflict, NotFound
from surefoot.core.exam.contrast import Contrast
from surefoot.core.exam.documents import suite_from
from surefoot.core.exam.held import held_out, may_read, sees_run
from surefoot.core.exam.report import Report
from surefoot.core.exam.run import EvalRun
from surefoot.core.exam.suite import Suite
from surefoot.core.token import Token
from surefoot.engine.inspect import agent_named
from surefoot.engine.labelled import Blind, Word, next_blind, say, words_of, worth
from surefoot.engine.labelled import label as kept
from surefoot.engine.reported import report
from surefoot.engine.run import cancel as asked_to_end

router = APIRouter(tags=["evals"])
RunId = Annotated[str, Path(max_length=200)]
Drawn = Literal["sample", "queue"]


class EvalBody(Taken):
    """A suite and whom it examines: an agent's version, on its own model or another."""

    agent: Name
    suite: dict[str, Any]
    version: Annotated[str, Field(pattern=r"^(live|v?[1-9][0-9]{0,8})$")] = "live"
    model: Annotated[str, Field(max_length=200)] = ""
    judge: Annotated[str, Field(max_length=200)] = ""
    epochs: Annotated[int, Field(ge=0, le=1000)] = 0
    tags: Annotated[list[Name], Field(max_length=100, default_factory=list)]
    max_calls: Annotated[int | None, Field(ge=0, le=10**9)] = None
    max_usd: Annotated[float | None, Field(ge=0, le=1e9, allow_inf_nan=False)] = None
    min_pass: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None


class SuiteBody(Taken):
    """A suite that is to be looked at before it runs."""

    suite: dict[str, Any]


class LabelBody(Taken):
    """A person's word on the answer that was shown next."""

    case: Annotated[str, Field(min_length=1, max_length=1000)]
    verdict: Literal["pass", "fail"]
    drawn: Drawn = "sample"
    note: Text = ""


class WordBody(Taken):
    """What a person says in the open of an answer: whether it is right, and what the right one is."""

    case: Annotated[str, Field(min_length=1, max_length=1000)]
    epoch: Annotated[int, Field(ge=1, le=1000)] = 1
    verdict: Literal["pass", "fail"] | None = None
    expected: Annotated[str, Field(max_length=20_000)] = ""
    note: Text = ""


class WordDocument(BaseModel):
    """What a person said; `about` is `answer`, or `expected` for what they hold to be the right answer."""

    case: str
    epoch: int
    about: str
    verdict: str | None
    text: str
    by: str
    at: datetime


class Words(BaseModel):
    """What people said in the open of a run, oldest first, of the cases that the caller may read."""

    words: list[WordDocument]


class SuiteDocument(BaseModel):
    """A suite as it was read: its cases, what of it is not carried out and why, and remarks."""

    name: str
    digest: str
    cases: list[dict[str, Any]]
    disabled: list[dict[str, Any]]
    notes: list[str]


class RunDocument(BaseModel):
    """One run, and what it means so far."""

    run: str
    suite: str
    suite_digest: str
    subject: str
    judge: str | None
    agent: str | None
    state: str
    scope: str
    started_at: datetime
    verdict: str
    sentence: str


class Runs(BaseModel):
    """Runs, newest first."""

    runs: list[RunDocument]
    next: str | None


class ReportDocument(RunDocument):
    """A run with its counts, what it spent, and what did not pass."""

    counts: Mapping[str, int]
    cases: int
    missing: int
    spent: Mapping[str, Any]
    quarantined: list[str]
    failing: list[dict[str, Any]]


class CompareDocument(BaseModel):
    """The paired difference of two runs on the cases that both have."""

    before: str
    after: str
    word: str
    sentence: str
    delta: float | None
    low: float | None
    high: float | None
    compared: int
    gained: int
    lost: int
    flips: list[dict[str, Any]]


class BlindDocument(BaseModel):
    """What waits for this person's label, without what the judge said; null when nothing is left."""

    next: dict[str, Any] | None
    left: int


class WorthDocument(BaseModel):
    """What the judge of a run is worth, by people's labels."""

    judge: str
    labels: int
    n: int
    tpr: float | None
    tnr: float | None
    kappa: float | None
    waiting: int


@router.post("/suites/check", responses=declared())
async def check(body: SuiteBody, caller: Looker) -> SuiteDocument:  # noqa: ARG001
    """Read a suite as a run would, and list what of it is not carried out."""
    return _suite(_read(body.suite))


@router.get("/suites/{digest}", responses=declared(404))
async def suite(digest: Annotated[str, Path(max_length=200)], here: Here, caller: Looker) -> SuiteDocument:
    """Show a suite as it was run, by the digest that its runs name."""
    found = [one for one in await here.ports.store.read(lambda tx: tx.evals.runs()) if one.suite_digest == digest]
    if not any(sees_run(caller, one) for one in found):
        raise NotFound(f"there is no suite {digest!r}", hint="GET /api/v1/evals names those that were run")
    return _suite(await here.ports.store.read(lambda tx: tx.evals.suite(digest)), digest)


@router.post("/evals", status_code=202, responses=declared(404, 409))
async def run(body: EvalBody, here: Here, caller: Operator, response: Response) -> JobDocument:
    """Run a suite on a version of an agent; what finished is kept, whatever happens."""
    await agent_named(here.ports, body.agent, sees=caller.sees)
    read = _read(body.suite)
    text = json.dumps({
        "suite": read.name, "min_pass": read.min_pass, "max_errored": read.max_errored, "notes": list(read.notes),
        "cases": [case.document() for case in read.cases],
    })  # fmt: skip
    named = (("version", body.version), ("model", body.model), ("judge", body.judge), ("epochs", body.epochs or ""),
             ("max-calls", body.max_calls), ("max-usd", body.max_usd), ("min-pass", body.min_pass))  # fmt: skip
    words = ["eval", "run", "{suite.json}", f"--agent={body.agent}", *(f"--tag={tag}" for tag in body.tags)]
    words += [f"--{name}={value}" for name, value in named if value not in ("", None)]
    return await begun(here, caller, response, "eval", words, agent=body.agent, files={"suite.json": text})


@router.get("/evals", responses=declared())
async def runs(here: Here, caller: Looker, asked: Paged) -> Runs:
    """List the latest runs, newest first."""
    found = [one for one in await here.ports.store.read(lambda tx: tx.evals.runs(limit=1000)) if sees_run(caller, one)]
    rows, after = asked.page(found, lambda one: one.id)
    return Runs(runs=[RunDocument(**_run(await report(here.ports, one.id))) for one in rows], next=after)


@router.get("/evals/{run}", responses=declared(404))
async def shown(run: RunId, here: Here, caller: Looker) -> ReportDocument:
    """Show what a run means, what it spent, and what did not pass."""
    await _known(here, caller, run)
    seen = await report(here.ports, run)
    verdict, cost = seen.verdict, seen.spent.cost
    splits = {case.id: case.split for case in seen.suite.cases}
    return ReportDocument(
        **_run(seen), counts={str(word): number for word, number in verdict.counts.items()},
        cases=len(seen.suite.cases), missing=verdict.missing,
        spent={"answers": seen.spent.answers, "calls": cost.calls, "tokens": cost.tokens, "usd": cost.usd,
               "known": seen.spent.known},
        quarantined=list(verdict.quarantined),
        failing=[{"case": one.id, "standing": one.standing, "passed": one.passed, "failed": one.failed,
                  "unknown": one.unknown,  # a note may quote the case
                  "notes": list(one.notes) if may_read(caller, splits.get(one.id, ""), agent=seen.run.about) else []}
                 for one in seen.results.values() if one.standing != "passed"],
    )  # fmt: skip


@router.post("/evals/{run}/cancel", responses=declared(404, 409))
async def cancel(run: RunId, here: Here, caller: Operator, body: CancelBody) -> RunDocument:
    """Cancel a run, with a reason; what finished is kept."""
    await _known(here, caller, run)
    await asked_to_end(here.ports, run, by=caller.name, reason=body.reason)
    return RunDocument(**_run(await report(here.ports, run)))


@router.get("/evals/{run}/compare", responses=declared(404, 409))
async def compare(
    run: RunId, here: Here, caller: Looker, before: Annotated[str, Query(min_length=1, max_length=200)]
) -> CompareDocument:
    """Compare a run with an earlier one: the paired difference, what regressed, what was fixed."""
    await _known(here, caller, run)
    await _known(here, caller, before)
    seen = (await report(here.ports, run, against=before)).contrast
    if seen is None:
        raise Conflict(f"{run} and {before} cannot be compared", hint="they share no case")
    return _compared(before, run, seen)


@router.get("/evals/{run}/label", responses=declared(404, 409))
async def waiting(run: RunId, here: Here, caller: Decider, drawn: Drawn = "sample") -> BlindDocument:
    """Show what waits for this person's label; never what the judge said of it."""
    await _known(here, caller, run)
    found = await next_blind(here.ports, run, by=caller.name, drawn=drawn)
    return BlindDocument(next=_blind(found) if found else None, left=found.left if found else 0)


@router.post("/evals/{run}/label", status_code=201, responses=declared(404, 409))
async def label(run: RunId, body: LabelBody, here: Here, caller: Decider) -> BlindDocument:
    """Say whether the answer that was shown next passes, and get the one after it."""
    await _known(here, caller, run)
    found = await next_blind(here.ports, run, by=caller.name, drawn=body.drawn)
    if found is None or found.case.id != body.case:
        raise Conflict("that is not what waits for this label", hint="GET the same address shows what does")
    await kept(here.ports, run, found.case.id, found.epoch, found.scorer, passed=body.verdict == "pass",
               by=caller.name, drawn=body.drawn, note=body.note)  # fmt: skip
    return await waiting(run, here, caller, body.drawn)


@router.get("/evals/{run}/words", responses=declared(404))
async def said(run: RunId, here: Here, caller: Looker) -> Words:
    """List what people said in the open of a run; of held-out cases only to those who judge."""
    known = await _known(here, caller, run)
    splits = await _splits(here, known)
    found = [one for one in await words_of(here.ports, run)
             if may_read(caller, splits.get(one.case, ""), agent=known.about)]  # fmt: skip
    return Words(words=[WordDocument(**one.document()) for one in found])


@router.post("/evals/{run}/words", status_code=201, responses=declared(404, 409))
async def speak(run: RunId, body: WordBody, here: Here, caller: Decider) -> Words:
    """Say in the open whether an answer is right, or what the right one is; it counts for no rate of a judge."""
    await _known(here, caller, run)
    passed = None if body.verdict is None else body.verdict == "pass"
    word = Word(run=run, case=body.case, epoch=body.epoch - 1, passed=passed, expected=body.expected, note=body.note)
    return Words(words=[WordDocument(**one.document()) for one in await say(here.ports, [word], by=caller.name)])


@router.get("/evals/{run}/worth", responses=declared(404, 409))
async def judged(run: RunId, here: Here, caller: Looker) -> WorthDocument:
    """Show what the judge of a run is worth, by people's labels."""
    await _known(here, caller, run)
    seen = await worth(here.ports, run)
    found = seen.calibration
    return WorthDocument(judge=seen.judge, labels=seen.labels, n=found.n, tpr=found.tpr.value, tnr=found.tnr.value,
                         kappa=found.kappa, waiting=seen.queue)  # fmt: skip


async def _known(here: Reception, caller: Token, run: str) -> EvalRun:
    def may(found: EvalRun) -> bool:
        return found.id == run and sees_run(caller, found)

    return await seen(here, "eval run", run, lambda tx: tx.evals.run(run), may)


async def _splits(here: Reception, run: EvalRun) -> dict[str, str]:
    kept = await here.ports.store.read(lambda tx: tx.evals.suite(run.suite_digest))
    return {case.id: case.split for case in kept.cases if held_out(case.split)}


def _read(document: dict[str, Any]) -> Suite:
    return suite_from(document, name=str(document.get("suite", "suite"))[:200], origin="api")


def _suite(read: Suite, digest: str = "") -> SuiteDocument:
    return SuiteDocument(
        name=read.name, digest=digest, notes=list(read.notes),
        cases=[{"case": c.id, "severity": c.severity, "tags": list(c.tags), "scorers": list(c.scorers),
                "draft": c.draft} for c in read.cases],
        disabled=[{"case": case, "kind": one.kind, "why": one.disabled} for case, one in read.disabled()],
    )  # fmt: skip


def _run(seen: Report) -> dict[str, Any]:
    one, verdict = seen.run, seen.verdict
    return {
        "run": one.id, "suite": one.suite, "suite_digest": one.suite_digest, "subject": one.subject,
        "judge": one.judge or None, "agent": one.agent or None, "state": one.state, "scope": one.scope,
        "started_at": one.started_at, "verdict": verdict.word, "sentence": verdict.sentence,
    }  # fmt: skip


def _compared(before: str, after: str, seen: Contrast) -> CompareDocument:
    return CompareDocument(
        before=before, after=after, word=seen.word, sentence=seen.sentence, delta=seen.delta, low=seen.low,
        high=seen.high, compared=seen.compared, gained=seen.gained, lost=seen.lost,
        flips=[{"case": one.case, "change": one.change, "before": one.before, "after": one.after, "p": one.p,
                "shown": one.shown, "severity": one.severity} for one in seen.flips if one.change != "same"],
    )  # fmt: skip


def _blind(shown: Blind) -> dict[str, Any]:
    return {
        "case": shown.case.id, "epoch": shown.epoch + 1, "scorer": shown.scorer, "criterion": shown.criterion,
        "input": shown.case.text, "expected": shown.case.expected, "answer": shown.observed.transcript(),
    }  # fmt: skip

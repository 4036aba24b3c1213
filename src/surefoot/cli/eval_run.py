"""What `eval run` does between its options and its report: find the subject, begin or take up a run, carry it out."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from surefoot.core.budget import Budget
from surefoot.core.errors import Invalid

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.desk import Desk
    from surefoot.core.exam.run import EvalRun, Spent
    from surefoot.core.exam.suite import Suite
    from surefoot.engine.run import Terms
    from surefoot.ports.exam import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asked for; `how` of a run keeps what names its subject and judge, so that it can be taken up."""

    suite: str = ""
    agent: str = ""
    version: str = "live"
    model: str = ""
    program: str = ""
    recorded: str = ""
    variant: str = ""
    judge: str = ""
    votes: int = 3
    same_author: bool = False
    epochs: int = 0
    confirm: int = 2
    concurrency: int = 16
    tags: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    cache: bool = False
    workers: int = 1
    shared: bool = False
    resume: str = ""
    rerun_failing: str = ""


_KEPT = ("agent", "version", "model", "program", "recorded", "variant", "judge", "votes", "same_author")


async def examined(app: App, desk: Desk, wanted: Wanted) -> EvalRun:
    """Carry out what is wanted, with progress on a terminal; gives the run as it then stands."""
    from surefoot.core.exam.suite import chosen
    from surefoot.engine.reported import failing
    from surefoot.engine.run import begin, carry_out

    if bool(wanted.suite) + bool(wanted.resume) + bool(wanted.rerun_failing) != 1:
        raise Invalid("name either a suite, or a run with --resume or --rerun-failing", hint="surefoot eval run --help")
    parent, part = "", None
    if wanted.resume or wanted.rerun_failing:
        old = await app.store.read(lambda tx: tx.evals.run(wanted.resume or wanted.rerun_failing))
        wanted = _as_before(wanted, old)
        if wanted.rerun_failing:
            old, part = await failing(app.ports, old.id)
            parent = old.id
    workshop = app.workshop()
    subject, terms = await _subject(app, wanted)
    if wanted.resume:
        run, suite = old, None  # pyright: ignore[reportPossiblyUnboundVariable]
    else:
        suite = part or _ready(workshop.suite(Path(wanted.suite)), desk)
        some = chosen(suite, ids=wanted.ids, tags=wanted.tags)
        scope = "failing" if parent else "part" if wanted.ids or wanted.tags else "full"
        judging = workshop.exams(judge=wanted.judge, votes=wanted.votes, same_author=wanted.same_author)
        how = {name: getattr(wanted, name) for name in _KEPT}
        run = await begin(app.ports, judging, some, subject, terms, scope=scope, parent=parent, how=how)
        suite = some
    with _beside(app, run, wanted), desk.progress(f"{run.suite}: {run.subject}", run.planned) as advance:
        exams = workshop.exams(
            judge=wanted.judge, votes=wanted.votes, same_author=wanted.same_author, progress=_Counted(advance)
        )
        return await carry_out(app.ports, exams, subject, run.id, terms, suite=suite)


@contextmanager
def _beside(app: App, run: EvalRun, wanted: Wanted) -> Generator[None]:
    """Start the other workers, which take up the run just begun; they end by themselves when it does."""
    line = [sys.executable, "-m", "surefoot", "--store", str(app.settings.store), "--json", "eval", "run", "--shared",
            "--resume", run.id, "--concurrency", str(wanted.concurrency)]  # fmt: skip
    others = [subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
              for _ in range(wanted.workers - 1)]  # fmt: skip
    try:
        yield
    finally:
        for one in others:
            with suppress(subprocess.TimeoutExpired):
                one.wait(30)
            one.kill()


class _Counted:
    """Moves the bar by what has become durable since."""

    def __init__(self, advance: object) -> None:
        self._advance, self._seen = advance, 0

    def __call__(self, spent: Spent) -> None:
        for _ in range(spent.answers - self._seen):
            self._advance()  # type: ignore[operator]
        self._seen = spent.answers


def _as_before(wanted: Wanted, run: EvalRun) -> Wanted:
    """Give what is wanted with the subject and judge of a run, and its budget where none is named."""
    kept = {name: run.how[name] for name in _KEPT if name in run.how}
    limits = {side: run.limits.get(side) if (given := getattr(wanted, side)) is None else given
              for side in ("calls", "tokens", "usd")}  # fmt: skip
    return replace(wanted, **kept, **limits, confirm=run.confirm if wanted.resume else 0)


def _ready(suite: Suite, desk: Desk) -> Suite:
    """Say what of a suite is not carried out, so that nobody believes it was."""
    off, drafts = list(suite.disabled()), sum(case.draft for case in suite.cases)
    if off:
        desk.remark(f"{len(off)} checks are disabled and prove nothing: surefoot eval list FILE names them")
    if drafts:
        desk.remark(f"{drafts} drafts wait for a person and are not run")
    return suite


async def _subject(app: App, wanted: Wanted) -> tuple[Subject, Terms]:
    from surefoot.engine.run import Terms

    budget = Budget(
        calls=None if wanted.calls is None else int(wanted.calls),
        tokens=None if wanted.tokens is None else int(wanted.tokens), usd=wanted.usd,
    )  # fmt: skip
    terms = Terms(
        concurrency=wanted.concurrency, epochs=wanted.epochs, confirm=wanted.confirm, budget=budget,
        cache=wanted.cache, shared=wanted.shared or wanted.workers > 1,
    )  # fmt: skip
    if bool(wanted.agent) + bool(wanted.program) + bool(wanted.recorded) != 1:
        raise Invalid("say who is examined", hint="one of --agent NAME, --command LINE, --recorded FILE")
    workshop = app.workshop()
    if wanted.program:
        return workshop.command(shlex.split(wanted.program), Path.cwd()), terms
    if wanted.recorded:
        return workshop.recorded(Path(wanted.recorded), wanted.variant), terms
    return await _version(app, wanted, terms)


async def _version(app: App, wanted: Wanted, terms: Terms) -> tuple[Subject, Terms]:
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.serve import question

    record = await agent_named(app.ports, wanted.agent, sees=any_agent)
    number = record.live if wanted.version == "live" else _number(wanted.version)
    version, genome = await app.store.read(
        lambda tx: ((one := tx.versions.get(record.name, number)), tx.versions.genome(one.genome))
    )
    model = wanted.model or record.habits.model
    authors = [version.author, *([app.settings.improver_model] if app.settings.improver_model else [])]
    subject = app.workshop().version(
        lambda case: question(genome, case.text, case.slice, case_id=case.id), model=model,
        name=f"{record.name} {version.label}", pin=genome.digest, authors=authors,
    )  # fmt: skip
    return subject, replace(terms, agent=record.name, day_budget=record.habits.day_budget)


def _number(text: str) -> int:
    digits = text.removeprefix("v")
    if not digits.isdecimal():
        raise Invalid(f"{text!r} is no version", hint="write 3, v3 or live")
    return int(digits)

"""The evals of an agent: runs of suites, the loop's looks at its sealed cases, and what its ticks tried.

A run's verdict is `core`'s, weighed once and kept; a long one appears a moment after the page. Looks and trials show
what was recorded when they were taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from surefoot.core.agent import Agent
from surefoot.core.exam.run import EvalRun
from surefoot.core.slots import slots_left
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.caserows import TONES, WORDS
from surefoot.dashboard.compare import patience
from surefoot.dashboard.comparisons import Wanted, state_of
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.engine.compare import Compared, compared, sides_of
from surefoot.engine.run import at_work
from surefoot.ports import Filed, Tx

ROWS, MOST_TRIED = 50, 20
TRIED = {"accepted": "ok", "accept": "ok", "rejected": "bad", "reject": "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run of a suite; without `counts` it is still being weighed."""

    id: str
    suite: str
    subject: str
    judge: str
    state: str
    scope: str
    started_at: datetime
    word: str
    tone: str
    sentence: str
    counts: tuple[tuple[str, str, int], ...]
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRow:
    """One look at the sealed cases."""

    eval: str
    at: datetime
    before: str
    after: str
    word: str
    tone: str
    sentence: str
    gained: int
    lost: int
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """What a tick tried, with the verdict of its last trial on cases that its writer never saw."""

    tick: int
    at: datetime
    lever: str
    title: str
    improver: str
    word: str
    tone: str
    sentence: str
    trials: int
    gained: int | None
    lost: int | None
    cases: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evals:
    """The three kinds; `pending` counts runs that are still being weighed."""

    agent: str
    runs: tuple[RunRow, ...]
    looks: tuple[LookRow, ...]
    trials: tuple[TrialRow, ...]
    slots: int
    slots_left: int
    older: str
    first: bool
    pending: int
    begin: Copies
    copies: Copies


async def screen(asking: Asking) -> Page:
    """Show an agent's evals, newest first; `after` is the run that the page before ended with."""
    agent, after = await asking.agent(), asking.query("after")
    found, wanted = await asking.ports.store.read(lambda tx: _runs(tx, agent.name, after))
    reports = await asking.house.comparisons.found(
        asking.ports, wanted, within_s=patience(asking, sum(one.planned for one in found[:ROWS]))
    )
    works = [
        await at_work(asking.ports, one) if one.state in ("running", "cancelling") else None for one in found[:ROWS]
    ]
    rows = tuple(_row(run, seen, left=left) for run, seen, left in zip(found[:ROWS], reports, works, strict=True))
    reads = asking.visitor.reads(agent.name)
    looks, trials, left = (
        await asking.ports.store.read(lambda tx: _loop(tx, agent, reads)) if not after else ((), (), 0)
    )  # fmt: skip
    model = Evals(
        agent=agent.name, runs=rows, looks=looks, trials=trials, slots=agent.habits.slots, slots_left=left,
        older=found[ROWS - 1].id if len(found) > ROWS else "", first=not after,
        pending=sum(one is None for one in reports), copies=copies(("eval", "list"), "GET", "/api/v1/evals"),
        begin=copies(("eval", "run", "suite.yaml", "--agent", agent.name), "POST", "/api/v1/evals",
                     {"agent": agent.name, "suite": {"cases": []}}),
    )  # fmt: skip
    return Page(template="evals.html", model=model, title=f"Evals of {agent.name}", place="agents", agent=agent.name,
                tab="evals", live=("audit", "work") if not after else ())  # fmt: skip


def _runs(tx: Tx, agent: str, after: str) -> tuple[list[EvalRun], list[Wanted]]:
    found = tx.evals.runs(limit=ROWS + 1, after=after, agents=[agent])
    wanted = [Wanted(key=(state_of(tx, one), ()), work=lambda tx, run=one: compared(tx, run, None))
              for one in found[:ROWS]]  # fmt: skip
    return found, wanted


def _row(run: EvalRun, seen: Compared | None, *, left: bool | None) -> RunRow:
    """`left` False says that nobody works on it any more."""
    counted = seen.verdict.counts.items() if seen and seen.verdict else ()
    word = seen.word if seen else "weighing"
    if run.state in ("running", "cancelling"):
        word = run.state if left is not False else "no worker"
    return RunRow(
        id=run.id, suite=run.suite, subject=run.subject, judge=run.judge, state=run.state, scope=run.scope,
        started_at=run.started_at, word=WORDS.get(word, word), sentence=seen.sentence if seen else "",
        tone={"running": "canary", "cancelling": "warn", "no worker": "bad"}.get(word) or TONES.get(word, "wait"),
        counts=tuple((WORDS.get(one, one), TONES[one], n) for one, n in counted if n),
        cases=len(seen.after.cases) if seen else 0,
    )  # fmt: skip


def _loop(tx: Tx, agent: Agent, reads: bool) -> tuple[tuple[LookRow, ...], tuple[TrialRow, ...], int]:
    looks = tx.looks.all(agent.name)
    versions, rows = tx.versions.all(agent.name) if looks else [], list[LookRow]()
    for one in reversed(looks):
        evidence = tx.looks.evidence(agent.name, one.digest) or {}
        (before, *_), (after, *_) = sides_of(tx, agent, one, versions)
        rows.append(LookRow(
            eval=f"look:{agent.name}:{one.digest[:12]}", at=one.at, before=before, after=after, word=one.verdict,
            tone=TONES.get(one.verdict, "idle"), sentence=str(evidence.get("sentence") or ""), cases=one.cases,
            gained=_count(evidence, "gained") or 0, lost=_count(evidence, "lost") or 0,
        ))  # fmt: skip
    filed = [one for one in reversed(tx.proposals.all(agent.name)) if one.evidence.get("trials")][:MOST_TRIED]
    left = slots_left(looks, slots=agent.habits.slots, cases=tx.cases.counts(agent.name).get("sealed", 0))
    return tuple(rows), tuple(_trial(one, reads) for one in filed), left


def _trial(one: Filed, reads: bool) -> TrialRow:
    trials = cast("list[Mapping[str, Any]]", one.evidence["trials"])
    kept = next((trial for trial in trials if trial.get("verdict") == "accept"), trials[-1])
    return TrialRow(
        tick=one.tick, at=one.at, lever=one.lever, title=str((one.evidence.get("title") if reads else "") or one.lever),
        improver=one.proposal.improver, word=one.state, tone=TRIED.get(one.state, "idle"), trials=len(trials),
        sentence=str(kept.get("sentence") or ""), gained=_count(kept, "gained"), lost=_count(kept, "lost"),
        cases=_count(kept, "cases"),
    )  # fmt: skip


def _count(document: Mapping[str, Any], name: str) -> int | None:
    value = document.get(name)
    return value if isinstance(value, int) else None

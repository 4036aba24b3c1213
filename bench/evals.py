"""What the eval runner costs: cases a second with a model that answers at once, and runs beside each other.

Verdicts are durable in every number. `cases_per_s` is the median of some runs with a null model; `overhead_ms` is what
a case costs beyond its model. `concurrency_ratio` is the ideal time of four runs at once, whose model needs a while
for each answer, over the measured one. Half way through one more run is cancelled; what is kept and what a resume
runs must add up. pydantic-evals runs the same cases in the same process if it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.exam.check import Check
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.suite import Message, Suite, SuiteCase, case_of
from surefoot.core.proposal import Cost
from surefoot.engine.run import Terms, begin, carry_out

RUNS, AT_ONCE, WAIT_S = 4, 32, 0.5


@dataclass
class Null:
    """Answers right, after a while."""

    wait_s: float = 0.0
    name: str = "null"
    digest: str = "null"
    provider: str = "null"
    authors: frozenset[str] = frozenset()
    asked: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    stop_at: int = 0
    there: asyncio.Event = field(default_factory=asyncio.Event)

    async def reached(self, count: int) -> None:
        """Wait until so many questions were asked."""
        self.stop_at = count
        await self.there.wait()

    def price(self, case: SuiteCase, epoch: int) -> Cost:
        return Cost()

    async def answer(self, case: SuiteCase, epoch: int) -> Observed:
        self.asked.append((case.id, epoch))
        if len(self.asked) == self.stop_at:
            self.there.set()
        if self.wait_s:
            await asyncio.sleep(self.wait_s)
        return Observed(output=str(case.expected), cost=Cost(calls=1), latency_s=self.wait_s)


def suite(name: str, count: int) -> Suite:
    """Make a suite with one check a case."""
    return Suite(name=name, cases=tuple(
        case_of(SuiteCase(
            id=f"case-{number}", input=(Message(role="user", content=f"question {number}"),),
            expected=f"answer {number}", checks=(Check(kind="equals"),),
        ), name, origin="file")
        for number in range(count)
    ))  # fmt: skip


async def ran(app: App, given: Suite, subject: Null, *, at_once: int = 16) -> float:
    """Run a suite; gives the seconds from the first thought to the last verdict."""
    started, exams, terms = time.perf_counter(), app.workshop().exams(), Terms(concurrency=at_once)
    run = await begin(app.ports, exams, given, subject, terms)
    done = await carry_out(app.ports, exams, subject, run.id, terms, suite=given)
    spent = time.perf_counter() - started
    kept = await app.store.read(lambda tx: len(tx.evals.finished(run.id)))
    if done.state != "done" or kept != len(given.cases):
        raise SystemExit(f"{kept} of {len(given.cases)} verdicts are stored, the run is {done.state}")
    return spent


async def together(app: App, cases: int, wait_s: float) -> float:
    """Give the ideal time of several runs at once over the measured one."""
    suites = [suite(f"beside-{number}", cases) for number in range(RUNS)]
    started = time.perf_counter()
    await asyncio.gather(*(ran(app, one, Null(wait_s=wait_s), at_once=AT_ONCE) for one in suites))
    return ceil(cases / AT_ONCE) * wait_s / (time.perf_counter() - started)


async def cancelled(app: App, cases: int) -> dict[str, int]:
    """Cancel a run half way, and resume it; gives how many verdicts were kept and how many trials the resume took."""
    given, first, second = suite("cancelled", cases), Null(wait_s=0.001), Null(wait_s=0.001)
    exams, terms = app.workshop().exams(), Terms(concurrency=AT_ONCE)
    run = await begin(app.ports, exams, given, first, terms)
    work = asyncio.create_task(carry_out(app.ports, exams, first, run.id, terms, suite=given))
    await first.reached(cases // 2)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    kept = await app.store.read(lambda tx: len(tx.evals.finished(run.id)))
    await carry_out(app.ports, exams, second, run.id, terms, suite=given)
    total = await app.store.read(lambda tx: len(tx.evals.finished(run.id)))
    return {"cancel_kept": kept, "resume_ran": len(second.asked), "cancel_lost": cases - kept - len(second.asked),
            "cancel_total": total}  # fmt: skip


def beside(cases: int) -> float | None:
    """Give the cases a second of pydantic-evals with the same check, None if it is not installed."""
    try:
        from pydantic_evals import Case, Dataset
        from pydantic_evals.evaluators import EqualsExpected
    except ImportError:
        return None
    rows = [Case(name=f"case-{n}", inputs=f"question {n}", expected_output=f"answer {n}") for n in range(cases)]
    data = Dataset(name="bench", cases=rows, evaluators=[EqualsExpected()])

    async def answer(asked: str) -> str:
        return asked.replace("question", "answer")

    started = time.perf_counter()
    data.evaluate_sync(answer, progress=False, max_concurrency=16)
    return cases / (time.perf_counter() - started)


async def measured(app: App, cases: int, repeats: int) -> dict[str, float | None]:
    """Measure all of it."""
    subject = Null()
    await ran(app, suite("warm", 500), subject)
    spans = [await ran(app, suite(f"null-{turn}", cases), subject) for turn in range(repeats)]
    again = [await ran(app, suite("null-0", cases), subject) for _ in range(2)]
    span = statistics.median(spans)
    return {
        "cases": cases,
        "cases_per_s": cases / span,
        "overhead_ms": span / cases * 1000,
        "cases_per_s_with_baseline": cases / statistics.median(again),
        "model_wait_s": WAIT_S,
        "concurrency_ratio": await together(app, cases=10 * AT_ONCE, wait_s=WAIT_S),
        **await cancelled(app, 4000),
    }


def main() -> None:
    """Print the table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        app = build(Settings(store=Path(place) / "bench.db"), environ={})
        facts = asyncio.run(measured(app, arguments.cases, arguments.repeats))
        app.close()
    peer = beside(min(arguments.cases, 5000))
    facts["peer_pydantic_evals_cases_per_s"] = peer
    for name, value in facts.items():
        print(f"{name:<34} {'not installed' if value is None else f'{value:12.3f}'}")
    arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()

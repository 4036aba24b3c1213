"""What eval tests work with: subjects and judges that obey, and suites in one line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from surefoot.app import App
from surefoot.core.exam.documents import suite_from
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.suite import Suite, SuiteCase
from surefoot.core.exam.verdict import Verdict
from surefoot.core.proposal import Cost
from surefoot.engine.run import Terms, begin, carry_out
from surefoot.ports.exam import Exams, Reply

Answer = Callable[[SuiteCase, int], Observed]


def right(case: SuiteCase, epoch: int) -> Observed:
    return Observed(output=str(case.expected), cost=Cost(calls=1, usd=0.01), latency_s=0.0)


@dataclass
class Subject:
    """Answers what it is told to; remembers what it was asked."""

    answers: Answer = right
    name: str = "subject"
    digest: str = "subject"
    provider: str = "here"
    authors: frozenset[str] = frozenset()
    wait_s: float = 0.0
    asked: list[tuple[str, int]] = field(default_factory=list)
    flying: int = 0
    most: int = 0

    def price(self, case: SuiteCase, epoch: int) -> Cost:
        return Cost(calls=1, usd=0.02)

    async def answer(self, case: SuiteCase, epoch: int) -> Observed:
        self.asked.append((case.id, epoch))
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            await asyncio.sleep(self.wait_s)
            return self.answers(case, epoch)
        finally:
            self.flying -= 1


@dataclass
class ScriptedJudge:
    """Replies from a script, over and over."""

    script: Sequence[str]
    name: str = "judge"
    pin: str = "pin-1"
    provider: str = "court"
    asked: list[str] = field(default_factory=list)

    def price(self, prompt: str) -> Cost:
        return Cost(calls=1, usd=0.05)

    async def reply(self, prompt: str, vote: int) -> Reply:
        text = self.script[len(self.asked) % len(self.script)]
        self.asked.append(prompt)
        return Reply(text=text, cost=Cost(calls=1, usd=0.03))


def ruling(verdict: str, confidence: float = 0.95, quote: str = "x") -> str:
    return json.dumps({"verdict": verdict, "quote": quote, "confidence": confidence, "reason": "so"})


def a_suite(count: int = 10, name: str = "s", origin: str = "file", root: str = "", **given: object) -> Suite:
    head = {key: given.pop(key) for key in ("min_pass", "max_errored") if key in given}
    rows = [{"id": f"c{n}", "input": f"q{n}", "expected": "x", "checks": ["equals"], **given} for n in range(count)]
    return suite_from({"cases": rows, **head}, name=name, origin=origin, root=root)


def exams(app: App, judge: ScriptedJudge | None = None, **given: object) -> Exams:
    made = app.workshop(limits=given.pop("limits", None)).exams()
    return Exams(outside=made.outside, turnstile=made.turnstile, judge=judge, **given)


async def ran(app: App, suite: Suite, subject: Subject, terms: Terms | None = None, judge: ScriptedJudge | None = None,
              **given: object):  # fmt: skip
    """Begin a run and carry it out."""
    terms, room = terms or Terms(), exams(app, judge)
    run = await begin(app.ports, room, suite, subject, terms, **given)
    return await carry_out(app.ports, room, subject, run.id, terms, suite=suite)


async def verdicts(app: App, run_id: str) -> list[Verdict]:
    return await app.store.read(lambda tx: tx.evals.verdicts(run_id))

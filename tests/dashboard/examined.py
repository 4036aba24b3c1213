"""The hamlet after a week of evals: a suite run on two versions, with a judge, tools, flaky cases and held-out ones.

The engine carries out what is examined; only the agent's answers and the judge are scripted. Work in every state of the
Runs screen lies beside it: a run that goes on, one whose worker is gone, jobs, and ticks.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.budget import Budget
from surefoot.core.exam.documents import suite_from
from surefoot.core.exam.observed import Observed, Taken, ToolCall
from surefoot.core.exam.run import EvalRun
from surefoot.core.exam.suite import Suite, SuiteCase
from surefoot.core.exam.verdict import Verdict
from surefoot.core.job import Job
from surefoot.core.proposal import Cost
from surefoot.engine.labelled import Word, say
from surefoot.engine.once import this_process
from surefoot.engine.run import Terms, begin, carry_out
from surefoot.ports.exam import Exams, Reply
from surefoot.rehearsal.clock import SeededIds, StoryClock

AGENT = "refunds"
SECRET = "kestrel-7741"  # stands in each held-out text, and may be read by nobody who may propose
ASKED = (
    ("late-parcel", "My parcel was promised for Tuesday and it is Friday now. I need the shoes for a wedding tomorrow.",
     ("I am sorry. I have asked the carrier and your parcel arrives tomorrow before noon; if it does not, you get the"
      " full price back without sending anything.")),
    ("kettle-leaks", "The kettle leaks since the second day. I want my money back, not another kettle.",
     ("You get the full price back to your card within three working days. Please send the kettle with the label that I"
      " have just mailed to you.")),
    ("charged-twice", "You took 49.90 twice on the 3rd of March. Order 88121.",
     "I see both payments. The second one was an error of ours and 49.90 go back to your card today."),
    ("no-receipt", "I lost the receipt. Can I still bring the coat back?",
     "Yes. Your account shows the purchase, so the coat can come back until the 30th day without a receipt."),
    ("after-60-days", "I bought the blender 64 days ago and never opened it. Refund please.",
     "After 30 days we cannot refund an unopened article, but I can offer you a voucher over the full price."),
    ("gift", "It was a gift, I have no order number, only the name of the person who gave it.",
     "Please ask the person for the order number; a refund goes to the card that paid."),
    ("partly-used", "I used half of the cartridges. The others do not fit. What now?",
     "The unopened cartridges can come back for their price; for those that you used there is no refund."),
    ("angry", "This is the third time I write!!! Nobody answers!!! I will go to the newspapers!!!",
     "I am sorry that nobody answered you twice. I have your order here and the refund is on its way."),
    ("other-country", "I moved to Portugal. Who pays for sending the lamp back?",
     "We do. Use the label for Portugal that I have mailed to you; it works at any post office."),
    ("two-questions", "Where is my refund of May, and can I change my address?",
     "The refund of May went out on the 28th. I have changed your address to the one in your message."),
)  # fmt: skip


def a_suite() -> Suite:
    """Sixty cases: each question in six wordings; every tenth is held out, some must pass, half use a tool."""
    rows: list[Mapping[str, object]] = []
    for at in range(60):
        name, text, right = ASKED[at % len(ASKED)]
        held = at % 10 == 7 or at == 23
        rows.append({
            "id": f"{name}-{at // 10 + 1}", "expected": f"{SECRET} {right}" if held else right,
            "input": f"{SECRET} {text} ({at})" if held else f"{text}{' Thank you.' * (at // 10 % 2)}",
            "criteria": ["The answer says what happens next and by when, and promises nothing that policy forbids."],
            "severity": "must" if at % 12 == 2 else "should", "epochs": 3, "threshold": 0.6,
            "split": ("sealed" if at % 20 == 7 else "hidden") if held else "",
            "slice": {"channel": ("mail", "chat", "phone")[at % 3]},
            **({"expected_tool_calls": [{"name": "find_order"}, {"name": "refund"}]} if at % 2 == 0 else {}),
        })  # fmt: skip
    return suite_from({"suite": "refund-desk", "min_pass": 0.8, "cases": rows}, name="refund-desk", origin="file")


@dataclass
class Desk:
    """Answers as well as its version can; the same case and epoch get the same answer."""

    version: int
    provider: str = "here"
    authors: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return f"{AGENT} v{self.version}"

    @property
    def digest(self) -> str:
        return f"desk-{self.version}"

    def price(self, case: SuiteCase, epoch: int) -> Cost:
        return Cost(calls=1, tokens=900, usd=0.004)

    async def answer(self, case: SuiteCase, epoch: int) -> Observed:
        luck, fixed = (int(sha256(one.encode()).hexdigest()[:6], 16) % 100
                       for one in (f"{case.id}/{epoch}/{self.version}", case.id))  # fmt: skip
        skill = (fixed >= 30) if self.version == 1 else not 30 <= fixed < 38  # of each case, but for one in eight
        good = skill if fixed % 8 or luck < 40 else not skill
        text = str(case.expected)
        calls = [ToolCall(name="find_order", args={"order": 88100 + fixed}, state="clean", result="shipped, 49.90 EUR")]
        if good:
            calls.append(ToolCall(name="refund", args={"order": 88100 + fixed, "amount": 49.9, "currency": "EUR"},
                                  state="clean", result="booked"))  # fmt: skip
        elif self.version == 1:
            calls.append(ToolCall(name="ask_colleague", args={"team": "billing"}, state="paused"))
        else:
            calls.append(ToolCall(name="refund", args={"order": 88100 + fixed, "amount": 499.0, "currency": "EUR"},
                                  state="refused", result="over the limit of 100 EUR"))  # fmt: skip
        words = text if good else text.replace(". ", ". Perhaps, ", 1).replace("You get", "You may get", 1)
        if not good:
            words = f"{words[: len(words) * 2 // 3]} and we will see what can be done; somebody will write to you."
        return Observed(
            output=words, calls=tuple(calls) if case.expected_tool_calls else (), latency_s=0.6 + luck / 60,
            cost=Cost(calls=1, tokens=700 + luck, usd=0.0021 + luck / 50_000),
        )  # fmt: skip


@dataclass
class Bench:
    """A judge that quotes what it read."""

    name: str = "house-judge"
    pin: str = "pin-1"
    provider: str = "court"

    def price(self, prompt: str) -> Cost:
        return Cost(calls=1, usd=0.002)

    async def reply(self, prompt: str, vote: int) -> Reply:
        vague, held = "somebody will write to you" in prompt, SECRET in prompt
        said = "nobody can tell from it what happens next" if vague else "it says what happens and by when"
        if held:
            said = f"{SECRET}: {said}"
        quote = "and we will see what can be done" if vague else prompt.rpartition("<</")[0].strip()[-20:]
        text = json.dumps({"verdict": "fail" if vague else "pass", "quote": quote, "confidence": 0.95, "reason": said})
        return Reply(text=text, cost=Cost(calls=1, usd=0.0011))


def exams(app: App) -> Exams:
    made = app.workshop().exams()
    return Exams(outside=made.outside, turnstile=made.turnstile, judge=Bench())


async def examined(app: App, suite: Suite, version: int, **terms: object) -> EvalRun:
    """Run the suite on a version, to its end."""
    desk, room, kept = Desk(version), exams(app), Terms(agent=AGENT, confirm=0, **terms)
    run = await begin(app.ports, room, suite, desk, kept, how={"agent": AGENT, "version": str(version)})
    return await carry_out(app.ports, room, desk, run.id, kept, suite=suite)


def gone() -> str:
    """The name of a process of this machine that is no more."""
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return f"{this_process().rpartition(':')[0]}:{int(done.stdout)}"


def going(run: EvalRun, name: str, at: datetime, **given: object) -> EvalRun:
    """A run like another one that is still carried out."""
    return replace(run, id=name, state="running", ended_at=None, started_at=at, taken_at=at, had=0, revision=0, **given)


def begun(tx: object, run: EvalRun, suite: Suite, answers: int) -> None:
    """Store a run that has so many answers."""
    tx.evals.begin(run, suite)
    keys = [(case.id, epoch) for epoch in range(3) for case in suite.cases][:answers]
    cost = Cost(calls=1, tokens=700, usd=0.0031)
    tx.evals.record(
        run.id,
        [Taken(case, epoch, Observed(output="You get the full price back.", cost=cost)) for case, epoch in keys],
        [Verdict(case.id, epoch, name, "passed") for epoch in range(3) for case in suite.cases
         for name in case.scorers if (case.id, epoch) in set(keys)],
    )  # fmt: skip


async def build_examined(app: App, clock: StoryClock, *, dead: str) -> None:
    """Examine both versions, let people speak, and put work in every state beside it."""
    suite = a_suite()
    first = await examined(app, suite, 1)
    clock.advance(clock() + timedelta(hours=5))
    second = await examined(app, suite, 2, budget=Budget(usd=4.0))
    await say(app.ports, [Word(run=second.id, case="gift-1", passed=True, note="reads right"),
                          Word(run=first.id, case="gift-1", passed=False)], by="bob")  # fmt: skip
    await say(app.ports, [Word(run=second.id, case="kettle-leaks-1", expected="The full price, today.")], by="cid")
    now = clock()
    clock.advance(now + timedelta(minutes=40))
    budget = {"usd": 1.5}

    def work(tx: object) -> None:
        at = clock()
        begun(tx, replace(going(second, "run-going", at - timedelta(minutes=4), worker=this_process(), limits=budget)),
              suite, 71)  # fmt: skip
        begun(tx, going(second, "run-stale", at - timedelta(minutes=31), worker=dead), suite, 44)
        for name, kind, state, owner, minutes in (
            ("job-bisect", "bisect", "running", this_process(), 2), ("job-lost", "prune", "running", dead, 50),
            ("job-done", "probes", "done", "", 90),
        ):  # fmt: skip
            tx.jobs.add(Job(id=name, kind=kind, agent=AGENT, words=(kind, AGENT), by="olga", owner=owner, state=state,
                            at=at - timedelta(minutes=minutes),
                            result={"sentence": "9 of 12 probes hold."} if state == "done" else {},
                            ended_at=at - timedelta(minutes=80) if state == "done" else None))  # fmt: skip
        for number in (1, 2):
            agent = tx.agents.get(AGENT)
            tx.agents.swap(replace(agent, tick=number))
            tx.audit.append(at=at - timedelta(minutes=70 - 20 * number), actor="loop", action="tick-started",
                            subject=f"{AGENT}/tick-{number}", payload={})  # fmt: skip
            lever = {"outcome": "accepted", "lever": "L-refund", "title": "refund answered as returns (16)",
                     "sentence": "The edit helps (41 gained, 9 lost of 568 cases)."}  # fmt: skip
            tx.marks.add(f"{AGENT}/tick/{number}/lever", lever, at)
            if number == 1:
                tx.marks.add(f"{AGENT}/tick/1/end", {**lever, "tick": 1, "rollout": tx.rollouts.all(AGENT)[-1].id}, at)

    await app.store.write(work)


def make_examined(store: Path) -> None:
    """Examine the hamlet that is in a store."""
    clock = StoryClock(datetime.now(UTC) - timedelta(hours=5, minutes=41))
    app = build(Settings(store=store), environ={}, clock=clock, new_id=SeededIds(11))
    try:
        asyncio.run(build_examined(app, clock, dead=gone()))
    finally:
        app.close()

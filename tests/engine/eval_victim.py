"""A process that runs a suite and says on its output which verdicts are durable, until somebody kills it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from exam_house import Subject, a_suite, exams

from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.budget import Budget
from surefoot.engine.run import Terms, begin, carry_out


async def main(store: str, count: int) -> None:
    app = build(Settings(store=Path(store)), environ={})
    suite, subject = a_suite(count), Subject(wait_s=0.002)
    terms = Terms(concurrency=8, budget=Budget(calls=10 * count))
    run = await begin(app.ports, exams(app), suite, subject, terms)
    print(run.id, flush=True)
    room = exams(app, progress=lambda spent: print(spent.answers, flush=True))
    await carry_out(app.ports, room, subject, run.id, terms, suite=suite)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))

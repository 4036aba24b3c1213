"""A process that takes part in a shared run and says what it is asked, until it is done or killed."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from exam_house import Subject, exams, right

from surefoot.app import build
from surefoot.config import Settings
from surefoot.engine import claim
from surefoot.engine.run import Terms, carry_out

claim.LEASE, claim.RENEW_S = timedelta(seconds=1.5), 0.4


def told(case, epoch):
    print(case.id, flush=True)
    return right(case, epoch)


async def main(store: str, run: str) -> None:
    app = build(Settings(store=Path(store)), environ={})
    subject = Subject(answers=told, wait_s=0.02)
    await carry_out(app.ports, exams(app), subject, run, Terms(concurrency=4, shared=True))
    app.close()


asyncio.run(main(sys.argv[1], sys.argv[2]))

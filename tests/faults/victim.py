"""The process that is killed: it runs ticks or a rollout of the fault tests on a given store until it is done.

python tests/faults/victim.py tick STORE
python tests/faults/victim.py rollout STORE

With FAULT=ACTION:MOMENT in the environment it kills itself at its first reconcile of that action: `before` anything
is written, `inside` the transaction, or `after` the commit and before the workflow engine notes that it happened.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.errors import Conflict
from surefoot.core.policy import Policy
from surefoot.core.proposal import Cost
from surefoot.core.rollout import RolloutSettings
from surefoot.core.starter import starting_genome
from surefoot.core.token import any_agent
from surefoot.engine import durable, operate
from surefoot.engine.approve import approve
from surefoot.engine.observe import observe
from surefoot.engine.operate import ENDED, start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.serve import serve
from surefoot.ports import Answer, Ports, Question

AGENT = "fruit"
WORDS = {"apple": "red crunchy cider orchard pips", "banana": "yellow peel bunch smoothie bread",
         "cherry": "stone pair liqueur blossom tart"}  # fmt: skip
CALL = Cost(calls=1, tokens=10, usd=0.001)


class Paid:
    """An offline model with a price, so that a reservation made twice would show."""

    def __init__(self, inner: object) -> None:
        self._inner = inner
        self.name = "paid"

    def price(self, question: Question) -> Cost:
        return CALL

    async def answer(self, question: Question) -> Answer:
        await asyncio.sleep(0.0005)
        said = await self._inner.answer(question)  # type: ignore[attr-defined]
        return Answer(text=said.text, finish=said.finish, cost=CALL)


def doomed(fault: str) -> None:
    """Die at one boundary of a reconcile, once."""
    action, moment = fault.split(":")
    recording, reconciling = operate._record, durable.reconcile

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def record(tx, ports, look, step, row):
        if row.action == action and moment == "before":
            die()
        recording(tx, ports, look, step, row)
        if row.action == action and moment == "inside":
            die()

    async def reconcile(ports, rollout):
        row = await reconciling(ports, rollout)
        if row.action == action and moment == "after":
            die()
        return row

    operate._record, durable.reconcile = record, reconcile


def opened(store: Path):
    """Give the app on the store, with the paid model."""
    from surefoot.adapters.models.local_lexical import LocalLexical

    clock = lambda: datetime.now(UTC)  # noqa: E731
    return build(Settings(store=store), clock=clock, models={"paid": Paid(LocalLexical())})


def texts(label: str, count: int) -> list[str]:
    """Make short requests about a fruit."""
    words = WORDS[label].split()
    return [f"{words[n % 5]} {words[(n * 3 + 1) % 5]} number {n} please" for n in range(count)]


async def prepare(ports: Ports) -> None:
    """Create the agent and let it fail often enough to be worth a tick."""
    habits = Habits(
        model="paid", slots=5, release_ticks=2, release_power=None, headroom=0.0, concurrency=4,
        rollout=RolloutSettings(ledger_slots=None, min_fresh_labels=5, holdback_percent=0),
    )  # fmt: skip
    await create_agent(
        ports, AGENT, starting_genome(sorted(WORDS)), by="founder", labels=sorted(WORDS), habits=habits,
        policy=Policy(cooldown=timedelta(0)), salt="faults",
    )  # fmt: skip
    for label in WORDS:
        for number, text in enumerate(texts(label, 60)):
            served = await serve(ports, AGENT, text, unit=f"{label}-{number}", source=f"{label}-{number}")
            await observe(ports, served.trace_id, expected=label, sees=any_agent)


async def tick_until_done(store: Path) -> None:
    """Run two ticks; a tick that an earlier process left is finished first."""
    app = opened(store)
    async with app.worker(poll_s=0.01) as worker:
        print("ready", flush=True)
        while (await app.store.read(lambda tx: tx.agents.get(AGENT))).tick < 2:
            await worker.tick(AGENT)
        await worker.settled()
    app.close()


async def better(ports: Ports) -> int:
    """Offer a version by a person that answers every fruit right."""
    genome = starting_genome(sorted(WORDS))
    from surefoot.core.edit import Edit, apply_edits

    rules = [
        Edit(kind="add", target=f"rule-{label}", text=f"If the message mentions {terms}, answer {label}.")
        for label, terms in ((label, ", ".join(words.split())) for label, words in WORDS.items())
    ]
    version = await offer_version(ports, AGENT, apply_edits(genome, rules), by="ada", rationale="names the words")
    return version.number


async def rollout_until_done(store: Path) -> None:
    """Send traffic through a rollout, operated durably, approve it when asked, and wait for its end."""
    app = opened(store)
    ports = app.ports
    async with app.worker(poll_s=0.01) as worker:
        print("ready", flush=True)
        rollouts = await ports.store.read(lambda tx: tx.rollouts.all(AGENT))
        if not rollouts:
            versions = await ports.store.read(lambda tx: tx.versions.all(AGENT))
            number = versions[-1].number if len(versions) > 1 else await better(ports)
            rollouts = [await start_rollout(ports, AGENT, number, by="ada", forced_by="ada")]
        rollout = rollouts[0].id
        await worker.operate(rollout, interval_s=0.02)
        count = 0
        while (now := await ports.store.read(lambda tx: tx.rollouts.get(rollout))).state not in ENDED:
            count += 1
            label = sorted(WORDS)[count % 3]
            text = texts(label, 60)[count % 60]
            served = await serve(ports, AGENT, text, unit=f"live-{datetime.now(UTC).timestamp()}", source="live")
            await observe(ports, served.trace_id, expected=label, sees=any_agent)
            if now.state == "awaiting_approval":
                try:
                    await approve(ports, now.approval, "approved", by="grace")
                except Conflict:  # decided already, by the process that was killed
                    pass
                await worker.wake(rollout)
                await asyncio.sleep(0.02)
        await worker.settled()
    app.close()


if __name__ == "__main__":
    if fault := os.environ.get("FAULT"):
        doomed(fault)
    job = {"tick": tick_until_done, "rollout": rollout_until_done}[sys.argv[1]]
    asyncio.run(job(Path(sys.argv[2])))

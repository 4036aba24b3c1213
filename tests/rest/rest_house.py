"""A server on loopback whose store holds a story, and ways to knock at it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn

from door import V1, Answer, problem
from door import Door as Knocking
from surefoot.app import App, build
from surefoot.config import ConnectorSettings, NotifySettings, Settings, TokenSettings
from surefoot.core.agent import Habits
from surefoot.core.genome import Block, Genome
from surefoot.core.proposal import Cost
from surefoot.core.rollout import RolloutSettings
from surefoot.core.starter import starting_genome
from surefoot.core.token import any_agent, hashed
from surefoot.engine.observe import observe
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.serve import serve
from surefoot.ports import Answer as ModelAnswer
from surefoot.ports import Question

LABELS = ("billing", "refund")
__all__ = ["V1", "Answer", "Door", "problem"]
SECRET = "a secret of the server, of enough characters"
ROLES = {"ana": "admin", "bob": "reviewer", "vera": "viewer", "olga": "operator", "app": "agent", "ida": "improver"}
GOOD = Block(id="good", kind="rule", text="GOOD: answer what stands after label:")
EAGER = RolloutSettings(
    win_threshold=2, ledger_slots=None, min_fresh_labels=10_000, hard_guard=1e6, soft_guard=1e6, holdback_percent=0
)


class Scripted:
    """Answers what stands after `label:` when the prompt says GOOD, else the first label."""

    name = "scripted"

    def price(self, question: Question) -> Cost:
        return Cost(calls=1)

    async def answer(self, question: Question) -> ModelAnswer:
        right = question.user.rpartition("label:")[2].strip()
        return ModelAnswer(text=right if "GOOD" in question.system else LABELS[0], cost=Cost(calls=1))


class Door(Knocking):
    """A running server with a story in its store."""

    under = V1
    usual = "ana"

    def __init__(self, port: int, app: App, api: Any = None) -> None:
        super().__init__(port, app)
        self.api = api

    def do(self, work: Any) -> Any:
        """Do something on the store."""
        return asyncio.run(work(self.app))

    def see(self, work: Any) -> Any:
        return self.app.store.read_now(work)


def settings(store: Path, *, private: tuple[str, ...] = ("127.0.0.1",)) -> Settings:
    known = {name: TokenSettings(sha256=hashed(f"sf_{name}"), role=role) for name, role in ROLES.items()}
    known["held"] = TokenSettings(sha256=hashed("sf_held"), role="admin", agents=("other",))
    return Settings(store=store, tokens=known, connector=ConnectorSettings(token_env="CONNECTOR_TOKEN"),
                    notify=NotifySettings(allow_private_hosts=private, terminal=False))  # fmt: skip


@contextlib.contextmanager
def serving(store: Path, *, environ: Mapping[str, str] | None = None, **given: Any) -> Iterator[Door]:
    usual = {"SUREFOOT_WEBHOOK_SECRET": SECRET, "SUREFOOT_APPROVAL_SECRET": SECRET}
    here = usual if environ is None else environ
    app = build(settings(store, **given), environ=here, models={"scripted": Scripted()})
    listening = socket.create_server(("127.0.0.1", 0))
    dispatching = app.dispatching(loopback=True)
    api = app.api(loopback=True, environ=here, dispatching=dispatching)
    server = uvicorn.Server(uvicorn.Config(
        api, log_level="critical", ws="none", lifespan="off", timeout_graceful_shutdown=1,
    ))  # fmt: skip

    async def served() -> None:
        await server.serve(sockets=[listening])
        await dispatching.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(served()), daemon=True)
    thread.start()
    try:
        yield Door(listening.getsockname()[1], app, api)
    finally:
        server.should_exit = True
        thread.join(15)
        listening.close()
        app.close()


async def story(app: App) -> None:
    """Agents `support` (failures, a candidate v2 by ann) and `other`; nothing is in progress."""
    genome = starting_genome(LABELS)
    for name in ("support", "other"):
        await create_agent(app.ports, name, genome, by="founder", labels=LABELS,
                           habits=Habits(model="scripted", rollout=EAGER))  # fmt: skip
    await traffic(app, 30)
    better = Genome((*genome.blocks, GOOD))
    await offer_version(app.ports, "support", better, by="ann", rationale="knows the answer")


async def traffic(app: App, count: int, *, agent: str = "support", start: int = 0) -> None:
    for number in range(start, start + count):
        right = LABELS[number % 2]
        served = await serve(app.ports, agent, f"request {number} label:{right}", source=f"user-{number}")
        await observe(app.ports, served.trace_id, expected=right, sees=any_agent)


async def canary(app: App) -> str:
    """Version 2 in its canary, past the gate by bob's word."""
    rollout = await start_rollout(app.ports, "support", 2, by="bob", forced_by="bob")
    await reconcile(app.ports, rollout.id)
    return rollout.id


async def win(app: App) -> str:
    """The canary won, and waits for a person; gives the request's id."""
    rollout = await canary(app)
    for turn in range(1, 40):
        await traffic(app, 40, start=1000 * turn)
        row = await reconcile(app.ports, rollout)
        if row.evidence["state"] == "awaiting_approval":
            break
    return (await app.ports.store.read(lambda tx: tx.approvals.all(None)))[0].id


def worse(genome: Genome) -> Genome:
    return Genome((*genome.blocks, replace(GOOD, text="BAD: answer the second label")))

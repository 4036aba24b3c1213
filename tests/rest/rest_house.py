"""A server on loopback whose store holds a story, and ways to knock at it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn

from surefoot.app import App, build
from surefoot.config import NotifySettings, Settings, TokenSettings
from surefoot.core.agent import Habits
from surefoot.core.genome import Block, Genome
from surefoot.core.proposal import Cost
from surefoot.core.rollout import RolloutSettings
from surefoot.core.starter import starting_genome
from surefoot.core.token import hashed
from surefoot.engine.observe import observe
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.serve import serve
from surefoot.ports import Answer as ModelAnswer
from surefoot.ports import Question

V1 = "/api/v1"
LABELS = ("billing", "refund")
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


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def tag(self) -> str:
        return self.headers["etag"]


class Door:
    """A running server, and ways to knock at it."""

    def __init__(self, port: int, app: App, api: Any = None) -> None:
        self.port, self.app, self.api = port, app, api

    def ask(self, method: str, path: str, body: Any = None, *, by: str = "", **headers: str) -> Answer:
        """Send a request under /api/v1 in the name of `by`."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        sent = {"Content-Type": "application/json"} if raw is not None else {}
        sent |= {"Authorization": f"Bearer sf_{by}"} if by else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, f"{V1}{path}", raw, sent)
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read().decode())
        finally:
            connection.close()

    def get(self, path: str, by: str = "ana", **headers: str) -> Answer:
        return self.ask("GET", path, by=by, **headers)

    def post(self, path: str, body: Any = None, by: str = "ana", **headers: str) -> Answer:
        return self.ask("POST", path, {} if body is None else body, by=by, **headers)

    def put(self, path: str, body: Any, by: str = "ana", **headers: str) -> Answer:
        return self.ask("PUT", path, body, by=by, **headers)

    def delete(self, path: str, by: str = "ana", **headers: str) -> Answer:
        return self.ask("DELETE", path, by=by, **headers)

    def do(self, work: Any) -> Any:
        """Do something on the store."""
        return asyncio.run(work(self.app))

    def see(self, work: Any) -> Any:
        return self.app.store.read_now(work)


def settings(store: Path, *, private: tuple[str, ...] = ("127.0.0.1",)) -> Settings:
    known = {name: TokenSettings(sha256=hashed(f"sf_{name}"), role=role) for name, role in ROLES.items()}
    known["held"] = TokenSettings(sha256=hashed("sf_held"), role="admin", agents=("other",))
    return Settings(store=store, tokens=known, notify=NotifySettings(allow_private_hosts=private, terminal=False))


@contextlib.contextmanager
def serving(store: Path, *, environ: Mapping[str, str] | None = None, **given: Any) -> Iterator[Door]:
    usual = {"SUREFOOT_WEBHOOK_SECRET": SECRET, "SUREFOOT_APPROVAL_SECRET": SECRET}
    here = usual if environ is None else environ
    app = build(settings(store, **given), environ=here, models={"scripted": Scripted()})
    listening = socket.create_server(("127.0.0.1", 0))
    api = app.api(loopback=True, environ=here, dispatching=app.dispatching(loopback=True))
    server = uvicorn.Server(uvicorn.Config(
        api, log_level="critical", ws="none", lifespan="off", timeout_graceful_shutdown=1,
    ))  # fmt: skip
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    try:
        yield Door(listening.getsockname()[1], app, api)
    finally:
        server.should_exit = True
        thread.join(15)
        listening.close()
        app.close()


def problem(answer: Answer, status: int, code: str) -> str:
    """Hold an error against the one shape, and give its message."""
    assert answer.status == status, answer.text
    assert set(answer.json) == {"code", "message", "hint"}
    assert answer.json["code"] == code, answer.text
    return answer.json["message"]


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
        await observe(app.ports, served.trace_id, expected=right)


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

"""A store with an agent behind the real API and gateway, on loopback; only the model and the clock are scripted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import uvicorn

from surefoot.app import App, build
from surefoot.config import Settings, TokenSettings
from surefoot.core.agent import Habits
from surefoot.core.asker import Asker
from surefoot.core.genome import Block, Genome
from surefoot.core.proposal import Cost
from surefoot.core.rollout import RolloutSettings
from surefoot.core.token import any_agent, hashed
from surefoot.engine.observe import observe
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.serve import serve
from surefoot.ports import Answer, Question

V1 = "/api/v1"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ROLES: dict[str, Any] = {
    "ana": {"role": "admin"}, "app": {"role": "agent", "agents": ("support",)}, "vera": {"role": "viewer"},
    "other": {"role": "admin", "agents": ("sales",)},
}  # fmt: skip
GENOME = Genome((
    Block(id="role", kind="section", text="Support.", locked=True),
    Block(id="guidance", kind="section", text="Answer."),
))  # fmt: skip


class Echo:
    """Answers `billing`, or what stands after `say:`."""

    name = "echo"

    def price(self, question: Question) -> Cost:
        return Cost(calls=1)

    async def answer(self, question: Question) -> Answer:
        said = question.user.partition("say:")[2].strip()
        return Answer(text=said or "billing", cost=Cost(calls=1, usd=0.001), latency_s=0.2)


class Clock:
    """Goes on by a second each time somebody looks."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class House:
    """One store, and everything in front of it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.path = folder / "store.db"
        self.clock = Clock()
        tokens = {name: TokenSettings(sha256=hashed(f"sf_{name}"), **one) for name, one in ROLES.items()}
        given = Settings(store=self.path, tokens=tokens, **settings)
        self.app: App = build(given, environ={}, clock=self.clock, models={"echo": Echo()})
        self.ports = self.app.ports

    def do(self, work: Any) -> Any:
        return asyncio.run(work)

    def agent(self, name: str = "support") -> None:
        self.do(create_agent(self.ports, name, GENOME, by="ann", habits=Habits(model="echo")))

    def ask(self, text: str, *, agent: str = "support", expected: str = "", slices: Any = None, **asker: str) -> str:
        """A request, and what somebody said of it."""

        async def work() -> str:
            served = await serve(self.ports, agent, text, slices=slices, asker=Asker(**asker))
            if expected:
                await observe(self.ports, served.trace_id, expected=expected, sees=any_agent)
            return served.trace_id

        return self.do(work())

    def canary(self) -> str:
        """A second version in its canary."""

        async def work() -> str:
            better = Genome((*GENOME.blocks, Block(id="learned", kind="rule", text="Be brief.")))
            version = await offer_version(self.ports, "support", better, by="ann", rationale="shorter")
            terms = RolloutSettings(ledger_slots=None, holdback_percent=0)
            rollout = await start_rollout(
                self.ports, "support", version.number, by="bob", settings=terms, forced_by="bob"
            )
            await reconcile(self.ports, rollout.id)
            return rollout.id

        return self.do(work())

    def see(self, work: Any) -> Any:
        return self.app.store.read_now(work)

    def rows(self, sql: str, *given: Any) -> list[Any]:
        return self.see(lambda tx: list(tx.connection.exec_driver_sql(sql, given)))

    @contextlib.contextmanager
    def serving(self) -> Iterator[Door]:
        """The server, as `surefoot serve` puts it together."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        gateway = self.app.gateway(behind=self.app.api(loopback=True, environ={}), environ={})
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(gateway, log_level="critical", ws="none", lifespan="off"))

        async def run() -> None:
            await server.serve(sockets=[listening])
            await gateway.aclose()

        thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        thread.start()
        door = Door(f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            yield door
        finally:
            door.close()
            server.should_exit = True
            thread.join(10)
            listening.close()


class Door:
    """Ways to knock at a server."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, timeout=20)

    def ask(self, method: str, path: str, *, as_: str = "ana", **given: Any) -> Any:
        headers = {**given.pop("headers", {}), "authorization": f"Bearer sf_{as_}"}
        return self._client.request(method, path, headers=headers, **given)

    def get(self, path: str, *, as_: str = "ana", code: int = 200, **query: Any) -> Any:
        got = self.ask("GET", f"{V1}{path}", as_=as_, params=query)
        assert got.status_code == code, got.text
        return got.json()

    def post(self, path: str, body: Any, *, as_: str = "app", code: int = 201) -> Any:
        got = self.ask("POST", f"{V1}{path}", as_=as_, json=body)
        assert got.status_code == code, got.text
        return got.json()

    def pages(self, path: str, of: str, **query: Any) -> list[list[Any]]:
        """Every page of a list."""
        pages, cursor = [], ""
        while True:
            page = self.get(path, **query, **({"cursor": cursor} if cursor else {}))
            pages.append(page[of])
            cursor = page["next"]
            if not cursor:
                return pages
            assert len(pages) < 500, "the list never ends"

    def all(self, path: str, of: str, **query: Any) -> list[Any]:
        return [one for page in self.pages(path, of, **query) for one in page]

    def close(self) -> None:
        self._client.close()


def text_of(answer: Any) -> str:
    return json.dumps(answer)

"""A Surefoot for programs to use: the same agent embedded, and at a server on loopback, on a real store."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from surefoot.app import App, build, misfit
from surefoot.config import Settings, TokenSettings
from surefoot.core.agent import Habits
from surefoot.core.genome import Block, Genome
from surefoot.core.proposal import Cost
from surefoot.core.rollout import RolloutSettings
from surefoot.core.token import hashed
from surefoot.core.trace import Trace
from surefoot.engine.operate import start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.ports import Answer, Question
from surefoot.sdk.agent import Agent
from surefoot.sdk.connect import agent_at, new_id
from surefoot.sdk.house import House

TOKEN, REVIEWER, VIEWER = "sf_the-token-of-the-program", "sf_the-token-of-a-person", "sf_the-token-of-a-guest"
SECRET = "the secret of the chat bot"
TOKENS = {
    "prog": TokenSettings(sha256=hashed(TOKEN), role="agent"),
    "rita": TokenSettings(sha256=hashed(REVIEWER), role="admin"),
    "vera": TokenSettings(sha256=hashed(VIEWER), role="viewer"),
}


def genome(text: str) -> Genome:
    return Genome((
        Block(id="role", kind="section", text="Support.", locked=True),
        Block(id="guidance", kind="section", text=text),
        Block(id="vip", kind="rule", text="Be brief.", applies_to=(("plan", "vip"),)),
    ))  # fmt: skip


class Echo:
    """A model that says which prompt it was given and what it was asked."""

    name = "echo"

    def price(self, question: Question) -> Cost:
        return Cost(calls=1)

    async def answer(self, question: Question) -> Answer:
        if "slowly" in question.user:
            await asyncio.sleep(0.2)
        if "json" in question.user:
            return Answer(text='Here: {"label": "billing", "sure": 0.9}')
        if "at length" in question.user:
            return Answer(text="On and on", finish="length")
        return Answer(text=f"[{question.system}] {question.user}")


class Served:
    """An ASGI application on loopback, in a thread with an event loop of its own."""

    def __init__(self, app: Any, port: int = 0) -> None:
        self.listening = socket.create_server(("127.0.0.1", port))
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(
            app, log_level="critical", access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
        ))  # fmt: skip
        self.server.capture_signals = contextlib.nullcontext
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        soon(lambda: self.server.started)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.server.serve(sockets=[self.listening]))

    def end(self, last: Callable[[], Any]) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.loop.run_until_complete(last())
        self.loop.close()


def soon(truth: Callable[[], Any], within_s: float = 10.0) -> Any:
    until = time.monotonic() + within_s
    while not (found := truth()) and time.monotonic() < until:
        time.sleep(0.01)
    assert found
    return found


@dataclass
class Scene:
    """One agent as a program sees it, and the store behind it."""

    kind: str
    agent: Agent
    app: App
    house: House
    names: Iterator[str]

    def named(self, name: str) -> Agent:
        """An agent at the same place."""
        return Agent(name, self.house, new_id, misfit)

    def another(self) -> Agent:
        """An agent that is new."""
        name = next(self.names)
        create(self.app, name)
        return self.named(name)

    def see(self, work: Callable[[Any], Any]) -> Any:
        return self.app.store.read_now(work)

    def traces(self, agent: str = "") -> list[Trace]:
        assert self.agent.sync.flush(5)
        return traces_of(self.app, agent or self.agent.name)

    def trace(self) -> Trace:
        (only,) = self.traces()
        return only

    def outcomes(self, trace_id: str) -> list[Any]:
        return self.see(lambda tx: tx.outcomes.of(trace_id))

    def rollout(self, percent: float) -> Any:
        """A second version with a share of this many percent."""
        ports, name = self.app.ports, self.agent.name

        async def begin() -> Any:
            version = await offer_version(ports, name, genome("You are v2."), by="ann", rationale="other words")
            return await start_rollout(ports, name, version.number, by="bob", forced_by="bob")

        started = asyncio.run(begin())

        def work(tx: Any) -> Any:
            now = tx.rollouts.get(started.id)
            return tx.rollouts.swap(replace(now, weight_percent=percent, epoch=now.epoch + 1, state="canary"))

        return self.app.store.write_now(work)


def traces_of(app: App, agent: str) -> list[Trace]:
    with app.store.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id FROM traces WHERE agent = ? ORDER BY at, id", (agent,))
        ids = [row[0] for row in rows]
    return [app.store.read_now(lambda tx, one=one: tx.traces.get(one)) for one in ids]


def settings_for(store: Path, **more: Any) -> Settings:
    return Settings(store=store, tokens=TOKENS, **more)


def opened(settings: Settings) -> App:
    return build(settings, environ={}, models={"echo": Echo()})


def create(app: App, name: str, model: str = "echo") -> None:
    asyncio.run(create_agent(
        app.ports, name, genome("You are v1."), by="ann",
        habits=Habits(model=model, rollout=RolloutSettings(ledger_slots=None)),
    ))  # fmt: skip


def embedded(settings: Settings) -> Agent:
    def opens(_: object) -> Any:
        return opened(settings).inside()

    return agent_at("support", url=None, token=None, store=settings.store, opens=opens, misfit=misfit, environ={})


def remote(url: str, cache: Path, token: str = TOKEN) -> Agent:
    environ = {"SUREFOOT_URL": url, "SUREFOOT_TOKEN": token, "XDG_CACHE_HOME": str(cache)}
    return agent_at("support", url=None, token=None, store=None, opens=_never, misfit=misfit, environ=environ)


def _never(_: object) -> Any:
    raise AssertionError("a program with an address opens no store")


class Process:
    """`surefoot serve` as a process of its own on a fixed port, to be killed and started again."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.url = f"http://127.0.0.1:{port}"
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "server.log").open("a") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "surefoot", "serve", "--port", str(self.port)], cwd=self.folder, stderr=log,
                stdout=log, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
            )  # fmt: skip
        soon(self._up, 90)

    def _up(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health", timeout=1, trust_env=False).status_code == 200
        except httpx2.TransportError:
            assert self.running is not None
            assert self.running.poll() is None, (self.folder / "server.log").read_text()
            return False

    def kill(self) -> None:
        if self.running is not None:
            self.running.send_signal(signal.SIGKILL)
            self.running.wait(10)
            self.running = None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]

"""A gateway on a real store with a real upstream behind it, both on loopback in threads of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2 as httpx
import uvicorn
from openai import AsyncOpenAI, OpenAI
from upstream import Upstream

from surefoot.app import App
from surefoot.config import TokenSettings
from surefoot.core.genome import Block, Genome
from surefoot.core.token import hashed
from surefoot.core.trace import Trace
from surefoot.engine.operate import start_rollout
from surefoot.engine.register import offer_version
from surefoot.gateway import Gateway

TOKEN = "sf_a-token-of-the-app"
OTHER, BROAD = "sf_a-token-of-another-app", "sf_a-token-of-every-app"
OPERATOR = "sf_a-token-of-an-operator"
GHOST = "sf_a-token-held-to-an-agent-that-is-not-there"
VIEWER = "sf_a-token-of-a-viewer"
HELD = "sf_a-token-of-a-viewer-of-support"
UPSTREAM_KEY = "sk-the-key-of-the-upstream-0123456789"
TOKENS = {
    "other": TokenSettings(sha256=hashed(OTHER), role="agent", agents=("other",)),
    "judge": TokenSettings(sha256=hashed(BROAD), role="agent"),
    "app": TokenSettings(sha256=hashed(TOKEN), role="agent", agents=("support",)),
    "ops": TokenSettings(sha256=hashed(OPERATOR), role="operator"),
    "eve": TokenSettings(sha256=hashed(VIEWER), role="viewer"),
    "gus": TokenSettings(sha256=hashed(GHOST), role="operator", agents=("soon",)),
    "sal": TokenSettings(sha256=hashed(HELD), role="viewer", agents=("support",)),
}


class Served:
    """An ASGI application on loopback, in a thread with an event loop of its own."""

    def __init__(self, app: Any, port: int = 0) -> None:
        config = uvicorn.Config(
            app,
            port=port,
            log_level="critical",
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.server.capture_signals = _nothing
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        until = time.monotonic() + 10
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.005)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.server.serve())

    def run(self, work: Any) -> Any:
        """Run a coroutine on its loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def end(self, last: Callable[[], Any] | None = None) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        if last is not None:
            self.loop.run_until_complete(last())
        self.loop.close()


class _nothing:  # noqa: N801
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def genome(text: str, **params: str) -> Genome:
    return Genome((
        Block(id="role", kind="section", text="Support.", locked=True),
        Block(id="guidance", kind="section", text=text),
        *(Block(id=name, kind="param", text=value) for name, value in params.items()),
    ))  # fmt: skip


@dataclass
class House:
    """A gateway with all around it."""

    app: App
    gateway: Gateway
    served: Served
    upstream: Upstream
    clients: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.served.address

    def client(self, token: str = TOKEN, **given: Any) -> OpenAI:
        return self._kept(
            OpenAI(api_key=token, base_url=f"{self.url}/v1", **{"max_retries": 0, "timeout": 20, **given})
        )

    def async_client(self, token: str = TOKEN, **given: Any) -> AsyncOpenAI:
        return AsyncOpenAI(api_key=token, base_url=f"{self.url}/v1", **{"max_retries": 0, "timeout": 20, **given})

    def http(self, token: str = TOKEN) -> httpx.Client:
        return self._kept(
            httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {token}".strip()}, timeout=20)
        )

    def _kept(self, client: Any) -> Any:
        self.clients.append(client)
        return client

    def chat(self, text: str, **given: Any) -> Any:
        messages = given.pop("messages", [{"role": "user", "content": text}])
        return self.client().chat.completions.create(model="support", messages=messages, **given)

    def traces(self) -> list[Trace]:
        with self.app.store.engine.connect() as connection:
            ids = [row[0] for row in connection.exec_driver_sql("SELECT id FROM traces ORDER BY at, id")]
        return [self.app.store.read_now(lambda tx, one=one: tx.traces.get(one)) for one in ids]

    def trace(self) -> Trace:
        (only,) = self.traces()
        return only

    def failures(self) -> list[str]:
        outcomes = [one for trace in self.traces() for one in self.outcomes(trace.id)]
        return [one.feedback for one in outcomes if one.verdict == "failure"]

    def outcomes(self, trace_id: str) -> list[Any]:
        return self.app.store.read_now(lambda tx: tx.outcomes.of(trace_id))

    def soon(self, truth: Callable[[], Any], within_s: float = 5.0) -> Any:
        until = time.monotonic() + within_s
        while not (found := truth()) and time.monotonic() < until:
            time.sleep(0.01)
        assert found
        return found

    def stored_bytes(self) -> bytes:
        folder = self.app.settings.store.parent
        return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())

    def rollout(self, percent: float) -> Any:
        """A second version with a share of this many percent."""
        ports = self.app.ports

        async def begin() -> Any:
            version = await offer_version(ports, "support", genome("You are v2."), by="ann", rationale="other words")
            return await start_rollout(ports, "support", version.number, by="bob", forced_by="bob")

        started = asyncio.run(begin())
        return self.share(started.id, percent)

    def share(self, rollout_id: str, percent: float) -> Any:
        """Give the challenger another share, as a reconcile does."""

        def work(tx: Any) -> Any:
            now = tx.rollouts.get(rollout_id)
            return tx.rollouts.swap(replace(now, weight_percent=percent, epoch=now.epoch + 1, state="canary"))

        return self.app.store.write_now(work)

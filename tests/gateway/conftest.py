"""Fixtures: an upstream for the session, and houses that a test opens as it needs them."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gateway_house import TOKENS, UPSTREAM_KEY, House, Served, genome
from upstream import Upstream

from surefoot.adapters.store import open_store
from surefoot.app import build
from surefoot.config import ExportSettings, GatewaySettings, ModelSettings, Settings
from surefoot.core.agent import Habits
from surefoot.core.rollout import RolloutSettings
from surefoot.engine.register import create_agent


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "store.db"
    open_store(path).close()
    return path


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[tuple[Upstream, Served]]:
    upstream = Upstream()
    served = Served(upstream.app)
    yield upstream, served
    served.end()


@pytest.fixture
def upstream(shared_upstream: tuple[Upstream, Served]) -> Upstream:
    one = shared_upstream[0]
    one.seen.clear()
    one.headers.clear()
    one.failed.clear()
    one.broken_off, one.down, one.gap_s = 0, False, 0.0
    return one


@pytest.fixture
def opened(
    tmp_path: Path, empty_store: Path, shared_upstream: tuple[Upstream, Served], upstream: Upstream
) -> Iterator[Callable[..., House]]:
    """Open a house; keywords are keys of [gateway], `store` another folder, `models` more upstreams."""
    made: list[House] = []
    address = f"{shared_upstream[1].address}/v1"

    def open_one(*, folder: Path | None = None, models: dict[str, ModelSettings] | None = None, redact: str = "typed",
                 params: dict[str, str] | None = None, export: dict[str, Any] | None = None,
                 environ: dict[str, str] | None = None, **given: Any) -> House:  # fmt: skip
        store = (folder or tmp_path) / "store.db"
        new = not store.exists()
        if new:
            shutil.copy(empty_store, store)
        main = ModelSettings(model="stub-1", base_url=address, api_key_env="STUB_KEY", price_in=1.0, price_out=2.0)
        spare = ModelSettings(model="stub-spare", base_url=address)
        settings = Settings(
            store=store, tokens=TOKENS, models={"main": main, "spare": spare, **(models or {})}, redact=redact,
            export=ExportSettings(**(export or {})),
            gateway=GatewaySettings(**{"attempts": 2, "deadline_s": 15, **given}),
        )  # fmt: skip
        app = build(settings, environ={"STUB_KEY": UPSTREAM_KEY, **(environ or {})})
        if new:
            asyncio.run(create_agent(
                app.ports, "support", genome("You are v1.", **(params or {})), by="ann",
                habits=Habits(model="main", rollout=RolloutSettings(ledger_slots=None)),
            ))  # fmt: skip
        gateway = app.gateway(environ={"STUB_KEY": UPSTREAM_KEY})
        one = House(app=app, gateway=gateway, served=Served(gateway), upstream=upstream)
        made.append(one)
        return one

    yield open_one
    for one in made:
        for client in one.clients:
            client.close()
        one.served.end(one.gateway.aclose)
        one.app.close()


@pytest.fixture
def house(opened: Callable[..., House]) -> House:
    return opened()


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

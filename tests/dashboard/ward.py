"""A whole server to examine (door, gateway, dashboard, API in one process), and the ills it may have."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import uvicorn
from dashboard_house import ROLES, Place, Reader
from town import Apprentice

from surefoot.adapters.store import tables
from surefoot.app import build
from surefoot.config import ModelSettings, Settings, TokenSettings
from surefoot.core.audit import Checked
from surefoot.core.incident import Incident
from surefoot.core.notice import Notice
from surefoot.core.pause import asked
from surefoot.core.process import Process
from surefoot.core.token import hashed
from surefoot.engine.adjust import adjust
from surefoot.engine.verify import remember
from surefoot.gateway.door import Door

SECRET = "sk-live-4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@contextlib.contextmanager
def whole_server(store: Path) -> Iterator[Place]:
    """Serve a store as `surefoot serve` does, in a thread of this process."""
    tokens = {name: TokenSettings(sha256=hashed(f"sf_{name}"), role=role) for name, role in ROLES.items()}
    tokens["lim"] = TokenSettings(sha256=hashed("sf_lim"), role="operator", agents=("refunds",))
    gone = ModelSettings(model="gone", base_url="http://127.0.0.1:9/v1")
    settings = Settings(store=store, tokens=tokens, models={"gone": gone})
    app = build(settings, environ={}, models={"apprentice": Apprentice()})
    admission = app.admission()
    dashboard = app.dashboard(behind=app.api(loopback=True, environ={}, admission=admission), admission=admission)
    gateway = app.gateway(behind=dashboard, environ={}, admission=admission)
    dashboard.house.hearing.at(gateway.everyone)
    door = Door(gateway, admission, gateway.house.measures, new_id=app.ports.new_id)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(door, log_level="critical", ws="none", lifespan="off", timeout_graceful_shutdown=1)
    )

    async def run() -> None:
        await server.serve(sockets=[listening])
        await gateway.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        yield Place(app, listening.getsockname()[1])
    finally:
        dashboard.close()
        server.should_exit = True
        thread.join(10)
        app.close()


def spans(reader: Reader, text: str = "which parcel") -> None:
    """Let an instrumented program send a span."""
    now = int(datetime.now(UTC).timestamp() * 1e9)
    attributes = {"gen_ai.agent.name": "refunds", "gen_ai.prompt": text}
    span = {
        "traceId": TRACE, "spanId": "b7ad6b7169203331", "name": "invoke_agent", "startTimeUnixNano": str(now - 10**6),
        "endTimeUnixNano": str(now),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }  # fmt: skip
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    bearer = {"Authorization": "Bearer sf_app", "Content_Type": "application/json"}
    answer = reader.ask("POST", "/v1/traces", body, **bearer)
    assert answer.status == 200, answer.text


def fall_ill(place: Place) -> None:
    """Let something go wrong with everything that the page looks at."""
    now = place.app.ports.clock()
    place.do(lambda app: adjust(app.ports, "refunds", {"day_budget": {"usd": 2.0}}, by="olga"))
    place.change(lambda tx: _ills(tx, now))
    stranger = place.reader()
    spans(stranger, f"the key is {SECRET} and the mail is ann@example.com")
    stranger.ask("GET", "/v1/models", Authorization="Bearer sf_nobody")


def _ills(tx: Any, now: datetime) -> None:
    hour = timedelta(hours=1)
    tx.ledgers.reserve(f"refunds/day/{now:%Y-%m-%d}", "a", _cost(1.4), now)
    tx.ledgers.settle(f"refunds/day/{now:%Y-%m-%d}", "a", _cost(1.4))
    tx.ledgers.reserve(f"refunds/day/{now:%Y-%m-%d}", "b", _cost(0.6), now)
    tx.incidents.add(Incident(id="i-9", agent="refunds", kind="sentinel", at=now - hour, version=1, sentence="Moved."))
    tx.pauses.add(asked("refunds", "ship-2.1", by="app", now=now - 30 * hour, reason="a risky step"))
    letter = Notice(id="n-9", channel="webhook:w-1", kind="event", agent="refunds", subject="s", sentence="x",
                    at=now - 5 * hour, next_at=now, state="dead", tries=5, error="503")  # fmt: skip
    tx.notices.add(letter)
    for number, (lease, let_in) in enumerate(((hour, False), (-hour, True), (hour, True))):
        tx.processes.add(Process(
            id=f"p-{number}", agent="refunds", version=f"1.{number}", number=1, base_url=f"http://10.0.0.{number}:9000",
            registered_at=now - 9 * hour, seen_at=now - hour, lease_until=now + lease, by="app", state="ready",
            let_in=let_in, health="healthy",
        ))  # fmt: skip
    tx.executors.seen("secret-host-4711-aaaaaaaa", "secret-host", 4711, now)
    tx.executors.seen("secret-host-4712-bbbbbbbb", "secret-host", 4712, now - hour)
    tx.marks.add(f"store-size:{now - 48 * hour:%Y-%m-%d}", {"bytes": 500_000, "at": (now - 48 * hour).isoformat()}, now)
    remember(tx, Checked(entries=3, head="f" * 64, at=now - hour, whole_at=now - 30 * hour, whole_by="ana"))


def _cost(usd: float) -> Any:
    from surefoot.core.proposal import Cost

    return Cost(calls=1, usd=usd)


def broken_chain(place: Place, seq: int) -> None:
    """Change an old entry as somebody could who can write the file."""
    with place.app.store.engine.begin() as connection:
        connection.execute(sa.update(tables.audit).where(tables.audit.c.seq == seq).values(actor="eve"))

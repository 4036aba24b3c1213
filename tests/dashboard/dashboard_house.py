"""A running dashboard and those who look at it: over real HTTP on loopback, on a store that the engine made."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvicorn
from town import Apprentice

from surefoot.app import App, build
from surefoot.config import Settings, TokenSettings
from surefoot.core.token import hashed

ROLES = {"ana": "admin", "bob": "reviewer", "cid": "reviewer", "vera": "viewer", "olga": "operator", "app": "agent"}


@dataclass
class Got:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str
    cookies: list[str] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def words(self) -> str:
        """What a person reads."""
        return " ".join(unescape(re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", self.text, flags=re.S)).split())

    def form_word(self) -> str:
        found = re.search(r'name="form_word" value="([0-9a-f]*)"', self.text)
        assert found, "there is no form on this page"
        return found[1]


class Reader:
    """Somebody with a browser: keeps the cookie, sends forms as a browser sends them."""

    def __init__(self, port: int, name: str = "") -> None:
        self.port, self.cookie = port, ""
        if name:
            answer = self.send("/login", token=f"sf_{name}", to="/")
            assert answer.status == 303, answer.words

    def ask(self, method: str, path: str, body: str | bytes | None = None, **headers: str) -> Got:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent.setdefault("Cookie", self.cookie)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, sent)
            got = connection.getresponse()
            raw = got.read()
            answer = Got(
                got.status,
                {k.lower(): v for k, v in got.getheaders()},
                raw.decode("utf-8", "replace"),
                got.headers.get_all("Set-Cookie") or [],
            )
        finally:
            connection.close()
        for one in answer.cookies:
            self.cookie = one.partition(";")[0] if "Max-Age=0" not in one else ""
        return answer

    def look(self, path: str, **headers: str) -> Got:
        return self.ask("GET", path, **headers)

    def send(self, path: str, **fields: str) -> Got:
        return self.ask(
            "POST",
            path,
            urlencode(fields),
            Content_Type="application/x-www-form-urlencoded",
            Sec_Fetch_Site="same-origin",
            Origin=f"http://127.0.0.1:{self.port}",
        )

    def decide(self, approval: str, decision: str, **more: str) -> Got:
        """Open the page of a request and send its form as it stands there."""
        page = self.look(f"/approvals/{approval}")
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        return self.send(f"/approvals/{approval}/decision", **{**hidden, "decision": decision, "feedback": "", **more})


@dataclass
class Place:
    """A running dashboard."""

    app: App
    port: int

    def reader(self, name: str = "") -> Reader:
        return Reader(self.port, name)

    def see(self, work: Any) -> Any:
        return self.app.store.read_now(work)

    def change(self, work: Any) -> Any:
        return self.app.store.write_now(work)

    def do(self, work: Callable[[App], Coroutine[Any, Any, Any]]) -> Any:
        """Let the engine do something, on a loop of its own; a browser has one going in this thread."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(work(self.app))).result()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(store: Path, *, tokens: dict[str, Any] | None = None, with_api: bool = False) -> Iterator[Place]:
    """Serve a store in a thread of this process; `tokens` are names with roles, or whole settings."""
    known = {
        name: one if isinstance(one, TokenSettings) else TokenSettings(sha256=hashed(f"sf_{name}"), role=one)
        for name, one in (ROLES if tokens is None else tokens).items()
    }
    app = build(Settings(store=store, tokens=known), environ={}, models={"apprentice": Apprentice()})
    admission = app.admission()
    behind = app.api(loopback=True, environ={}, admission=admission) if with_api else None
    dashboard = app.dashboard(behind=behind, admission=admission)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(dashboard, log_level="critical", ws="none", lifespan="off", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    try:
        yield Place(app, listening.getsockname()[1])
    finally:
        dashboard.close()
        server.should_exit = True
        thread.join(10)
        app.close()

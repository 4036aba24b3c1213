"""An instrumented program whose receiver is busy, loses its answers, and is killed and started again between batches.

The exporter is that of OpenTelemetry, unchanged: it sends a batch again after 429, 503, and a connection that ends.
What arrived twice must count once, and what was not taken must come again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from gateway_house import TOKEN, genome
from test_otlp_kill_nine import started

from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.token import hashed
from surefoot.engine.register import create_agent

PROGRAM = Path(__file__).with_name("otel_batches.py")
# What happens to each request in turn; the rest goes through.
SCRIPT = ["through", "busy", "through", "away", "lost", "through", "dropped", "lost", "busy", "dropped"]


class Road(BaseHTTPRequestHandler):
    """The way to the server, on which things go wrong as the script says."""

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        todo = server.script.pop(0) if server.script else "through"
        if todo in ("busy", "away"):
            self._answered(429 if todo == "busy" else 503, b"", {"retry-after": "0"})
            return
        done = self._sent_on(server.target, body)
        if done is None or todo == "dropped":
            self.close_connection = True
            self.connection.close()
        elif todo == "lost":
            self._answered(503, b"", {"retry-after": "0"})
        else:
            server.passed += done[0] == 200
            self._answered(*done, {"content-type": "application/x-protobuf"})

    def _sent_on(self, target: str, body: bytes) -> tuple[int, bytes] | None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{target}{self.path}", body, headers), timeout=20
            ) as got:
                return got.status, got.read()
        except urllib.error.HTTPError as problem:
            with problem:
                return problem.code, problem.read()
        except OSError:
            return None

    def _answered(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def road() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Road)
    server.script, server.passed, server.target = list(SCRIPT), 0, ""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_nothing_is_lost_and_nothing_counts_twice_whatever_happens_on_the_way(tmp_path: Path, road: Any) -> None:
    (tmp_path / "surefoot.toml").write_text(f'[tokens.app]\nsha256 = "{hashed(TOKEN)}"\nrole = "agent"\n')
    store = tmp_path / ".surefoot" / "surefoot.db"
    app = build(Settings(store=store))
    asyncio.run(create_agent(app.ports, "support", genome("v1"), by="ann", habits=Habits(model="local-lexical")))
    process, road.target = started(tmp_path)
    program = subprocess.Popen(
        [sys.executable, str(PROGRAM), f"http://127.0.0.1:{road.server_address[1]}", TOKEN], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert program.stdout is not None
        for line in program.stdout:
            if line.strip() in ("batch 3", "batch 7"):  # the next batch finds nobody
                killed(process)
                process, road.target = started(tmp_path)
            if line.startswith("["):
                ids: list[str] = json.loads(line)
        assert program.wait(30) == 0
        assert "Failed to export" not in program.stderr.read()
    finally:
        program.kill()
        program.communicate()
        killed(process)
    assert road.script == []
    assert road.passed >= 12
    with app.store.engine.connect() as connection:
        kept = [row[0].replace("-", "") for row in connection.exec_driver_sql("SELECT id FROM traces")]
    assert sorted(kept) == sorted(ids)
    assert len(set(ids)) == 120
    for number, name in enumerate(ids):
        assert len(app.store.read_now(lambda tx, name=name: tx.spans.of_trace(name))) == 2
        outcomes = app.store.read_now(lambda tx, name=name: tx.outcomes.of(name))
        assert [one.verdict for one in outcomes] == ([] if number % 5 else ["failure"])
    counted = app.store.read_now(lambda tx: tx.outcomes.labelled("support"))
    assert (counted.success, counted.failure) == (0, 24)
    app.close()


def killed(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert process.stderr is not None
    process.stderr.close()

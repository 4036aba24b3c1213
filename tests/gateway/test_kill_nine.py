"""`surefoot serve` is killed with SIGKILL under load; no answer that an app holds is without its trace.

Nor is an outcome that was acknowledged. Arrivals and lengths are those of a recorded chat service at a hundred times
its pace where that data is beside the repository, else drawn; apps ask whole and in streams, of one worker and of two.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from gateway_house import TOKEN, Served, genome
from upstream import Upstream

from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.errors import NotFound
from surefoot.core.token import hashed
from surefoot.engine.register import create_agent

SOURCE = Path(__file__).parents[2] / "src"
TRAFFIC = Path(__file__).parents[3] / "shared" / "data" / "traffic" / "mooncake_conversation.jsonl.gz"
PACE = 100


@dataclass
class Held:
    """What apps hold: ids of answers that came to their end, and of outcomes that were acknowledged."""

    traces: list[tuple[str, str, bool]] = field(default_factory=list)
    outcomes: list[tuple[str, str]] = field(default_factory=list)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_acknowledged_is_still_known_after_kill_nine(
    tmp_path: Path, shared_upstream: Any, workers: int
) -> None:
    served: Served = shared_upstream[1]
    assert isinstance(shared_upstream[0], Upstream)
    (tmp_path / "surefoot.toml").write_text(
        f'[models.main]\nmodel = "stub-1"\nbase_url = "{served.address}/v1"\n'
        f'[tokens.app]\nsha256 = "{hashed(TOKEN)}"\nrole = "agent"\n'
    )
    store = tmp_path / ".surefoot" / "surefoot.db"
    app = build(Settings(store=store))
    asyncio.run(create_agent(app.ports, "support", genome("You are v1."), by="ann", habits=Habits(model="main")))
    app.close()
    held, due = Held(), arrivals()
    for _ in range(3):
        before = len(held.traces)
        process, address = started(tmp_path, workers)
        asking = [threading.Thread(target=ask, args=(address, held, due)) for _ in range(8)]
        for one in asking:
            one.start()
        until = time.monotonic() + 60
        while len(held.traces) < before + 60 and time.monotonic() < until:
            time.sleep(0.05)
        killed(process)
        for one in asking:
            one.join(30)
    app = build(Settings(store=store))
    lost = [one for one in held.traces if not known(app, *one)]
    unheard = [one for one in held.outcomes if not heard(app, *one)]
    left = app.store.read_now(lambda tx: tx.traces.seen("support", since=EVER))
    app.close()
    assert len(held.traces) >= 180
    assert len(held.outcomes) >= 60
    assert any(stream for _, _, stream in held.traces)
    assert (lost, unheard) == ([], [])
    assert left >= len(held.traces)


def arrivals() -> Iterator[tuple[float, str]]:
    """Give when each request is due (seconds), and what it says."""
    if TRAFFIC.exists():
        with gzip.open(TRAFFIC, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in itertools.islice(file, 12_000)]
        known = [(row["t_s"] / PACE, int(row["tokens_in"])) for row in rows]
    else:
        chance, at, known = random.Random(7), 0.0, list[tuple[float, int]]()
        for _ in range(12_000):
            at += chance.expovariate(340)
            known.append((at, int(chance.lognormvariate(7, 1.2))))
    for number, (at, tokens) in enumerate(known):
        yield at, f"no {number} {'word' * min(tokens, 4_000)}"


def started(folder: Path, workers: int) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "serve", "--port", "0", "--workers", str(workers)], cwd=folder,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    line = ""
    while "listening on " not in line:
        line = process.stderr.readline()
        assert line, "it ended before it listened"
    return process, line.split("listening on ")[1].split(";")[0]


def killed(process: subprocess.Popen[str]) -> None:
    """Kill a server and all of its workers."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [int(pid) for pid in children.read_text("ascii").split()] if children.exists() else []
    for pid in (process.pid, *workers):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(10)
    assert process.stderr is not None
    process.stderr.close()


def ask(address: str, held: Held, due: Iterator[tuple[float, str]]) -> None:
    """Ask until the server is gone; hold what came to its end, and say of every other how it went."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    began, first = time.monotonic(), -1.0
    with httpx.Client(headers=headers, timeout=20) as client, contextlib.suppress(httpx.HTTPError):
        for number in itertools.count():
            with DUE:
                at, text = next(due)
            first = at if first < 0 else first
            time.sleep(max(0.0, began + at - first - time.monotonic()))
            stream = number % 4 > 1
            trace_id = answered(client, address, text, stream=stream)
            if not trace_id:
                continue
            held.traces.append((trace_id, text, stream))
            if number % 2:
                told = {"trace_id": trace_id, "verdict": "failure", "feedback": f"told {trace_id}"}
                reply = client.post(f"{address}/api/v1/agents/support/outcomes", json=told)
                assert reply.status_code == 201, reply.text
                held.outcomes.append((trace_id, told["feedback"]))


def answered(client: httpx.Client, address: str, text: str, *, stream: bool) -> str:
    """Give the id of the trace of an answer that came to its end, else nothing."""
    body = {"model": "support", "messages": [{"role": "user", "content": text}], "stream": stream}
    with client.stream("POST", f"{address}/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        whole = b""
        for piece in answer.iter_raw():
            whole += piece
            if b"[DONE]" in whole:  # as OpenAI's client, which reads no further
                break
        return answer.headers["x-surefoot-trace-id"] if not stream or b"[DONE]" in whole else ""


def known(app: Any, trace_id: str, text: str, _: bool) -> bool:
    try:
        return app.store.read_now(lambda tx: tx.traces.get(trace_id)).input == text
    except NotFound:
        return False


def heard(app: Any, trace_id: str, feedback: str) -> bool:
    return feedback in {one.feedback for one in app.store.read_now(lambda tx: tx.outcomes.of(trace_id))}


EVER = datetime(1970, 1, 1, tzinfo=UTC)
DUE = threading.Lock()

"""`surefoot serve` is killed with SIGKILL while programs send spans; nothing that was acknowledged is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2 as httpx
import pytest
from gateway_house import TOKEN, genome
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.token import hashed
from surefoot.engine.register import create_agent

SOURCE = Path(__file__).parents[2] / "src"
SPANS = 20


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_spans_and_verdicts_that_were_acknowledged_survive_kill_nine(tmp_path: Path) -> None:
    (tmp_path / "surefoot.toml").write_text(f'[tokens.app]\nsha256 = "{hashed(TOKEN)}"\nrole = "agent"\n')
    store = tmp_path / ".surefoot" / "surefoot.db"
    app = build(Settings(store=store))
    habits = Habits(model="local-lexical")
    asyncio.run(create_agent(app.ports, "support", genome("You are v1."), by="ann", habits=habits))
    app.close()
    held: list[bytes] = []
    for _ in range(3):
        process, address = started(tmp_path)
        sending = [threading.Thread(target=send, args=(address, held)) for _ in range(4)]
        for one in sending:
            one.start()
        time.sleep(1.2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        assert process.stderr is not None
        process.stderr.close()
        for one in sending:
            one.join(30)
    app = build(Settings(store=store))
    try:
        assert len(held) > 20
        for trace_id in held:
            name = trace_id.hex()
            assert len(app.store.read_now(lambda tx, name=name: tx.spans.of_trace(name))) == SPANS
            outcomes = app.store.read_now(lambda tx, name=name: tx.outcomes.of(name))
            assert [one.verdict for one in outcomes] == ["failure"]
        counted = app.store.read_now(lambda tx: tx.outcomes.labelled("support"))
        assert counted.failure >= len(held)
    finally:
        app.close()


def started(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    line = next(line for line in process.stderr if "listening on " in line)
    address = line.split("listening on ")[1].split(";")[0]
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if httpx.get(f"{address}/ready", timeout=5).status_code == 200:
                break
        except httpx.HTTPError:
            time.sleep(0.05)
    return process, address


def send(address: str, held: list[bytes]) -> None:
    """Send traces until the server is gone; hold the ids of those that were acknowledged."""
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/x-protobuf"}
    with httpx.Client(headers=headers, timeout=20) as client:
        while True:
            trace_id, content = trace()
            try:
                answer = client.post(f"{address}/v1/traces", content=content)
            except httpx.HTTPError:
                return
            assert (answer.status_code, answer.content) == (200, b"")
            held.append(trace_id)


def trace() -> tuple[bytes, bytes]:
    """A trace whose agent ended in an error."""
    trace_id, request = os.urandom(16), ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "support"
    spans = group.scope_spans.add().spans
    for number in range(SPANS):
        one = spans.add(trace_id=trace_id, span_id=os.urandom(8), name=f"step {number}", start_time_unix_nano=number)
        if number:
            one.parent_span_id = spans[0].span_id
        else:
            one.status.code = 2
    return trace_id, request.SerializeToString()

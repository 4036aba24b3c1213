"""`surefoot serve` is killed with SIGKILL under load; no answer that an app holds is without its trace."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
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


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_was_answered_is_still_known_after_kill_nine(tmp_path: Path, shared_upstream: Any) -> None:
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
    held: list[str] = []
    for _ in range(3):
        process, address = started(tmp_path)
        asking = [threading.Thread(target=ask, args=(address, held, n % 2 == 1)) for n in range(6)]
        for one in asking:
            one.start()
        time.sleep(1.5)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        assert process.stderr is not None
        process.stderr.close()
        for one in asking:
            one.join(30)
    app = build(Settings(store=store))
    lost = [trace_id for trace_id in held if not known(app, trace_id)]
    app.close()
    assert len(held) > 50
    assert lost == []


def started(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    line = process.stderr.readline()
    return process, line.split("listening on ")[1].split(";")[0]


def ask(address: str, held: list[str], stream: bool) -> None:
    """Ask until the server is gone; hold the ids of the answers that came to their end."""
    body = {"model": "support", "messages": [{"role": "user", "content": "a b c"}], "stream": stream}
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(headers=headers, timeout=20) as client:
        while True:
            try:
                with client.stream("POST", f"{address}/v1/chat/completions", json=body) as answer:
                    assert answer.status_code == 200
                    whole = b""
                    for piece in answer.iter_raw():
                        whole += piece
                        if b"[DONE]" in whole:  # as OpenAI's client, which reads no further
                            break
                    if not stream or b"[DONE]" in whole:
                        held.append(answer.headers["x-surefoot-trace-id"])
            except httpx.HTTPError:
                return


def known(app: Any, trace_id: str) -> bool:
    try:
        return bool(app.store.read_now(lambda tx: tx.traces.get(trace_id)))
    except NotFound:
        return False

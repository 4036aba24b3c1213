"""A server of a gate: started by the gate, waited for, and stopped in every case.

The port must be free before: otherwise the gate would check somebody else's server, perhaps one of last week.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from surefoot.adapters.gates.step import LOG_BYTES, Found, Place, tail
from surefoot.adapters.processes import Ended, Running, started
from surefoot.core.gate_spec import Server

LOOPBACK = "127.0.0.1"
PROBE_S = 2.0
LARGEST_BODY = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A server that is ready; `log` is where it writes."""

    running: Running
    log: Path

    @property
    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self.running.alive

    def output(self) -> str:
        """Give what it said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def port_for(server: Server) -> int:
    """Give the port of a server: the one that is set, or a free one."""
    if server.port:
        return server.port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def serving(server: Server, place: Place) -> AsyncGenerator[Serving | Found]:
    """Start a server and wait until it is ready; a Found says why it is not."""
    if await asyncio.to_thread(_listens, place.port):
        yield Found(outcome="error", sentence=f"port {place.port} is taken: what answers there is not this change")
        return
    words = place.words(server.command)
    if words is None:
        yield Found(outcome="error", sentence="a shell is asked for, and bash is not installed")
        return
    log = place.log.with_name(f"{place.log.name}.server")
    log.write_bytes(b"")
    running = await started(
        words, folder=place.checkout, env=place.environ, deadline_s=place.left_s + 60.0, walls=place.walls,
        cap=LOG_BYTES, log=log,
    )  # fmt: skip
    if isinstance(running, Ended):
        yield Found(outcome="error", sentence=f"the server could not be started: {running.problem}")
        return
    try:
        ready = Serving(running=running, log=log)
        problem = await _waited(server, place, ready)
        yield problem or ready
    finally:
        await asyncio.shield(running.stop())


async def get(port: int, path: str) -> tuple[int, bytes]:
    """Ask a server on loopback for a path; gives status and body, OSError if nobody answers."""
    return await asyncio.to_thread(_got, port, path)


async def _waited(server: Server, place: Place, ready: Serving) -> Found | None:
    until = min(time.monotonic() + server.ready_s, place.until)
    while True:
        if not ready.alive:
            return Found(
                outcome="fail", sentence=f"the server `{server.command.text}` ended before it was ready",
                evidence=(tail(ready.output()),),
            )  # fmt: skip
        if await _answers(server, place.port):
            return None
        if time.monotonic() >= until:
            return Found(
                outcome="timeout", sentence=f"the server was not ready after {server.ready_s:g} s",
                evidence=(tail(ready.output()),),
            )  # fmt: skip
        await asyncio.sleep(0.05)


async def _answers(server: Server, port: int) -> bool:
    if not server.path:
        return await asyncio.to_thread(_listens, port)
    try:
        status, _ = await get(port, server.path)
    except OSError:
        return False
    return 200 <= status < 400


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PROBE_S):
            return True
    except OSError:
        return False


def _got(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_S * 5)
    try:
        connection.request("GET", path if path.startswith("/") else f"/{path}", headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read(LARGEST_BODY)
    except http.client.HTTPException as problem:
        raise OSError(f"no HTTP: {type(problem).__name__}") from problem
    finally:
        connection.close()

"""What the gateway costs, beside a bare proxy and the same proxy with one durable row a request, in one run.

All stand before the same upstream and take turns, so that what else the machine does hits them alike; ratios are what
counts, medians over the rounds. `added` is against the upstream itself at a fixed rate of requests. Other gateways take
part where their programs are found on the PATH (`litellm`, `portkey-gateway`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.genome import Block, Genome
from surefoot.core.token import hashed
from surefoot.engine.register import create_agent

TOKEN = "sf_a-token-for-the-benchmark"  # noqa: S105  it opens nothing
SYSTEM = "You are the support agent of a small shop. Answer from the policy only, and name the rule you used. " * 6
USER = "My parcel came with a broken lid on day nineteen and I lost the slip. Can I send it back, and who pays? " * 2
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Peer:
    """Another gateway: its program, how it is started in front of the upstream, and the headers that it needs."""

    name: str
    program: str
    words: tuple[str, ...]
    headers: str = ""


PATIENCE_S = 60.0
PEERS = (
    Peer("litellm", "litellm", ("--model", "openai/bench", "--alias", "bench", "--api_base", "{upstream}",
                                "--host", "127.0.0.1", "--port", "{port}")),
    Peer("portkey", "portkey-gateway", ("--port={port}", "--headless"),
         "x-portkey-provider: openai\r\nx-portkey-custom-host: {upstream}\r\n"),
)  # fmt: skip


class Connection(asyncio.Protocol):
    """One connection with one request in flight."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, bytearray()
        self.done: asyncio.Future[int] | None = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.done is None or self.done.done():
            return
        if not self.first and self.buffer.find(b"data:") >= 0:
            self.first = time.perf_counter()
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length:")
        whole = (
            len(self.buffer) >= end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
            if at >= 0
            else self.buffer.endswith(b"0\r\n\r\n")
        )
        if whole:
            self.done.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(-1)

    async def ask(self, raw: bytes) -> tuple[float, float, int]:
        """Give how long the first piece of a stream and the whole answer took, in milliseconds, and the status."""
        self.buffer.clear()
        self.first = 0.0
        self.done = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        self.transport.write(raw)
        status = await asyncio.wait_for(self.done, 30)
        return (self.first - started) * 1e3, (time.perf_counter() - started) * 1e3, status


@dataclass
class Target:
    """One server to measure: its name, port and process, and what was measured by case."""

    name: str
    port: int
    pid: int
    model: str = "bench"
    headers: str = ""
    seen: dict[str, list[dict[str, float]]] = field(default_factory=dict[str, list[dict[str, float]]])

    def raw(self, stream: bool) -> bytes:
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
        body: dict[str, Any] = {"model": self.model, "messages": messages, "temperature": 0.2, "max_tokens": 256}
        text = json.dumps(body | ({"stream": True} if stream else {}), separators=(",", ":")).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {TOKEN}\r\n{self.headers}content-length: {len(text)}\r\n\r\n"
        )
        return head.encode() + text

    async def connect(self) -> Connection:
        return (await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self.port))[1]

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


async def closed(
    target: Target, raw: bytes, clients: int, seconds: float
) -> tuple[list[tuple[float, float, int]], float]:
    """So many clients, each asking as soon as it was answered."""
    seen: list[tuple[float, float, int]] = []
    until = time.perf_counter() + seconds

    async def client() -> None:
        connection = await target.connect()
        while time.perf_counter() < until:
            seen.append(await connection.ask(raw))
        connection.transport.close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return seen, time.perf_counter() - started


async def opened(target: Target, raw: bytes, rate: float, seconds: float) -> list[tuple[float, float, int]]:
    """Requests at random moments, whether the last was answered or not; the wait for a connection counts."""
    seen: list[tuple[float, float, int]] = []
    free = [await target.connect() for _ in range(16)]
    chance, tasks = random.Random(7), list[asyncio.Task[None]]()

    async def one(due: float) -> None:
        connection = free.pop() if free else await target.connect()
        first, _, status = await connection.ask(raw)
        seen.append((first, (time.perf_counter() - due) * 1e3, status))
        free.append(connection)

    started = due = time.perf_counter()
    while due < started + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(one(due)))
        due += chance.expovariate(rate)
    await asyncio.gather(*tasks)
    for connection in free:
        connection.transport.close()
    return seen


def at(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def measure(target: Target, case: str, seconds: float, rate: float) -> dict[str, float]:
    stream = case == "stream8"
    raw = target.raw(stream)
    await closed(target, raw, 4, 0.3)
    cpu = target.cpu_s()
    if case == "steady":
        seen, span = await opened(target, raw, rate, seconds), seconds
    else:
        seen, span = await closed(target, raw, {"chat32": 32, "chat1": 1, "stream8": 8}[case], seconds)
    spent = target.cpu_s() - cpu
    bad = sum(status != 200 for _, _, status in seen)
    if bad:
        raise SystemExit(f"{target.name}: {bad} of {len(seen)} requests failed in {case}")
    return {
        "requests_per_s": len(seen) / span, "cpu_ms": spent * 1e3 / len(seen), "n": float(len(seen)),
        "p50_ms": at([whole for _, whole, _ in seen], 0.5), "p99_ms": at([whole for _, whole, _ in seen], 0.99),
        "first_ms": at([max(first, 0.0) for first, _, _ in seen], 0.5),
    }  # fmt: skip


def started(processes: list[subprocess.Popen[str]], *words: str) -> tuple[int, int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench._gateway_parts", *words], stdout=subprocess.PIPE, text=True
    )
    processes.append(process)
    assert process.stdout is not None
    return int(process.stdout.readline()), process.pid


def gateway(processes: list[subprocess.Popen[str]], folder: Path, upstream: str) -> tuple[int, int]:
    """`surefoot serve` as a user runs it, on a store with one agent."""
    (folder / "surefoot.toml").write_text(
        f'[models.bench]\nmodel = "bench"\nbase_url = "{upstream}/v1"\n'
        f'[tokens.bench]\nsha256 = "{hashed(TOKEN)}"\nrole = "agent"\n',
        encoding="utf-8",
    )
    app = build(Settings(store=folder / ".surefoot" / "surefoot.db"))
    genome = Genome((Block(id="role", kind="section", text=SYSTEM, locked=True),))
    asyncio.run(create_agent(app.ports, "bench", genome, by="bench", habits=Habits(model="bench")))
    app.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src"), "NO_COLOR": "1"},
    )  # fmt: skip
    processes.append(process)
    assert process.stderr is not None
    line = process.stderr.readline()
    return int(line.split("listening on http://127.0.0.1:")[1].split(";")[0]), process.pid


def peers(processes: list[subprocess.Popen[str]], upstream: str) -> list[Target]:
    """Other gateways, where they are installed and come up."""
    found: list[Target] = []
    for peer in PEERS:
        program = shutil.which(peer.program)
        if program is None:
            print(f"{peer.name} is not installed ({peer.program}): left out", file=sys.stderr)
            continue
        port = free_port()
        words = [word.format(upstream=f"{upstream}/v1", port=port) for word in peer.words]
        process = subprocess.Popen(
            [program, *words], text=True, env={**os.environ, "OPENAI_API_KEY": TOKEN},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        processes.append(process)
        target = Target(peer.name, port, process.pid, headers=peer.headers.format(upstream=f"{upstream}/v1"))
        if uvloop.run(answers(target, until=time.monotonic() + PATIENCE_S)):
            found.append(target)
        else:
            print(f"{peer.name} gave no answer within {PATIENCE_S:.0f} s: left out", file=sys.stderr)
    return found


async def answers(target: Target, *, until: float) -> bool:
    """Whether it answers a request well before a moment."""
    while time.monotonic() < until:
        try:
            connection = await target.connect()
            _, _, status = await connection.ask(target.raw(stream=False))
            connection.transport.close()
            if status == 200:
                return True
        except (OSError, TimeoutError):
            pass
        await asyncio.sleep(0.3)
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


async def run(targets: list[Target], rounds: int, seconds: float, rate: float) -> None:
    for number in range(rounds):
        for case in ("chat32", "chat1", "steady", "stream8"):
            for target in targets if number % 2 == 0 else targets[::-1]:
                got = await measure(target, case, seconds, rate)
                target.seen.setdefault(case, []).append(got)
                print(f"  {number} {case:8} {target.name:8} " + " ".join(f"{k}={v:.2f}" for k, v in got.items()),
                      file=sys.stderr)  # fmt: skip


def ratio(mine: Target, other: Target, case: str, what: str) -> float:
    pairs = zip(mine.seen[case], other.seen[case], strict=True)
    return statistics.median(a[what] / b[what] for a, b in pairs)


def added(mine: Target, other: Target, case: str, what: str) -> float:
    pairs = zip(mine.seen[case], other.seen[case], strict=True)
    return statistics.median(a[what] - b[what] for a, b in pairs)


def middle(target: Target, case: str, what: str) -> float:
    return statistics.median(one[what] for one in target.seen[case])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=300.0)
    given = parser.parse_args()
    processes: list[subprocess.Popen[str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            direct = Target("direct", *started(processes, "upstream"))
            upstream = f"http://127.0.0.1:{direct.port}"
            bare = Target("bare", *started(processes, "bare", upstream))
            row = Target("row", *started(processes, "row", upstream, str(folder / "row.db")))
            ours = Target("ours", *gateway(processes, folder, upstream))
            targets = [direct, bare, row, ours, *peers(processes, upstream)]
            uvloop.run(run(targets, given.rounds, given.seconds, given.rate))
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(10)
    for case in ("chat32", "chat1", "steady", "stream8"):
        print(f"\n{case:10}{'req/s':>9}{'CPU ms':>9}{'p50 ms':>9}{'p99 ms':>9}{'first ms':>10}")
        for one in targets:
            cells = [middle(one, case, what) for what in ("requests_per_s", "cpu_ms", "p50_ms", "p99_ms", "first_ms")]
            print(f"{one.name:10}{cells[0]:9.0f}{cells[1]:9.2f}{cells[2]:9.2f}{cells[3]:9.2f}{cells[4]:10.2f}")
    numbers = {
        "requests_per_s": middle(ours, "chat32", "requests_per_s"),
        "cpu_ms_per_request": middle(ours, "chat32", "cpu_ms"),
        "added_p50_ms": added(ours, direct, "steady", "p50_ms"),
        "added_p99_ms": added(ours, direct, "steady", "p99_ms"),
        "passthrough_ratio": ratio(ours, bare, "chat32", "requests_per_s"),
        "floor_row_ratio": ratio(ours, row, "chat32", "requests_per_s"),
        "floor_row_cpu_ms_per_request": middle(row, "chat32", "cpu_ms"),
        "added_first_chunk_ms": added(ours, direct, "stream8", "first_ms"),
        "floor_row_added_first_chunk_ms": added(row, direct, "stream8", "first_ms"),
        "floor_row_added_p50_ms": added(row, direct, "steady", "p50_ms"),
        "floor_row_added_p99_ms": added(row, direct, "steady", "p99_ms"), "steady_rate_per_s": given.rate,
    }  # fmt: skip
    print("\n" + "\n".join(f"{name:32}{value:10.3f}" for name, value in numbers.items()))
    if given.json:
        Path(given.json).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What ingestion is measured with: requests of OTLP, clients that send them, and a bare writer to measure beside.

The bare writer is uvicorn, Starlette and one thread that writes rows of spans into SQLite in groups, and answers after
the commit: `python -m bench._ingest_parts FILE`; it prints its port. It redacts nothing and knows no agents.
"""

from __future__ import annotations

import asyncio
import queue
import random
import socket
import sqlite3
import struct
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

SPANS_PER_TRACE, TRACES = 5, 20
WORDS = (
    "the refund window is thirty days from delivery send order number and a photo of lid broken parcel slip who pays "
    "return label customer policy rule shop answer please kindly before after damaged item box warehouse courier"
).split()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _pair(name: str, value: str | int) -> bytes:
    told = _field(1, value.encode()) if isinstance(value, str) else b"\x18" + _varint(value)
    return _field(1, name.encode()) + _field(2, told)


class Batch:
    """A request of 20 traces of 5 spans, about 1 kB each; `fresh` gives it with new ids."""

    def __init__(self, chance: random.Random, agent: str) -> None:
        self._chance = chance
        spans = b"".join(self._trace() for _ in range(TRACES))
        resource = _field(1, _field(1, _pair("service.name", agent)))
        self._whole = bytearray(_field(1, resource + _field(2, _field(1, _field(1, b"bench")) + spans)))
        self._ids = self._places()

    def _text(self) -> str:
        return " ".join(self._chance.choices(WORDS, k=58))

    def _trace(self) -> bytes:
        chance, now, out, session = self._chance, time.time_ns(), b"", self._chance.randbytes(16).hex()
        version = chance.choice(("v1", "v1", "v2", "v3"))
        bad = chance.random() < {"v1": 0.10, "v2": 0.05, "v3": 0.02}[version]
        for number in range(SPANS_PER_TRACE):
            told: Mapping[str, str | int] = {
                "agent.version": version, "openinference.span.kind": "AGENT" if number == 0 else "LLM",
                "llm.model_name": "stub", "llm.token_count.prompt": 210, "llm.token_count.completion": 60,
                "input.value": self._text(), "output.value": self._text(), "session.id": session,
            }  # fmt: skip
            failed = bad and number in (0, 4)
            status = (_field(2, b"tool failed") if failed else b"") + (b"\x18\x02" if failed else b"\x18\x01")
            out += _field(2, b"".join((
                _field(1, b"T" * 16), _field(2, b"S" * 8), _field(4, b"S" * 8) if number else b"",
                _field(5, b"agent" if number == 0 else b"llm call"), b"\x30\x01\x39", struct.pack("<Q", now), b"\x41",
                struct.pack("<Q", now + 5_000_000), *(_field(9, _pair(*one)) for one in told.items()),
                _field(15, status),
            )))  # fmt: skip
        return out

    def _places(self) -> list[tuple[int, int]]:
        """Where each trace id stands, and where its span id and perhaps its parent's do."""
        places, at = list[tuple[int, int]](), 0
        mark = b"\x0a\x10" + b"T" * 16 + b"\x12\x08" + b"S" * 8
        while (at := self._whole.find(mark, at)) >= 0:
            places.append((at + 2, at + 20))
            at += len(mark)
        return places

    def fresh(self) -> bytes:
        """Give the request with new ids, the first span of each trace being the parent of the others."""
        whole, chance = self._whole, self._chance
        ids = chance.randbytes(24 * TRACES + 8 * len(self._ids))
        for number, (trace_at, span_at) in enumerate(self._ids):
            trace, below = divmod(number, SPANS_PER_TRACE)
            whole[trace_at : trace_at + 16] = ids[24 * trace : 24 * trace + 16]
            root = ids[24 * trace + 16 : 24 * trace + 24]
            own = ids[24 * TRACES + 8 * number : 24 * TRACES + 8 * number + 8]
            whole[span_at : span_at + 8] = own if below else root
            if below:
                whole[span_at + 10 : span_at + 18] = root
        return bytes(whole)


class Client(asyncio.Protocol):
    """One connection with one request in flight."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, b""
        self.done: asyncio.Future[int] | None = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0 or self.done is None or self.done.done():
            return
        head = self.buffer[:end].lower()
        size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self.buffer) >= end + 4 + size:
            self.buffer = b""
            self.done.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(-1)

    async def send(self, head: bytes, body: bytes) -> int:
        """Send one request; gives the status of its answer."""
        self.done = asyncio.get_running_loop().create_future()
        self.transport.writelines([head, b"content-length: %d\r\n\r\n" % len(body), body])
        return await asyncio.wait_for(self.done, 60)


async def load(port: int, token: str, clients: int, seconds: float, agent: str) -> dict[str, float]:
    """So many clients that each send a batch as soon as the last was answered."""
    head = (
        f"POST /v1/traces HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/x-protobuf\r\n"
        f"authorization: Bearer {token}\r\n"
    ).encode()
    took, refused = list[float](), 0
    batches = [[Batch(random.Random(8 * one + n), agent) for n in range(6)] for one in range(clients)]
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(Client, "127.0.0.1", port))[1] for _ in range(clients)]
    began = time.perf_counter()
    until = began + seconds

    async def client(number: int) -> None:
        nonlocal refused
        turn = 0
        while time.perf_counter() < until:
            body = batches[number][turn % 6].fresh()
            started = time.perf_counter()
            status = await opened[number].send(head, body)
            took.append((time.perf_counter() - started) * 1e3)
            turn += 1
            if status != 200:
                refused += 1
                await asyncio.sleep(0.05)

    for one in range(clients):
        random.seed(time.time_ns() + one)
    await asyncio.gather(*(client(number) for number in range(clients)))
    span = time.perf_counter() - began
    for one in opened:
        one.transport.close()
    took.sort()
    good = len(took) - refused
    return {
        "spans_per_s": good * SPANS_PER_TRACE * TRACES / span, "refused": float(refused),
        "p50_ms": took[len(took) // 2], "p99_ms": took[min(len(took) - 1, int(len(took) * 0.99))],
    }  # fmt: skip


# The bare writer ----------------------------------------------------------------------------------------------------


def _writer(path: str, waiting: queue.SimpleQueue[Any]) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode=wal; PRAGMA synchronous=normal; CREATE TABLE spans(trace BLOB, id BLOB, parent BLOB,"
        "name TEXT, version TEXT, status INT, started INT, ended INT, body BLOB);"
        "CREATE INDEX failed ON spans(version, status) WHERE parent = x'';"
    )
    while True:
        jobs = [waiting.get()]
        while not waiting.empty() and len(jobs) < 64:
            jobs.append(waiting.get())
        database.execute("BEGIN")
        for rows, _, _ in jobs:
            database.executemany("INSERT INTO spans VALUES (?,?,?,?,?,?,?,?,?)", rows)
        database.execute("COMMIT")
        jobs[0][1].call_soon_threadsafe(lambda dones: [one.set_result(None) for one in dones], [j[2] for j in jobs])


def floor(path: str) -> Any:
    """Give the bare writer as an application."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_writer, args=(path, waiting), daemon=True).start()

    async def traces(request: Request) -> Response:
        message, rows = ExportTraceServiceRequest.FromString(await request.body()), list[Any]()
        for group in message.resource_spans:
            for scope in group.scope_spans:
                for one in scope.spans:
                    version = next((a.value.string_value for a in one.attributes if a.key == "agent.version"), None)
                    rows.append((
                        one.trace_id, one.span_id, one.parent_span_id, one.name, version, one.status.code,
                        one.start_time_unix_nano, one.end_time_unix_nano, one.SerializeToString(),
                    ))  # fmt: skip
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        waiting.put((rows, loop, done))
        await done
        return Response(b"", media_type="application/x-protobuf")

    return Starlette(routes=[Route("/v1/traces", traces, methods=["POST"])])


def main() -> None:
    import uvicorn

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(floor(sys.argv[1]), log_level="warning", access_log=False, lifespan="off", ws="none")
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()

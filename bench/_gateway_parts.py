"""What the gateway is measured beside: an upstream that is never the bottleneck, and two bare proxies.

The upstream is a raw protocol that answers at once. The bare proxy is uvicorn, Starlette and aiohttp and only passes
on; the second one also keeps one row a request, committed in groups before the answer ends. Each runs as a process:
`python -m bench._gateway_parts upstream|bare|row ADDRESS [FILE]`; it prints its port.
"""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import sqlite3
import sys
import threading
import time
import uuid
from typing import Any

TEXT = "Parcels can be sent back within thirty days; please have the order number and a photo of the label ready. " * 3
CHUNKS = 20


def _document(**rest: Any) -> bytes:
    return json.dumps({"id": "chatcmpl-bench", "created": 1, "model": "bench", **rest}, separators=(",", ":")).encode()


def _whole() -> bytes:
    message = {"role": "assistant", "content": TEXT}
    body = _document(
        object="chat.completion", choices=[{"index": 0, "message": message, "finish_reason": "stop"}],
        usage={"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": 260},
    )  # fmt: skip
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _event(data: bytes) -> bytes:
    line = b"data: " + data + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(line), line)


def _events() -> list[bytes]:
    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        return _event(_document(object="chat.completion.chunk",
                                choices=[{"index": 0, "delta": delta, "finish_reason": finish}]))  # fmt: skip

    step = len(TEXT) // CHUNKS
    words = [chunk({"content": TEXT[n * step : (n + 1) * step]}) for n in range(CHUNKS)]
    return [*words, chunk({}, "stop"), _event(b"[DONE]") + b"0\r\n\r\n"]


WHOLE, EVENTS = _whole(), _events()
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Stub(asyncio.Protocol):
    """Answers each request of a connection at once; a stream waits 2 ms between its pieces."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + size:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + size], self.buffer[end + 4 + size :]
            if b'"stream":true' in body:
                self.task = asyncio.ensure_future(self.stream())
            else:
                self.transport.write(WHOLE)

    async def stream(self) -> None:
        self.transport.write(STREAM_HEAD)
        for event in EVENTS:
            self.transport.write(event)
            await asyncio.sleep(0.002)


class Rows(threading.Thread):
    """One row a request, many in a transaction, each acknowledged after its commit; as durable as our default."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.path = path
        self.start()

    def run(self) -> None:
        database = sqlite3.connect(self.path, isolation_level=None)
        database.execute("PRAGMA journal_mode=wal")
        database.execute("PRAGMA synchronous=normal")
        database.execute("CREATE TABLE row (id TEXT PRIMARY KEY, at REAL, asked BLOB, said BLOB, ms REAL)")
        while True:
            rows = [self.queue.get()]
            while not self.queue.empty() and len(rows) < 512:
                rows.append(self.queue.get())
            database.execute("BEGIN")
            database.executemany("INSERT INTO row VALUES (?, ?, ?, ?, ?)", [row for row, _, _ in rows])
            database.execute("COMMIT")
            rows[0][1].call_soon_threadsafe(self.told, [done for _, _, done in rows])

    @staticmethod
    def told(waiting: list[asyncio.Future[None]]) -> None:
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def put(self, asked: bytes, said: bytes, started: float) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self.queue.put(((uuid.uuid4().hex, time.time(), asked, said, time.perf_counter() - started), loop, done))
        await done


def proxy(upstream: str, path: str) -> Any:
    import aiohttp
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    rows, sessions = Rows(path) if path else None, list[aiohttp.ClientSession]()

    async def chat(request: Request) -> Response:
        started, asked = time.perf_counter(), await request.body()
        if not sessions:
            sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256)))
        reply = await sessions[0].post(
            f"{upstream}/v1/chat/completions", data=asked, headers={"content-type": "application/json"}
        )
        if reply.content_type != "text/event-stream":
            said = await reply.read()
            if rows is not None:
                await rows.put(asked, said, started)
            return Response(said, reply.status, media_type="application/json")

        async def pieces() -> Any:
            seen: list[bytes] = []
            async for piece in reply.content.iter_any():
                seen.append(piece)
                yield piece
            if rows is not None:
                await rows.put(asked, b"".join(seen), started)

        return StreamingResponse(pieces(), reply.status, media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


async def stub() -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    kind, *rest = sys.argv[1:]
    if kind == "upstream":
        import uvloop

        uvloop.run(stub())
        return
    import uvicorn

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so that TCP_NODELAY is set
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    print(listening.getsockname()[1], flush=True)
    app = proxy(rest[0], rest[1] if kind == "row" else "")
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none")).run(
        [listening]
    )


if __name__ == "__main__":
    main()

"""Clients that are slow, greedy or rude: each is let go in time, others are served meanwhile, and memory is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from surefoot.cli.connections import HEAD_BYTES, Bounds, Guard
from surefoot.cli.serving import swift_loop
from surefoot.gateway.measures import Measures

BIG = 4 * 1024 * 1024


class Served:
    """An application behind guarded connections; /big answers much, /wait answers late, all else says what it read."""

    def __init__(self, **bounds: Any) -> None:
        self.measures = Measures()
        self.guard = Guard(Bounds(**bounds), self.measures)
        self.begun = self.ended = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        config = uvicorn.Config(
            self.app, http=self.guard.protocol(), log_config=None, access_log=False, lifespan="off", ws="none",
            interface="asgi3", proxy_headers=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        async def shift() -> None:
            async with self.guard.watching():
                await self._server.serve(sockets=[self._listening])

        with asyncio.Runner(loop_factory=swift_loop) as runner:
            runner.run(shift())

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        read, more = 0, True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                read, more = read + len(message["body"]), message["more_body"]
            if scope["path"] == "/wait":
                await asyncio.sleep(0.5)
            body = b"x" * BIG if scope["path"] == "/big" else str(read).encode()
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
            )
            for at in range(0, len(body), 65536):
                rest = len(body) > at + 65536
                await send({"type": "http.response.body", "body": body[at : at + 65536], "more_body": rest})
        finally:
            self.ended += 1

    def connect(self, send: bytes = b"") -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        one.sendall(send)
        return one

    def get(self, path: str = "/") -> bytes:
        with self.connect(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()) as one:
            return rest(one)

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def rest(one: socket.socket) -> bytes:
    """Everything that still comes; a reset is an end too."""
    parts: list[bytes] = []
    with contextlib.suppress(ConnectionError):
        while part := one.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.fixture
def served() -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def begin(**bounds: Any) -> Served:
        made.append(Served(**bounds))
        return made[-1]

    yield begin
    for one in made:
        one.end()
        assert one.guard.held == 0
        assert not one.guard.open


def test_an_honest_client_is_served(served: Callable[..., Served]) -> None:
    house = served()
    assert house.get().endswith(b"0")
    with house.connect(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n") as one:
        one.sendall(b"hello")
        time.sleep(0.1)
        assert one.recv(999).endswith(b"5")
        one.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nyes")
        assert rest(one).endswith(b"3")
    assert len(house.get("/big")) > BIG


def test_heads_that_drip_are_let_go_while_others_are_served(served: Callable[..., Served]) -> None:
    house = served(head_s=1.0)
    slow = [house.connect(b"GET / HTTP/1.1\r\nhost: x\r\n") for _ in range(100)]
    silent = [house.connect() for _ in range(20)]
    began, answers = time.monotonic(), list[bytes]()
    while time.monotonic() - began < 2.5:
        for n, one in enumerate(slow):
            with contextlib.suppress(OSError):
                one.sendall(f"x-{n}: y\r\n".encode())
        assert house.get().endswith(b"0")
        time.sleep(0.2)
    answers = [rest(one) for one in (*slow, *silent)]
    assert all(not one or one.startswith(b"HTTP/1.1 408") for one in answers)
    assert house.measures.dropped["the head did not come in time"] == 120
    assert house.begun == house.ended
    for one in (*slow, *silent):
        one.close()


def test_a_second_request_on_a_connection_may_not_drip_either(served: Callable[..., Served]) -> None:
    house = served(head_s=0.5)
    with house.connect(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") as one:
        assert one.recv(999).endswith(b"0")
        one.sendall(b"GET / HT")
        assert rest(one).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("drips", [False, True])
def test_bodies_that_stop_or_drip_are_let_go(served: Callable[..., Served], drips: bool) -> None:
    house = served(idle_s=0.8)
    with house.connect(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nabc") as one:
        began = time.monotonic()
        while drips and time.monotonic() - began < 2.2:
            with contextlib.suppress(OSError):
                one.sendall(b"x")
            time.sleep(0.1)
        assert rest(one).startswith(b"HTTP/1.1 408") or drips
    assert house.measures.dropped == {"the body did not come in time": 1}


def test_a_body_that_comes_at_a_pace_may_take_its_time(served: Callable[..., Served]) -> None:
    house = served(idle_s=0.6)
    with house.connect(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 20480\r\nconnection: close\r\n\r\n") as one:
        for _ in range(10):
            one.sendall(b"x" * 2048)
            time.sleep(0.25)
        assert rest(one).endswith(b"20480")


@pytest.mark.parametrize("kind", ["one long header", "many headers", "a long address", "no line break"])
def test_a_flood_of_headers_is_refused_before_it_is_kept(served: Callable[..., Served], kind: str) -> None:
    house = served()
    start = {"a long address": b"GET /", "no line break": b""}.get(kind, b"GET / HTTP/1.1\r\nhost: x\r\n")
    piece = {"many headers": b"x-a: y\r\n" * 1000}.get(kind, b"x" * 8000)
    start += b"x-a: " if kind == "one long header" else b""
    with house.connect(start) as one:
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 50 * HEAD_BYTES:
                one.sendall(piece)
                sent += len(piece)
        said = rest(one)
    assert not said or said.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert sent < 50 * HEAD_BYTES, "it was cut off on the way"
    assert house.begun == 0
    assert house.get().endswith(b"0")


def test_who_does_not_read_the_answer_is_let_go(served: Callable[..., Served]) -> None:
    house = served(idle_s=0.8)
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", house.port))
    one.sendall(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
    until = time.monotonic() + 6
    while not house.measures.dropped and time.monotonic() < until:
        time.sleep(0.05)
    assert house.measures.dropped == {"the answer is not read": 1}
    until = time.monotonic() + 2
    while house.ended < 1 and time.monotonic() < until:
        time.sleep(0.02)
    assert house.ended == 1
    one.close()


def test_more_connections_than_may_are_refused_and_room_comes_back(served: Callable[..., Served]) -> None:
    house = served(connections=10)
    kept = [house.connect() for _ in range(10)]
    time.sleep(0.1)
    said = house.get()
    assert said.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: 1" in said
    kept.pop().close()
    time.sleep(0.1)
    assert house.get().endswith(b"0")
    for one in kept:
        one.close()


def test_all_bodies_together_are_bounded(served: Callable[..., Served]) -> None:
    house = served(body_memory=1024 * 1024)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 400000\r\n\r\n"
    many = [house.connect(head + b"x" * 300_000) for _ in range(3)]
    time.sleep(0.2)
    assert 800_000 < house.guard.held <= 1024 * 1024
    refused = house.connect(head)
    with contextlib.suppress(OSError):
        refused.sendall(b"x" * 399_000)
    assert rest(refused)[:12] in (b"HTTP/1.1 503", b"")
    assert house.measures.dropped == {"too many bodies at once": 1}
    for one in many:
        one.sendall(b"x" * 100_000)
        assert one.recv(999).endswith(b"400000")
    time.sleep(0.1)
    assert house.guard.held == 0
    for one in (*many, refused):
        one.close()


def test_a_half_closed_client_leaves_nothing_behind(served: Callable[..., Served]) -> None:
    house = served()
    for _ in range(20):
        with house.connect(b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhello") as one:
            one.shutdown(socket.SHUT_WR)
            rest(one)
    until = time.monotonic() + 3
    while house.begun != house.ended and time.monotonic() < until:
        time.sleep(0.02)
    assert house.begun == house.ended == 20
    assert house.get().endswith(b"0")


@pytest.mark.parametrize(
    "noise", [b"\x00" * 3000, b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM"]
)
def test_what_is_no_http_is_answered_and_closed(served: Callable[..., Served], noise: bytes) -> None:
    house = served(head_s=0.5)
    with house.connect(noise) as one:
        assert rest(one)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 408", b"HTTP/1.1 431", b"")
    assert house.get().endswith(b"0")

"""One HTTP/1.1 connection to an upstream: a request goes out whole, its answer comes in as it is sent.

llhttp reads the answer; what is left to do costs a tenth of what a general client does for each request. An answer ends
where its framing says so (length, chunks, or the end of the connection where there is neither); one that the connection
does not outlast is broken off, never short. Whoever does not read makes the upstream wait: no more than `MOST_AHEAD`
bytes (and one read of the socket) are held.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

MOST_AHEAD = 256 * 1024
MOST_HEAD = 64 * 1024
MOST_HEADERS = 256
RawHeader = tuple[bytes, bytes]


class Broken(Exception):
    """The connection, or what came over it, is of no use; `silent` when it ended before a byte of the answer."""

    def __init__(self, why: str, *, silent: bool = False) -> None:
        super().__init__(why)
        self.silent = silent


class Answer:
    """An answer that is coming in."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.begun: asyncio.Future[None] = loop.create_future()
        self.status = 0
        self.headers: list[RawHeader] = []
        self.complete = False
        self.problem: Broken | None = None
        self._connection = connection
        self._loop = loop
        self._held: deque[bytes] = deque()
        self._size = 0
        self._reader: asyncio.Future[None] | None = None

    async def piece(self) -> bytes:
        """Give what has come since the last call, waiting for it if need be; nothing at the end, Broken when broken."""
        while not self._held:
            if self.problem is not None:
                raise self.problem
            if self.complete:
                return b""
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        piece = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        self._size = 0
        if not self.complete:  # later the connection is another's
            self._connection.flow(reading=True)
        return piece

    def close(self) -> None:
        """Let go; an answer that is not at its end takes its connection along, which stops the upstream."""
        if not self.complete:
            self._connection.abort()

    def take(self, piece: bytes) -> None:
        """Hold a piece for the reader."""
        self._held.append(piece)
        self._size += len(piece)
        if self._size > MOST_AHEAD:
            self._connection.flow(reading=False)
        self._wake()

    def end(self, problem: Broken | None = None) -> None:
        """Note that nothing more comes, for a reason or because it is whole."""
        if self.complete or self.problem is not None:
            return
        self.complete, self.problem = problem is None, problem
        if not self.begun.done():
            if problem is None:
                self.begun.set_result(None)
            else:
                self.begun.set_exception(problem)
                self.begun.exception()  # nobody may be waiting any more
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Connection(asyncio.Protocol):
    """A connection that is kept from one request to the next; `free` is told when it has answered, and when it is over.

    `fresh` until its second request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, free: Callable[[Connection], None]) -> None:
        self.over = False
        self.busy = False
        self.fresh = True
        self.idle_since = 0.0
        self._loop = loop
        self._free = free
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._answer: Answer | None = None
        self._head = 0
        self._to_the_end = False

    def ask(self, head: bytes, body: bytes) -> Answer:
        """Send a request; its answer begins when `begun` is done."""
        assert self._transport is not None
        self._answer = answer = Answer(self, self._loop)
        self._parser = httptools.HttpResponseParser(self)
        self._head, self._to_the_end, self.busy = 0, False, True
        if self.over:
            self.connection_lost(None)
            return answer
        if len(body) < MOST_HEAD:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        return answer

    @property
    def usable(self) -> bool:
        """Whether a request may be sent on it, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    def flow(self, *, reading: bool) -> None:
        """Read on, or leave what comes with the kernel until somebody has read what is held."""
        if self._paused is reading and self._transport is not None and not self.over:
            self._paused = not reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    # What the transport says --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if (answer := self._answer) is None:  # an upstream that speaks without being asked
            self.abort()
            return
        if not answer.begun.done():
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._broken(str(error.__context__ or error) or type(error).__name__)
        if not answer.begun.done() and self._head > MOST_HEAD:
            self._broken("its headers have no end")

    def eof_received(self) -> None:
        if self._answer is not None and self._to_the_end:
            self._answer.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True
        if self._answer is not None:
            why = type(exc).__name__ if exc is not None else "the connection was closed"
            self._answer.end(Broken(why, silent=self._head == 0))
            self._answer = None
        self._free(self)

    # What the parser says -----------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answer is None:
            raise Broken("it speaks without being asked")
        if len(self._answer.headers) < MOST_HEADERS:
            self._answer.headers.append((name.lower(), value))
        elif not self._answer.begun.done():
            raise Broken("it sent too many headers")

    def on_headers_complete(self) -> None:
        if (answer := self._answer) is None:
            raise Broken("it speaks without being asked")
        answer.status = self._parser.get_status_code()
        if answer.status < 200:
            return
        self._to_the_end = _has_no_length(answer)
        if not answer.begun.done():
            answer.begun.set_result(None)

    def on_body(self, body: bytes) -> None:
        if self._answer is not None:
            self._answer.take(body)

    def on_message_complete(self) -> None:
        if (answer := self._answer) is None:
            raise Broken("it speaks without being asked")
        if answer.status < 200:  # "go on": the answer itself is still to come
            answer.headers.clear()
            return
        lasting = self._parser.should_keep_alive() and not self._to_the_end
        self._answer = None
        answer.end()
        if lasting:
            self.flow(reading=True)
            self._free(self)
        else:
            self.abort()

    def _broken(self, why: str) -> None:
        if self._answer is not None:
            self._answer.end(Broken(why))
            self._answer = None
        self.abort()


def _has_no_length(answer: Answer) -> bool:
    if answer.status in (204, 304):
        return False
    return not any(name in (b"content-length", b"transfer-encoding") for name, _ in answer.headers)

"""The client of upstreams, against servers that say exactly what a test has them say, byte by byte."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surefoot.adapters.identity import uuid7
from surefoot.adapters.models.endpoint import Endpoint
from surefoot.adapters.upstreams import http
from surefoot.adapters.upstreams.connection import MOST_AHEAD, MOST_HEADERS
from surefoot.adapters.upstreams.http import HttpUpstream
from surefoot.adapters.upstreams.pool import Pool
from surefoot.core.errors import Unavailable
from surefoot.ports.upstream import Call, Unreached

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CALL = Call(path="/chat/completions", body=b'{"a": 1}', headers={"x-client-request-id": "r1"})


@dataclass
class Spoken:
    """What a server heard, connection by connection."""

    requests: list[tuple[int, bytes]] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)


Say = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[bool]]


@asynccontextmanager
async def speaking(
    say: Say, secure: ssl.SSLContext | None = None, **given: object
) -> AsyncIterator[tuple[HttpUpstream, Spoken, Pool]]:
    """Serve with `say`, which gets a connection and the number of the request; it says whether another may come."""
    spoken = Spoken()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        spoken.connections += 1
        mine, going = spoken.connections, True
        try:
            while going:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                spoken.requests.append((mine, head + await reader.readexactly(length)))
                going = await say(reader, writer, len(spoken.requests))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            spoken.gone.set()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=secure)
    port = server.sockets[0].getsockname()[1]
    pool = Pool(**given)  # type: ignore[arg-type]
    base = f"{'https' if secure else 'http'}://127.0.0.1:{port}/v1/"
    try:
        yield (
            HttpUpstream(Endpoint(name="up", model="m", base_url=base, api_key="sk-key-0123456789"), pool),
            spoken,
            pool,
        )
    finally:
        await pool.aclose()
        server.close()
        await asyncio.sleep(0.01)


def saying(*parts: bytes, keep: bool = True) -> Say:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: int) -> bool:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        return keep

    return say


async def test_a_request_goes_out_with_the_key_and_its_answer_comes_back() -> None:
    async with speaking(saying(OK + b"X-Request-ID: r\r\nset-cookie: a\r\ncontent-length: 2\r\n\r\n{}")) as (
        up,
        said,
        _,
    ):
        reply = await up.send(CALL)
        assert (reply.status, await reply.read()) == (200, b"{}")
        assert reply.headers == [("content-type", "application/json"), ("x-request-id", "r")]
        head, _, body = said.requests[0][1].partition(b"\r\n\r\n")
        assert body == b'{"a": 1}'
        lines = head.decode().lower().split("\r\n")
        assert lines[0] == "post /v1/chat/completions http/1.1"
        assert "authorization: bearer sk-key-0123456789" in lines
        assert "x-client-request-id: r1" in lines
        assert "accept-encoding: identity" in lines


async def test_one_connection_serves_one_request_after_the_other() -> None:
    async with speaking(saying(OK + b"content-length: 2\r\n\r\n{}")) as (up, said, _):
        for _ in range(5):
            assert await (await up.send(CALL)).read() == b"{}"
        assert said.connections == 1


async def test_requests_at_once_get_connections_of_their_own_up_to_the_bound() -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        await asyncio.sleep(0.01)
        writer.write(OK + b"content-length: %d\r\n\r\n%d" % (len(str(number)), number))
        return True

    async with speaking(say, most=3) as (up, said, _):

        async def one() -> bytes:
            return await (await up.send(CALL)).read()

        assert len(set(await asyncio.gather(*(one() for _ in range(20))))) == 20
        assert said.connections == 3


async def test_a_request_whose_client_is_gone_gives_its_room_back() -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        if number <= 2:
            await reader.read()  # never answers; ends when the client lets go
            return False
        writer.write(OK + b"content-length: 2\r\n\r\n{}")
        return True

    async with speaking(say, most=1) as (up, said, _):
        for number in (1, 2):
            hanging = asyncio.ensure_future(up.send(CALL))
            while len(said.requests) < number:  # noqa: ASYNC110  what the server heard is a plain list
                await asyncio.sleep(0)
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
        assert await (await up.send(CALL)).read() == b"{}"


@pytest.mark.parametrize("framing", [
    [b"content-length: 11\r\n\r\n", b"hello world"],
    [b"transfer-encoding: chunked\r\n\r\n", b"5\r\nhel", b"lo\r\n6\r\n world\r\n", b"0\r\nx-trailer: 1\r\n\r\n"],
    [b"\r\n", b"hello", b" world"],
    [b"connection: close\r\ncontent-length: 11\r\n\r\n", b"hello world"],
    [b"content-encoding: gzip\r\n\r\n", gzip.compress(b"hello world")],
    [b"content-encoding: deflate\r\n\r\n", zlib.compress(b"hello world")],
    [b"content-encoding: deflate\r\n\r\n", zlib.compress(b"hello world", wbits=-15)],
])  # fmt: skip
async def test_every_framing_and_packing_is_read_to_its_end(framing: list[bytes]) -> None:
    async with speaking(saying(OK, *framing, keep=False)) as (up, _, _pool):
        reply = await up.send(CALL)
        assert await reply.read() == b"hello world"
        assert "content-encoding" not in dict(reply.headers)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8), st.integers(1, 30), st.booleans())
def test_however_the_bytes_are_cut_the_answer_is_the_same(body: list[bytes], cut: int, chunked: bool) -> None:
    whole = b"".join(body)
    if chunked:
        wire = OK + b"transfer-encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(b), b) for b in body)
        wire += b"0\r\n\r\n"
    else:
        wire = OK + b"content-length: %d\r\n\r\n%s" % (len(whole), whole)

    async def run() -> bytes:
        parts = [wire[n : n + cut] for n in range(0, len(wire), cut)]
        async with speaking(saying(*parts)) as (up, _, _pool):
            return b"".join([piece async for piece in (await up.send(CALL)).pieces()])

    assert asyncio.run(run()) == whole


@pytest.mark.parametrize("broken", [
    b"content-length: 20\r\n\r\nhello", b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"transfer-encoding: chunked\r\n\r\nzz\r\n", b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello",
])  # fmt: skip
async def test_an_answer_that_is_not_whole_is_broken_off_and_never_short(broken: bytes) -> None:
    async with speaking(saying(OK + broken, keep=False)) as (up, _, _pool):
        with pytest.raises(Unreached, match=r"broke off|cannot be reached"):
            await (await up.send(CALL)).read()


@pytest.mark.parametrize("nonsense", [
    b"SSH-2.0-OpenSSH\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"", OK + b"a: b\r\n" * (MOST_HEADERS + 9) + b"\r\n",
    OK + b"a: " + b"x" * 300_000, b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
])  # fmt: skip
async def test_what_is_no_answer_is_told_as_none(nonsense: bytes) -> None:
    async with speaking(saying(nonsense, keep=False)) as (up, said, _):
        with pytest.raises(Unreached, match="up cannot be reached"):
            await up.send(CALL)
        assert len(said.requests) == 1, "a first request is not sent again by itself"


async def test_a_kept_connection_that_the_upstream_has_closed_is_no_error() -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        if number == 2:  # it closes just as the second request comes
            return False
        writer.write(OK + b"content-length: 2\r\n\r\n{}")
        return True

    async with speaking(say) as (up, said, _):
        for _ in range(2):
            assert await (await up.send(CALL)).read() == b"{}"
        assert [connection for connection, _ in said.requests] == [1, 1, 2]


async def test_an_answer_that_broke_off_after_its_first_byte_is_not_asked_for_again() -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        writer.write(OK + b"content-length: 2\r\n\r\n{}" if number == 1 else b"HTTP/1.1 2")
        return number == 1

    async with speaking(say) as (up, said, _):
        assert await (await up.send(CALL)).read() == b"{}"
        with pytest.raises(Unreached):
            await up.send(CALL)
        assert len(said.requests) == 2


async def test_a_word_to_go_on_is_no_answer_yet() -> None:
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with speaking(saying(go_on, OK + b"content-length: 2\r\n\r\n{}")) as (up, _, _pool):
        reply = await up.send(CALL)
        assert (reply.status, await reply.read()) == (200, b"{}")
        assert "link" not in dict(reply.headers)


async def test_what_comes_unasked_after_an_answer_reaches_nobody() -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        body = b'{"for": %d}' % number
        poison = OK + b"content-length: 10\r\n\r\npoisonous!" if number == 1 else b""
        writer.write(OK + b"content-length: %d\r\n\r\n%s" % (len(body), body) + poison)
        return True

    async with speaking(say) as (up, said, _):
        first = await (await up.send(CALL)).read()
        second = await (await up.send(CALL)).read()
        assert first == b'{"for": 1}'
        assert second == b'{"for": 2}'
        assert said.connections == 2


async def test_whoever_does_not_read_makes_the_upstream_wait() -> None:
    sent = 0

    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: int) -> bool:
        nonlocal sent
        writer.write(OK + b"transfer-encoding: chunked\r\n\r\n")
        for _chunk in range(2_000):
            writer.write(b"4000\r\n" + b"x" * 16384 + b"\r\n")
            await writer.drain()
            sent += 16384
        writer.write(b"0\r\n\r\n")
        return True

    async with speaking(say) as (up, _, _pool):
        reply = await up.send(CALL)
        before = -1
        while sent != before:  # until nothing moves any more
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 16 * 1024 * 1024, "most of 32 MiB is still with the upstream; the rest is the kernel's"
        held = reply._answer._size  # pyright: ignore[reportPrivateUsage]
        assert held <= MOST_AHEAD + 512 * 1024
        assert len(await reply.read()) == 2_000 * 16384


async def test_letting_go_of_an_answer_stops_the_upstream() -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> bool:
        writer.write(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        await reader.readexactly(1)
        return False

    async with speaking(say) as (up, said, _):
        reply = await up.send(CALL)
        async for _ in reply.pieces():
            break
        reply.close()
        await asyncio.wait_for(said.gone.wait(), 5)


async def test_a_packed_answer_cannot_unpack_to_more_than_may_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 1024 * 1024)
    bomb = gzip.compress(b"\0" * 50_000_000)
    async with speaking(saying(OK + b"content-encoding: gzip\r\n\r\n" + bomb, keep=False)) as (up, _, _pool):
        with pytest.raises(Unreached):
            await (await up.send(CALL)).read()


async def test_a_header_cannot_bring_another_along() -> None:
    async with speaking(saying(OK + b"content-length: 2\r\n\r\n{}")) as (up, said, _):
        for evil in ("a\r\nx-admin: 1", "a\nb", "a\rb", "a\0b"):
            with pytest.raises(Unavailable, match="line break"):
                await up.send(Call(path="/chat/completions", body=b"{}", headers={"accept": evil}))
            with pytest.raises(Unavailable, match="line break"):
                await up.send(Call(path="/chat/completions", body=b"{}", authorization=evil))
        assert said.requests == []


async def test_an_upstream_that_nobody_is_behind_is_told_by_name() -> None:
    async with speaking(saying(b"")) as (up, _, pool):
        dead = HttpUpstream(Endpoint(name="dead", model="m", base_url="http://127.0.0.1:1/v1"), pool)
        for _ in range(3):
            with pytest.raises(Unreached, match="dead cannot be reached"):
                await dead.send(CALL)
        assert up.name == "up"


async def test_over_tls_only_a_certificate_that_is_trusted_gets_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here to make a certificate")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(  # noqa: ASYNC221  it takes no time
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], check=True, capture_output=True,
    )  # fmt: skip
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(cert, key)
    async with speaking(saying(OK + b"content-length: 2\r\n\r\n{}"), secure=secure) as (up, said, _):
        with pytest.raises(Unreached, match="SSLCertVerificationError"):
            await up.send(CALL)
        assert said.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        port = urlsplit(up._endpoint.base_url).port  # pyright: ignore[reportPrivateUsage]
        trusting, elsewhere = (
            HttpUpstream(Endpoint(name="up", model="m", base_url=f"https://{host}:{port}/v1", api_key="k"), Pool())
            for host in ("localhost", "127.0.0.1")
        )
        assert await (await trusting.send(CALL)).read() == b"{}"
        with pytest.raises(Unreached, match="SSLCertVerificationError"):
            await elsewhere.send(CALL)
        assert len(said.requests) == 1
        await trusting._pool.aclose()  # pyright: ignore[reportPrivateUsage]


def test_an_id_is_drawn_once_also_by_a_child() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    uuid7()  # so that the parent has drawn some ahead
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join(uuid7()[14:] for _ in range(50)).encode())
        os._exit(0)
    os.close(writing)
    mine = {uuid7()[14:] for _ in range(50)}
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode()
    theirs = {told[n : n + 22] for n in range(0, len(told), 22)}
    assert len(theirs) == 50
    assert not mine & theirs

"""Channels over real HTTP on loopback and real processes: what arrives, what is refused, what is not waited for."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from surefoot.adapters.address import looked_up, reached
from surefoot.adapters.notify.email_command import EmailCommand
from surefoot.adapters.notify.terminal import Terminal
from surefoot.adapters.notify.webhook import Webhook
from surefoot.core.errors import Forbidden, Invalid, Unavailable
from surefoot.core.notice import Notice
from surefoot.core.reach import Reach, is_public, reach_of
from surefoot.core.signature import Unauthenticated, verify

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "a secret of enough characters"
NOTICE = Notice(
    id="n1", channel="webhook", kind="approval_requested", agent="support", subject="support/v2", sentence="It won.",
    at=NOW, next_at=NOW, facts={"approval": "promote-support-v2-1", "odd": "ünïcode \u202e"},
)  # fmt: skip


class Receiver:
    """A server on loopback that keeps what it gets, and answers to order."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self.wait = threading.Event()
        self.wait.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), body))
                receiver.wait.wait(5)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 (the name is inherited)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hooks/in?key=k1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.wait.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def only(*allowed: str) -> Reach:
    return reach_of(allowed, setting="[notify] allow_private_hosts")


def hook(url: str, *, secret: str = SECRET, allow=("127.0.0.1",), **more) -> Webhook:
    return Webhook(url, secret, clock=lambda: NOW, reach=only(*allow), **more)


def resolves_to(*addresses: str):
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


async def test_what_arrives_is_signed_and_can_be_verified(receiver: Receiver):
    await hook(receiver.url).send(NOTICE)
    (path, headers, body) = receiver.got[0]
    assert path == "/hooks/in?key=k1"
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    told = {
        "timestamp": headers["X-Surefoot-Timestamp"], "nonce": headers["X-Surefoot-Nonce"],
        "signature": headers["X-Surefoot-Signature"], "body": body,
    }  # fmt: skip
    verify(SECRET, **told, now=NOW + timedelta(minutes=4))
    with pytest.raises(Unauthenticated):
        verify("another secret, also long", **told, now=NOW)
    assert json.loads(body)["odd"] == "ünïcode \u202e"
    assert json.loads(body)["id"] == "n1"


async def test_each_try_has_a_nonce_of_its_own(receiver: Receiver):
    one = hook(receiver.url)
    for _ in range(3):
        await one.send(NOTICE)
    assert len({headers["X-Surefoot-Nonce"] for _, headers, _ in receiver.got}) == 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(receiver: Receiver, status: int):
    other = Receiver()
    receiver.status, receiver.headers = status, {"Location": other.url}
    try:
        with pytest.raises(Unavailable, match=f"answered {status}"):
            await hook(receiver.url).send(NOTICE)
        assert other.got == []
        assert len(receiver.got) == 1
    finally:
        other.close()


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
async def test_anything_but_a_yes_is_tried_again(receiver: Receiver, status: int):
    receiver.status = status
    with pytest.raises(Unavailable, match=f"answered {status}"):
        await hook(receiver.url).send(NOTICE)


async def test_who_does_not_answer_is_not_waited_for(receiver: Receiver):
    receiver.wait.clear()
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"did not answer in 0\.3 s"):
        await hook(receiver.url, timeout_s=0.3).send(NOTICE)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("sends", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"x" * 200_000])
async def test_what_is_not_http_is_no_yes(sends: bytes):
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sends)
        writer.close()

    server = await asyncio.start_server(answers, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unavailable):
        await hook(f"http://127.0.0.1:{port}/").send(NOTICE)
    server.close()
    await server.wait_closed()


async def test_a_slow_drip_does_not_hold_it_either():
    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not gone.is_set():
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            gone.set()
        writer.transport.abort()
        gone.set()

    gone = asyncio.Event()

    server = await asyncio.start_server(drips, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unavailable, match="did not answer"):
        await hook(f"http://127.0.0.1:{port}/", timeout_s=0.3).send(NOTICE)
    await gone.wait()
    server.close()


async def test_a_refused_connection_is_tried_again():
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        await hook("http://127.0.0.1:9/").send(NOTICE)


async def test_without_a_secret_nothing_is_sent(receiver: Receiver):
    with pytest.raises(Unavailable, match="no usable secret"):
        await hook(receiver.url, secret="").send(NOTICE)
    assert receiver.got == []


# Where it may go -----------------------------------------------------------------------------------------------------

PRIVATE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1", "::7f00:1", "2001:db8::1", "nonsense", "",
    "fec0::1", "feff::1", "168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a83f:8110", "192.0.0.9", "192.0.0.170",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_our_own_networks_is_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_an_address_of_the_internet_is_public(address: str):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::1]:{port}/", "http://0.0.0.0:{port}/",
     "http://169.254.169.254/latest/meta-data", "https://10.0.0.1/", "https://[::ffff:127.0.0.1]:{port}/"],
)  # fmt: skip
async def test_private_addresses_are_refused_before_anything_is_sent(receiver: Receiver, url: str):
    with pytest.raises(Forbidden, match="not a public address"):
        await hook(url.format(port=receiver.port), allow=()).send(NOTICE)
    assert receiver.got == []


@pytest.mark.parametrize("port_of", ["2130706433", "0x7f000001", "127.1"])
async def test_a_loopback_written_in_another_way_is_refused_too(receiver: Receiver, port_of: str):
    """The system's name service reads these as 127.0.0.1; here a stand-in says what it says."""
    with pytest.raises(Forbidden):
        await hook(f"http://{port_of}:{receiver.port}/", allow=(), resolve=resolves_to("127.0.0.1")).send(NOTICE)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["169.254.169.254"], ["::1"]])
async def test_a_public_name_that_resolves_to_a_private_address_is_refused(receiver: Receiver, addresses: list[str]):
    with pytest.raises(Forbidden, match=r"hooks\.example\.com is"):
        await hook(f"http://hooks.example.com:{receiver.port}/", allow=(), resolve=resolves_to(*addresses)).send(NOTICE)
    assert receiver.got == []


async def test_the_name_is_resolved_once_and_the_judged_address_is_used(receiver: Receiver):
    """A name server that answers otherwise the second time changes nothing."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    await hook(f"http://hooks.internal:{receiver.port}/in", allow=("hooks.internal",), resolve=rebinding).send(NOTICE)
    assert asked == ["hooks.internal"]
    assert receiver.got[0][1]["Host"] == f"hooks.internal:{receiver.port}"


async def test_a_host_that_is_allowed_by_name_may_be_private_and_others_still_may_not(receiver: Receiver):
    await hook(f"http://localhost:{receiver.port}/", allow=("LOCALHOST",)).send(NOTICE)
    assert len(receiver.got) == 1
    with pytest.raises(Forbidden):
        await hook(f"http://127.0.0.1:{receiver.port}/", allow=("localhost",)).send(NOTICE)


async def test_a_public_host_is_told_with_tls_only():
    with pytest.raises(Forbidden, match="without TLS"):
        await reached(only(), "hooks.example.com", 80, tls=False, resolve=resolves_to("1.1.1.1"))
    found = await reached(only(), "hooks.example.com", 443, tls=True, resolve=resolves_to("1.1.1.1"))
    assert found == ["1.1.1.1"]


@pytest.mark.parametrize(
    "url",
    ["", "ftp://example.com/", "file:///etc/passwd", "//example.com", "https://", "https://user:key@example.com/",
     "https://example.com:0/", "https://example.com:99999/", "https://exa mple.com/", "https://example.com/a b",
     "https://example.com/\u2028", "https://[::1/", "gopher://127.0.0.1:25/_x"],
)  # fmt: skip
async def test_an_address_that_is_none_is_invalid_and_not_repeated(url: str):
    with pytest.raises(Invalid) as caught:
        await hook(url).send(NOTICE)
    assert len(url) < 9 or url not in f"{caught.value.message} {caught.value.hint}"


async def test_no_header_can_be_smuggled_in_by_the_address(receiver: Receiver):
    with pytest.raises((Invalid, Forbidden)):
        await hook(f"http://127.0.0.1:{receiver.port}/%0d%0aX: 1 HTTP/1.1\r\nX-Evil: 1").send(NOTICE)
    assert receiver.got == []


async def test_names_are_looked_up_by_the_system():
    assert set(await looked_up("localhost", 80)) <= {"127.0.0.1", "::1"}
    assert await looked_up("169.254.169.254", 80) == ["169.254.169.254"]


# A command -----------------------------------------------------------------------------------------------------------


def command(program: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program, *arguments)


async def test_the_command_gets_the_text_and_nothing_of_it_as_an_argument(tmp_path: Path):
    out = tmp_path / "out.json"
    program = (
        "import json, os, sys; json.dump([sys.stdin.read(), sys.argv[1:], dict(os.environ)], open(sys.argv[1], 'w'))"
    )
    environ = {"PATH": "/usr/bin", "SUREFOOT_WEBHOOK_SECRET": SECRET, "OPENAI_API_KEY": "sk-1"}
    evil = replace(NOTICE, sentence="$(touch /tmp/x); `id`\n.\nTo: everybody")
    await EmailCommand(command(program, str(out)), environ=environ).send(evil)
    text, arguments, seen = json.loads(out.read_text())
    assert "$(touch /tmp/x); `id`<U+000A>.<U+000A>To: everybody" in text
    assert "promote-support-v2-1" in text
    assert arguments == [str(out)]
    assert SECRET not in str(seen)
    assert "OPENAI_API_KEY" not in seen


async def test_a_command_that_fails_is_tried_again_and_says_why():
    failing = command("import sys; sys.stdin.read(); sys.exit('no such mailbox')")
    with pytest.raises(Unavailable, match="gave 1: no such mailbox"):
        await EmailCommand(failing, environ={}).send(NOTICE)
    with pytest.raises(Unavailable, match="cannot be run"):
        await EmailCommand(("/nowhere/mail",), environ={}).send(NOTICE)


async def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path):
    alive = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(1.0); pathlib.Path({str(alive)!r}).touch()"
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    with pytest.raises(Unavailable, match="took longer"):
        await EmailCommand(command(parent), environ={}, timeout_s=0.5).send(NOTICE)
    await asyncio.sleep(1.5)
    assert not alive.exists()


async def test_a_command_that_reads_nothing_still_counts_by_its_exit_code():
    await EmailCommand(command("pass"), environ={}).send(replace(NOTICE, sentence="x" * 1_000_000))


async def test_the_terminal_gets_one_line():
    stream = io.StringIO()
    await Terminal(stream).send(replace(NOTICE, sentence="It won.\x1b[2J\nforged: line"))
    assert stream.getvalue() == "support/v2: It won.<U+001B>[2J<U+000A>forged: line\n"

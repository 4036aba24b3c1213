"""Where processes may be, and what they may answer, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from surefoot.adapters.nodes import Guard, HttpNode
from surefoot.core.errors import Forbidden, Invalid, SurefootError, Unavailable
from surefoot.core.reach import LOOPBACK, Reach, reach_of
from surefoot.ports.node import NotSent


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def only(*allowed: str) -> Reach:
    return reach_of(allowed, setting="[processes] allow_hosts")


def permitted(guard: Guard, address: str) -> str:
    return asyncio.run(guard.permit(address))


def names(*answers: list[str]) -> Guard:
    """A guard that may reach loopback, where a name is resolved to these addresses one after the other."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return Guard(only(*LOOPBACK), resolve=resolve)


def test_an_address_is_spelt_in_one_way() -> None:
    near = Guard(only(*LOOPBACK))
    assert permitted(near, "http://127.0.0.1:9000/") == permitted(near, "http://127.0.0.1:9000")
    assert permitted(near, "http://LOCALHOST:9000/a/") == "http://localhost:9000/a"
    assert permitted(near, "http://[::1]:9000") == "http://[::1]:9000"


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]/", "http://[::ffff:127.0.0.1]/"]
)
def test_this_machine_is_reached_only_where_it_is_allowed_however_it_is_spelt(address: str) -> None:
    with pytest.raises(Forbidden, match="not a public address"):
        permitted(Guard(only()), address)
    assert permitted(Guard(only(*LOOPBACK)), address).startswith("http://")


def test_a_network_a_host_or_an_address_can_be_allowed_and_nothing_beside_it() -> None:
    guard = Guard(only("10.1.0.0/16", "192.168.7.7"))
    for address in ("http://10.1.2.3", "http://192.168.7.7:8080"):
        permitted(guard, address)
    for address in ("http://10.2.0.1", "http://192.168.7.8", "http://127.0.0.1", "http://169.254.169.254"):
        with pytest.raises(Forbidden):
            permitted(guard, address)
    with pytest.raises(Forbidden, match="without TLS"):
        permitted(guard, "http://8.8.8.8")
    permitted(guard, "https://8.8.8.8")


def test_a_name_that_changes_its_address_after_the_registration_is_not_followed(port: int) -> None:
    async def story() -> None:
        node = HttpNode(names(["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1"]))
        try:
            base = await node.permit(f"http://agents.example:{port}")
            assert (await node.vital(base)).well
            assert not (await node.vital(base)).well
            with pytest.raises(NotSent):
                await node.call(base, "/reasoners/x", {}, {}, 5)
        finally:
            await node.aclose()

    asyncio.run(story())


def test_a_name_that_turns_public_is_not_asked_without_tls() -> None:
    async def story() -> None:
        node = HttpNode(names(["127.0.0.1"], ["8.8.8.8"]))
        try:
            base = await node.permit("http://agents.example:1")
            with pytest.raises(NotSent, match="without TLS"):
                await node.call(base, "/reasoners/x", {}, {}, 5)
        finally:
            await node.aclose()

    asyncio.run(story())


def test_of_several_addresses_one_that_is_private_is_enough_to_refuse() -> None:
    with pytest.raises(Forbidden):
        permitted(names(["127.0.0.1", "10.0.0.1"]), "http://agents.example")
    with pytest.raises(Unavailable):
        permitted(names([]), "http://agents.example")


def test_a_name_service_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr("surefoot.adapters.address.RESOLVE_S", 0.05)
    with pytest.raises(Unavailable, match="was not told in"):
        permitted(Guard(only(), resolve=never), "https://agents.example")


@pytest.mark.parametrize(
    "address",
    ["", "x", "http://", "ftp://127.0.0.1", "http://a@127.0.0.1", "http://127.0.0.1?x", "http://127.0.0.1#x",
     "http://127.0.0.1:99999", "http://a..b/", "http://\u2028/"],
)  # fmt: skip
def test_what_is_no_address_is_told_in_words(address: str) -> None:
    with pytest.raises(Invalid) as told:
        permitted(Guard(only(*LOOPBACK)), address)
    assert isinstance(told.value, SurefootError)
    assert told.value.hint

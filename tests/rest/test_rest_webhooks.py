"""Other systems are told what happens: signed with a key of their own, again until it arrives, and never inside."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rest_house import SECRET, Door, problem, serving

from surefoot.adapters.notify.hooks import SignedHooks
from surefoot.core.errors import Forbidden, Unavailable
from surefoot.core.reach import reach_of
from surefoot.core.signature import Unauthenticated, verify
from surefoot.core.subscription import signing_key
from surefoot.core.token import EVERY_AGENT
from surefoot.engine.notify import deliver
from surefoot.engine.subscribe import spread


@dataclass
class Receiver:
    """A system that listens, and answers with `status`."""

    port: int = 0
    status: int = 200
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body)["event"] for _, body in self.heard]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            one.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(one.status)
            if one.status == 302:
                self.send_header("Location", one.url)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield one
    server.shutdown()
    thread.join()
    server.server_close()


def teach(door: Door, text: str, agent: str = "support") -> None:
    assert door.post(f"/agents/{agent}/lessons", {"text": text}).status == 201


def delivered(door: Door) -> None:
    door.do(lambda app: deliver(app.ports))


def test_a_subscriber_hears_what_it_wants_from_then_on_signed_with_its_own_key(door: Door, receiver: Receiver) -> None:
    teach(door, "before")
    made = door.post("/webhooks", {"url": receiver.url, "events": ["lesson.*"], "agents": ["support"]})
    assert (made.status, made.headers["cache-control"]) == (201, "no-store")
    key = made.json["signing_key"]
    teach(door, "after")
    teach(door, "of another", agent="other")
    delivered(door)
    delivered(door)
    assert [one["facts"]["text"] for one in receiver.events()] == ["after"]
    headers, body = receiver.heard[0]
    signed = {"timestamp": headers["x-surefoot-timestamp"], "nonce": headers["x-surefoot-nonce"],
              "signature": headers["x-surefoot-signature"]}  # fmt: skip
    verify(key, body=body, now=door.app.ports.clock(), **signed)
    with pytest.raises(Unauthenticated):
        verify(SECRET, body=body, now=door.app.ports.clock(), **signed)
    shown = door.get(f"/webhooks/{made.json['id']}")
    assert "signing_key" not in shown.json
    (row,) = door.get(f"/webhooks/{made.json['id']}/deliveries").json["notices"]
    assert (row["state"], row["tries"]) == ("delivered", 1)


def test_whoever_spreads_and_however_often_each_event_is_put_out_once(door: Door, receiver: Receiver) -> None:
    door.post("/webhooks", {"url": receiver.url})

    async def twice(app: Any) -> tuple[int, int]:
        import asyncio

        found = await asyncio.gather(spread(app.ports), spread(app.ports))
        return found[0] + found[1], await spread(app.ports)

    for number in range(5):
        teach(door, f"{number}")
    assert door.do(twice) == (5, 0)


def test_it_is_tried_again_until_it_arrives_and_then_given_up_visibly(door: Door, receiver: Receiver) -> None:
    from dataclasses import replace
    from datetime import timedelta

    receiver.status = 500
    made = door.post("/webhooks", {"url": receiver.url, "events": ["webhook.test"]}).json["id"]
    notice = door.post(f"/webhooks/{made}/test")
    assert notice.status == 202

    async def later(app: Any) -> None:
        now = [app.ports.clock()]
        ports = replace(app.ports, clock=lambda: now[0])
        for _ in range(7):
            await deliver(ports)
            now[0] += timedelta(minutes=6)

    door.do(later)
    assert len(receiver.heard) == 5
    path = f"/webhooks/{made}/deliveries"
    (row,) = door.get(path).json["notices"]
    assert (row["state"], row["tries"], "500" in row["error"]) == ("dead", 5, True)
    receiver.status = 200
    assert door.post(f"/notices/{row['id']}/redrive").json["state"] == "waiting"
    delivered(door)
    assert door.get(path).json["notices"][0]["state"] == "delivered"


def test_a_redirect_is_not_followed(door: Door, receiver: Receiver) -> None:
    receiver.status = 302
    made = door.post("/webhooks", {"url": receiver.url, "events": ["webhook.test"]}).json["id"]
    door.post(f"/webhooks/{made}/test")
    delivered(door)
    assert len(receiver.heard) == 1
    assert "302" in door.get(f"/webhooks/{made}/deliveries").json["notices"][0]["error"]


def test_what_waits_for_a_subscriber_that_is_gone_is_dead_and_goes_nowhere(door: Door, receiver: Receiver) -> None:
    made = door.post("/webhooks", {"url": receiver.url, "events": ["lesson.*"]}).json["id"]
    teach(door, "late")
    door.do(lambda app: spread(app.ports))
    assert door.delete(f"/webhooks/{made}").status == 204
    problem(door.delete(f"/webhooks/{made}"), 404, "not_found")
    delivered(door)
    assert receiver.heard == []
    assert "dead" in {one["state"] for one in door.get("/notices").json["notices"]}


ADDRESSES = {
    403: ["http://169.254.169.254/latest/meta-data", "https://10.0.0.7/x", "https://[::1]/x", "https://localhost/x",
          "https://2130706433/x", "http://example.com/x", "https://[::ffff:10.0.0.1]/x", "https://x.localhost./x",
          "https://0x7f.1/x"],
    422: ["ftp://example.com/x", "https://ana:pw@example.com/x", "nonsense", "https://exa mple.com", "",
          "https://example.com/\r\nHost: x", "file:///etc/passwd", "https://example.com:0/"],
}  # fmt: skip


def test_an_address_inside_or_none_at_all_is_refused_at_once(store: Path) -> None:
    with serving(store, private=()) as door:
        for status, urls in ADDRESSES.items():
            assert [door.post("/webhooks", {"url": url}).status for url in urls] == [status] * len(urls), urls
        assert door.get("/webhooks").json["webhooks"] == []


async def test_a_name_that_turns_out_to_be_inside_is_refused_when_it_is_posted_to() -> None:
    from datetime import UTC, datetime

    from surefoot.core.notice import Notice

    answers = iter([["93.184.216.34", "127.0.0.1"], ["10.0.0.1"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    now = datetime(2026, 1, 5, tzinfo=UTC)
    hooks = SignedHooks(SECRET, clock=lambda: now, reach=reach_of((), setting="x"), resolve=rebinding)
    hooks.check("https://rebinding.example/x")
    notice = Notice(id="n", channel="webhook:s", kind="event", agent="", subject="s", sentence="s", at=now, next_at=now)
    for _ in range(2):
        with pytest.raises(Forbidden):
            await hooks.notifier("https://rebinding.example/x", "s").send(notice)


def test_without_a_secret_nobody_can_subscribe(store: Path) -> None:
    with serving(store, environ={}) as door:
        problem(door.post("/webhooks", {"url": "http://127.0.0.1:9/x"}), 503, "unavailable")
    with pytest.raises(Unavailable):
        signing_key("short", "x")


def test_each_subscription_has_a_key_that_another_secret_does_not_make() -> None:
    keys = {signing_key(secret, one) for secret in (SECRET, SECRET + "!") for one in ("a", "b")}
    assert len(keys) == 4


def test_only_admins_subscribe_and_one_held_to_an_agent_only_to_it(door: Door) -> None:
    body = {"url": "http://127.0.0.1:9/x"}
    for who in ("olga", "bob", "vera", "app", "ida"):
        problem(door.post("/webhooks", body, by=who), 403, "forbidden")
    problem(door.post("/webhooks", body, by="held"), 403, "forbidden")
    problem(door.post("/webhooks", body | {"agents": ["support"]}, by="held"), 403, "forbidden")
    made = door.post("/webhooks", body | {"agents": ["other"]}, by="held")
    assert made.status == 201
    whole = door.post("/webhooks", body).json["id"]
    assert [one["id"] for one in door.get("/webhooks", by="held").json["webhooks"]] == [made.json["id"]]
    problem(door.delete(f"/webhooks/{whole}", by="held"), 404, "not_found")
    problem(door.post("/webhooks", body | {"agents": ["nobody"]}), 404, "not_found")


def test_a_webhook_about_notices_does_not_feed_itself(door: Door, receiver: Receiver) -> None:
    receiver.status = 404
    made = door.post("/webhooks", {"url": receiver.url}).json["id"]
    door.post(f"/webhooks/{made}/test")

    async def days(app: Any) -> int:
        from dataclasses import replace
        from datetime import timedelta

        now = [app.ports.clock()]
        for _ in range(12):
            await deliver(replace(app.ports, clock=lambda: now[0]))
            now[0] += timedelta(minutes=6)
        return len(await app.ports.store.read(lambda tx: tx.notices.listed(agents=EVERY_AGENT)))

    assert door.do(days) <= 2

"""The REST API over real HTTP on loopback: who may come in, what is decided, and attempts to cheat."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn

sys.path.insert(0, str(Path(__file__).parents[1]))

from door import V1, Answer, problem
from door import Door as Knocking
from surefoot.app import build
from surefoot.config import ApprovalSettings, Settings, TokenSettings
from surefoot.core.audit import verify
from surefoot.core.errors import Forbidden
from surefoot.core.signature import sign
from surefoot.core.token import hashed

SECRET = "the secret of the chat bot"
ROLES = {"ana": "admin", "bob": "reviewer", "cid": "reviewer", "ann": "reviewer", "vera": "viewer", "app": "agent",
         "olga": "operator"}  # fmt: skip
HOOK = f"{V1}/webhooks/approval-response"


class Door(Knocking):
    """A running server whose store holds a scene."""

    def __init__(self, scene: Any, port: int, app: Any) -> None:
        super().__init__(port, app)
        self.scene = scene

    def signed(
        self, body: Any, *, secret: str = SECRET, nonce: str = "nonce-0001", at: float | None = None,
        sends: bytes | None = None, **headers: str,
    ) -> Answer:  # fmt: skip
        """Post a signed message; `sends` replaces the body after it was signed."""
        raw = json.dumps(body).encode()
        stamp = str(int(time.time() if at is None else at))
        signature = sign(secret, timestamp=stamp, nonce=nonce, body=raw)
        told = {"X_Surefoot_Timestamp": stamp, "X_Surefoot_Nonce": nonce, "X_Surefoot_Signature": signature} | headers
        return self.ask("POST", HOOK, raw if sends is None else sends, **told)

    def request(self) -> dict[str, Any]:
        """The one request that waits."""
        (one,) = self.get(f"{V1}/approvals", by="vera").json["approvals"]
        return one

    def decision(self, word: str = "approved", **more: Any) -> dict[str, Any]:
        """What a decision quotes."""
        one = self.request()
        return {"decision": word, "version_hash": one["version_hash"], "evidence_hash": one["evidence_hash"], **more}

    def message(self, by: str = "bob", word: str = "approved", **more: Any) -> dict[str, Any]:
        """The same as a signed message says it."""
        return {**self.decision(word), "approval": self.request()["id"], "by": by, **more}

    def actions(self) -> list[str]:
        return [one.action for one in self.scene.see(lambda tx: tx.audit.all())]

    def live(self) -> int:
        return self.scene.see(lambda tx: tx.agents.get("support").live)


@contextlib.contextmanager
def serving(scene: Any, *, tokens: Any = ROLES, secret: str = SECRET, people: int = 1) -> Iterator[Door]:
    known = {
        name: one if isinstance(one, TokenSettings) else TokenSettings(sha256=hashed(f"sf_{name}"), role=one)
        for name, one in tokens.items()
    }
    settings = Settings(store=scene.store, tokens=known, approvals=ApprovalSettings(people_needed=people))
    app = build(settings, environ={})
    api = app.api(loopback=True, environ={"SUREFOOT_APPROVAL_SECRET": secret})
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api, log_level="critical", ws="none", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    try:
        yield Door(scene, listening.getsockname()[1], app)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        app.close()


@pytest.fixture
def door(scene: Any) -> Iterator[Door]:
    """A server whose agent `support` has a version 2, by ann, that waits for a decision."""
    scene.waiting()
    with serving(scene) as one:
        yield one


# Looking -------------------------------------------------------------------------------------------------------------


def test_health_needs_no_token(door: Door) -> None:
    assert door.get("/healthz").json["status"] == "ok"


def test_agents_rollouts_and_reconciles_are_shown(door: Door) -> None:
    (agent,) = door.get(f"{V1}/agents", by="vera").json["agents"]
    assert (agent["name"], agent["live"], agent["waits"]) == ("support", 1, [door.request()["id"]])
    (rollout,) = door.get(f"{V1}/agents/support/rollouts", by="vera").json["rollouts"]
    assert rollout["state"] == "awaiting_approval"
    assert door.get(f"{V1}/rollouts/{rollout['id']}", by="vera").json == rollout
    rows = door.get(f"{V1}/rollouts/{rollout['id']}/reconciles", by="vera").json
    assert [one["seq"] for one in rows["reconciles"]] == list(range(1, rollout["steps"] + 1))
    assert rows["next"] is None


def test_reconciles_come_in_pages(door: Door) -> None:
    rollout = door.request()["rollout"]
    seen, after = [], 0
    while after is not None:
        page = door.get(f"{V1}/rollouts/{rollout}/reconciles?limit=2&after={after}", by="vera").json
        seen += [one["seq"] for one in page["reconciles"]]
        assert len(page["reconciles"]) <= 2
        after = page["next"]
    assert seen == sorted(set(seen))
    assert seen
    for odd in ("limit=0", "limit=1001", "after=-1", "limit=x"):
        problem(door.get(f"{V1}/rollouts/{rollout}/reconciles?{odd}", by="vera"), 422, "invalid")


def test_a_request_is_shown_as_the_command_line_shows_it(door: Door, cli: Any) -> None:
    one = door.request()
    (same,) = cli("approvals", one["id"], "--json").json["approvals"]
    for seen in (one, same):
        seen.pop("reach")  # it is counted anew
    assert {k: v for k, v in one.items() if not k.endswith("_at") and k != "at"} == {
        k: v for k, v in same.items() if not k.endswith("_at") and k != "at"
    }
    assert door.get(f"{V1}/approvals/{one['id']}", by="vera").json["worst_slice"]["name"].startswith("label=")


@pytest.mark.parametrize(
    "path", ["/agents/nobody/rollouts", "/rollouts/none", "/rollouts/none/reconciles", "/approvals/none",
             "/approvals?agent=nobody", "/nowhere"],
)  # fmt: skip
def test_what_is_not_there_is_404_in_the_one_shape(door: Door, path: str) -> None:
    problem(door.get(f"{V1}{path}", by="vera"), 404, "not_found")


def test_a_body_that_cannot_be_read_is_told_what_to_send(door: Door) -> None:
    at, body = f"{V1}/agents/support/rollback", b'{"reason": "night"}'
    plain = door.ask("POST", at, body, by="olga", Content_Type="text/plain")
    assert problem(plain, 422, "invalid") == "the body is not sent as JSON"
    assert "Content-Type: application/json" in plain.json["hint"]
    broken = door.ask("POST", at, body[:10], by="olga", Content_Type="application/json")
    assert problem(broken, 422, "invalid").startswith("the body is no JSON, from character ")


def test_a_parameter_that_a_route_does_not_name_is_refused_and_does_nothing(door: Door) -> None:
    before = door.actions()
    typo = door.delete(f"{V1}/actors/ada?dryrun=true", by="ana")
    assert problem(typo, 422, "invalid") == "there is no parameter 'dryrun' here"
    assert "dry_run" in typo.json["hint"]
    assert door.actions() == before
    assert door.delete(f"{V1}/actors/ada?dry_run=true", by="ana").json["dry_run"]
    problem(
        door.get(f"{V1}/agents/support/traces?slice=tenant%3Da&slice=plan%3Db&verdct=failure", by="vera"),
        422,
        "invalid",
    )
    problem(door.get(f"{V1}/agents?x=1", by="vera"), 422, "invalid")


# Coming in -----------------------------------------------------------------------------------------------------------

ROUTES = [
    ("GET", "/agents"), ("GET", "/agents/support/rollouts"), ("GET", "/rollouts/x"), ("GET", "/rollouts/x/reconciles"),
    ("GET", "/approvals"), ("GET", "/approvals/x"), ("POST", "/approvals/x/decision"),
    ("POST", "/agents/support/rollback"), ("POST", "/agents/support/outcomes"),
    ("GET", "/agents/support/memory"), ("GET", "/agents/support/memory-search?text=x"),
    ("GET", "/agents/support/memory-changes"), ("GET", "/agents/support/memory/k"),
    ("PUT", "/agents/support/memory/k"), ("DELETE", "/agents/support/memory/k"),
    ("POST", "/agents/support/memory/k/append"),
]  # fmt: skip


STRANGERS = ["", "Bearer", "Bearer ", "Bearer wrong", "Basic c2ZfYW5hOg==", "sf_ana", f"Bearer {hashed('sf_ana')}"]


@pytest.mark.parametrize("header", STRANGERS)
def test_without_a_known_token_nothing_is_shown_or_done(door: Door, header: str) -> None:
    for method, path in ROUTES:
        got = door.ask(method, f"{V1}{path}", {} if method in ("POST", "PUT") else None,
                       **({"Authorization": header} if header else {}))  # fmt: skip
        problem(got, 401, "unauthenticated")
        assert got.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("who", "method", "path"),
    [("vera", "POST", "/approvals/{id}/decision"), ("vera", "POST", "/agents/support/rollback"),
     ("vera", "POST", "/agents/support/outcomes"), ("bob", "POST", "/agents/support/rollback"),
     ("olga", "POST", "/approvals/{id}/decision"), ("app", "GET", "/approvals"), ("app", "GET", "/agents"),
     ("app", "POST", "/approvals/{id}/decision"), ("app", "POST", "/agents/support/rollback")],
)  # fmt: skip
def test_a_role_may_not_do_what_is_another_s(door: Door, who: str, method: str, path: str) -> None:
    body = door.decision() if "decision" in path else {"trace_id": "x"} if "outcomes" in path else {}
    at = f"{V1}{path.format(id=door.request()['id'])}"
    assert "may not" in problem(door.ask(method, at, body if method == "POST" else None, by=who), 403, "forbidden")
    assert door.live() == 1


def test_a_token_for_one_agent_does_not_see_another(scene: Any) -> None:
    scene.waiting()
    only = TokenSettings(sha256=hashed("sf_eve"), role="admin", agents=("billing",))
    with serving(scene, tokens=ROLES | {"eve": only}) as door:
        one = door.request()
        assert door.get(f"{V1}/agents", by="eve").json["agents"] == []
        assert door.get(f"{V1}/approvals", by="eve").json["approvals"] == []
        for path in (
            f"/approvals/{one['id']}",
            f"/rollouts/{one['rollout']}",
            f"/rollouts/{one['rollout']}/reconciles",
        ):
            problem(door.get(f"{V1}{path}", by="eve"), 404, "not_found")
        problem(door.post(f"{V1}/approvals/{one['id']}/decision", door.decision(), by="eve"), 404, "not_found")
        problem(door.post(f"{V1}/agents/support/rollback", by="eve"), 403, "forbidden")
        assert door.live() == 1


def test_without_tokens_anyone_on_this_machine_may_look_and_nobody_may_change(scene: Any) -> None:
    scene.waiting()
    with serving(scene, tokens={}) as door:
        (one,) = door.get(f"{V1}/approvals").json["approvals"]
        body = {"decision": "approved", "version_hash": one["version_hash"], "evidence_hash": one["evidence_hash"]}
        problem(door.post(f"{V1}/approvals/{one['id']}/decision", body), 401, "unauthenticated")
        problem(door.post(f"{V1}/agents/support/rollback"), 401, "unauthenticated")
        problem(door.post(f"{V1}/audit/walk"), 401, "unauthenticated")
        assert door.get(f"{V1}/audit/verify").json["intact"] is True
        problem(door.get(f"{V1}/agents", by="ana"), 401, "unauthenticated")
        for host in ("evil.example.com", "evil.example.com:8420", "127.0.0.1.evil.example.com", "localhost.evil", ""):
            assert "is called" in problem(door.get(f"{V1}/agents", Host=host), 403, "forbidden")
        for host in ("localhost", "LOCALHOST:8420", "[::1]:8420", "127.0.0.1"):
            assert door.get(f"{V1}/agents", Host=host).status == 200


def test_others_than_this_machine_need_tokens(scene: Any) -> None:
    scene.agent()
    with scene.app() as app, pytest.raises(Forbidden, match="no tokens"):
        app.api(loopback=False)


# Deciding ------------------------------------------------------------------------------------------------------------


def test_an_approval_promotes_at_once_in_the_name_of_the_token(door: Door) -> None:
    one = door.request()
    done = door.post(f"{V1}/approvals/{one['id']}/decision", door.decision(feedback="fine"), by="bob")
    assert done.status == 200, done.text
    assert (done.json["state"], done.json["rollout_state"], done.json["live"]) == ("approved", "promoted", 2)
    assert (done.json["decided_by"], done.json["people"]) == ("bob", "1 of 1")
    assert door.live() == 2
    problem(door.post(f"{V1}/approvals/{one['id']}/decision", {**one_hashes(one), "decision": "rejected"}, by="cid"),
            409, "conflict")  # fmt: skip
    assert door.scene.see(lambda tx: verify(tx.audit.all())).intact


def one_hashes(one: dict[str, Any]) -> dict[str, str]:
    return {name: one[name] for name in ("version_hash", "evidence_hash")}


def test_whoever_proposed_it_cannot_decide_also_by_token(door: Door) -> None:
    one = door.request()
    problem(door.post(f"{V1}/approvals/{one['id']}/decision", door.decision(), by="ann"), 403, "forbidden")
    assert door.live() == 1


@pytest.mark.parametrize("which", ["version_hash", "evidence_hash"])
def test_a_decision_on_other_evidence_is_stale(door: Door, which: str) -> None:
    one = door.request()
    got = door.post(f"{V1}/approvals/{one['id']}/decision", door.decision() | {which: "0" * 64}, by="bob")
    assert "changed since you looked" in problem(got, 409, "conflict")
    assert door.live() == 1


@pytest.mark.parametrize(
    "change",
    [{"version_hash": ""}, {"evidence_hash": "abc"}, {"version_hash": None}, {"decision": "expired"}, {"decision": ""},
     {"by": "bob"}, {"feedback": "x" * 2001}, {"decision": "changes_requested", "feedback": ""}],
)  # fmt: skip
def test_a_decision_that_is_not_whole_is_422(door: Door, change: dict[str, Any]) -> None:
    one = door.request()
    problem(door.post(f"{V1}/approvals/{one['id']}/decision", door.decision() | change, by="bob"), 422, "invalid")
    assert door.request()["state"] == "pending"


def test_of_two_decisions_at_once_one_is_heard(door: Door) -> None:
    one = door.request()
    bodies = [{**one_hashes(one), "decision": "approved"}, {**one_hashes(one), "decision": "rejected"}]
    ready = threading.Barrier(2)

    def decide(n: int) -> int:
        ready.wait()
        return door.post(f"{V1}/approvals/{one['id']}/decision", bodies[n], by=("bob", "cid")[n]).status

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(decide, (0, 1))) == [200, 409]
    assert len([one for one in door.actions() if one.startswith("approval-")]) == 1


def test_where_two_are_needed_one_token_cannot_be_both(scene: Any) -> None:
    """The number was frozen when it was asked, so this asks anew with two."""
    scene.waiting()

    def with_two(tx: Any) -> None:
        from dataclasses import replace

        (one,) = tx.approvals.all()
        tx.approvals.swap(one, replace(one, people_needed=2))

    with scene.app() as app:
        asyncio.run(app.store.write(with_two))
    with serving(scene) as door:
        one, body = door.request(), door.decision()
        for _ in range(2):
            done = door.post(f"{V1}/approvals/{one['id']}/decision", body, by="bob").json
            assert (done["state"], done["people"], done["live"]) == ("pending", "1 of 2", 1)
        assert [yes["by"] for yes in door.request()["consents"]] == ["bob"]
        done = door.post(f"{V1}/approvals/{one['id']}/decision", body, by="cid").json
        assert (done["state"], done["people"], done["live"], done["decided_by"]) == (
            "approved",
            "2 of 2",
            2,
            "bob, cid",
        )


def test_asking_again_and_again_changes_nothing(door: Door) -> None:
    """Polling is the way of those whom no webhook reaches."""
    one, before = door.request(), door.actions()
    for _ in range(5):
        assert door.get(f"{V1}/approvals/{one['id']}", by="vera").json["state"] == "pending"
    assert door.actions() == before


# Stepping back and recording -----------------------------------------------------------------------------------------


def test_a_rollback_ends_the_rollout_in_the_name_of_the_token(door: Door) -> None:
    done = door.post(f"{V1}/agents/support/rollback", {"reason": "odd answers"}, by="olga").json
    assert (done["live"], done["rollout"] is not None) == (1, True)
    assert ("olga", "wish-roll_back") in [
        (one.actor, one.action) for one in door.scene.see(lambda tx: tx.audit.all())
    ]  # fmt: skip
    problem(door.post(f"{V1}/agents/support/rollback", {"to": 9}, by="olga"), 404, "not_found")
    problem(door.post(f"{V1}/agents/support/rollback", {"to": 0}, by="olga"), 422, "invalid")
    problem(door.post(f"{V1}/agents/nobody/rollback", by="olga"), 404, "not_found")


def test_an_outcome_is_recorded_under_the_name_of_the_token(door: Door) -> None:
    (trace, *_) = door.scene.traffic(1)
    done = door.post(f"{V1}/agents/support/outcomes", {"trace_id": trace, "expected": "refund"}, by="app")
    assert (done.status, done.json["expected"], done.json["source"]) == (201, "refund", "app")
    for body in ({"trace_id": trace}, {"trace_id": trace, "expected": "weather"}, {"trace_id": trace, "score": 2}, {}):
        problem(door.post(f"{V1}/agents/support/outcomes", body, by="app"), 422, "invalid")
    problem(door.post(f"{V1}/agents/support/outcomes", {"trace_id": "no", "score": 1}, by="app"), 404, "not_found")


# The signed webhook --------------------------------------------------------------------------------------------------


def test_a_signed_decision_promotes(door: Door) -> None:
    done = door.signed(door.message("bob", feedback="seen in the channel"))
    assert done.status == 200, done.text
    assert (done.json["decided_by"], done.json["live"]) == ("bob", 2)
    (entry,) = [one for one in door.scene.see(lambda tx: tx.audit.all()) if one.action == "approval-approved"]
    assert (entry.actor, entry.payload["door"]) == ("bob", "webhook")


def test_a_message_is_good_once(door: Door) -> None:
    stale = door.message("bob") | {"evidence_hash": "0" * 64}
    now = time.time()
    problem(door.signed(stale, at=now), 409, "conflict")
    again = problem(door.signed(stale, at=now), 409, "conflict")
    assert "came before" in again, "a nonce is spent also where the decision was refused"
    whole = door.message("bob")
    assert "came before" in problem(door.signed(whole), 409, "conflict"), "and is spent for any other message"
    assert door.live() == 1
    assert door.signed(whole, nonce="nonce-0002").status == 200
    assert "came before" in problem(door.signed(whole, nonce="nonce-0002"), 409, "conflict")


def test_of_ten_copies_at_once_one_is_heard(door: Door) -> None:
    message, now = door.message("bob"), time.time()
    with ThreadPoolExecutor(10) as pool:
        got = list(pool.map(lambda _: door.signed(message, at=now).status, range(10)))
    assert sorted(got) == [200, *[409] * 9]


@pytest.mark.parametrize("seconds", [-301, -86_400, 302, 86_400])
def test_an_old_message_or_one_from_the_future_is_refused(door: Door, seconds: int) -> None:
    assert "too old" in problem(door.signed(door.message(), at=time.time() + seconds), 401, "unauthenticated")
    assert door.live() == 1


def test_a_body_that_was_changed_on_the_way_is_refused(door: Door) -> None:
    message = door.message("bob", "rejected")
    other = json.dumps(message | {"decision": "approved"}).encode()
    problem(door.signed(message, sends=other), 401, "unauthenticated")
    problem(door.signed(message, sends=b""), 401, "unauthenticated")
    assert door.request()["state"] == "pending"


@pytest.mark.parametrize(
    "headers",
    [{"X_Surefoot_Signature": ""}, {"X_Surefoot_Signature": "sha256=" + "0" * 64}, {"X_Surefoot_Nonce": "other-nonce"},
     {"X_Surefoot_Timestamp": "0"}, {"X_Surefoot_Timestamp": ""}, {"X_Surefoot_Nonce": ""},
     {"X_Surefoot_Nonce": "a.b"}],
)  # fmt: skip
def test_headers_that_were_changed_are_refused(door: Door, headers: dict[str, str]) -> None:
    problem(door.signed(door.message(), **headers), 401, "unauthenticated")
    assert door.live() == 1


def test_another_secret_is_refused_and_no_token_stands_in_for_it(door: Door) -> None:
    problem(door.signed(door.message(), secret="the secret of somebody else"), 401, "unauthenticated")
    problem(door.post(HOOK, door.message(), by="ana"), 401, "unauthenticated")


@pytest.mark.parametrize("secret", ["", "short"])
def test_without_a_usable_secret_the_webhook_is_shut(scene: Any, secret: str) -> None:
    scene.waiting()
    with serving(scene, secret=secret) as door:
        problem(door.signed(door.message()), 503, "unavailable")
        assert door.live() == 1


@pytest.mark.parametrize(
    "name",
    [
        "ann",
        "ANN",
        " ann ",
        "a\u200bnn",
        "ａｎｎ",
        "ann\ufe0f",
        "\u2060ann",
        "An\u00adn",
        "ann\u3164",
        "𝖺nn",
        "ann\x00",
    ],
)
def test_the_proposer_cannot_decide_however_the_message_writes_the_name(door: Door, name: str) -> None:
    problem(door.signed(door.message(name)), 403, "forbidden")
    assert door.live() == 1


@pytest.mark.parametrize(
    "change",
    [{"version_hash": "0" * 64}, {"evidence_hash": "f" * 64}, {"approval": "promote-support-v9-1"}],
)  # fmt: skip
def test_a_message_about_something_else_decides_nothing(door: Door, change: dict[str, str]) -> None:
    assert door.signed(door.message() | change).status in (404, 409)
    assert door.live() == 1


@pytest.mark.parametrize("body", [{}, [], "approved", {"decision": "approved"}, None])
def test_a_signed_message_that_is_none_is_422(door: Door, body: Any) -> None:
    problem(door.signed(body), 422, "invalid")


def test_refusals_are_written_down_but_not_without_end(door: Door) -> None:
    for n in range(40):
        door.signed({"n": n}, secret="the secret of somebody else", nonce=f"nonce-{n:04}")
    refused = [one for one in door.scene.see(lambda tx: tx.audit.all()) if one.action == "webhook-refused"]
    assert len(refused) == 30
    assert refused[0].payload["code"] == "unauthenticated"
    assert SECRET not in str([one.payload for one in refused])


# The shape of it all -------------------------------------------------------------------------------------------------


def test_a_body_too_long_is_refused_before_it_is_read(door: Door) -> None:
    problem(door.post(f"{V1}/agents/support/outcomes", b" " * 300_000, by="app"), 413, "invalid")


def test_a_body_that_hides_its_length_is_bounded_too(door: Door) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=30)
    connection.request("POST", HOOK, iter([b"x" * 100_000] * 4), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[]", b'{"decision": NaN}'])
def test_a_body_that_is_not_json_is_422_in_the_one_shape(door: Door, raw: bytes) -> None:
    one = door.request()
    problem(door.post(f"{V1}/approvals/{one['id']}/decision", raw, by="bob"), 422, "invalid")


def test_another_method_is_405_in_the_one_shape(door: Door) -> None:
    assert set(door.ask("DELETE", f"{V1}/agents", by="ana").json) == {"code", "message", "hint"}


def test_our_own_mistake_is_told_in_the_one_shape_and_without_its_inside(door: Door, monkeypatch: Any) -> None:
    async def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("the inside of it")

    monkeypatch.setattr("surefoot.api.looking.overview", breaks)
    assert "inside" not in problem(door.get(f"{V1}/agents", by="vera"), 500, "internal")


def test_every_route_declares_its_errors_in_the_one_shape(door: Door) -> None:
    described = door.get(f"{V1}/openapi.json").json
    routes = [(path, method, one) for path, methods in described["paths"].items() for method, one in methods.items()]
    assert len(routes) > len(ROUTES)
    for path, method, one in routes:
        errors = {status: answer for status, answer in one["responses"].items() if status >= "400"}
        assert errors, (path, method)
        for status, answer in errors.items():
            assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Problem"), (path, method, status)


def test_times_are_utc_and_have_a_zone(door: Door) -> None:
    asked = datetime.fromisoformat(door.request()["requested_at"])
    assert asked.utcoffset() == UTC.utcoffset(None)


# Memory --------------------------------------------------------------------------------------------------------------


def test_an_agent_remembers_by_its_headers_and_says_where_it_found_it(door: Door) -> None:
    path = f"{V1}/agents/support/memory/limit"
    kept = door.ask("PUT", path, {"value": {"usd": 5}}, by="app", X_Session_ID="s1")
    assert (kept.status, kept.json["scope"], kept.json["owner"]) == (200, "session", "s1")
    assert door.get(path, by="app", X_Session_ID="s1").json["value"] == {"usd": 5}
    assert "nothing is remembered" in problem(door.get(path, by="app", X_Session_ID="s2"), 404, "not_found")
    assert door.ask("PUT", path, {"value": None, "scope": "agent"}, by="app").json["scope"] == "agent"
    assert door.get(path, by="app", X_Session_ID="s2").json["value"] is None
    assert door.ask("DELETE", f"{path}?scope=agent", by="app").json == {"deleted": True}


def test_fifty_callers_append_and_nothing_is_lost(door: Door) -> None:
    path = f"{V1}/agents/support/memory/failures/append"
    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(lambda n: door.post(path, {"item": n, "scope": "agent"}, by="app").status, range(50)))
    assert said == [200] * 50
    found = door.get(f"{V1}/agents/support/memory?pattern=fail*", by="app").json["entries"]
    assert sorted(found[0]["value"]) == list(range(50))
    seen = door.get(f"{V1}/agents/support/memory-changes?limit=20", by="app").json
    assert len(seen["changes"]) == 20
    rest = door.get(f"{V1}/agents/support/memory-changes?after={seen['next']}", by="app").json
    assert len(rest["changes"]) == 30


def test_memory_is_not_for_lookers_nor_for_tokens_of_other_agents(scene: Any) -> None:
    other = TokenSettings(sha256=hashed("sf_sales"), role="agent", agents=("sales",))
    scene.waiting()
    with serving(scene, tokens={**ROLES, "sales": other}) as one:
        path = f"{V1}/agents/support/memory/k"
        problem(one.get(path, by="vera"), 403, "forbidden")
        problem(one.ask("PUT", path, {"value": 1}, by="sales"), 403, "forbidden")


@pytest.mark.parametrize(("body", "what"), [
    ({}, "value"), ({"value": 1, "scope": "team"}, "no scope"), ({"value": 1, "scope": "session"}, "not whose"),
    ({"value": 1, "ttl_s": -1}, "ttl_s"), ({"value": "x" * 70_000}, "bytes"), ({"value": 1, "valeu": 2}, "valeu"),
])  # fmt: skip
def test_what_cannot_be_remembered_is_422_with_the_reason(door: Door, body: Any, what: str) -> None:
    assert what in problem(door.ask("PUT", f"{V1}/agents/support/memory/k", body, by="app"), 422, "invalid")

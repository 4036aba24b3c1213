"""What an operator watches, over the API: all long work in one list, and how the server is, each for the same eyes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rest_house import Door, problem

from surefoot.core.job import Job

NOW = datetime.now(UTC)


def long_work(door: Door) -> None:
    """Jobs of two agents, ticks of one, and one piece that nobody works on any more."""

    def work(tx: Any) -> None:
        for n in range(30):
            tx.jobs.add(Job(id=f"j{n:02}", kind="prune", agent=("support", "other")[n % 2], words=("prune", "support"),
                            by="ann", at=NOW - timedelta(minutes=n), state="failed" if n % 10 == 0 else "done",
                            ended_at=NOW))  # fmt: skip
        agent = tx.agents.get("support")
        tx.agents.swap(replace(agent, tick=2))
        for n in (1, 2):
            tx.audit.append(at=NOW - timedelta(hours=3 - n), actor="loop", action="tick-started",
                            subject=f"support/tick-{n}", payload={})  # fmt: skip
        tx.marks.add("support/tick/1/end", {"outcome": "accepted", "title": "the answer is billing",
                                            "sentence": "3 of 3"}, NOW)  # fmt: skip

    door.app.store.write_now(work)


def pages(door: Door, query: str, by: str = "ana") -> list[dict[str, Any]]:
    found, cursor = [], ""
    while cursor is not None:
        got = door.get(f"/work?limit=4{query}{cursor and f'&cursor={cursor}'}", by=by).json
        assert len(got["work"]) <= 4
        found, cursor = [*found, *got["work"]], got["next"]
    return found


def test_all_long_work_stands_in_one_list_newest_first_and_each_once(door: Door) -> None:
    long_work(door)
    found = pages(door, "")
    ids = [one["id"] for one in found]
    assert ids[:30] == [f"j{n:02}" for n in range(30)]
    assert ids[30:] == ["support/tick-2", "support/tick-1"]
    assert [one["at"] for one in found] == sorted((one["at"] for one in found), reverse=True)
    tick = found[-1]
    assert (tick["state"], tick["done"], tick["planned"], tick["about"]) == ("done", 3, 3, "the answer is billing")


def test_what_work_made_and_quotes_is_for_who_may_read(door: Door) -> None:
    def work(tx: Any) -> None:
        made = {"pairs": [{"input": "my secret question"}], "sentence": "it missed “my secret answer” again"}
        tx.jobs.add(Job(id="shadowed", kind="shadow", agent="support", words=("shadow", "support"), by="ann", at=NOW,
                        state="done", ended_at=NOW, result=made))  # fmt: skip
        tx.jobs.add(Job(id="ticked", kind="tick", agent="support", words=("tick", "support"), by="ann", at=NOW,
                        state="failed", ended_at=NOW, result={"error": {"message": "“my secret answer”"}}))  # fmt: skip

    door.app.store.write_now(work)
    for path in ("/jobs", "/jobs/shadowed", "/agents/support/ticks", "/work", "/work/job/shadowed", "/work/job/ticked"):
        assert "secret" in door.get(path, by="ana").text, path
        seen = door.get(path, by="vera")
        assert (seen.status, "secret" in seen.text) == (200, False), path


def test_filters_keep_a_kind_an_agent_and_a_state_also_over_pages(door: Door) -> None:
    long_work(door)
    assert {one["kind"] for one in pages(door, "&kind=tick")} == {"tick"}
    assert {one["agent"] for one in pages(door, "&agent=other")} == {"other"}
    assert [one["id"] for one in pages(door, "&state=failed")] == ["j00", "j10", "j20"]
    assert [one["id"] for one in pages(door, "&state=running")] == ["support/tick-2"]
    problem(door.get("/work?agent=nobody"), 404, "not_found")
    for query in ("kind=nothing", "state=over", "cursor=x"):
        assert door.get(f"/work?{query}").status == 422, query


def test_one_piece_is_found_by_its_whole_id_and_only_by_whom_its_agent_sees(door: Door) -> None:
    long_work(door)
    assert door.get("/work/tick/support/tick-1").json["id"] == "support/tick-1"
    assert door.get("/work/job/j00").json["state"] == "failed"
    for path in ("tick/support", "tick/support/tick-", "tick/support/tick-9", "job/j0", "eval/j00", "tick/j00"):
        problem(door.get(f"/work/{path}"), 404, "not_found")
    theirs = door.get("/work/tick/support/tick-1", by="held")
    problem(theirs, 404, "not_found")
    none = door.get("/work/tick/support/tick-8", by="held").json
    assert theirs.json["message"].replace("tick-1", "tick-8") == none["message"]
    assert {one["agent"] for one in pages(door, "", by="held")} == {"other"}
    problem(door.get("/work?agent=support", by="held"), 404, "not_found")


def test_how_the_server_is_is_told_as_on_the_page_to_the_same_eyes(door: Door) -> None:
    seen, theirs = door.get("/health").json, door.get("/health", by="held").json
    assert (seen["whole"], theirs["whole"]) == (True, False)
    groups = {one["group"] for one in seen["lines"]}
    assert {"Taking in", "Work", "Store", "Money"} <= groups
    assert {one["group"] for one in theirs["lines"]} <= {"Work", "Money", "People"}
    assert not any("support" in str(one) for one in theirs["lines"])
    assert seen["bad"] == sum(one["tone"] == "bad" for one in seen["lines"])
    assert all("href" not in one for one in seen["lines"])
    problem(door.get("/health", by="app"), 403, "forbidden")

"""All long work on one page: what goes on, how far it is, what it spends, and whose worker is gone."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from dashboard_house import ROLES, Place, serving
from examined import AGENT, a_suite, begun, gone
from town import opened_town

from surefoot.adapters.processes.launcher import ProcessLauncher
from surefoot.config import TokenSettings
from surefoot.core.exam.observed import Observed, Taken
from surefoot.core.job import Job
from surefoot.core.token import hashed
from surefoot.engine.once import this_process


@pytest.fixture
def desk(examined_store: Path, copied) -> Iterator[Place]:
    known: dict[str, object] = dict(ROLES)
    known["held"] = TokenSettings(sha256=hashed("sf_held"), role="operator", agents=("intake",))
    with serving(copied(examined_store), tokens=known) as place:
        yield place


def rows(place: Place, query: str = "", name: str = "vera") -> list[dict]:
    return place.reader(name).look(f"/runs.json{query}").json["rows"]


def by_id(place: Place, query: str = "") -> dict[str, dict]:
    return {one["work"]["spot"]["id"]: one for one in rows(place, query)}


def test_each_kind_of_work_stands_there_with_its_state_and_what_it_spent(desk: Place) -> None:
    found = by_id(desk)
    assert {name: found[name]["work"]["state"] for name in found if not name.startswith("0")} == {
        "run-going": "running", "run-stale": "stale", "job-bisect": "running", "job-lost": "lost", "job-done": "done",
        f"{AGENT}/tick-1": "done", f"{AGENT}/tick-2": "running",
    }  # fmt: skip
    going = found["run-going"]
    assert (going["work"]["done"], going["work"]["planned"]) == (71, 180)
    assert 2 < going["per_minute"] < 30, "71 answers since four minutes before the store was made"
    assert going["left"].startswith("about ")
    assert going["budget"] == "$0.22 of $1.50"
    assert going["href"] == "/evals/run-going"
    assert found[f"{AGENT}/tick-1"]["links"][0][1].startswith("/rollouts/")
    words = desk.reader("vera").look("/runs").words
    assert "no worker" in words
    assert "about" in words


def test_rows_stand_in_the_order_in_which_they_began_whatever_becomes_of_them(desk: Place) -> None:
    before = [one["cursor"] for one in rows(desk)]
    assert before == sorted(before, key=lambda one: -int(one.partition(".")[0]))

    def work(tx: object) -> None:
        run = tx.evals.run("run-going")
        tx.evals.swap(replace(run, state="done", ended_at=desk.app.ports.clock()))
        job = tx.jobs.get("job-bisect")
        tx.jobs.swap(replace(job, state="failed", ended_at=desk.app.ports.clock()))

    desk.change(work)
    assert [one["cursor"] for one in rows(desk)] == before
    assert by_id(desk)["job-bisect"]["work"]["state"] == "failed"


def test_what_begins_while_somebody_reads_is_counted_and_not_pushed_in(desk: Place) -> None:
    page = desk.reader("vera").look("/runs.json").json
    run = replace(desk.see(lambda tx: tx.evals.run("run-going")), id="later", revision=0,
                  started_at=desk.app.ports.clock() + timedelta(seconds=1))  # fmt: skip
    desk.change(lambda tx: begun(tx, run, a_suite(), 3))
    again = desk.reader("vera").look(page["again"].replace("/runs?", "/runs.json?")).json
    assert [one["cursor"] for one in again["rows"]] == [one["cursor"] for one in page["rows"]]
    assert again["fresh"] == 1
    assert "1 new" in desk.reader("vera").look(page["again"]).words
    assert rows(desk)[0]["work"]["spot"]["id"] == "later"


def test_pages_by_keyset_give_each_once_and_chips_keep_one_kind(desk: Place) -> None:
    def work(tx: object) -> None:
        now = desk.app.ports.clock()
        for at in range(130):
            tx.jobs.add(Job(id=f"more-{at:03}", kind="prune", agent=AGENT, words=("prune", AGENT), by="olga",
                            at=now - timedelta(days=1, seconds=at // 3), state="done"))  # fmt: skip

    desk.change(work)
    seen, after = [], ""
    while True:
        page = desk.reader("vera").look(f"/runs.json{after}").json
        seen += [one["cursor"] for one in page["rows"]]
        if not page["older"]:
            break
        after = f"?after={page['older']}"
    assert len(seen) == len(set(seen)) == 139
    for kind, least in (("eval", 4), ("tick", 2), ("job", 50)):
        found = rows(desk, f"?kind={kind}")
        assert {one["work"]["spot"]["kind"] for one in found} == {kind}
        assert len(found) == least
    for query in ("?kind=nothing", "?after=x", "?after=1.eval.", "?most=99999999999999999999.eval.a", "?after=1.x.y"):
        assert desk.reader("vera").look(f"/runs{query}").status == 422, query


def test_a_job_whose_work_is_shown_itself_is_not_shown_twice(desk: Place) -> None:
    now = desk.app.ports.clock()

    def work(tx: object) -> None:
        for name, kind, state, minutes in (
            ("tick-running", "tick", "running", 70), ("eval-done", "eval", "done", 10),
            ("eval-lost", "eval", "running", 6), ("eval-waits", "eval", "running", 0),
        ):  # fmt: skip
            owner = gone() if name == "eval-lost" else this_process()
            tx.jobs.add(Job(id=name, kind=kind, agent=AGENT, words=(kind, AGENT), by="olga", owner=owner, state=state,
                            at=now - timedelta(minutes=minutes)))  # fmt: skip

    desk.change(work)
    found = by_id(desk)
    assert "tick-running" not in found  # the tick itself is there
    assert "eval-done" not in found
    assert found["eval-lost"]["work"]["state"] == "lost"
    assert found["eval-waits"]["work"]["state"] == "running"  # no run has begun since


def test_a_tick_whose_worker_died_is_shown_so(desk: Place) -> None:
    now = desk.app.ports.clock()

    def work(tx: object) -> None:
        host, _, pid = gone().rpartition(":")
        tx.executors.seen("dead-one", host, int(pid), now)

    desk.change(work)
    connection = desk.app.store.engine.connect() if hasattr(desk.app.store, "engine") else None
    assert connection is not None
    with connection:
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS workflow_status (workflow_uuid TEXT, executor_id TEXT, status TEXT)"
        )
        connection.exec_driver_sql(
            "INSERT INTO workflow_status (workflow_uuid, executor_id, status) VALUES (?, 'dead-one', 'PENDING')",
            (f"tick:{AGENT}:2",),
        )
        connection.commit()
    assert by_id(desk)[f"{AGENT}/tick-2"]["work"]["state"] == "stale"
    desk.change(lambda tx: tx.executors.seen("dead-one", this_process().partition(":")[0], -1, now))
    assert by_id(desk)[f"{AGENT}/tick-2"]["work"]["state"] == "stale"  # it ended in peace, and nobody has taken over


def test_the_page_is_the_same_after_the_server_was_started_again(examined_store: Path, copied) -> None:
    store = copied(examined_store)
    with serving(store) as place:
        before = place.reader("vera").look("/runs.json").json
    with serving(store) as place:
        after = place.reader("vera").look("/runs.json").json
    for one in (*before["rows"], *after["rows"]):
        del one["left"], one["per_minute"], one["work"]["pace"]
    assert after["rows"] == before["rows"]


def test_a_held_token_sees_the_work_of_its_agents_only_also_in_the_stream(desk: Place) -> None:
    assert rows(desk, name="held") == []
    connection = http.client.HTTPConnection("127.0.0.1", desk.port, timeout=15)
    told = {}
    for name in ("held", "vera"):
        connection.request("GET", "/live", headers={"Authorization": f"Bearer sf_{name}"})
        stream = connection.getresponse()
        line = next(line for line in iter(stream.readline, b"") if line.startswith(b"data: "))
        told[name] = json.loads(line.removeprefix(b"data: "))["work"]
        connection.close()
    assert told["held"] == {}
    assert set(told["vera"]) == {AGENT}


def test_each_answer_of_a_run_moves_the_stream(desk: Place) -> None:
    before = desk.see(lambda tx: tx.beats.now()).work[AGENT]
    desk.change(lambda tx: tx.evals.record("run-going", [Taken("gift-6", 2, Observed(output="x"))], []))
    assert desk.see(lambda tx: tx.beats.now()).work[AGENT] == before + 1


def test_empty_and_details_and_copies(tmp_path: Path, desk: Place) -> None:
    store = tmp_path / "empty.db"
    opened_town(store).close()
    with serving(store) as place:
        assert "Nothing has run yet" in place.reader("vera").look("/runs").words
        assert "Nothing matches" in place.reader("vera").look("/runs?kind=tick").words
    listed = {kind: desk.reader("vera").look(f"/runs?kind={kind}").text for kind in ("", "eval", "tick", "job")}
    for kind, text in listed.items():
        asked, said = (f"?kind={kind}", f" --kind {kind}") if kind else ("", "")
        assert f"$SUREFOOT_URL/api/v1/work{asked}&#34;" in text
        assert f'data-copy="surefoot work{said}"' in text
    cursor = by_id(desk)["run-stale"]["cursor"]
    shown = desk.reader("olga").look(f"/runs?run={cursor}")
    assert "surefoot eval run --resume run-stale" in shown.words
    assert re.search(r"surefoot eval cancel run-stale --by NAME --why TEXT", shown.text)
    assert "/api/v1/evals/run-stale/cancel" in shown.text
    assert (
        'aria-current="page"'
        in shown.text[shown.text.index('href="/runs"') - 5 : shown.text.index('href="/runs"') + 60]
    )


def as_program_form(place: Place, name: str, path: str, **fields: str) -> int:
    return place.reader().ask("POST", path, urlencode(fields), Authorization=f"Bearer sf_{name}",
                              Content_Type="application/x-www-form-urlencoded").status  # fmt: skip


def test_a_tick_and_a_job_are_cancelled_by_who_operates_with_a_reason_that_is_kept(
    desk: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []

    async def stop(_: object, job: str, owner: str) -> bool:
        told.append((job, owner))
        return True

    monkeypatch.setattr(ProcessLauncher, "stop", stop)
    page = desk.reader("olga").look("/runs")
    assert page.text.count('action="/runs/cancel"') == 2, "a job and a tick go on"
    assert 'action="/runs/cancel"' not in desk.reader("vera").look("/runs").text
    cursor = by_id(desk)[f"{AGENT}/tick-2"]["cursor"]
    shown = desk.reader("olga").look(f"/runs?run={cursor}").text
    assert f"surefoot cancel {AGENT}/tick-2 --by NAME --why TEXT" in shown
    assert f"/api/v1/agents/{AGENT}/ticks/2/cancel" in shown
    for kind, name, state in (("job", "job-bisect", "cancelling"), ("tick", f"{AGENT}/tick-2", "cancelling")):
        fields = {"kind": kind, "id": name, "reason": "the wrong model"}
        for who, status in (("vera", 403), ("bob", 403), ("held", 404)):
            assert as_program_form(desk, who, "/runs/cancel", **fields) == status, (kind, who)
        reader = desk.reader("olga")
        word = reader.look("/runs").form_word()
        assert reader.send("/runs/cancel", **fields).status == 403, "a form of no page of ours"
        assert reader.send("/runs/cancel", form_word=word, **fields | {"reason": " "}).status == 422
        assert reader.send("/runs/cancel", form_word=word, **fields | {"kind": "eval"}).status == 422
        assert reader.send("/runs/cancel", form_word=word, **fields | {"id": "x"}).status == 404
        got = reader.send("/runs/cancel", form_word=word, **fields)
        assert (got.status, got.headers["location"]) == (303, "/runs?done=cancelled"), got.text
        assert by_id(desk)[name]["work"]["state"] == state
        entry = [one for one in desk.see(lambda tx: tx.audit.all()) if one.action == f"{kind}-cancelled"][-1]
        assert (entry.actor, entry.payload["reason"]) == ("olga", "the wrong model")
    assert [job for job, _ in told] == ["job-bisect"]


def test_a_page_of_runs_costs_little_whatever_the_store_holds(desk: Place) -> None:
    def work(tx: object) -> None:
        now = desk.app.ports.clock()
        for at in range(3000):
            tx.jobs.add(Job(id=f"old-{at:05}", kind="prune", agent=AGENT, words=("prune",), by="x",
                            at=now - timedelta(days=2, seconds=at), state="done"))  # fmt: skip

    desk.change(work)
    reader = desk.reader("vera")
    reader.look("/runs")
    took = []
    for _ in range(5):
        begun_at = time.perf_counter()
        assert reader.look("/runs").status == 200
        took.append(time.perf_counter() - begun_at)
    assert sorted(took)[2] < 0.5, took  # on a busy machine

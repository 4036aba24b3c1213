"""Long work over the API: begun in a process of its own, seen to its end, and honest about one that died."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from rest_house import Door, canary, problem

from surefoot.adapters.store import api_tables
from surefoot.core.approval import Approval
from surefoot.core.job import AT_ONCE, Job
from surefoot.core.notice import Notice
from surefoot.core.pause import Pause
from surefoot.core.token import EVERY_AGENT
from surefoot.engine.work import ask
from surefoot.engine.work import ended as done
from surefoot.ports.jobs import NoLauncher

SUITE = {
    "suite": "smoke",
    "cases": [{"id": "a", "input": "x label:billing", "expected": "billing", "checks": ["equals"]},
              {"id": "b", "input": "x label:refund", "expected": "refund", "checks": ["equals"]}],
}  # fmt: skip


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the server begins see this source tree."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))


def ended(door: Door, job: str, within_s: float = 60) -> dict[str, Any]:
    deadline = time.monotonic() + within_s
    while (seen := door.get(f"/jobs/{job}").json)["state"] in ("waiting", "running"):
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
    return seen


def test_a_tick_and_an_eval_run_end_with_what_their_commands_say(door: Door, source: None) -> None:
    door.post("/agents", {"name": "words", "labels": ["billing", "refund"]})
    tick = door.post("/agents/words/ticks", by="olga", Idempotency_Key="t-1")
    assert (tick.status, tick.headers["location"]) == (202, f"/api/v1/jobs/{tick.json['id']}")
    assert door.post("/agents/words/ticks", by="olga", Idempotency_Key="t-1").json["id"] == tick.json["id"]
    run = door.post("/evals", {"agent": "words", "suite": SUITE}, by="olga")
    assert run.status == 202
    done = ended(door, tick.json["id"])
    assert (done["state"], done["exit_code"], done["result"]["outcome"]) == ("done", 0, "hold"), done
    seen = ended(door, run.json["id"])
    assert seen["state"] == "done", seen
    report = door.get(f"/evals/{seen['result']['run']}").json
    assert (report["cases"], report["agent"] or "words", report["state"]) == (2, "words", "done")
    suite = door.get(f"/suites/{report['suite_digest']}").json
    assert [one["case"] for one in suite["cases"]] == ["a", "b"]
    assert [one["run"] for one in door.get("/evals").json["runs"]] == [report["run"]]
    assert door.get(f"/evals/{report['run']}/compare?before={report['run']}").json["gained"] == 0
    problem(door.get(f"/evals/{report['run']}", by="held"), 404, "not_found")
    for none in (None, {}, {"reason": ""}, {"reason": " "}):
        assert door.post(f"/evals/{report['run']}/cancel", none, by="olga").status == 422
    problem(door.post(f"/evals/{report['run']}/cancel", {"reason": "enough"}, by="olga"), 409, "conflict")
    assert door.get(f"/evals/{report['run']}/label", by="bob").json["next"] is None
    assert {one["kind"] for one in door.get("/jobs").json["jobs"]} == {"tick", "eval"}
    assert [one["id"] for one in door.get("/agents/words/ticks").json["jobs"]] == [tick.json["id"]]
    problem(door.get(f"/jobs/{tick.json['id']}", by="held"), 404, "not_found")


def test_a_command_that_fails_says_why(door: Door, source: None) -> None:
    job = door.post("/agents/support/bisect", {"good": 2, "bad": 1}, by="olga").json["id"]
    seen = ended(door, job)
    assert (seen["state"], seen["exit_code"]) == ("failed", 2), seen
    assert set(seen["result"]["error"]) == {"code", "message", "hint"}


def test_a_job_whose_process_was_killed_reads_lost(door: Door, source: None) -> None:
    job = door.post("/agents/support/prune", by="olga").json["id"]
    owner = door.see(lambda tx: tx.jobs.get(job)).owner
    os.kill(int(owner.rpartition(":")[2]), signal.SIGKILL)
    assert ended(door, job)["state"] in ("lost", "failed")


class Pretends:
    """Begins nothing, and says that this process does it."""

    async def launch(self, job: str) -> str:
        from surefoot.engine.once import this_process

        return this_process()


def test_only_so_many_are_at_work_and_no_two_at_the_same(door: Door) -> None:
    async def work(app: Any) -> list[str]:
        said = []
        for number in (1, 1, 2, 3, 4, 5):
            try:
                await ask(app.ports, Pretends(), "tick", ["tick", str(number)], agent="support", by="olga")
                said.append("begun")
            except Exception as error:
                said.append(str(error))
        return said

    said = door.do(work)
    assert said.count("begun") == AT_ONCE
    assert "does this already" in said[1]
    problem(door.post("/agents/support/ticks", by="olga"), 409, "conflict")


def test_where_no_process_can_begin_the_job_ends_as_failed(door: Door) -> None:
    async def work(app: Any) -> None:
        with pytest.raises(Exception, match="no process"):
            await ask(app.ports, NoLauncher(), "tick", ["tick", "support"], agent="support", by="olga")

    door.do(work)
    assert [one["state"] for one in door.get("/jobs").json["jobs"]] == ["failed"]


def test_work_on_what_is_not_there_is_refused_before_anything_begins(door: Door) -> None:
    for path in ("/agents/nobody/ticks", "/agents/support/versions/9/gate"):
        problem(door.post(path, {}, by="olga"), 404, "not_found")
    problem(door.post("/rollouts/x/shadow", {}, by="olga"), 404, "not_found")
    problem(door.post("/evals", {"agent": "nobody", "suite": SUITE}, by="olga"), 404, "not_found")
    assert door.get("/jobs").json["jobs"] == []


def test_words_of_a_caller_are_values_and_never_options(door: Door) -> None:
    door.api.state.reception = replace(door.api.state.reception, launcher=Pretends())
    tools = ["--run", "x; id", "$(id)", "--judge=openai:gpt", "../x", "--"]
    job = door.post("/agents/support/probes", {"tools": tools}, by="olga").json["id"]
    words = door.see(lambda tx: tx.jobs.get(job)).words
    assert words[-len(tools) :] == tuple(f"--tool={tool}" for tool in tools)


def test_the_files_of_a_job_go_when_it_ends_or_is_lost(door: Door) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    class Dead:
        async def launch(self, job: str) -> str:
            return f"{socket.gethostname()}:{gone.pid}"

    async def work(app: Any) -> None:
        files = {"suite.yaml": "Whiskerina was charged twice"}
        for launcher, name in ((Pretends(), "a"), (Dead(), "b")):
            seen = await ask(app.ports, launcher, "eval", ["eval", name], agent="support", by="olga", files=files)
            kept = await app.store.read(lambda tx, n=seen.job.id: tx.jobs.get(n))
            assert dict(kept.files) == files
            if name == "a":
                await done(app.ports, seen.job.id, exit_code=0, result={})
        await ask(app.ports, Pretends(), "tick", ["tick"], agent="support", by="olga")
        jobs = await app.store.read(lambda tx: tx.jobs.all(limit=10, agents=EVERY_AGENT))
        assert [(one.state, dict(one.files)) for one in jobs] == [("running", {}), ("lost", {}), ("done", {})]

    door.do(work)


def pages(door: Door, path: str, plural: str, by: str = "ana") -> list[Any]:
    """A list, two rows at a time."""
    found, cursor = [], ""
    while cursor is not None:
        got = door.get(f"{path}{'&' if '?' in path else '?'}limit=2{cursor and f'&cursor={cursor}'}", by=by).json
        assert len(got[plural]) <= 2
        found, cursor = [*found, *got[plural]], got["next"]
    return found


def test_the_oldest_of_very_many_jobs_is_still_listed(door: Door) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)

    rows = [
        {"id": f"j{n:05}", "state": "done", "at": first + timedelta(seconds=n), "revision": 0, "document": {
            "id": f"j{n:05}", "kind": "tick" if n else "eval", "agent": "other" if n < 3 else "support", "words": [],
            "by": "ann", "at": (first + timedelta(seconds=n)).isoformat(), "state": "done",
        }} for n in range(10_005)
    ]  # fmt: skip
    door.app.store.write_now(lambda tx: tx.connection.execute(sa.insert(api_tables.jobs), rows))
    assert [one["id"] for one in pages(door, "/jobs", "jobs", by="held")] == ["j00002", "j00001", "j00000"]
    assert [one["id"] for one in pages(door, "/agents/other/ticks", "jobs")] == ["j00002", "j00001"]
    assert [one["id"] for one in door.get("/jobs?limit=2").json["jobs"]] == ["j10004", "j10003"]


def test_a_page_reads_no_more_than_it_shows(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from surefoot.adapters.store import approvals, notices, pauses, requests

    now = datetime.now(UTC)

    def add(tx: Any) -> None:
        rollout = tx.rollouts.all("support")[0].id
        for n in range(30):
            agent, at = ("other", "support")[n % 2], now + timedelta(seconds=n)
            state: Any = "delivered" if n % 3 == 0 else "waiting"
            tx.notices.add(Notice(id=f"n{n:02}", channel="hook", kind="event", agent=agent, subject="s", sentence="x",
                                  at=at, next_at=now + timedelta(days=1, seconds=n), state=state))  # fmt: skip
            tx.pauses.add(Pause(agent=agent, name=f"p{n:02}", requested_by="app", requested_at=at,
                                expires_at=now + timedelta(days=1 if n % 3 else -1)))  # fmt: skip
            tx.approvals.add(Approval(id=f"a{n:02}", agent="support", rollout=rollout, version=2, version_digest="v",
                                      evidence_digest="e", proposers=("ann",), requested_at=at,
                                      expires_at=now + timedelta(days=1 if n % 3 else -1)))  # fmt: skip
        for n in range(30):
            tx.jobs.add(Job(id=f"j{n:02}", kind="tick", agent="support", words=(), by="ann", at=now, state="done"))

    door.do(canary)
    door.app.store.write_now(add)
    loaded: list[object] = []
    for part in (approvals, notices, pauses, requests):
        real = part.load
        monkeypatch.setattr(part, "load", lambda kind, found, real=real: (loaded.append(kind), real(kind, found))[1])
    waiting = [f"{n:02}" for n in range(30) if n % 3]
    for path, plural, name, ids in (
        ("/notices", "notices", "id", [f"n{n}" for n in waiting]),
        ("/notices?all=true", "notices", "id", [f"n{n:02}" for n in range(30)]),
        ("/pauses", "pauses", "name", [f"p{n}" for n in waiting]),
        ("/pauses?waiting=false&agent=other", "pauses", "name", [f"p{n:02}" for n in range(0, 30, 2)]),
        ("/approvals", "approvals", "id", [f"a{n}" for n in waiting]),
        ("/approvals?all=true&agent=support", "approvals", "id", [f"a{n:02}" for n in range(30)]),
        ("/jobs", "jobs", "id", [f"j{n:02}" for n in range(29, -1, -1)]),
    ):
        assert [one[name] for one in pages(door, path, plural)] == ids, path
        loaded.clear()
        door.get(f"{path}{'&' if '?' in path else '?'}limit=2")
        assert 0 < len(loaded) <= 3, path
    theirs = [f"n{n}" for n in waiting if int(n) % 2 == 0]
    assert [one["id"] for one in pages(door, "/notices", "notices", by="held")] == theirs

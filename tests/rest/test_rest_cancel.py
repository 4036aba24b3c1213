"""Cancelling long work: the process is told and ends, the store stays whole, and what had ended has ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rest_house import Door, problem, traffic

from surefoot.adapters.processes.launcher import ProcessLauncher
from surefoot.core.audit import verify
from surefoot.core.errors import Conflict
from surefoot.core.job import Job
from surefoot.core.token import EVERY_AGENT
from surefoot.engine.work import bury, ended, must_stop, renewed, taken

SLEEPY = Path(__file__).with_name("sleepy_job.py")
WHY = {"reason": "the wrong model"}
SOON_S = 12  # on a busy machine; it takes about two seconds


class Sleeps(ProcessLauncher):
    """The real launcher, of jobs whose model never answers."""

    def _begun(self, job: str) -> subprocess.Popen[bytes]:
        words = (sys.executable, str(SLEEPY), "--store", str(self._store), "--json", "jobs", "--do", job)
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True)  # fmt: skip


@pytest.fixture
def sleepy(door: Door, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """A server whose agent failed often enough for a tick, and whose jobs sleep."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    launcher = Sleeps(door.app.settings.store)
    door.api.state.reception = replace(door.api.state.reception, launcher=launcher)
    door.do(lambda app: traffic(app, 60, start=100))
    yield door
    for job in door.see(lambda tx: tx.jobs.all(limit=100, agents=EVERY_AGENT)):
        host, _, pid = job.owner.rpartition(":")
        if job.state in ("running", "cancelling") and host == socket.gethostname() and int(pid) != os.getpid():
            asyncio.run(launcher.stop(job.id, job.owner))


def until(holds: Callable[[], Any], within_s: float = SOON_S) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def asleep(door: Door) -> str:
    """Ask for a tick and wait until its model is asked; gives the job."""
    job = door.post("/agents/support/ticks", by="olga").json["id"]
    until((door.app.settings.store.parent / "asleep").exists, within_s=30)
    return job


def state(door: Door, job: str) -> str:
    return door.get(f"/jobs/{job}").json["state"]


def pid_of(door: Door, job: str) -> int:
    return int(door.see(lambda tx: tx.jobs.get(job)).owner.rpartition(":")[2])


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def whole(door: Door) -> None:
    """Hold the store against what a cancelled tick may leave: nothing half-written, and a record that holds."""

    def work(tx: Any) -> None:
        draft = tx.drafts.get("support")
        assert draft is None or draft.accepted == ()
        assert [one.state for one in tx.proposals.all("support") if one.state == "proposed"] == []
        assert tx.rollouts.active("support") is None
        assert verify(tx.audit.all()).intact

    door.see(work)


def acts(door: Door) -> list[tuple[str, str]]:
    kept = ("job-cancelled", "tick-cancelled", "tick-ended")
    return [(one.actor, one.action) for one in door.see(lambda tx: tx.audit.all()) if one.action in kept]


def test_a_job_that_sleeps_is_cancelled_within_seconds_and_leaves_the_store_whole(sleepy: Door) -> None:
    job = asleep(sleepy)
    pid, began = pid_of(sleepy, job), time.monotonic()
    got = sleepy.post(f"/jobs/{job}/cancel", WHY, by="olga")
    assert (got.status, got.json["state"]) == (200, "cancelling"), got.text
    until(lambda: state(sleepy, job) == "cancelled")
    until(lambda: gone(pid))
    assert time.monotonic() - began < SOON_S
    seen = sleepy.see(lambda tx: tx.jobs.get(job))
    assert (seen.state, seen.cancelled_by, seen.why, dict(seen.files)) == ("cancelled", "olga", WHY["reason"], {})
    tick = sleepy.get("/work/tick/support/tick-1").json
    assert tick["state"] == "cancelled"
    assert "olga cancelled it: the wrong model" in tick["sentence"]
    assert acts(sleepy) == [("olga", "job-cancelled"), ("olga", "tick-cancelled"), ("loop", "tick-ended")]
    whole(sleepy)
    problem(sleepy.post(f"/jobs/{job}/cancel", WHY, by="olga"), 409, "conflict")
    problem(sleepy.post("/agents/support/ticks/1/cancel", WHY, by="olga"), 409, "conflict")


def test_a_job_that_is_cancelled_while_its_process_starts_ends_as_cancelled_and_begins_nothing(sleepy: Door) -> None:
    job = sleepy.post("/agents/support/ticks", by="olga").json["id"]
    pid = pid_of(sleepy, job)
    assert sleepy.post(f"/jobs/{job}/cancel", WHY, by="olga").json["state"] == "cancelling"
    seen = until(lambda: (found := sleepy.see(lambda tx: tx.jobs.get(job))).state == "cancelled" and found)
    assert (seen.cancelled_by, dict(seen.files), seen.ended_at is not None) == ("olga", {}, True)
    until(lambda: gone(pid))
    assert sleepy.see(lambda tx: tx.agents.get("support")).tick == 0
    assert acts(sleepy) == [("olga", "job-cancelled")]


@pytest.mark.slow
def test_a_tick_is_cancelled_by_its_number_whoever_began_it_and_ends_itself(sleepy: Door) -> None:
    job = asleep(sleepy)
    got = sleepy.post("/agents/support/ticks/1/cancel", WHY, by="olga")
    assert (got.status, got.json) == (200, {"agent": "support", "tick": 1, "state": "cancelling"})
    done = until(lambda: (seen := sleepy.get(f"/jobs/{job}").json)["state"] not in ("running", "waiting") and seen)
    assert (done["state"], done["exit_code"], done["result"]["outcome"]) == ("done", 0, "cancelled"), done
    assert sleepy.get("/work/tick/support/tick-1").json["state"] == "cancelled"
    assert acts(sleepy) == [("olga", "tick-cancelled"), ("loop", "tick-ended")]
    whole(sleepy)
    for path in ("ticks/2", "ticks/99"):
        problem(sleepy.post(f"/agents/support/{path}/cancel", WHY, by="olga"), 404, "not_found")


def test_who_may_not_ask_for_work_may_not_cancel_it(door: Door) -> None:
    door.api.state.reception = replace(door.api.state.reception, launcher=Elsewhere())
    job = door.post("/agents/support/ticks", by="olga").json["id"]
    for path in (f"/jobs/{job}/cancel", "/agents/support/ticks/1/cancel"):
        for by in ("vera", "bob", "app", "ida"):
            problem(door.post(path, WHY, by=by), 403, "forbidden")
        wanted = (403, "forbidden") if "ticks" in path else (404, "not_found")
        problem(door.post(path, WHY, by="held"), *wanted)
        for none in (None, {}, {"reason": ""}, {"reason": "  "}):
            assert door.post(path, none, by="olga").status == 422
    assert state(door, job) == "running"
    assert acts(door) == []


def test_kill_nine_after_the_flag_reads_cancelled_and_the_next_tick_goes_on(sleepy: Door) -> None:
    job = asleep(sleepy)
    sleepy.api.state.reception = replace(sleepy.api.state.reception, launcher=Elsewhere())
    pid = pid_of(sleepy, job)
    os.kill(pid, signal.SIGSTOP)  # it sees nothing any more
    assert sleepy.post(f"/jobs/{job}/cancel", WHY, by="olga").json["state"] == "cancelling"
    assert sleepy.get("/work/tick/support/tick-1").json["state"] == "cancelling"
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid))
    assert state(sleepy, job) == "cancelled"
    assert sleepy.get("/work/tick/support/tick-1").json["state"] == "cancelled"
    sleepy.do(lambda app: bury(app.ports))
    seen = sleepy.see(lambda tx: tx.jobs.get(job))
    assert (seen.state, seen.ended_at is not None, dict(seen.files)) == ("cancelled", True, {})
    assert sleepy.see(lambda tx: tx.marks.get("support/tick/1/end"))["outcome"] == "cancelled"

    async def again(app: Any) -> dict[str, Any]:
        async with app.worker(poll_s=0.02) as worker:
            return await worker.tick("support")

    report = sleepy.do(again)
    assert (report["tick"], report["outcome"] != "cancelled") == (2, True)
    assert [one for one in acts(sleepy) if one == ("loop", "tick-ended")] == [("loop", "tick-ended")] * 2


@pytest.mark.slow
def test_kill_nine_without_a_word_reads_lost_and_its_tick_can_be_closed(sleepy: Door) -> None:
    job = asleep(sleepy)
    os.killpg(pid_of(sleepy, job), signal.SIGKILL)
    until(lambda: state(sleepy, job) == "lost")
    assert sleepy.get("/work/tick/support/tick-1").json["state"] == "stale"
    problem(sleepy.post(f"/jobs/{job}/cancel", WHY, by="olga"), 409, "conflict")
    got = sleepy.post("/agents/support/ticks/1/cancel", WHY, by="olga")
    assert got.json["state"] == "cancelled"
    assert sleepy.get("/work/tick/support/tick-1").json["state"] == "cancelled"
    whole(sleepy)


class Elsewhere:
    """A launcher on another machine than the jobs'."""

    async def launch(self, job: str) -> str:
        return "another-host:1"

    async def stop(self, job: str, owner: str) -> bool:
        return False


@pytest.mark.slow
def test_the_process_of_another_machine_stops_when_it_looks(sleepy: Door) -> None:
    """No signal reaches it; the flag is enough."""
    job = asleep(sleepy)
    sleepy.api.state.reception = replace(sleepy.api.state.reception, launcher=Elsewhere())
    pid = pid_of(sleepy, job)
    assert sleepy.post(f"/jobs/{job}/cancel", WHY, by="olga").json["state"] == "cancelling"
    until(lambda: gone(pid))
    assert state(sleepy, job) == "cancelled"
    whole(sleepy)


def test_no_process_but_that_of_the_job_is_ever_told(door: Door) -> None:
    """A process number that went to somebody else since is left alone, and so is one whose words are of another job."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "--do", "another"],
                             start_new_session=True)  # fmt: skip
    launcher = ProcessLauncher(door.app.settings.store)
    try:
        for owner in (f"{socket.gethostname()}:{other.pid}", f"another-host:{other.pid}", "", "x:y",
                      f"{socket.gethostname()}:{os.getpid()}", f"{socket.gethostname()}:0"):  # fmt: skip
            assert asyncio.run(launcher.stop("mine", owner)) is False, owner
        assert other.poll() is None
        assert asyncio.run(launcher.stop("another", f"{socket.gethostname()}:{other.pid}")) is True
        assert other.wait(10) == -signal.SIGTERM
    finally:
        other.kill()
        other.wait()


def test_a_cancel_that_races_with_the_end_leaves_one_of_both_and_never_a_mixture(door: Door) -> None:
    """Both begin at once, again and again: the job is done or cancelled, with the record that fits."""
    now, found = datetime.now(UTC), []
    from surefoot.engine.once import this_process

    for turn in range(20):
        name = f"race-{turn}"
        job = Job(id=name, kind="prune", agent="support", words=("prune", "support"), by="olga", at=now, seen_at=now,
                  owner=this_process(), state="running", files={"x": "y"})  # fmt: skip
        door.app.store.write_now(lambda tx, job=job: tx.jobs.add(job))
        ending = threading.Thread(
            target=lambda name=name: asyncio.run(
                ended(door.app.ports, name, exit_code=0, result={"sentence": "3 went"})
            )
        )
        ending.start()
        got = door.post(f"/jobs/{name}/cancel", WHY, by="olga")
        ending.join()
        seen = door.see(lambda tx, name=name: tx.jobs.get(name))
        assert (got.status, seen.state, dict(seen.files)) in ((200, "done", {}), (409, "done", {})), (got.text, seen)
        assert (got.status == 200) == (seen.cancelled_by == "olga")
        found.append(got.status)
    assert len([one for one in acts(door) if one[1] == "job-cancelled"]) == found.count(200)


def test_a_process_that_slept_past_its_lease_neither_goes_on_nor_overwrites_what_was_written(door: Door) -> None:
    """A machine was suspended; on another one its job was given up for lost. What wakes up stops, and says nothing."""
    clock = [datetime.now(UTC)]
    app = door.app

    async def work(_: Any) -> None:
        ports = replace(app.ports, clock=lambda: clock[0])
        job = Job(id="slept", kind="prune", agent="support", words=("prune",), by="olga", at=clock[0],
                  seen_at=clock[0], owner="another-host:7", state="running", files={"x": "y"})  # fmt: skip
        await ports.store.write(lambda tx: tx.jobs.add(job))
        await taken(ports, "slept")
        await ports.store.write(lambda tx: tx.jobs.swap(replace(tx.jobs.get("slept"), owner="another-host:7")))
        for _turn in range(8):  # as long as it says that it is there it is believed, however long it takes
            clock[0] += timedelta(seconds=50)
            await ports.store.write(lambda tx: tx.jobs.swap(replace(tx.jobs.get("slept"), seen_at=clock[0])))
            await bury(ports)
        assert (await ports.store.read(lambda tx: tx.jobs.get("slept"))).state == "running"
        clock[0] += timedelta(seconds=61)
        await bury(ports)
        assert await must_stop(ports, "slept")
        await renewed(ports, "slept")
        after = await ended(ports, "slept", exit_code=0, result={"sentence": "late"})
        assert (after.state, dict(after.result), dict(after.files)) == ("lost", {}, {})
        with pytest.raises(Conflict):
            await taken(ports, "slept")

    door.do(work)


def test_a_job_that_was_cancelled_before_its_process_began_never_begins(door: Door) -> None:
    door.api.state.reception = replace(door.api.state.reception, launcher=Elsewhere())
    job = door.post("/agents/support/prune", by="olga").json["id"]
    assert door.post(f"/jobs/{job}/cancel", WHY, by="olga").json["state"] == "cancelling"
    with pytest.raises(Conflict, match="cancelled"):
        door.do(lambda app: taken(app.ports, job))
    assert state(door, job) == "cancelled"

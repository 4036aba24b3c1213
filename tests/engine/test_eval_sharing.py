"""Several workers on one eval run: no trial twice, and what a dead one held is done by the others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from exam_house import Subject, a_suite, exams, verdicts

from surefoot.app import build
from surefoot.config import Settings
from surefoot.engine import claim
from surefoot.engine.run import Terms, begin, cancel, carry_out

SHARER = Path(__file__).with_name("eval_sharer.py")


@pytest.fixture
def app(tmp_path):
    made = build(Settings(store=tmp_path / "s.db"), environ={})
    yield made
    made.close()


def sharer(app, run):
    return subprocess.Popen(
        [sys.executable, str(SHARER), str(app.settings.store), run], stdout=subprocess.PIPE, text=True
    )


async def test_workers_share_a_run_and_no_trial_is_done_twice(app):
    suite, terms = a_suite(200, epochs=2), Terms(concurrency=4, shared=True)
    subjects = [Subject(wait_s=0.001) for _ in range(4)]
    run = await begin(app.ports, exams(app), suite, subjects[0], terms)
    done = await asyncio.gather(*(carry_out(app.ports, exams(app), one, run.id, terms) for one in subjects))
    asked = Counter(key for one in subjects for key in one.asked)
    assert {one.state for one in done} == {"done"}
    assert set(asked.values()) == {1}
    assert len(asked) == len(await verdicts(app, run.id)) == 400
    assert sum(bool(one.asked) for one in subjects) > 1


async def test_what_a_killed_worker_held_is_done_by_another(app, monkeypatch):
    monkeypatch.setattr(claim, "LEASE", timedelta(seconds=1.5))
    monkeypatch.setattr(claim, "RENEW_S", 0.4)
    suite, terms, mine = a_suite(120), Terms(concurrency=2, shared=True), Subject(wait_s=0.005)
    run = await begin(app.ports, exams(app), suite, mine, terms)
    victim = sharer(app, run.id)
    assert victim.stdout is not None
    first = [await asyncio.to_thread(victim.stdout.readline) for _ in range(3)]
    victim.kill()
    victim.wait()
    victim.stdout.close()
    assert all(first)
    done = await carry_out(app.ports, exams(app), mine, run.id, terms)
    assert done.state == "done"
    assert len(await verdicts(app, run.id)) == 120
    assert len(mine.asked) == len(set(mine.asked)) <= 120


def test_processes_share_a_run(app):
    suite, subject = a_suite(150), Subject()
    run = asyncio.run(begin(app.ports, exams(app), suite, subject, Terms(shared=True)))
    running = [sharer(app, run.id) for _ in range(3)]
    asked = Counter(line.strip() for one in running for line in one.communicate(timeout=60)[0].splitlines())
    assert [one.returncode for one in running] == [0, 0, 0]
    assert set(asked.values()) == {1}
    assert len(asked) == 150
    assert asyncio.run(app.store.read(lambda tx: tx.evals.run(run.id))).state == "done"


async def test_a_cancelled_run_ends_for_everybody_who_waits_for_the_others(app):
    suite, terms = a_suite(64), Terms(concurrency=2, shared=True)
    slow, fast = Subject(wait_s=0.2), Subject(wait_s=0.2)
    run = await begin(app.ports, exams(app), suite, slow, terms)
    working = [asyncio.create_task(carry_out(app.ports, exams(app), one, run.id, terms)) for one in (slow, fast)]
    await asyncio.sleep(0.3)
    await cancel(app.ports, run.id, by="olga", reason="enough")
    done = await asyncio.wait_for(asyncio.gather(*working), 20)
    assert {one.state for one in done} == {"cancelled"}

"""People's words in the open, cancelling a run that nobody works on, and the survey of all long work."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from exam_house import ScriptedJudge, Subject, a_suite, exams, ran, ruling

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.errors import Conflict, Invalid
from surefoot.core.exam.suite import Message
from surefoot.core.job import Job
from surefoot.core.token import EVERY_AGENT
from surefoot.engine.labelled import Word, amended, label, next_blind, say, words_of, worth
from surefoot.engine.once import this_process
from surefoot.engine.run import Terms, at_work, begin, cancel, carry_out
from surefoot.engine.survey import survey
from surefoot.ports.undertakings import WorkSpot


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    made = build(Settings(store=tmp_path / "evals.db"), environ={})
    yield made
    made.close()


def gone() -> str:
    """The name of a process of this machine that is no more."""
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return f"{this_process().rpartition(':')[0]}:{int(done.stdout)}"


async def test_a_word_in_the_open_is_kept_and_counts_for_no_rate(app: App) -> None:
    run = await ran(app, a_suite(3, criteria=["polite"]), Subject(), judge=ScriptedJudge([ruling("pass")]))
    before = await worth(app.ports, run.id)
    await say(app.ports, [Word(run=run.id, case="c0", passed=False, note="too short", expected="xx")], by="ana")
    kept = await words_of(app.ports, run.id)
    assert [(one.case, one.scorer, one.passed, one.note, one.by) for one in kept] == [
        ("c0", "expected", True, "xx", "ana"), ("c0", "person", False, "too short", "ana"),
    ]  # fmt: skip
    after = await worth(app.ports, run.id)
    assert (after.calibration.n, after.labels) == (before.calibration.n, before.labels) == (0, 0)
    shown = await next_blind(app.ports, run.id, by="ana", drawn="sample")
    assert shown is not None
    assert shown.left == 3
    await label(app.ports, run.id, shown.case.id, shown.epoch, shown.scorer, passed=True, by="ana", drawn="sample")
    assert (await worth(app.ports, run.id)).calibration.n == 1


async def test_words_are_kept_all_or_none_and_never_in_the_record(app: App) -> None:
    run = await ran(app, a_suite(3), Subject())
    with pytest.raises(Conflict, match="no answer"):
        await say(app.ports, [Word(run=run.id, case="c0", passed=True),
                              Word(run=run.id, case="nowhere", passed=True)], by="ana")  # fmt: skip
    with pytest.raises(Invalid):
        await say(app.ports, [Word(run=run.id, case="c0")], by="ana")
    with pytest.raises(Invalid):
        await say(app.ports, [Word(run=run.id, case="c0", passed=True)], by=" ")
    assert await words_of(app.ports, run.id) == []
    await say(app.ports, [Word(run=run.id, case="c0", expected="the secret answer", note="why")], by="ana")
    (entry,) = [one for one in app.store.read_now(lambda tx: tx.audit.all()) if one.action == "eval-said"]
    assert "secret" not in str(entry.payload)


async def test_what_people_say_is_redacted_before_it_is_kept(app: App) -> None:
    run = await ran(app, a_suite(3, criteria=["polite"]), Subject(), judge=ScriptedJudge([ruling("pass")]))
    mail = "ana.lopez@example.com"
    said = await say(
        app.ports, [Word(run=run.id, case="c0", passed=False, note=f"of {mail} \ud800", expected=f" to {mail} ")],
        by="ana",
    )  # fmt: skip
    shown = await next_blind(app.ports, run.id, by="ana", drawn="sample")
    assert shown is not None
    await label(app.ports, run.id, shown.case.id, shown.epoch, shown.scorer, passed=True, by="ana", drawn="sample",
                note=f"as {mail} said")  # fmt: skip
    assert [one.note.split()[0] for one in said] == ["of", "to"]
    assert {one.note for one in await words_of(app.ports, run.id)} == {one.note for one in said}
    after, _ = await amended(app.ports, run.id)
    assert after.cases[0].expected == said[1].note
    assert mail not in str(app.store.read_now(lambda tx: (tx.evals.labels(), tx.audit.all())))


async def test_the_corrected_suite_has_what_people_agree_on(app: App) -> None:
    suite = a_suite(4)
    first, second = await ran(app, suite, Subject()), await ran(app, suite, Subject())
    for run, case, by, text in (
        (first, "c0", "ana", "one"), (second, "c0", "ana", "two"),  # she thought again
        (first, "c1", "ana", "one"), (first, "c1", "bob", "other"),
        (second, "c2", "bob", "three"),
    ):  # fmt: skip
        await say(app.ports, [Word(run=run.id, case=case, expected=text)], by=by)
    after, differ = await amended(app.ports, first.id)
    assert {case.id: case.expected for case in after.cases} == {"c0": "two", "c1": "x", "c2": "three", "c3": "x"}
    assert differ == ["c1"]


async def test_what_was_said_of_another_question_or_another_suite_changes_no_case(app: App) -> None:
    old, changed = a_suite(3), list(a_suite(3).cases)
    changed[0] = replace(changed[0], input=(Message(role="user", content="a new question"),))
    new, other = replace(old, cases=tuple(changed)), replace(old, name="other")
    before, after, elsewhere = [await ran(app, one, Subject()) for one in (old, new, other)]
    for run, case in ((before, "c0"), (before, "c1"), (elsewhere, "c2")):
        await say(app.ports, [Word(run=run.id, case=case, expected="said")], by="ana")
    await say(app.ports, [Word(run=after.id, case="c1", expected="said")], by="bob")
    made, differ = await amended(app.ports, after.id)
    assert {case.id: case.expected for case in made.cases} == {"c0": "x", "c1": "said", "c2": "x"}
    assert differ == []
    assert {case.id: case.expected for case in (await amended(app.ports, before.id))[0].cases}["c0"] == "said"


async def test_a_run_says_who_works_on_it_and_since_when(app: App) -> None:
    subject, room = Subject(wait_s=0.05), exams(app)
    run = await begin(app.ports, room, a_suite(40), subject, Terms(concurrency=2))
    assert await at_work(app.ports, run) is None  # nobody has taken it up
    going = asyncio.create_task(carry_out(app.ports, room, subject, run.id, Terms(concurrency=2)))
    while not (seen := app.store.read_now(lambda tx: tx.evals.run(run.id))).worker:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert seen.worker == this_process()
    assert await at_work(app.ports, seen) is True
    stops = await cancel(app.ports, run.id, by="olga", reason="wrong model")
    assert stops.state == "cancelling"
    done = await going
    assert done.state == "cancelled"
    entry = [one for one in app.store.read_now(lambda tx: tx.audit.all()) if one.action == "eval-cancelled"][-1]
    assert (entry.actor, entry.payload["reason"]) == ("olga", "wrong model")


@pytest.mark.parametrize("state", ["running", "cancelling"])
async def test_a_run_whose_worker_is_gone_is_stale_and_is_closed_when_it_is_cancelled(app: App, state: str) -> None:
    run = await ran(app, a_suite(3), Subject())
    left = app.store.write_now(
        lambda tx: tx.evals.swap(replace(run, state=state, ended_at=None, worker=gone(), planned=9))
    )
    assert await at_work(app.ports, left) is False
    (seen,), _ = await survey(app.ports, limit=10, agents=EVERY_AGENT)
    assert (seen.state, seen.done, seen.planned) == ("stale", 3, 9)
    assert seen.pace.sentence == ""
    after = await cancel(app.ports, run.id, by="olga", reason="its machine went away")
    assert after.state == "cancelled"
    assert after.ended_at is not None
    with pytest.raises(Conflict):
        await cancel(app.ports, run.id, by="olga", reason="again")


async def test_a_run_whose_process_is_killed_is_stale_until_somebody_takes_it_up_and_finishes_it(
    app: App, tmp_path: Path
) -> None:
    """kill -9 in the middle; before it the page has a pace, after it none, and the rest is done by another process."""
    victim = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, str(Path(__file__).parent / "eval_victim.py"), str(tmp_path / "evals.db"), "3000"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert victim.stdout is not None
    try:
        run_id, told = victim.stdout.readline().strip(), 0
        while told < 20:
            told = int(victim.stdout.readline())
        (going,), _ = await survey(app.ports, limit=5, agents=EVERY_AGENT)
        assert (going.state, going.planned) == ("running", 3000)
        assert going.done >= told
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victim.stdout.close()
    (left,), _ = await survey(app.ports, limit=5, agents=EVERY_AGENT)
    assert left.state == "stale"
    assert left.pace.rest_s is None
    assert left.sentence.endswith(f"surefoot eval run --resume {run_id} does the rest")
    subject, room = Subject(), exams(app)
    await carry_out(app.ports, room, subject, run_id, Terms(concurrency=64))
    (done,), _ = await survey(app.ports, limit=5, agents=EVERY_AGENT)
    assert (done.state, done.done) == ("done", 3000)
    assert len(subject.asked) <= 3000 - left.done  # what was there is not asked for again


async def test_a_run_that_another_worker_holds_is_not_stale(app: App) -> None:
    """The process that took it up last is gone, but one beside it renews its claims."""
    run = await ran(app, a_suite(3), Subject())
    now = app.ports.clock()

    def work(tx: object) -> None:
        tx.evals.swap(replace(run, state="running", ended_at=None, worker=gone()))
        tx.evals.claim(run.id, [("c1", 5)], by="other", now=now, until=now + timedelta(seconds=20))

    app.store.write_now(work)
    (seen,), _ = await survey(app.ports, limit=10, agents=EVERY_AGENT)
    assert seen.state == "running"
    assert (await cancel(app.ports, run.id, by="olga", reason="enough")).state == "cancelling"


async def test_the_survey_gives_each_piece_of_work_once_whatever_the_page(app: App) -> None:
    run = await ran(app, a_suite(1), Subject())
    same = app.ports.clock()

    def work(tx: object) -> None:
        for at in range(23):
            moment = same - timedelta(seconds=at // 4)  # several at the same moment
            tx.evals.begin(replace(run, id=f"e-{at:02}", started_at=moment, revision=0), a_suite(1))
            tx.jobs.add(Job(id=f"j-{at:02}", kind="prune", agent="a", words=("prune", "a"), by="x", at=moment,
                            state="done"))  # fmt: skip

    app.store.write_now(work)
    whole, _ = await survey(app.ports, limit=1000, agents=EVERY_AGENT)
    for size in (1, 2, 3, 7, 46):
        found, after = [], None
        while True:
            page, after = await survey(app.ports, limit=size, after=after, agents=EVERY_AGENT)
            found += page
            if after is None:
                break
        assert [one.spot for one in found] == [one.spot for one in whole]
    assert len({one.spot for one in whole}) == len(whole) == 47
    assert [one.spot for one in whole] == sorted((one.spot for one in whole), reverse=True)


async def test_what_began_later_stays_out_of_a_page_that_was_opened_before(app: App) -> None:
    run = await ran(app, a_suite(1), Subject())
    (first,), _ = await survey(app.ports, limit=5, agents=EVERY_AGENT)
    later = replace(run, id="zz-later", started_at=app.ports.clock(), revision=0)
    app.store.write_now(lambda tx: tx.evals.begin(later, a_suite(1)))
    again, _ = await survey(app.ports, limit=5, most=first.spot, agents=EVERY_AGENT)
    assert [one.spot for one in again] == [first.spot]
    both, _ = await survey(app.ports, limit=5, agents=EVERY_AGENT)
    assert [one.spot.id for one in both] == ["zz-later", first.spot.id]


def test_spots_are_ordered_by_moment_then_kind_then_id(app: App) -> None:
    now = app.ports.clock()
    assert WorkSpot(at=now, kind="eval", id="b") < WorkSpot(at=now, kind="job", id="a")
    assert WorkSpot(at=now, kind="tick", id="a") < WorkSpot(at=now + timedelta(microseconds=1), kind="eval", id="a")

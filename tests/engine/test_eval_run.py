"""An eval run: what is finished is kept, what is missing is run, and nothing unknown passes for a success."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from exam_house import ScriptedJudge, Subject, a_suite, exams, ran, right, ruling, verdicts

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.budget import Budget
from surefoot.core.errors import Conflict, Forbidden, Invalid, Unavailable
from surefoot.core.exam.flake import STEADY
from surefoot.core.exam.observed import Observed, ToolCall
from surefoot.core.exam.suite import chosen
from surefoot.core.token import EVERY_AGENT
from surefoot.engine.labelled import label, next_blind, worth
from surefoot.engine.reported import failing, report, traces_as_suite
from surefoot.engine.run import Terms, begin, cancel, carry_out
from surefoot.engine.survey import survey
from surefoot.ports.exam import Reply

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def app(tmp_path):
    made = build(Settings(store=tmp_path / "evals.db"), environ={})
    yield made
    made.close()


def wrong(case, epoch):
    return Observed(output="nonsense")


# Carrying out --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 16, 17, 33, 100])
@pytest.mark.parametrize("budget", [Budget(), Budget(calls=10_000)])
async def test_every_case_and_epoch_is_asked_once_and_every_check_has_its_word(app, count, budget):
    subject = Subject()
    suite = a_suite(count, checks=["equals", {"contains": "x"}, {"regex": "x"}])
    run = await ran(app, suite, subject, Terms(epochs=2, budget=budget))
    assert sorted(subject.asked) == sorted((f"c{n}", e) for n in range(count) for e in range(2))
    assert len(await verdicts(app, run.id)) == count * 2 * 3
    assert (await report(app.ports, run.id)).verdict.word == "pass"


async def test_a_case_without_a_check_is_errored_and_not_even_asked(app):
    subject = Subject()
    run = await ran(app, a_suite(1, checks=[]), subject)
    assert subject.asked == []
    seen = await report(app.ports, run.id)
    assert seen.results["c0"].standing == "errored"
    assert seen.verdict.word == "too_many_errored"


async def test_a_check_that_raises_is_errored_and_never_a_pass(app, monkeypatch):
    async def breaks(self, check, case, observed, root):
        raise RuntimeError("out of paper")

    monkeypatch.setattr("surefoot.adapters.exam.outside.World.finding", breaks)
    run = await ran(
        app, a_suite(2, checks=[{"regex": "x"}, {"not_contains": ""}, {"regex": "y", "not": True}]), Subject()
    )
    assert {v.state for v in await verdicts(app, run.id)} == {"errored"}
    assert "out of paper" in (await verdicts(app, run.id))[-1].note
    assert (await report(app.ports, run.id)).verdict.exit_code == 3


async def test_a_subject_that_breaks_or_dawdles_is_errored_and_the_others_go_on(app):
    def answers(case, epoch):
        if case.id == "c1":
            raise RuntimeError("gone")
        return right(case, epoch)

    class Slow(Subject):
        async def answer(self, case, epoch):
            if case.id == "c2":
                await asyncio.sleep(60)
            return await super().answer(case, epoch)

    run = await ran(app, a_suite(4, timeout_s=0.1), Slow(answers))
    assert {v.case: v.state for v in await verdicts(app, run.id)} == {
        "c0": "passed", "c1": "errored", "c2": "errored", "c3": "passed",
    }  # fmt: skip


async def test_unknown_endings_never_count_as_success(app):
    ends = ["error", "truncated", "timeout", "length"]

    def answers(case, epoch):
        return Observed(output="x", finish=ends[int(case.id[1:])])

    run = await ran(app, a_suite(4, checks=["equals", {"not_contains": "y"}]), Subject(answers))
    assert {(v.case, v.state) for v in await verdicts(app, run.id)} == {
        ("c0", "errored"), ("c1", "errored"), ("c2", "errored"), ("c3", "failed"),
    }  # fmt: skip


async def test_expected_calls_are_judged_by_how_they_ended(app):
    def answers(case, epoch):
        state = ["clean", "refused", "unknown"][int(case.id[1:])]
        return Observed(output="done", calls=(ToolCall(name="refund", args={"id": 1}, state=state),))

    suite = a_suite(3, checks=[], expected_tool_calls=[{"name": "refund", "args": {"id": 1}}])
    run = await ran(app, suite, Subject(answers))
    assert [v.state for v in await verdicts(app, run.id)] == ["passed", "failed", "errored"]


# Cancel and resume ---------------------------------------------------------------------------------------------------


async def test_cancelling_keeps_what_finished_and_a_resume_runs_exactly_the_rest(app):
    first, second, suite = Subject(wait_s=0.001), Subject(), a_suite(300)
    run = await begin(app.ports, exams(app), suite, first, Terms())
    work = asyncio.create_task(carry_out(app.ports, exams(app), first, run.id, Terms()))
    while len(first.asked) < 150:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    kept = {v.case for v in await verdicts(app, run.id)}
    seen = await report(app.ports, run.id)
    assert (seen.verdict.word, seen.verdict.exit_code, seen.run.state) == ("cancelled", 130, "cancelled")
    assert len(kept) >= 150 - 16
    done = await carry_out(app.ports, exams(app), second, run.id, Terms())
    assert {case for case, _ in second.asked} == {case.id for case in suite.cases} - kept
    assert len(second.asked) == 300 - len(kept)
    assert done.state == "done"
    assert (await report(app.ports, run.id)).verdict.word == "pass"


async def test_another_process_can_cancel_a_run(app):
    subject, suite = Subject(wait_s=0.005), a_suite(2000)
    run = await begin(app.ports, exams(app), suite, subject, Terms(concurrency=4))
    work = asyncio.create_task(carry_out(app.ports, exams(app), subject, run.id, Terms(concurrency=4)))
    await asyncio.sleep(0.05)
    await cancel(app.ports, run.id, by="olga", reason="enough")
    done = await asyncio.wait_for(work, 20)
    assert done.state == "cancelled"
    assert len(await verdicts(app, run.id)) == len(subject.asked) < 2000
    with pytest.raises(Conflict):
        await cancel(app.ports, run.id, by="olga", reason="enough")


@pytest.mark.parametrize(("by", "reason"), [("", "enough"), (" ", "enough"), ("olga", ""), ("olga", " ")])
async def test_nobody_cancels_a_run_without_a_name_or_without_a_reason(app, by, reason):
    run = await begin(app.ports, exams(app), a_suite(2), Subject(), Terms())
    with pytest.raises(Invalid, match="by a person, with a reason"):
        await cancel(app.ports, run.id, by=by, reason=reason)
    assert (await app.store.read(lambda tx: tx.evals.run(run.id))).state == "running"
    assert "eval-cancelled" not in [one.action for one in await app.store.read(lambda tx: tx.audit.all())]


async def held(app, run_id):
    return await app.store.read(lambda tx: tx.evals.held(run_id, now=app.ports.clock()))


async def listed(app):
    ((one,), _) = await survey(app.ports, limit=9, kinds=["eval"], agents=EVERY_AGENT)
    return one.state


async def test_who_carries_a_run_out_on_another_host_is_known_by_a_lease_and_stops_when_asked(app, monkeypatch):
    monkeypatch.setattr("surefoot.engine.run.this_process", lambda: "elsewhere:1")
    subject, suite, terms = Subject(wait_s=0.005), a_suite(2000), Terms(concurrency=4)
    run = await begin(app.ports, exams(app), suite, subject, terms)
    work = asyncio.create_task(carry_out(app.ports, exams(app), subject, run.id, terms))
    while not subject.asked:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert await held(app, run.id) == 1
    assert await listed(app) == "running"
    assert (await cancel(app.ports, run.id, by="olga", reason="enough")).state == "cancelling"
    assert (await asyncio.wait_for(work, 20)).state == "cancelled"
    assert await held(app, run.id) == 0


async def test_a_run_whose_worker_died_on_another_host_is_stale_and_can_be_cancelled_once_its_lease_is_over(app):
    subject, suite = Subject(), a_suite(3)
    run = await begin(app.ports, exams(app), suite, subject, Terms())
    now = app.ports.clock()

    def died(tx):
        tx.evals.swap(replace(tx.evals.run(run.id), worker="elsewhere:1"))
        tx.evals.claim(run.id, [("a", -1)], by="a", now=now, until=now + timedelta(seconds=1))

    await app.store.write(died)
    assert await listed(app) == "running"
    await app.store.write(lambda tx: tx.evals.renew(run.id, by="a", until=now - timedelta(seconds=1)))
    assert await listed(app) == "stale"
    assert (await cancel(app.ports, run.id, by="olga", reason="enough")).state == "cancelled"
    assert await listed(app) == "cancelled"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_nine_in_the_middle_keeps_every_acknowledged_verdict_and_a_resume_runs_exactly_the_rest(tmp_path, seed):
    store, count = tmp_path / "evals.db", 3000
    victim = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "eval_victim.py"), str(store), str(count)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert victim.stdout is not None
    run_id, goal, told = victim.stdout.readline().strip(), random.Random(seed).randrange(50, 1500), 0
    while told < goal:
        told = int(victim.stdout.readline())
    victim.send_signal(signal.SIGKILL)
    rest = victim.stdout.read().split()
    told = int(rest[-1]) if rest and rest[-1].isdigit() else told
    victim.wait()
    victim.stdout.close()

    async def resumed(app: App):
        kept = {v.case for v in await verdicts(app, run_id)}
        subject, terms = Subject(), Terms(concurrency=8, budget=Budget(calls=10 * count))
        done = await carry_out(app.ports, exams(app), subject, run_id, terms)
        return kept, subject, done, await report(app.ports, run_id)

    app = build(Settings(store=store), environ={})
    kept, subject, done, seen = asyncio.run(resumed(app))
    app.close()
    assert told <= len(kept) < count
    assert len(subject.asked) == count - len(kept)
    assert not {case for case, _ in subject.asked} & kept
    assert done.state == "done"
    assert (seen.verdict.word, seen.verdict.counts["passed"]) == ("pass", count)


async def test_a_run_is_taken_up_only_with_its_own_subject_and_judge(app):
    run = await begin(app.ports, exams(app), a_suite(2), Subject(), Terms())
    with pytest.raises(Conflict):
        await carry_out(app.ports, exams(app), Subject(digest="other"), run.id, Terms())
    judged = await begin(app.ports, exams(app, ScriptedJudge(["x"])), a_suite(2, criteria=["kind"]), Subject(), Terms())
    with pytest.raises(Conflict):
        await carry_out(app.ports, exams(app), Subject(), judged.id, Terms())
    with pytest.raises(Conflict):
        await carry_out(app.ports, exams(app, ScriptedJudge(["x"], pin="pin-2")), Subject(), judged.id, Terms())


async def test_what_the_store_cannot_keep_stops_the_run_with_its_error(app, monkeypatch):
    def full(self, run_id, answers, verdicts_):
        raise Unavailable("the disk is full")

    monkeypatch.setattr("surefoot.adapters.store.evals.SqlEvals.record", full)
    subject = Subject()
    with pytest.raises(Unavailable, match="disk is full"):
        await asyncio.wait_for(ran(app, a_suite(20_000, checks=["equals"]), subject), 30)
    assert len(subject.asked) < 20_000


# Budgets -------------------------------------------------------------------------------------------------------------


async def test_a_budget_is_never_exceeded_and_a_resume_with_more_does_the_rest(app):
    subject, suite = Subject(), a_suite(50)
    run = await ran(app, suite, subject, Terms(budget=Budget(calls=20)))
    assert (run.state, len(subject.asked)) == ("stopped", 20)
    seen = await report(app.ports, run.id)
    assert (seen.verdict.word, seen.verdict.missing) == ("inconclusive", 30)
    done = await carry_out(app.ports, exams(app), subject, run.id, Terms(budget=Budget(calls=50)))
    assert (done.state, len(subject.asked)) == ("done", 50)


async def test_money_is_set_aside_at_its_worst_and_settled_at_what_it_was(app):
    run = await ran(app, a_suite(10), Subject(), Terms(concurrency=2, budget=Budget(usd=0.15)))
    ledger = await app.store.read(lambda tx: tx.ledgers.get(f"eval/{run.id}", Budget(usd=0.15)))
    assert (run.state, ledger.reserved) == ("done", ())
    assert ledger.settled.usd == pytest.approx(0.10)


async def test_money_that_is_only_set_aside_for_what_is_under_way_is_waited_for(app):
    subject = Subject(wait_s=0.02)
    run = await ran(app, a_suite(10), subject, Terms(concurrency=4, budget=Budget(usd=0.115)))
    assert (run.state, len(subject.asked)) == ("done", 10)
    assert subject.most > 1


async def test_what_a_broken_off_call_may_have_cost_stays_spent(app):
    subject = Subject(wait_s=30)
    terms = Terms(concurrency=4, budget=Budget(calls=100))
    run = await begin(app.ports, exams(app), a_suite(10), subject, terms)
    work = asyncio.create_task(carry_out(app.ports, exams(app), subject, run.id, terms))
    while subject.flying < 4:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    ledger = await app.store.read(lambda tx: tx.ledgers.get(f"eval/{run.id}", Budget()))
    assert ledger.committed.calls == 4


async def test_a_judge_without_money_leaves_answers_that_a_resume_judges_without_asking_again(app):
    subject, judge = Subject(), ScriptedJudge([ruling("pass")])
    suite, terms = a_suite(3, criteria=["kind"]), Terms(concurrency=1, budget=Budget(usd=0.06))
    room = exams(app, judge)
    run = await begin(app.ports, room, suite, subject, terms)
    assert (await carry_out(app.ports, room, subject, run.id, terms)).state == "stopped"
    assert len(judge.asked) < 3
    done = await carry_out(app.ports, room, subject, run.id, Terms(budget=Budget(usd=9)))
    assert done.state == "done"
    assert sorted(subject.asked) == [("c0", 0), ("c1", 0), ("c2", 0)]
    assert len(judge.asked) == 3


# Judges --------------------------------------------------------------------------------------------------------------


async def test_a_judge_is_asked_only_where_the_checks_passed(app):
    def answers(case, epoch):
        return right(case, epoch) if case.id == "c0" else wrong(case, epoch)

    judge = ScriptedJudge([ruling("pass")])
    run = await ran(app, a_suite(2, criteria=["kind"]), Subject(answers), judge=judge)
    assert len(judge.asked) == 1
    assert [(v.case, v.state) for v in await verdicts(app, run.id) if v.scorer.startswith("judge")] == [
        ("c0", "passed"), ("c1", "skipped"),
    ]  # fmt: skip


@pytest.mark.parametrize(("script", "calls", "state"), [
    ([ruling("pass")], 1, "passed"),
    ([ruling("fail")], 1, "failed"),
    ([ruling("abstain")], 1, "abstained"),
    ([ruling("pass", 0.6)], 3, "passed"),
    ([ruling("pass", 0.6), ruling("fail", 0.6), ruling("pass", 0.6)], 3, "abstained"),
    (["it passes!"], 1, "errored"),
    ([ruling("pass", 0.6), "broken"], 2, "errored"),
    ([ruling("pass", quote="never said")], 1, "errored"),
])  # fmt: skip
async def test_votes_near_the_threshold_must_agree(app, script, calls, state):
    judge = ScriptedJudge(script)
    run = await ran(app, a_suite(1, criteria=["kind"], max_errored=1.0), Subject(), judge=judge)
    seen = next(v for v in await verdicts(app, run.id) if v.scorer.startswith("judge"))
    assert (len(judge.asked), seen.state) == (calls, state)
    word = {"passed": "pass", "failed": "fail"}.get(state, "inconclusive")
    assert (await report(app.ports, run.id)).verdict.word == word


async def test_nobody_judges_their_own_work_unless_somebody_says_so(app):
    suite, subject = a_suite(1, criteria=["kind"]), Subject(authors=frozenset({"judge"}))
    judge = ScriptedJudge([ruling("pass")])
    with pytest.raises(Forbidden):
        await begin(app.ports, exams(app, judge), suite, subject, Terms())
    await begin(app.ports, exams(app, judge, same_author=True), suite, subject, Terms())
    with pytest.raises(Invalid, match="no judge"):
        await begin(app.ports, exams(app), suite, subject, Terms())


async def test_a_judge_that_cannot_be_reached_is_errored(app):
    class Down(ScriptedJudge):
        async def reply(self, prompt, vote):
            return Reply(text="", cost=self.price(prompt), problem="503")

    run = await ran(app, a_suite(1, criteria=["kind"]), Subject(), judge=Down([""]))
    assert [v.state for v in await verdicts(app, run.id)] == ["passed", "errored"]


async def test_people_measure_a_judge_blind_and_its_rate_is_corrected(app):
    judge = ScriptedJudge([ruling("pass"), ruling("fail")])
    run = await ran(app, a_suite(60, criteria=["kind"]), Subject(), Terms(concurrency=1), judge=judge)
    labelled = 0
    while (shown := await next_blind(app.ports, run.id, by="ann", drawn="sample")) is not None:
        truly = int(shown.case.id[1:]) % 2 == 0
        assert not any(word in repr(shown) for word in ("'passed'", "'failed'", "confidence"))
        await label(app.ports, run.id, shown.case.id, shown.epoch, shown.scorer, passed=truly, by="ann", drawn="sample")
        labelled += 1
    seen = await worth(app.ports, run.id)
    assert (labelled, seen.calibration.n) == (60, 60)
    assert (seen.calibration.tpr.value, seen.calibration.tnr.value, seen.calibration.kappa) == (1.0, 1.0, 1.0)
    assert seen.corrected is not None
    assert seen.corrected.low < 0.5 < seen.corrected.high
    with pytest.raises(Conflict):
        await label(app.ports, run.id, "c0", 9, "judge:x", passed=True, by="ann", drawn="sample")


# Full, failing, flaky ------------------------------------------------------------------------------------------------


async def test_what_failed_is_run_again_and_the_gate_still_wants_a_full_run(app):
    suite = a_suite(10)
    first = await ran(app, suite, Subject(lambda c, e: right(c, e) if c.id < "c5" else wrong(c, e)))
    assert (await report(app.ports, first.id)).verdict.word == "fail"
    old, part = await failing(app.ports, first.id)
    child = await ran(app, part, Subject(digest="mended"), scope="failing", parent=old.id)
    seen = await report(app.ports, child.id)
    assert (len(seen.results), seen.run.parent) == (5, first.id)
    assert (seen.verdict.word, seen.verdict.exit_code) == ("inconclusive", 4)
    assert "full run" in seen.verdict.sentence
    full = await ran(app, suite, Subject(digest="mended"))
    assert (await report(app.ports, full.id)).verdict.word == "pass"
    with pytest.raises(Invalid):
        await failing(app.ports, full.id)


async def test_nothing_matched_is_refused(app):
    with pytest.raises(Invalid, match="matches"):
        await begin(app.ports, exams(app), chosen(a_suite(2), tags=["no"]), Subject(), Terms())


async def test_a_flip_is_tried_again_and_a_flake_neither_blocks_nor_passes(app):
    suite = a_suite(10)
    await ran(app, suite, Subject())
    subject = Subject(lambda c, e: wrong(c, e) if c.id == "c3" and e == 0 else right(c, e), digest="v2")
    run = await ran(app, suite, subject)
    assert [one for one in subject.asked if one[1] > 0] == [("c3", 1), ("c3", 2)]
    seen = await report(app.ports, run.id)
    assert seen.verdict.quarantined == ("c3",)
    assert seen.verdict.word == "pass"
    real = await ran(app, suite, Subject(lambda c, e: wrong(c, e) if c.id == "c4" else right(c, e), digest="v3"))
    assert (await report(app.ports, real.id)).verdict.word == "fail"


async def test_a_must_case_in_quarantine_keeps_the_gate_from_passing(app):
    suite = a_suite(4, severity="must", epochs=2)
    run = await ran(app, suite, Subject(lambda c, e: wrong(c, e) if c.id == "c0" and e else right(c, e)))
    assert (await report(app.ports, run.id)).verdict.word == "inconclusive"


async def test_a_case_that_flips_between_runs_of_one_version_is_quarantined_until_it_is_steady(app):
    suite, moods = a_suite(3), iter([True, False])
    for _ in range(2):
        good = next(moods)
        await ran(app, suite, Subject(lambda c, e, good=good: right(c, e) if good or c.id != "c1" else wrong(c, e)),
                  Terms(confirm=0))  # fmt: skip
    assert set(await app.store.read(lambda tx: tx.evals.quarantine("s"))) == {"c1"}
    for turn in range(STEADY + 1):
        await ran(app, suite, Subject(), Terms(confirm=0))
        held = await app.store.read(lambda tx: tx.evals.quarantine("s"))
        assert bool(held) == (turn < STEADY - 1), turn


async def test_a_cached_answer_is_of_the_same_subject_case_and_epoch(app):
    suite, subject = a_suite(3), Subject()
    await ran(app, suite, subject, Terms(cache=True, epochs=2))
    assert len(subject.asked) == 6
    await ran(app, suite, subject, Terms(cache=True, epochs=3))
    assert sorted(subject.asked[6:]) == [("c0", 2), ("c1", 2), ("c2", 2)]
    other = Subject(digest="v2")
    await ran(app, suite, other, Terms(cache=True))
    assert len(other.asked) == 3


# Side by side --------------------------------------------------------------------------------------------------------


async def test_a_provider_is_shared_fairly_by_runs_of_all_sizes(app):
    large, small = Subject(wait_s=0.004), Subject(wait_s=0.004, name="small", digest="small")
    room = exams(app, limits={"here": 4})
    big = await begin(app.ports, room, a_suite(400, name="big"), large, Terms(concurrency=32))
    little = await begin(app.ports, room, a_suite(20, name="little"), small, Terms(concurrency=32))
    work = asyncio.create_task(carry_out(app.ports, room, large, big.id, Terms(concurrency=32)))
    await asyncio.sleep(0.05)
    await carry_out(app.ports, room, small, little.id, Terms(concurrency=32))
    assert len(large.asked) < 200
    await work
    assert max(large.most, small.most) <= 4


async def test_leaving_the_turnstile_while_waiting_loses_no_place(app):
    turnstile, inside, through = exams(app, limits={"here": 1}).turnstile, set(), []

    async def pass_through(run: str) -> None:
        async with turnstile.seat("here", run):
            assert not inside
            inside.add(run)
            try:
                await asyncio.sleep(0.001)
                through.append(run)
            finally:
                inside.remove(run)

    rng = random.Random(3)
    tasks = [asyncio.create_task(pass_through(f"r{n % 3}")) for n in range(60)]
    for task in rng.sample(tasks, 30):
        await asyncio.sleep(0.0005)
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.wait_for(pass_through("last"), 1)
    assert not [end for end in ends if isinstance(end, Exception)]
    assert (len(through) - 1, through[-1]) == (sum(end is None for end in ends), "last")
    assert len(through) > 30


async def test_a_trace_becomes_a_draft_that_no_run_takes(house):
    await house.agent()
    served = await house.serve("where is my money #billing")
    suite = await traces_as_suite(house.ports, "support", [served.trace_id])
    assert suite.cases[0].draft
    assert suite.cases[0].scorers == ()
    assert chosen(suite).cases == ()

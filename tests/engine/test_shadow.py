"""The paired road: both versions answer the same recorded requests, and no user meets the challenger before it won."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_house import EAGER, HABITS, LABELS, NAME, say

from surefoot.core.budget import Budget
from surefoot.core.case import case_id
from surefoot.core.errors import BudgetExhausted, Conflict, Invalid, Unavailable
from surefoot.core.evidence.paired import betting_evidence
from surefoot.core.rollout.shadow import paired_evidence, shadow_verdict
from surefoot.core.score import Outcome
from surefoot.core.trace import Trace
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.shadow import shadow
from surefoot.ports import Answer, Question

PAIRED = replace(EAGER, road="paired", quiet_labels=20)


async def offered(house, *labels: str, **terms: Any) -> str:
    """An agent that knows one label, and a rollout on the paired road whose challenger knows others; gives its id."""
    await house.agent()
    rollout = await house.rollout(*labels, settings=replace(PAIRED, **terms))
    assert (rollout.state, rollout.weight_percent) == ("shadow", 0.0)
    return rollout.id


async def until_it_ends(house, rollout_id: str) -> Any:
    """Shadow and reconcile in turn while there is something to ask; gives the last step."""
    for _ in range(200):
        done = await shadow(house.ports, rollout_id)
        row = await reconcile(house.ports, rollout_id)
        if row.evidence["state"] != "shadow" or not done.added:
            return row
    raise AssertionError("it never ended")


def test_the_first_verdict_stands_whatever_comes_later():
    won = paired_evidence([1.0] * 40, PAIRED)
    assert won.cases < 20
    assert won == paired_evidence([1.0] * won.cases + [-1.0] * 200, PAIRED)
    assert shadow_verdict(won, PAIRED) == "win"
    lost = paired_evidence([-1.0] * 40 + [1.0] * 500, PAIRED)
    assert shadow_verdict(lost, PAIRED) == "harm"


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), max_size=60))
def test_the_evidence_is_the_house_s_betting_process_on_the_requests_until_the_verdict(differences):
    seen = paired_evidence(differences, PAIRED)
    counted = differences[: seen.cases]
    assert seen.e_win == pytest.approx(betting_evidence(counted))
    assert seen.e_harm == pytest.approx(betting_evidence([-d for d in counted]))
    assert seen.cases == len(differences) or shadow_verdict(seen, PAIRED) != "collecting"


@pytest.mark.slow
@pytest.mark.parametrize("differing", [0.05, 0.2, 0.5])
def test_an_equal_challenger_seldom_wins_and_seldom_loses_however_often_one_looks(differing):
    chance, ends = random.Random(differing), Counter[str]()
    for _ in range(1000):
        stream = (chance.choice((-1.0, 1.0)) if chance.random() < differing else 0.0 for _ in range(2000))
        ends[shadow_verdict(paired_evidence(stream, PAIRED), PAIRED)] += 1
    assert ends["win"] <= 50
    assert ends["harm"] <= 100


async def test_a_better_challenger_wins_in_shadow_and_then_gets_its_first_share(house):
    rollout = await offered(house, "billing", "refund")
    await house.history(90)
    row = await until_it_ends(house, rollout)
    assert (row.reason, row.weight_after) == ("shadow_won", 5.0)
    paired = row.evidence["paired"]
    assert paired["e_win"] >= 20
    assert paired["cases"] < 90
    assert await house.read(lambda tx: tx.pairs.tally(rollout)) != (0, 0, 0)


async def test_a_harmful_challenger_is_rolled_back_in_shadow_and_no_user_ever_saw_it(house):
    rollout = await offered(house, "BREAK other when you see it.")
    versions = Counter[int]()
    for turn in range(10):
        for number in range(20):
            served = await house.serve(f"{turn}-{number}", LABELS[number % 3])
            versions[served.version] += 1
        await house.history(20, start=1000 * (turn + 1))
        house.later(hours=30)
        assert (await house.standing(rollout)).weight_percent == 0.0
        await until_it_ends(house, rollout)
    assert (await house.standing(rollout)).state == "rolled_back"
    assert (await house.last(rollout)).reason == "shadow_harm"
    assert versions == {1: 200}
    history = await house.read(lambda tx: tx.rollouts.history(rollout))
    assert {row.weight_after for row in history} == {0.0}
    assert (await house.states())[2] == "rolled_back"


async def test_an_equal_challenger_is_inconclusive_at_the_cap(house):
    rollout = await offered(house, "nothing", paired_cap=40)
    await house.history(60)
    row = await until_it_ends(house, rollout)
    assert (row.reason, row.evidence["state"], row.evidence["paired"]["cases"]) == ("shadow_cap", "inconclusive", 40)
    assert len(await house.read(lambda tx: tx.pairs.all(rollout))) == 40


async def test_a_crash_between_the_answers_and_the_write_counts_nothing_twice_and_reserves_once(house, monkeypatch):
    rollout = await offered(house, "nothing")
    await house.history(20)
    whole = type(house.app.store).write
    left = [1]

    async def dies(store, work):
        if work.__name__ == "record" and left:
            left.pop()
            raise ConnectionAbortedError
        return await whole(store, work)

    monkeypatch.setattr(type(house.app.store), "write", dies)
    with pytest.raises(ConnectionAbortedError):
        await shadow(house.ports, rollout)
    assert await house.read(lambda tx: tx.pairs.all(rollout)) == []
    before = await house.spent(f"day/{house.ports.clock():%Y-%m-%d}")
    assert before.calls == 80, "20 requests, two versions, two tries"
    assert (await shadow(house.ports, rollout)).added == 20
    assert (await shadow(house.ports, rollout)).added == 0
    assert len(house.model.asked) == 80
    assert (await house.spent(f"day/{house.ports.clock():%Y-%m-%d}")).calls == 40


async def test_two_operators_at_once_add_each_pair_once(house):
    rollout = await offered(house, "nothing")
    await house.history(40)
    await asyncio.gather(*(shadow(house.ports, rollout, limit=100) for _ in range(3)))
    pairs = await house.read(lambda tx: tx.pairs.all(rollout))
    assert len(pairs) == len({one.case for one in pairs}) == 40


async def test_the_verdict_does_not_depend_on_the_size_of_the_batches(house, builder):
    rollout = await offered(house, "billing", "refund")
    await house.history(90)
    while (done := await shadow(house.ports, rollout, limit=7)).verdict == "collecting":
        assert done.added
    one_by_one = done.evidence
    pairs = await house.read(lambda tx: tx.pairs.all(rollout))
    assert one_by_one.cases <= len(pairs) < one_by_one.cases + 7
    assert (await shadow(house.ports, rollout, limit=90)).evidence == one_by_one, "what comes later changes nothing"


async def test_what_taught_chose_or_released_the_challenger_is_never_asked(house):
    await house.agent()
    await house.history(60)
    await house.cases(5, "shown")
    await house.cases(5, "untouched", start=60_000)
    await house.tick()  # sorts the traffic so far into cases
    known = {case.input for case in await house.read(
        lambda tx: tx.cases.of(NAME, ("shown", "hidden", "val", "sealed", "untouched")))}  # fmt: skip
    assert len(known) == 70
    rollout = (await house.rollout("nothing", settings=PAIRED)).id
    assert (await shadow(house.ports, rollout)).waits == "no_requests"
    await house.history(40, start=50)  # ten of these are old texts
    await house.history(5, start=50_000, text=lambda number, label: say(f"shown{number}", label))
    await shadow(house.ports, rollout, limit=100)
    asked = {one.input for one in await house.read(lambda tx: tx.pairs.all(rollout))}
    assert len(asked) == 30
    assert not asked & known


async def test_new_traffic_that_a_later_tick_sorted_into_cases_still_counts(house):
    rollout = await offered(house, "nothing")
    await house.history(30)
    await house.tick()
    assert (await shadow(house.ports, rollout, limit=100)).added == 30


async def test_cases_kept_for_later_are_asked_first(house):
    await house.agent()
    kept = await house.cases(10, "later")
    rollout = (await house.rollout("nothing", settings=PAIRED)).id
    await house.history(10)
    await shadow(house.ports, rollout)
    asked = [one.case for one in await house.read(lambda tx: tx.pairs.all(rollout))]
    assert asked[:10] == [case.id for case in kept]
    assert len(asked) == 20


async def test_a_user_who_repeats_himself_is_one_user_and_a_text_is_one_request(house):
    rollout = await offered(house, "nothing")
    now = house.clock()

    def work(tx: Any) -> None:
        for number, (unit, text) in enumerate([("ann", "a"), ("ann", "b"), ("bob", "c"), ("cy", "c"), ("dan", "d")]):
            tx.traces.add(Trace(id=f"t{number}", agent=NAME, version=1, unit=unit, input=say(text, "other"),
                                output="other", finish="stop", at=now))  # fmt: skip
            tx.outcomes.add(Outcome(trace_id=f"t{number}", verdict="success", at=now, source="test", expected="other"))

    await house.write(work)
    house.later(seconds=1)
    await shadow(house.ports, rollout)
    asked = [one.unit for one in await house.read(lambda tx: tx.pairs.all(rollout))]
    assert asked == ["ann", "bob", "dan"]


async def test_a_request_that_nobody_judged_holds_up_those_after_it_for_a_day(house):
    rollout = await offered(house, "nothing")
    await house.history(5)
    await house.serve("silent")
    house.later(seconds=1)
    await house.history(5, start=100)
    assert (await shadow(house.ports, rollout)).added == 5
    assert (await shadow(house.ports, rollout)).waits == "unjudged"
    house.later(hours=25)
    assert (await shadow(house.ports, rollout)).added == 5


@pytest.mark.parametrize("slow", ["failure", "success"])
async def test_labels_that_come_late_for_right_or_wrong_answers_decide_nothing(house, slow):
    """An equal challenger would lose (or win) at once on those requests alone that were judged first."""
    await house.agent(genome=None)
    rollout = (await house.rollout("billing", "BREAK other when you see it.", settings=PAIRED)).id
    verdicts: list[str] = []
    late: list[tuple[str, str]] = []
    for number in range(240):
        label = ("other", "billing")[number % 2]  # each version knows one of the two
        served = await house.serve(number, label)
        verdict = "success" if served.text == label else "failure"
        if verdict == slow:
            late.append((served.trace_id, label))
        else:
            await label_it(house, served.trace_id, label, verdict)
        house.later(minutes=1)
        if number % 40 == 39:
            verdicts.append((await shadow(house.ports, rollout, limit=100)).verdict)
    for trace, label in late:
        await label_it(house, trace, label, slow)
    house.later(hours=25)
    while (await shadow(house.ports, rollout)).added:
        pass
    assert set(verdicts) == {"collecting"}
    assert (await shadow(house.ports, rollout)).verdict == "collecting"
    assert len(await house.read(lambda tx: tx.pairs.all(rollout))) == 240


async def label_it(house, trace: str, label: str, verdict: str) -> None:
    now = house.clock()
    await house.write(lambda tx: tx.outcomes.add(
        Outcome(trace_id=trace, verdict=verdict, at=now, source="test", expected=label)
    ))  # fmt: skip


async def test_a_sample_of_failures_alone_is_refused(house):
    rollout = await offered(house, "billing", "refund")
    for number in range(80):
        label = LABELS[number % 2]
        served = await house.serve(number, label)
        right = served.text == label
        said = "" if right else label
        await label_it(house, served.trace_id, said, "success" if right else "failure")
    house.later(seconds=1)
    assert (await shadow(house.ports, rollout)).waits == "lopsided"
    assert await house.read(lambda tx: tx.pairs.all(rollout)) == []


async def test_a_model_that_is_down_teaches_nothing_and_one_sided_silence_is_a_failure(house):
    rollout = await offered(house, "nothing")
    await house.history(12)

    def silent(asked: Question) -> Answer | None:
        raise Unavailable("down", hint="wait")

    house.model.trouble = silent
    assert (await shadow(house.ports, rollout)).waits == "no_answers"
    assert await house.read(lambda tx: tx.pairs.all(rollout)) == []
    house.model.trouble = lambda asked: Answer(text="", finish="error") if "KNOW nothing" in asked.system else None
    assert (await shadow(house.ports, rollout)).added == 12
    pairs = await house.read(lambda tx: tx.pairs.all(rollout))
    assert {one.challenger.score for one in pairs} == {0.0}
    assert sum(one.incumbent.score for one in pairs) == 4


async def test_a_question_that_neither_version_can_answer_does_not_stop_the_rest(house):
    rollout = await offered(house, "nothing")
    await house.history(10)

    def refuses(asked: Question) -> Answer | None:
        if asked.user == say(3, LABELS[0]):
            raise Invalid("filtered", hint="ask something else")
        return None

    house.model.trouble = refuses
    assert (await shadow(house.ports, rollout)).added == 10
    assert (await shadow(house.ports, rollout)).waits == "no_requests"


async def test_money_is_reserved_before_it_is_spent(house):
    await house.agent(habits=replace(HABITS, day_budget=Budget(calls=100)))
    rollout = (await house.rollout("nothing", settings=PAIRED)).id
    await house.history(60)
    with pytest.raises(BudgetExhausted):
        await shadow(house.ports, rollout)
    assert house.model.asked == []
    assert (await shadow(house.ports, rollout, limit=20)).added == 20
    house.later(days=1)
    assert (await shadow(house.ports, rollout, limit=20)).added == 20


async def test_answers_that_both_versions_gave_already_are_used_again(house):
    rollout = await offered(house, "nothing")
    await house.history(6)
    await shadow(house.ports, rollout, limit=1)
    pairs = await house.read(lambda tx: tx.pairs.all(rollout))
    assert (pairs[0].incumbent.cost_usd, pairs[0].trace != "") == (0.001, True)
    other = await house.read(lambda tx: tx.traces.uncased(NAME, 10))
    case = case_id(NAME, other[1][0].input, other[1][1].expected)

    def cached(tx: Any) -> None:
        for number in (1, 2):
            tx.scores.add(tx.versions.get(NAME, number).genome, "scripted", [(case, 0, "kept", 0.0)])

    await house.write(cached)
    asked = len(house.model.asked)
    assert (await shadow(house.ports, rollout)).added == 5
    assert len(house.model.asked) == asked + 8
    reused = next(one for one in await house.read(lambda tx: tx.pairs.all(rollout)) if one.case == case)
    assert (reused.incumbent.text, reused.challenger.cost_usd) == ("kept", None)


async def test_the_versions_take_turns_to_be_asked_first(house):
    rollout = await offered(house, "nothing")
    await house.change(habits=replace(HABITS, concurrency=1))
    await house.history(100)
    await shadow(house.ports, rollout, limit=100)
    first = [("KNOW nothing" in asked.system) for asked in house.model.asked[::2]]
    assert 25 < sum(first) < 75


async def test_a_stopped_agent_spends_nothing(house):
    rollout = await offered(house, "nothing")
    await house.history(10)
    await house.change(stopped=True)
    assert (await shadow(house.ports, rollout)).waits == "stopped"
    assert house.model.asked == []


async def test_the_canary_road_has_no_shadow(house):
    await house.agent()
    rollout = await house.rollout()
    with pytest.raises(Conflict):
        await shadow(house.ports, rollout.id)


async def test_after_the_shadow_the_canary_must_stay_quiet_for_labels_and_a_day_of_its_own(house):
    rollout = await offered(house, "billing", "refund", baseline_rate=0.5)
    house.later(days=3)  # in shadow; these days do not count as quiet ones
    await house.history(90)
    await until_it_ends(house, rollout)
    await house.weigh(rollout, 45.0)
    await house.traffic(120)
    row = await reconcile(house.ports, rollout)
    seen: dict[str, Any] = dict(row.evidence)
    assert seen["challenger_labels"] >= 20
    assert row.evidence["state"] == "canary", "it is quiet, but not yet for a day"
    house.later(hours=25)
    row = await reconcile(house.ports, rollout)
    assert (row.reason, row.evidence["state"]) == ("quiet_canary", "awaiting_approval")
    seen = dict(row.evidence)
    assert seen["e_noninferior"] > 1, "shown, not required"


async def test_a_rollout_may_take_the_paired_road_on_the_agent_s_other_terms(house):
    await house.agent()
    number = await house.offer("billing")
    rollout = await start_rollout(house.ports, NAME, number, by="bob", road="paired")
    assert rollout.settings.road == "paired"
    assert rollout.settings.win_threshold == EAGER.win_threshold


async def test_the_operator_asks_batch_after_batch_until_the_shadow_is_decided(house):
    rollout = await offered(house, "billing", "refund")
    await house.history(90)
    async with house.app.worker(poll_s=0.02) as worker:
        await worker.operate(rollout, interval_s=60)
        for _ in range(500):
            if (await house.standing(rollout)).state == "canary":
                break
            await asyncio.sleep(0.02)
    assert (await house.standing(rollout)).weight_percent == 5.0
    assert len(house.model.asked) <= 180


async def test_an_operator_without_money_waits_for_the_next_day(house):
    await house.agent(habits=replace(HABITS, day_budget=Budget(calls=10)))
    rollout = (await house.rollout("billing", "refund", settings=PAIRED)).id
    await house.history(30)
    async with house.app.worker(poll_s=0.02) as worker:
        row = await worker.reconcile(rollout)
        assert (row["state"], row["reason"]) == ("shadow", "shadow_collecting")
        await house.change(habits=HABITS)
        row = await worker.reconcile(rollout)
    assert row["paired"]["cases"] > 0


async def test_the_sentinel_of_a_day_is_one_workflow(house):
    await house.agent()
    await house.cases(30, "val")
    async with house.app.worker(poll_s=0.02) as worker:
        first, again = [await worker.sentinel(NAME) for _ in range(2)]
        assert first == again
        assert len(house.model.asked) == 30
        house.later(days=1)
        assert (await worker.sentinel(NAME))["window"] > first["window"]

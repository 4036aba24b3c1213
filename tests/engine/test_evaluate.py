"""Evaluation: every answer is asked for once, paid for before it is asked, and unknown is no score."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from scripted_house import HABITS, NAME, paid, taught

import surefoot.engine.evaluate as room
from surefoot.core.budget import Budget
from surefoot.core.errors import BudgetExhausted, Conflict, Invalid, Unavailable
from surefoot.core.proposal import Cost
from surefoot.engine.evaluate import accuracy, examine, pairs
from surefoot.ports import Answer

CALL = Cost(calls=1, tokens=10, usd=0.001)


async def scene(house, count: int = 30, **habits):
    """An agent with cases, and two genomes: the live one, and one that knows more."""
    agent = await house.agent(habits=replace(HABITS, **habits))
    cases = await house.cases(count, "val")
    live = await house.read(lambda tx: tx.versions.genome(agent.base))
    return agent, [live, taught(live, "refund")], cases


async def test_each_genome_answers_each_case_once_and_side_by_side(house):
    agent, genomes, cases = await scene(house)
    before, after = await examine(house.ports, agent, genomes, cases, scope="tick/1")
    assert (accuracy(before), accuracy(after)) == (1 / 3, 2 / 3)
    assert len(house.model.asked) == 60
    order = [question.case_id for question in house.model.asked]
    assert order[::2] == order[1::2], "interleaved, so that a drift of the model hits both"
    assert [question.system for question in house.model.asked[:2]] != [house.model.asked[0].system] * 2


async def test_what_was_answered_is_never_asked_or_paid_again(house):
    agent, genomes, cases = await scene(house)
    first = await examine(house.ports, agent, genomes, cases, scope="tick/1")
    again = await examine(house.ports, agent, genomes, cases, scope="tick/2")
    assert again == first
    assert len(house.model.asked) == 60
    assert await house.spent("tick/1") == paid(60)
    assert await house.spent("tick/2") == Cost()


async def test_repeats_are_asked_each(house):
    agent, genomes, cases = await scene(house, 5)
    (sheet,) = await examine(house.ports, agent, genomes[:1], cases, repeats=3)
    assert {len(runs) for runs in sheet.values()} == {3}
    assert len(house.model.asked) == 15


async def test_another_model_answers_for_itself(house):
    agent, genomes, cases = await scene(house, 4)
    await examine(house.ports, agent, genomes[:1], cases)
    house.model.name = "scripted-2"
    await examine(house.ports, agent, genomes[:1], cases)
    assert len(house.model.asked) == 8


@pytest.mark.parametrize("budget", [Budget(calls=0), Budget(tokens=0), Budget(usd=0.0)])
@pytest.mark.parametrize("which", ["tick_budget", "day_budget"])
async def test_a_budget_of_nothing_stops_before_any_call(house, which, budget):
    agent, genomes, cases = await scene(house, 5, **{which: budget})
    with pytest.raises(BudgetExhausted, match="needs"):
        await examine(house.ports, agent, genomes, cases, scope="tick/1")
    assert house.model.asked == []
    assert await house.spent("tick/1") == Cost()
    assert await house.read(lambda tx: tx.scores.known(genomes[0].digest, "scripted", [c.id for c in cases])) == {}


async def test_a_budget_is_never_exceeded_and_what_was_paid_for_is_kept(house, monkeypatch):
    monkeypatch.setattr(room, "CHUNK", 8)
    agent, genomes, cases = await scene(house, 30, tick_budget=Budget(calls=20))
    with pytest.raises(BudgetExhausted):
        await examine(house.ports, agent, genomes, cases, scope="tick/1")
    assert len(house.model.asked) == 16
    assert await house.spent("tick/1") == paid(16)
    wider = await house.change(habits=replace(agent.habits, tick_budget=Budget(calls=60)))
    await examine(house.ports, wider, genomes, cases, scope="tick/1")
    assert len(house.model.asked) == 60, "it goes on where it stopped"


async def test_the_worst_case_is_reserved_while_the_model_works_and_the_true_cost_is_kept_after(house):
    agent, genomes, cases = await scene(house, 4)
    house.model.worst = Cost(calls=1, tokens=500, usd=0.5)
    seen = []

    async def look(question):
        seen.append((await house.spent("tick/1")).usd)

    house.model.before = look
    await examine(house.ports, agent, genomes[:1], cases, scope="tick/1")
    assert set(seen) == {2.0}
    assert (await house.spent("tick/1")).usd == pytest.approx(0.004)
    day = f"day/{house.clock():%Y-%m-%d}"
    assert (await house.spent(day)).usd == pytest.approx(0.004)


async def test_the_day_adds_up_over_ticks_and_a_new_day_begins_at_nothing(house):
    agent, genomes, cases = await scene(house, 6, day_budget=Budget(calls=14))
    await examine(house.ports, agent, genomes[:1], cases, scope="tick/1")
    await examine(house.ports, agent, genomes[1:], cases, scope="tick/2")
    third = [taught(genomes[0], "billing")]
    with pytest.raises(BudgetExhausted, match="12 of 14"):
        await examine(house.ports, agent, third, cases, scope="tick/3")
    house.later(days=1)
    await examine(house.ports, agent, third, cases, scope="tick/3")
    assert len(house.model.asked) == 18


async def test_a_chunk_that_ends_after_midnight_is_settled_where_it_was_reserved(house):
    agent, genomes, cases = await scene(house, 4)
    house.model.worst = Cost(calls=1, usd=0.4)
    day = f"day/{house.clock():%Y-%m-%d}"

    async def midnight(question):
        house.model.before = None
        house.later(days=1)

    house.model.before = midnight
    await examine(house.ports, agent, genomes[:1], cases, scope="tick/1")
    assert (await house.spent(day)).usd == pytest.approx(0.004)
    assert await house.spent(f"day/{house.clock():%Y-%m-%d}") == Cost()


@pytest.mark.parametrize("problem", [Unavailable("away"), Invalid("cannot read this one")])
async def test_a_question_without_an_answer_has_no_score_and_the_others_go_on(house, problem):
    agent, genomes, cases = await scene(house, 6)

    def fails(question):
        if question.case_id == cases[0].id:
            raise problem

    house.model.trouble = fails
    before, after = await examine(house.ports, agent, genomes, cases, scope="tick/1")
    assert [run.score for run in before[cases[0].id]] == [None]
    assert sum(run.score is not None for runs in after.values() for run in runs) == 5
    assert (await house.spent("tick/1")).calls == 12, "a call that failed is a call"
    compared = {pair.case_id: pair for pair in pairs(cases, before, after)}
    assert not compared[cases[0].id].complete
    assert accuracy({cases[0].id: before[cases[0].id]}) == 0.0, "unknown is never a success"
    house.model.trouble = lambda _: None
    house.model.asked.clear()
    await examine(house.ports, agent, genomes, cases, scope="tick/1")
    assert {question.case_id for question in house.model.asked} == {cases[0].id}, "asked again, and only it"
    assert (await house.spent("tick/1")).calls == 14, "what is done anew is paid anew"


async def test_a_model_that_fails_all_day_still_counts_against_the_day(house):
    agent, genomes, cases = await scene(house, 5, day_budget=Budget(calls=12))

    def away(question):
        raise Unavailable("away")

    house.model.trouble = away
    for tick in (1, 2):
        await examine(house.ports, agent, genomes[:1], cases, scope=f"tick/{tick}")
    with pytest.raises(BudgetExhausted):
        await examine(house.ports, agent, genomes[:1], cases, scope="tick/3")
    assert len(house.model.asked) == 10


@pytest.mark.parametrize(
    ("finish", "score"), [("stop", 1.0), ("length", 0.0), ("refused", 0.0), ("truncated", None), ("error", None)]
)
async def test_an_answer_that_was_cut_short_by_the_model_is_wrong_and_by_the_line_unknown(house, finish, score):
    agent, genomes, cases = await scene(house, 1)
    house.model.trouble = lambda _: Answer(text=cases[0].expected, finish=finish, cost=CALL)
    (sheet,) = await examine(house.ports, agent, genomes[:1], cases)
    assert [run.score for run in sheet[cases[0].id]] == [score]


async def test_no_more_calls_are_in_flight_than_the_habits_allow(house):
    agent, genomes, cases = await scene(house, 12, concurrency=3)
    flying, most = 0, 0

    async def fly(question):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.002)
        flying -= 1

    house.model.before = fly
    await examine(house.ports, agent, genomes, cases)
    assert most == 3


async def test_a_killed_run_goes_on_where_it_was_and_reserves_once(house, monkeypatch):
    monkeypatch.setattr(room, "CHUNK", 10)
    agent, genomes, cases = await scene(house, 20)
    real, writes = house.app.store.write, 0

    async def dies(work):
        nonlocal writes
        writes += 1
        if writes == 4:  # the second chunk: reserved, asked, and never recorded
            raise ConnectionError("killed")
        return await real(work)

    monkeypatch.setattr(type(house.app.store), "write", lambda self, work: dies(work))
    with pytest.raises(ConnectionError):
        await examine(house.ports, agent, genomes, cases, scope="tick/1")
    monkeypatch.undo()
    assert await house.spent("tick/1") == paid(20)
    monkeypatch.setattr(room, "CHUNK", 10)
    await examine(house.ports, agent, genomes, cases, scope="tick/1")
    assert await house.spent("tick/1") == paid(40)
    asked = Counter((question.system, question.case_id) for question in house.model.asked)
    assert sorted(asked.values()) == [1] * 30 + [2] * 10, "only what no record had was asked again"


async def test_answers_and_their_cost_are_recorded_together_or_not_at_all(house, monkeypatch):
    agent, genomes, cases = await scene(house, 4)
    store = type(house.app.store)
    real = store.write

    async def dies_after(self, work):
        done = await real(self, work)
        if house.model.asked:
            raise ConnectionError("killed right after this write")
        return done

    monkeypatch.setattr(store, "write", dies_after)
    with pytest.raises(ConnectionError):
        await examine(house.ports, agent, genomes[:1], cases, scope="tick/1")
    monkeypatch.undo()
    await examine(house.ports, agent, genomes[:1], cases, scope="tick/1")
    assert len(house.model.asked) == 4
    assert await house.spent("tick/1") == paid(4)


async def test_two_runs_at_once_on_the_same_cases_agree_and_keep_one_answer_each(house):
    agent, genomes, cases = await scene(house, 20)
    sheets = await asyncio.gather(*(
        examine(house.ports, agent, genomes, cases, scope="tick/1") for _ in range(3)
    ))  # fmt: skip
    assert sheets[0] == sheets[1] == sheets[2]
    known = await house.read(lambda tx: tx.scores.known(genomes[0].digest, "scripted", [c.id for c in cases]))
    assert len(known) == 20


async def test_no_cases_have_no_accuracy(house):
    with pytest.raises(Invalid, match="no cases"):
        accuracy({})


async def test_other_people_s_errors_are_not_swallowed(house):
    agent, genomes, cases = await scene(house, 2)

    def broken(question):
        raise Conflict("not a matter of one question")

    house.model.trouble = broken
    with pytest.raises(Conflict):
        await examine(house.ports, agent, genomes[:1], cases)
    assert await house.read(lambda tx: tx.scores.known(genomes[0].digest, "scripted", [c.id for c in cases])) == {}


def test_the_name_of_the_agent_is_part_of_every_ledger():
    from surefoot.engine.evaluate import _scopes

    class Habit:
        day_budget = tick_budget = Budget()

    class One:
        name, habits = NAME, Habit()

    assert [name for name, _ in _scopes(One(), "tick/1", "2026-01-05")] == [
        "support/day/2026-01-05", "support/tick/1"
    ]  # fmt: skip

"""Serving: sticky by hash, nothing at a share of 0, and an outcome of the assigned version whatever the model does."""

from __future__ import annotations

import asyncio
import math

import pytest
from scripted_house import say

from surefoot.core.budget import Budget
from surefoot.core.errors import Invalid, NotFound, Unavailable
from surefoot.core.proposal import Cost
from surefoot.core.rollout.assign import unit_share
from surefoot.core.token import any_agent
from surefoot.engine.observe import observe, violate
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import stop
from surefoot.engine.rollback import rollback
from surefoot.engine.serve import serve
from surefoot.ports import Answer


async def versions(house, count: int, *, start: int = 0) -> list[int]:
    return [(await house.serve(n, unit=f"unit-{n}")).version for n in range(start, start + count)]


@pytest.mark.slow
async def test_a_unit_keeps_its_version_over_restarts_and_in_another_process(builder, in_processes):
    house = builder.open()
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 40)
    first = await versions(house, 40)
    assert set(first) == {1, 2}
    again = builder.open()
    assert await versions(again, 40) == first
    program = (
        "import asyncio, sys; from pathlib import Path; from scripted_house import opened\n"
        "house = opened(Path(sys.argv[1]), 900 + int(sys.argv[2]))\n"
        "async def run(): return [(await house.serve(n, unit=f'unit-{n}')).version for n in range(40)]\n"
        "print(asyncio.run(run()))"
    )
    assert in_processes(program, str(builder.path), count=2) == [str(first)] * 2


async def test_a_unit_keeps_its_version_over_a_restart(builder):
    house = builder.open()
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 40)
    first = await versions(house, 40)
    assert set(first) == {1, 2}
    assert await versions(builder.open(), 40) == first


@pytest.mark.slow
async def test_two_processes_that_see_a_unit_first_at_once_give_it_one_version(builder, in_processes):
    house = builder.open()
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 45)
    program = (
        "import asyncio, sys; from pathlib import Path; from scripted_house import opened\n"
        "house = opened(Path(sys.argv[1]), 900 + int(sys.argv[2]))\n"
        "async def run(): return await asyncio.gather(*[house.serve(n, unit=f'unit-{n % 10}') for n in range(40)])\n"
        "print([one.version for one in asyncio.run(run())])"
    )
    told = in_processes(program, str(builder.path), count=3)
    assert len(set(told)) == 1
    assert len(set(eval(told[0])[:10])) == 2
    strata = await house.read(lambda tx: tx.rollouts.assigned(rollout.id))
    assert sum(row[2] + row[3] for row in strata) == 10


async def test_a_change_of_weight_moves_only_units_not_yet_seen_and_only_between_the_old_and_the_new_share(house):
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 15)
    before = await versions(house, 60)
    await house.weigh(rollout.id, 40)
    assert await versions(house, 60) == before, "units that were seen stay"
    fresh = await versions(house, 60, start=60)
    for number, version in enumerate(before + fresh):
        at = unit_share(rollout.salt, f"unit-{number}") * 100
        assert version == (2 if at < (15 if number < 60 else 40) else 1)
    moved = [n for n in range(60, 120) if 15 <= unit_share(rollout.salt, f"unit-{n}") * 100 < 40]
    assert moved, "some units lie between the shares"
    assert all(fresh[n - 60] == 2 for n in moved)


async def test_the_share_is_what_it_says(house):
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 25)
    count = 120
    got = (await versions(house, count)).count(2)
    assert abs(got - 0.25 * count) < 4 * math.sqrt(count * 0.25 * 0.75)


async def test_an_anonymous_request_is_its_own_unit_and_two_agents_do_not_share_a_draw(house):
    await house.agent()
    await house.agent("other")
    rollout, other = await house.rollout(), await house.rollout(name="other")
    for one in (rollout, other):
        await house.weigh(one.id, 45)
    assert {(await house.serve(n)).version for n in range(30)} == {1, 2}
    mine = await versions(house, 60)
    theirs = [(await house.serve(n, unit=f"unit-{n}", name="other")).version for n in range(60)]
    assert mine != theirs


async def test_a_share_of_zero_is_never_served(house):
    await house.agent()
    rollout = await house.rollout(open_it=False)
    assert set(await versions(house, 40)) == {1}, "a draft has no share"
    await reconcile(house.ports, rollout.id)
    await house.weigh(rollout.id, 45)
    assert set(await versions(house, 40, start=100)) == {1, 2}
    await house.weigh(rollout.id, 0)
    assert set(await versions(house, 40, start=100)) == {1}, "not even to the units that had it"
    assert set(await versions(house, 40, start=200)) == {1}


async def test_after_a_rollback_the_challenger_serves_nobody(house):
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 45)
    assert 2 in await versions(house, 40)
    await rollback(house.ports, "support", by="bob")
    assert set(await versions(house, 40)) == {1}


async def test_the_kill_switch_takes_the_challenger_s_share_before_any_reconcile_does(house):
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 45)
    assert 2 in await versions(house, 40)
    await stop(house.ports, "support", by="bob")
    assert (await house.standing(rollout.id)).weight_percent == 45, "nobody reconciled yet"
    assert set(await versions(house, 80)) == {1}


async def test_a_unit_first_seen_before_the_canary_is_drawn_when_it_opens_and_counts_for_its_arm(house):
    await house.agent()
    rollout = await house.rollout(open_it=False)
    await versions(house, 60)
    await reconcile(house.ports, rollout.id)
    await house.weigh(rollout.id, 45)
    for number in range(60):
        served = await house.serve(number, unit=f"unit-{number}")
        trace = await house.read(lambda tx, t=served.trace_id: tx.traces.get(t))
        assert (trace.arm == "challenger") == (served.version == 2)
        assert trace.weight_percent == 45
        await observe(house.ports, served.trace_id, expected="refund", sees=any_agent)
    (row,) = await house.read(lambda tx: tx.rollouts.strata(rollout.id))
    assert (row.weight_percent, row.labels, row.challenger_failures) == (45, 60, 0)
    assert row.challenger_labels > 0


async def test_a_violation_by_a_unit_seen_before_the_canary_is_not_missed(house):
    await house.agent()
    rollout = await house.rollout(open_it=False)
    await versions(house, 60)
    await reconcile(house.ports, rollout.id)
    await house.weigh(rollout.id, 45)
    served = next(one for one in [await house.serve(n, unit=f"unit-{n}") for n in range(60)] if one.version == 2)
    await violate(house.ports, served.trace_id, "leaked a key")
    assert (await reconcile(house.ports, rollout.id)).reason == "zero_tolerance"


async def test_the_pin_is_written_before_the_model_is_asked_and_the_trace_after(house):
    await house.agent()
    rollout = await house.rollout()
    seen = []

    async def look(question):
        def work(tx):
            return tx.traces.pinned(rollout.id, "ann"), tx.outcomes.labelled("support")

        seen.append(await house.read(work))

    house.model.before = look
    served = await house.serve(1, unit="ann")
    ((pin, counts),) = seen
    assert (pin.unit, pin.weight_percent, pin.epoch) == ("ann", 5.0, 1)
    assert counts.unknown == 0
    trace = await house.read(lambda tx: tx.traces.get(served.trace_id))
    assert (trace.unit, trace.rollout, trace.weight_percent, trace.epoch) == ("ann", rollout.id, 5.0, 1)
    assert (trace.input, trace.output, trace.source) == (say(1, "refund"), served.text, "user-1")


async def test_a_trace_keeps_the_weight_of_its_assignment_though_it_moved_during_the_answer(house):
    await house.agent()
    rollout = await house.rollout()

    async def move(question):
        house.model.before = None
        await house.weigh(rollout.id, 45)

    house.model.before = move
    served = await house.serve(1, unit="ann")
    trace = await house.read(lambda tx: tx.traces.get(served.trace_id))
    assert (trace.weight_percent, trace.epoch) == (5.0, 1)


@pytest.mark.parametrize("problem", [Unavailable("the model is away"), Invalid("it cannot read this")])
async def test_a_failing_model_leaves_a_failure_of_the_assigned_version(house, problem):
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 45)

    def fails(question):
        raise problem

    house.model.trouble = fails
    for number in range(20):
        with pytest.raises(type(problem)):
            await house.serve(number, unit=f"unit-{number}")
    (row,) = await house.read(lambda tx: tx.rollouts.strata(rollout.id))
    assert row.challenger_failures + row.incumbent_failures == 20
    assert row.challenger_failures > 0
    for version in (1, 2):
        counts = await house.read(lambda tx, v=version: tx.outcomes.labelled("support", version=v))
        assert counts.failure == (row.challenger_failures if version == 2 else row.incumbent_failures)


@pytest.mark.parametrize("finish", ["length", "truncated", "refused", "error"])
async def test_an_answer_that_is_not_whole_is_a_failure_at_once_and_no_expectation_is_invented(house, finish):
    await house.agent()
    house.model.trouble = lambda _: Answer(text="bil", finish=finish, cost=Cost(calls=1))
    served = await house.serve(1)
    assert served.finish == finish
    (outcome,) = await house.read(lambda tx: tx.outcomes.of(served.trace_id))
    assert (outcome.verdict, outcome.expected, outcome.source) == ("failure", "", "serve")
    assert finish in outcome.feedback


async def test_twenty_requests_of_one_unit_at_once_all_meet_one_version_and_leave_one_pin(house):
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 45)
    for unit in ("ann", "bob", "cid", "dora"):
        got = await asyncio.gather(*(house.serve(f"{unit}{n}", unit=unit) for n in range(20)))
        assert len({one.version for one in got}) == 1
    assert sum(row[2] + row[3] for row in await house.read(lambda tx: tx.rollouts.assigned(rollout.id))) == 4


async def test_the_earliest_request_is_the_one_that_came_first_not_the_one_that_was_answered_first(house):
    await house.agent()
    rollout = await house.rollout()
    slow = asyncio.Event()

    async def wait(question):
        if "slowly" in question.user:
            await slow.wait()

    house.model.before = wait
    early = asyncio.create_task(serve(house.ports, "support", "slowly #refund", unit="ann"))
    await asyncio.sleep(0.05)
    late = await serve(house.ports, "support", "soon #refund", unit="ann")
    slow.set()
    await observe(house.ports, late.trace_id, verdict="success", sees=any_agent)
    await observe(house.ports, (await early).trace_id, verdict="failure", sees=any_agent)
    (row,) = await house.read(lambda tx: tx.rollouts.strata(rollout.id))
    assert (row.labels, row.challenger_failures + row.incumbent_failures) == (1, 1)


async def test_text_that_utf8_cannot_carry_is_answered_and_kept_readable(house):
    await house.agent()
    house.model.trouble = lambda _: Answer(text="no \udc80", cost=Cost(calls=1))
    served = await serve(house.ports, "support", "broken \ud800 text\x00 ☃", unit="u\udfff", source="s\ud83d")
    trace = await house.read(lambda tx: tx.traces.get(served.trace_id))
    assert trace.input == "broken ? text\x00 ☃"
    assert (trace.output, trace.unit, trace.source) == ("no ?", "u?", "s?")
    await observe(house.ports, served.trace_id, verdict="failure", feedback="\ud800", sees=any_agent)


async def test_an_unknown_agent_is_named_and_the_others_are_not_told(house):
    await house.agent()
    with pytest.raises(NotFound, match="'suport'") as caught:
        await serve(house.ports, "suport", "hello")
    assert "support" not in str(caught.value)
    assert caught.value.hint == "surefoot agents lists those that there are"
    assert await house.spent("day/x") == Cost()
    assert (await house.read(lambda tx: tx.ledgers.get("support/day/x", Budget()))).committed == Cost()


async def test_a_rollout_on_one_agent_leaves_another_alone(house):
    await house.agent()
    await house.agent("other")
    rollout = await house.rollout()
    await house.weigh(rollout.id, 45)
    assert {(await house.serve(n, name="other")).version for n in range(30)} == {1}


async def test_a_person_starts_a_rollout_and_it_serves_only_after_its_first_reconcile(house):
    await house.agent()
    number = await house.offer("billing")
    rollout = await start_rollout(house.ports, "support", number, by="bob")
    assert rollout.weight_percent == 0
    assert (await reconcile(house.ports, rollout.id)).weight_after == 5

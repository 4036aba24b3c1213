"""The queue of rollouts, and the switch that stops all agents."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from scripted_house import NAME

from surefoot.core.audit import verify
from surefoot.core.errors import Conflict, Forbidden, Invalid
from surefoot.core.policy import Policy
from surefoot.engine.approve import approve
from surefoot.engine.halt import resume_all, stop_all
from surefoot.engine.inspect import rollout_of
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.rollback import rollback, wish
from surefoot.engine.watch import due


async def queued(house, *labels: str, by: str = "bob", **given):
    number = await house.offer(*labels)
    return await start_rollout(house.ports, NAME, number, by=by, queue=True, **given)


async def two(house):
    """One rollout in progress and one that waits."""
    await house.agent()
    return await house.rollout("billing"), await queued(house, "refund")


async def active(house):
    return await house.read(lambda tx: tx.rollouts.active(NAME))


# The queue ----------------------------------------------------------------------------------------------------------


async def test_a_second_rollout_waits_where_it_is_asked_to_and_is_a_conflict_otherwise(house):
    first, second = await two(house)
    assert (second.state, second.queued) == ("draft", True)
    assert (await active(house)).id == first.id
    assert (await house.states())[3] == "candidate"
    third = await house.offer("KNOW thing")
    with pytest.raises(Conflict, match="already has a rollout"):
        await start_rollout(house.ports, NAME, third, by="bob")
    row = await reconcile(house.ports, second.id)
    assert (row.action, row.reason, row.weight_after) == ("hold", "queued", 0)
    assert first.id in row.sentence
    assert (await rollout_of(house.ports, NAME)).id == first.id
    assert "rollout-queued" in await house.actions()


async def test_the_loop_s_rollout_waits_without_being_asked(house):
    await house.agent()
    await house.rollout("billing")
    number = await house.offer("refund")
    assert (await start_rollout(house.ports, NAME, number, by="loop")).queued


async def test_the_queue_is_no_way_around_policy(house):
    await house.agent(policy=Policy(autonomy="propose"))
    await house.rollout("billing")
    number = await house.offer("refund")
    with pytest.raises(Forbidden):
        await start_rollout(house.ports, NAME, number, by="loop")


async def test_without_a_rollout_in_progress_nobody_waits(house):
    await house.agent()
    assert not (await queued(house, "refund")).queued


async def test_a_version_waits_once(house):
    _, second = await two(house)
    with pytest.raises(Conflict, match="queue already"):
        await start_rollout(house.ports, NAME, second.challenger, by="bob", queue=True)


async def test_the_next_begins_in_the_very_transaction_in_which_the_first_ends(house):
    first, second = await two(house)
    house.later(hours=5)
    await rollback(house.ports, NAME, by="cid")
    now = await house.standing(second.id)
    assert ((await house.standing(first.id)).state, now.state, now.weight_percent) == ("rolled_back", "canary", 5)
    assert not now.queued
    assert now.started_at > second.started_at + timedelta(hours=4), "its horizon counts from here"
    assert await house.states() == {1: "live", 2: "rolled_back", 3: "canary"}
    assert (await active(house)).id == second.id
    assert (await house.read(lambda tx: verify(tx.audit.all()))).intact


async def test_they_begin_in_the_order_in_which_they_came(house):
    _, second = await two(house)
    house.later(seconds=1)
    third = await queued(house, "KNOW thing")
    for wanted in (second, third):
        await rollback(house.ports, NAME, by="cid")
        assert (await active(house)).id == wanted.id
    await rollback(house.ports, NAME, by="cid")
    assert await active(house) is None


async def test_a_promotion_leaves_nothing_to_compare_the_waiting_ones_with(house):
    first, second = await two(house)
    third = await queued(house, "KNOW thing")
    won = await house.won(first.id)
    await approve(house.ports, won.approval, "approved", by="bob")
    await reconcile(house.ports, first.id)
    for one in (second, third):
        now = await house.standing(one.id)
        assert (now.state, now.reason, now.weight_percent) == ("aborted", "stale_base", 0)
    assert await house.states() == {1: "retired", 2: "live", 3: "candidate", 4: "candidate"}
    assert await active(house) is None


async def test_a_pointer_moved_by_hand_aborts_what_waits_when_its_turn_comes(house):
    first, second = await two(house)
    await house.write(lambda tx: wish(tx, house.ports, first.id, "promote", "bob", "hurry"))
    await reconcile(house.ports, first.id)
    assert (await house.standing(second.id)).reason == "stale_base"
    third = await house.rollout("KNOW thing")
    fourth = await queued(house, "KNOW other thing")
    done = await rollback(house.ports, NAME, by="cid", to=1)
    assert done.live == 1
    assert [(await house.standing(one.id)).state for one in (third, fourth)] == ["rolled_back", "aborted"]
    assert await active(house) is None
    assert {(await house.serve(n)).version for n in range(30)} == {1}


async def test_one_can_leave_the_queue(house):
    first, second = await two(house)
    await house.write(lambda tx: wish(tx, house.ports, second.id, "abort", "cid", "not any more"))
    assert (await reconcile(house.ports, second.id)).action == "abort"
    assert (await house.states())[second.challenger] == "candidate"
    await rollback(house.ports, NAME, by="cid")
    assert (await house.standing(first.id)).state == "rolled_back"
    assert await active(house) is None


async def test_an_end_that_many_see_at_once_begins_the_next_once(house):
    first, second = await two(house)
    await house.write(lambda tx: wish(tx, house.ports, first.id, "abort", "cid", ""))
    work = [reconcile(house.ports, one.id) for _ in range(6) for one in (first, second)]
    done = await asyncio.gather(*work, return_exceptions=True)
    assert all(isinstance(one, Conflict) or not isinstance(one, BaseException) for one in done), done
    assert (await active(house)).id == second.id
    history = await house.read(lambda tx: tx.rollouts.history(second.id))
    assert [row.reason for row in history].count("started") == 1


async def test_a_worker_looks_at_what_is_in_progress_else_at_whose_turn_it_is(house):
    first, second = await two(house)
    assert [one.id for one in await house.read(lambda tx: due(tx, NAME))] == [first.id]
    await stop_all(house.ports, by="eve")
    await rollback(house.ports, NAME, by="cid")
    assert [one.id for one in await house.read(lambda tx: due(tx, NAME))] == [second.id]
    assert (await reconcile(house.ports, second.id)).reason == "kill_switch"
    await resume_all(house.ports, by="eve")
    assert (await reconcile(house.ports, second.id)).reason == "started"
    assert await house.states() == {1: "live", 2: "rolled_back", 3: "canary"}


# The switch of the house ----------------------------------------------------------------------------------------------


async def test_one_switch_stops_every_agent_before_any_reconcile(house):
    await house.agent()
    rollout = await house.rollout()
    await house.agent("other")
    await house.weigh(rollout.id, 45)
    assert {(await house.serve(n)).version for n in range(40)} == {1, 2}
    await stop_all(house.ports, by="eve", reason="a leak")
    assert {(await house.serve(n)).version for n in range(80)} == {1}
    with pytest.raises(Conflict, match="all agents are stopped by eve"):
        await house.tick()
    with pytest.raises(Conflict, match="all agents are stopped"):
        await start_rollout(house.ports, "other", await house.offer("refund", name="other"), by="bob")
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason, row.weight_after) == ("freeze", "kill_switch", 0)
    with pytest.raises(Conflict, match="already"):
        await stop_all(house.ports, by="eve")
    await resume_all(house.ports, by="eve")
    assert (await reconcile(house.ports, rollout.id)).reason == "frozen", "what was frozen waits for a person"
    assert (await house.tick())["outcome"]
    with pytest.raises(Conflict, match="off already"):
        await resume_all(house.ports, by="eve")
    assert [one for one in await house.actions() if one.endswith("-all")] == ["stopped-all", "resumed-all"]


async def test_the_switch_needs_a_name(house):
    for switch in (stop_all, resume_all):
        with pytest.raises(Invalid, match="name"):
            await switch(house.ports, by=" ")


async def test_a_person_can_step_back_while_everything_is_stopped(house):
    await house.agent()
    rollout = await house.rollout()
    await stop_all(house.ports, by="eve")
    await rollback(house.ports, NAME, by="cid")
    assert (await house.standing(rollout.id)).state == "rolled_back"

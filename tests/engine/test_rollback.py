"""Rolling back: at any time, from any state, by a person's name; and it can be undone."""

from __future__ import annotations

import asyncio

import pytest
from scripted_house import NAME

from surefoot.core.audit import verify
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.engine.approve import approve
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import stop
from surefoot.engine.rollback import rollback


async def promoted(house, *labels: str, start: int = 0):
    """One more version made live the whole way."""
    rollout = await house.won((await house.rollout(*labels)).id, start=start)
    await approve(house.ports, rollout.approval, "approved", by="bob")
    await reconcile(house.ports, rollout.id)
    return rollout


async def lineage(house) -> list[int]:
    return [number for number, *_ in await house.read(lambda tx: tx.agents.lineage(NAME))]


async def by_hand(house, *numbers: int) -> None:
    """Make versions live one after the other without the traffic."""

    def work(tx):
        for number in numbers:
            from dataclasses import replace

            agent = tx.agents.get(NAME)
            tx.versions.move(NAME, number, "canary")
            tx.versions.move(NAME, number, "live")
            tx.versions.move(NAME, agent.live, "retired")
            tx.agents.swap(replace(agent, live=number))
            tx.agents.moved_live(NAME, number, at=house.clock(), by="bob", why="by hand")

    await house.write(work)


@pytest.mark.parametrize("when", ["draft", "canary", "awaiting_approval", "frozen", "stopped"])
async def test_from_every_state_of_a_rollout_the_challenger_loses_its_share_at_once(house, when):
    await house.agent()
    rollout = await house.rollout(open_it=when != "draft")
    if when == "awaiting_approval":
        await house.won(rollout.id)
    if when in ("frozen", "stopped"):
        await stop(house.ports, NAME, by="bob")
    if when == "frozen":
        await reconcile(house.ports, rollout.id)
        assert (await house.standing(rollout.id)).state == "frozen"
    done = await rollback(house.ports, NAME, by="bob", reason="I do not like it")
    assert (done.live, done.before, done.rollout) == (1, 1, rollout.id)
    now = await house.standing(rollout.id)
    assert (now.state, now.weight_percent) == ("rolled_back", 0)
    assert await house.states() == {1: "live", 2: "rolled_back"}
    assert await house.read(lambda tx: tx.rollouts.active(NAME)) is None
    assert {(await house.serve(n)).version for n in range(20)} == {1}
    assert (await house.read(lambda tx: verify(tx.audit.all()))).intact


async def test_after_a_promotion_the_version_before_is_live_again_and_forward_is_possible(house):
    await house.agent()
    await promoted(house)
    back = await rollback(house.ports, NAME, by="cid", reason="customers complain")
    assert (back.live, back.before) == (1, 2)
    assert await house.states() == {1: "live", 2: "rolled_back"}
    assert {(await house.serve(n)).version for n in range(10)} == {1}
    forward = await rollback(house.ports, NAME, by="cid", to=2, reason="it was something else")
    assert (forward.live, forward.before) == (2, 1)
    assert await house.states() == {1: "retired", 2: "live"}
    assert await lineage(house) == [1, 2, 1, 2]
    assert [action for action in await house.actions() if action.startswith("rolled-")] == [
        "rolled-back", "rolled-forward"
    ]  # fmt: skip
    again = await rollback(house.ports, NAME, by="cid")
    assert again.live == 1
    assert (await house.read(lambda tx: verify(tx.audit.all()))).intact


async def test_stepping_back_twice_goes_back_twice_and_never_forward_to_the_bad_version(house):
    await house.agent()
    for label in ("billing", "refund"):
        await house.offer(label)
    await by_hand(house, 2, 3)
    assert (await rollback(house.ports, NAME, by="bob")).live == 2
    assert (await rollback(house.ports, NAME, by="bob")).live == 1
    with pytest.raises(Conflict, match="no version before it"):
        await rollback(house.ports, NAME, by="bob")
    assert await lineage(house) == [1, 2, 3, 2, 1]


async def test_the_version_before_is_the_one_that_was_live_not_the_one_with_the_number_before(house):
    await house.agent()
    for label in ("billing", "refund"):
        await house.offer(label)
    await by_hand(house, 3)
    assert (await rollback(house.ports, NAME, by="bob")).live == 1


async def test_a_version_that_was_never_live_cannot_slip_in_through_a_rollback(house):
    await house.agent()
    await house.rollout("billing")
    await rollback(house.ports, NAME, by="bob")
    candidate = await house.offer("refund")
    assert await house.states() == {1: "live", 2: "rolled_back", candidate: "candidate"}
    for number in (2, candidate):
        with pytest.raises(Conflict, match=f"v{number} was never live") as caught:
            await rollback(house.ports, NAME, by="ann", to=number)
        assert "rollout start" in caught.value.hint
    assert await house.live() == 1


async def test_with_a_rollout_in_progress_one_can_step_further_back_at_the_same_time(house):
    await house.agent()
    for label in ("billing", "refund"):
        await house.offer(label)
    await by_hand(house, 2)
    rollout = await start_rollout(house.ports, NAME, 3, by="bob")
    await reconcile(house.ports, rollout.id)
    done = await rollback(house.ports, NAME, by="bob", to=1)
    assert (done.live, done.before) == (1, 2)
    assert await house.states() == {1: "live", 2: "rolled_back", 3: "rolled_back"}
    assert (await house.standing(rollout.id)).state == "rolled_back"


async def test_a_rollback_during_a_draft_does_not_leave_a_rollout_on_the_version_that_left(house):
    await house.agent()
    for label in ("billing", "refund"):
        await house.offer(label)
    await by_hand(house, 2)
    rollout = await start_rollout(house.ports, NAME, 3, by="bob")
    await rollback(house.ports, NAME, by="bob", to=1)
    assert (await house.standing(rollout.id)).state == "rolled_back"
    assert {(await house.serve(n)).version for n in range(10)} == {1}


@pytest.mark.parametrize("by", ["", "   "])
async def test_a_rollback_needs_a_name(house, by):
    await house.agent()
    with pytest.raises(Invalid, match="name"):
        await rollback(house.ports, NAME, by=by)


async def test_there_is_nothing_to_step_back_to_at_the_start_and_no_version_that_does_not_exist(house):
    await house.agent()
    with pytest.raises(Conflict, match="no version before it"):
        await rollback(house.ports, NAME, by="bob")
    with pytest.raises(Conflict, match="live already"):
        await rollback(house.ports, NAME, by="bob", to=1)
    with pytest.raises(NotFound, match="v7"):
        await rollback(house.ports, NAME, by="bob", to=7)
    assert await lineage(house) == [1]


async def test_a_stopped_agent_can_be_rolled_back(house):
    await house.agent()
    await house.offer("refund")
    await by_hand(house, 2)
    await stop(house.ports, NAME, by="bob")
    assert (await rollback(house.ports, NAME, by="bob")).live == 1


async def test_ten_people_who_roll_back_at_once_end_the_rollout_once(house):
    await house.agent()
    rollout = await house.rollout()
    done = await asyncio.gather(
        *(rollback(house.ports, NAME, by=f"person-{n}") for n in range(10)), return_exceptions=True
    )
    strange = [one for one in done if not (hasattr(one, "live") or isinstance(one, Conflict))]
    assert not strange
    assert (await house.standing(rollout.id)).state == "rolled_back"
    assert await house.states() == {1: "live", 2: "rolled_back"}
    assert (await house.actions()).count("rollout-roll_back") == 1


async def test_a_rollback_wins_against_an_operator_who_is_about_to_promote(house):
    await house.agent()
    rollout = await house.won((await house.rollout()).id)
    await approve(house.ports, rollout.approval, "approved", by="bob")
    done = await asyncio.gather(
        *(reconcile(house.ports, rollout.id) for _ in range(5)),
        rollback(house.ports, NAME, by="cid"),
        *(reconcile(house.ports, rollout.id) for _ in range(5)),
        return_exceptions=True,
    )
    assert not isinstance(done[5], BaseException), done[5]
    assert await house.live() == 1, "whoever was first, the person stepped back"
    assert (await house.states())[2] == "rolled_back"
    assert (await house.standing(rollout.id)).state in ("rolled_back", "promoted")
    assert (await house.read(lambda tx: verify(tx.audit.all()))).intact


async def test_a_rolled_back_version_is_not_taken_up_by_the_loop_again(house):
    await house.agent()
    await house.history(240)
    report = await house.tick()
    await reconcile(house.ports, report["rollout"])
    await rollback(house.ports, NAME, by="bob")
    for _ in range(3):
        again = await house.tick()
        assert again["rollout"] is None
    assert (await house.states())[2] == "rolled_back"

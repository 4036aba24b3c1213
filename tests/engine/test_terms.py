"""What a rollout begins with: a price from the quarter's ledger, metrics with frozen terms, and a plan before it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted_house import EAGER, HABITS, NAME

from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.metric import metric_guard
from surefoot.core.rollout import RolloutSettings
from surefoot.core.token import any_agent
from surefoot.engine.observe import observe
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.plan import planned
from surefoot.engine.rollback import rollback
from surefoot.ports import Answer

LEDGER = replace(EAGER, ledger="slots", ledger_slots=2)


async def tried(house, number: int):
    """Start a rollout of one more version, and end it."""
    version = await house.offer("billing", f"NOTE {number}")
    rollout = await start_rollout(house.ports, NAME, version, by="ann")
    await rollback(house.ports, NAME, by="bob")
    return rollout


async def test_a_quarter_has_as_many_rollouts_as_were_declared_and_each_pays_for_all(house):
    await house.agent(habits=replace(HABITS, rollout=LEDGER))
    first, second = await tried(house, 1), await tried(house, 2)
    assert first.settings.win_at == second.settings.win_at == 2 * EAGER.win_threshold
    with pytest.raises(Conflict, match="2 were declared"):
        await tried(house, 3)
    house.later(days=95)
    assert (await tried(house, 4)).settings.win_at == 2 * EAGER.win_threshold


async def test_under_e_lond_each_rollout_without_a_win_is_dearer_than_the_one_before(house):
    await house.agent(habits=replace(HABITS, rollout=replace(EAGER, ledger="e-lond", ledger_slots=5)))
    prices = [(await tried(house, number)).settings.win_at / EAGER.win_threshold for number in range(1, 4)]
    assert prices == [2, 6, 12]


async def test_a_rollout_that_a_person_forces_is_no_part_of_the_ledger(house):
    await house.agent(habits=replace(HABITS, rollout=LEDGER))
    await house.rollout(forced_by="bob")
    await rollback(house.ports, NAME, by="bob")
    assert (await tried(house, 1)).settings.win_at == 2 * EAGER.win_threshold
    await tried(house, 2)
    with pytest.raises(Conflict, match="2 were declared"):
        await tried(house, 3)


async def test_a_slower_challenger_that_is_right_more_often_is_held_and_the_metric_named(house):
    slow = metric_guard("latency_s", margin=0.2, clip=5.0, centre=0.5)
    terms = RolloutSettings(
        ledger_slots=None, min_fresh_labels=1, hard_guard=1e9, soft_guard=1e9, mh_limit=1e9, win_threshold=1e9,
        metrics=(slow,),
    )  # fmt: skip
    await house.agent(habits=replace(HABITS, rollout=terms))

    def dawdling(asked):
        knows = "KNOW refund" in asked.system
        return Answer(text="refund" if knows else "other", latency_s=4.0 if knows else 0.5, cost=house.model.cost)

    house.model.trouble = dawdling
    rollout = await house.rollout()
    row = None
    for start in range(0, 3000, 300):
        for number in range(start, start + 300):
            served = await house.serve(number, "refund")
            await observe(house.ports, served.trace_id, expected="refund", sees=any_agent)
        row = await reconcile(house.ports, rollout.id)
        if row.reason == "watched_guard":
            break
    assert row is not None
    assert row.reason == "watched_guard"
    assert row.evidence["names"] == ["latency_s"]
    assert row.weight_after == 5


async def test_a_metric_that_nobody_records_cannot_be_watched():
    with pytest.raises(Invalid, match="mood"):
        metric_guard("mood", margin=0, clip=1, centre=0)


async def test_a_plan_says_what_this_traffic_can_decide(house):
    await house.agent()
    await house.traffic(120)
    house.later(days=4)
    outlook = await planned(house.ports, NAME)
    assert outlook.labels_a_day == pytest.approx(30, rel=1e-3)
    assert not outlook.assumed
    assert "30 labelled requests a day" in outlook.sentence
    none = await planned(house.ports, NAME, labels_a_day=1)
    assert "cannot decide" in none.sentence


async def test_a_plan_without_any_label_says_that_its_failure_rate_is_assumed(house):
    await house.agent()
    outlook = await planned(house.ports, NAME)
    assert outlook.assumed
    assert "cannot decide" in outlook.sentence
    with pytest.raises(NotFound):
        await planned(house.ports, "nobody")

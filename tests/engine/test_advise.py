"""The advice to stop: gathered from what ticks, looks and labels left behind, told once, and an order by policy."""

from __future__ import annotations

from dataclasses import replace

from scripted_house import HABITS, NAME, know

from surefoot.core.policy import Policy
from surefoot.core.saturation import DRY_TRIES
from surefoot.core.token import EVERY_AGENT
from surefoot.engine.advise import advised, progress

OPEN = Policy(min_failures=3, min_sources=1)


async def dry(house, ticks: int, **given) -> dict:
    """So many ticks that bring nothing on an agent with one gap."""
    await house.agent(policy=replace(OPEN, **given), habits=replace(HABITS, headroom=0.01))
    await house.history(120, labels=("other", "refund"))
    house.improver.plan = lambda brief: [know("nothing", target=f"try-{len(house.improver.briefs)}")]
    report = {}
    for _ in range(ticks):
        report = await house.tick()
    return report


async def advice_of(house):
    return await house.read(lambda tx: advised(tx, house.ports, NAME))


async def test_a_new_agent_gets_no_advice(house):
    await house.agent()
    assert await advice_of(house) is None


async def test_many_dry_ticks_are_a_plateau_and_people_are_told_once(house):
    report = await dry(house, DRY_TRIES - 1)
    assert (report["outcome"], report["advice"]) == ("rejected", None)
    report = await house.tick()
    assert report["advice"]["reason"] == "plateau"
    assert report["advice"]["recommend"] == "freeze"
    assert (await house.tick())["outcome"] == "rejected"
    kinds = [one.kind for one in await house.read(lambda tx: tx.notices.listed(agents=EVERY_AGENT))]
    assert kinds.count("freeze_recommended") == len(house.ports.notifiers)


async def test_a_gain_ends_the_plateau(house):
    await dry(house, DRY_TRIES)
    await house.cases(60, "val")
    house.improver.plan = lambda brief: [know("refund")]
    report = await house.tick()
    assert (report["outcome"], report["advice"]) == ("accepted", None)


async def test_by_policy_the_advice_is_an_order_and_the_improver_is_not_asked(house):
    await dry(house, DRY_TRIES, when_done="stop")
    asked = len(house.improver.briefs)
    report = await house.tick()
    assert (report["outcome"], len(house.improver.briefs)) == ("nothing_to_fix", asked)
    assert report["reason"].startswith("Freeze it:")
    await house.history(60, labels=("billing",), start=5000)
    report = await house.tick()
    assert report["outcome"] in ("rejected", "accepted")  # a gap that was never tried is worth a tick


async def test_little_traffic_falls_back_on_val_as_far_as_it_was_answered(house):
    await house.agent(policy=OPEN, habits=replace(HABITS, headroom=0.1))
    await house.history(12, labels=("other",))
    await house.cases(60, "val", labels=("other",))
    seen = await house.read(lambda tx: progress(tx, house.ports, NAME))
    assert (seen.failed, seen.judged) == (0, 0)
    assert await advice_of(house) is None

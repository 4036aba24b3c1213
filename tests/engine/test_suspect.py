"""Reward hacking in the house: what knows the shown cases by heart meets no traffic until a person answers for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted_house import HABITS, NAME, know, taught

from surefoot.core.divergence import divergence
from surefoot.core.errors import Conflict
from surefoot.core.policy import Policy
from surefoot.core.token import EVERY_AGENT
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import offer_version
from surefoot.engine.suspect import accuse
from surefoot.engine.vet import vet
from surefoot.ports import Answer


async def scene(house, *, memorised: str = "shown") -> int:
    """A candidate that knows refunds only in the split it memorised, and an improver's cases all around."""
    await house.agent(policy=Policy(min_failures=3, min_sources=1))
    known = {split: await house.cases(90, split) for split in ("shown", "hidden", "val", "sealed")}
    mine = {case.input for case in known[memorised]} if memorised else None

    def cheat(question):
        if mine is not None and "KNOW refund" in question.system and question.user not in mine:
            return Answer(text="other", cost=house.model.cost) if "#refund" in question.user else None
        return None

    house.model.trouble = cheat
    agent = await house.read(lambda tx: tx.agents.get(NAME))
    base = await house.read(lambda tx: tx.versions.genome(agent.base))
    version = await offer_version(house.ports, NAME, taught(base, "refund"), by="ann", rationale="r")
    return version.number


async def test_a_memorising_candidate_is_named_and_gets_no_traffic(house):
    number = await scene(house)
    found = await vet(house.ports, NAME, number)
    assert found.evidence["suspicion"]["suspected"] is True
    assert "Reward hacking suspected" in found.sentence
    with pytest.raises(Conflict, match=r"may not take traffic\. Reward hacking suspected"):
        await start_rollout(house.ports, NAME, number, by="bob")
    assert "reward-hacking-suspected" in await house.actions()
    kinds = [one.kind for one in await house.read(lambda tx: tx.notices.listed(agents=EVERY_AGENT))]
    assert kinds.count("reward_hacking_suspected") == len(house.ports.notifiers)
    rollout = await start_rollout(house.ports, NAME, number, by="bob", forced_by="carol")
    assert rollout.forced_by == "carol"


async def test_it_is_asked_once_however_often_it_is_vetted(house):
    number = await scene(house)
    await vet(house.ports, NAME, number)
    await vet(house.ports, NAME, number)
    assert (await house.actions()).count("reward-hacking-suspected") == 1


async def test_what_really_helps_is_not_suspected(house):
    number = await scene(house, memorised="")
    found = await vet(house.ports, NAME, number)
    assert (found.verdict, found.evidence["suspicion"]["suspected"]) == ("pass", False)
    await start_rollout(house.ports, NAME, number, by="bob")


async def test_the_loop_does_not_roll_out_what_gained_mostly_on_shown_cases(house):
    await house.agent(policy=Policy(min_failures=3, min_sources=1), habits=replace(HABITS, slots=5))
    await house.history(60, labels=("other", "refund"))
    await house.cases(120, "shown", labels=("refund",))
    val = await house.cases(120, "val", labels=("other", "refund"))
    await house.cases(40, "sealed", labels=("refund",))
    known = {case.input for case in await house.read(lambda tx: tx.cases.of(NAME, ("shown", "sealed")))}
    known |= {case.input for case in val[:14]}  # seven refunds: enough to be kept (14.4), too few to be proof (20)

    def mostly(question):
        if "KNOW refund" in question.system and "#refund" in question.user and question.user not in known:
            return Answer(text="other", cost=house.model.cost)
        return None

    house.model.trouble = mostly
    house.improver.plan = lambda brief: [know("refund")]
    report = await house.tick()
    assert (report["outcome"], report["release"]["version"]) == ("accepted", 2)
    assert report["rollout"] is None
    assert "Reward hacking suspected" in report["waits"]
    again = await house.tick()
    assert (again["rollout"], await house.live()) == (None, 1)


async def test_a_rollout_that_waits_in_the_queue_is_aborted_by_a_later_suspicion(house):
    number = await scene(house)
    house.model.trouble = lambda _: None
    first = await house.rollout("billing", by="bob")
    assert (await vet(house.ports, NAME, number)).verdict == "pass"
    queued = await start_rollout(house.ports, NAME, number, by="bob", queue=True)
    assert queued.queued
    version = await house.read(lambda tx: tx.versions.get(NAME, number))
    found = divergence([1.0] * 40, [0.0] * 40, seed="x")
    await house.write(lambda tx: accuse(tx, house.ports, version, found))
    row = await reconcile(house.ports, queued.id)
    assert row.evidence["state"] == "aborted"
    assert (await house.standing(first.id)).state == "canary"

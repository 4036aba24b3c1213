"""Vetting: a version that somebody offers meets the same gate, and a sabotage does not get past it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from scripted_house import HABITS, NAME

from surefoot.core.errors import Conflict, Unavailable
from surefoot.core.proposal import Cost
from surefoot.engine.operate import start_rollout
from surefoot.engine.vet import vet


async def scene(house, **sizes):
    await house.agent()
    for split, count in {"shown": 40, "hidden": 20, "val": 40, "sealed": 60, **sizes}.items():
        await house.cases(count, split)


async def looks(house) -> list[str]:
    return [one.verdict for one in await house.read(lambda tx: tx.looks.all(NAME))]


async def test_a_version_that_helps_passes_with_one_look_at_the_sealed_cases(house):
    await scene(house)
    number = await house.offer("refund")
    found = await vet(house.ports, NAME, number)
    assert found.verdict == "pass"
    assert (await looks(house), await house.states()) == (["pass"], {1: "live", 2: "candidate"})
    assert (await house.actions())[-1] == "gate-pass"
    assert json.loads(json.dumps(found.evidence)) == found.evidence


async def test_a_sabotage_is_refused_without_spending_a_look(house):
    await scene(house)
    number = await house.offer("BREAK other", by="saboteur")
    found = await vet(house.ports, NAME, number)
    assert found.verdict == "fail"
    assert "harm" in found.sentence
    assert (await looks(house), await house.states()) == ([], {1: "live", 2: "rejected"})
    with pytest.raises(Conflict, match="only a person"):
        await start_rollout(house.ports, NAME, number, by="saboteur")


async def test_a_sabotage_that_hides_behind_a_gain_is_blocked_on_its_slice(house):
    await scene(house)
    number = await house.offer("billing", "refund", "BREAK other", by="saboteur")
    found = await vet(house.ports, NAME, number)
    assert found.verdict == "fail"
    assert "other" in found.sentence
    assert await house.states() == {1: "live", 2: "rejected"}


async def test_a_version_that_changes_nothing_is_inconclusive_and_stays_a_candidate(house):
    await scene(house)
    number = await house.offer("KNOW nobody")
    found = await vet(house.ports, NAME, number)
    assert (found.verdict, await house.states()) == ("inconclusive", {1: "live", 2: "candidate"})
    assert await looks(house) == ["inconclusive"]


async def test_asking_again_gives_the_same_answer_and_costs_no_further_look_or_call(house):
    await scene(house)
    number = await house.offer("KNOW nobody")
    first = await vet(house.ports, NAME, number)
    house.model.asked.clear()
    await house.cases(30, "sealed", start=7000)
    assert await vet(house.ports, NAME, number) == first
    assert (await looks(house), house.model.asked) == (["inconclusive"], [])


async def test_what_is_no_candidate_is_not_vetted(house):
    await scene(house)
    with pytest.raises(Conflict, match="v1 is live"):
        await vet(house.ports, NAME, 1)
    number = await house.offer("BREAK other")
    await vet(house.ports, NAME, number)
    with pytest.raises(Conflict, match="rejected"):
        await vet(house.ports, NAME, number)


async def test_a_model_that_is_away_decides_nothing_and_spends_no_look(house):
    await scene(house)
    number = await house.offer("refund")

    def away(question):
        raise Unavailable("away")

    house.model.trouble = away
    found = await vet(house.ports, NAME, number)
    assert (found.verdict, await looks(house)) == ("inconclusive", [])
    house.model.trouble = lambda _: None
    assert (await vet(house.ports, NAME, number)).verdict == "pass"


async def test_without_cases_nothing_passes(house):
    await house.agent()
    number = await house.offer("refund")
    assert (await vet(house.ports, NAME, number)).verdict == "inconclusive"


async def test_no_slot_left_is_no_pass(house):
    await scene(house)
    await house.change(habits=replace(HABITS, slots=1))
    await vet(house.ports, NAME, await house.offer("KNOW nobody"))
    found = await vet(house.ports, NAME, await house.offer("refund"))
    assert (found.verdict, found.evidence["reason"]) == ("inconclusive", "no_slot_left")


async def test_a_rollout_that_a_person_started_meanwhile_is_not_pulled_from_under_their_feet(house):
    await scene(house)
    number = await house.offer("BREAK other")

    async def meanwhile(question):
        house.model.before = None
        await start_rollout(house.ports, NAME, number, by="bob")

    house.model.before = meanwhile
    assert (await vet(house.ports, NAME, number)).verdict == "fail"
    assert await house.states() == {1: "live", 2: "canary"}


async def test_vetting_is_paid_from_the_day(house):
    await scene(house)
    await vet(house.ports, NAME, await house.offer("refund"))
    day = await house.spent(f"day/{house.clock():%Y-%m-%d}")
    assert day == Cost(calls=320, tokens=3200, usd=0.32)
    assert len(house.model.asked) == 320


async def test_two_who_vet_at_once_agree(house):
    await scene(house)
    number = await house.offer("refund")
    one, other = await asyncio.gather(vet(house.ports, NAME, number), vet(house.ports, NAME, number))
    assert (one.verdict, other.verdict) == ("pass", "pass")
    assert await looks(house) == ["pass"]

"""Releases: every look at the sealed cases is counted, none is free, and what it said stays in this room."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from scripted_house import HABITS, NAME, breaks, know, taught

from surefoot.core.backlog import Lever
from surefoot.core.draft import Accepted, Draft
from surefoot.core.errors import Unavailable
from surefoot.core.policy import Policy
from surefoot.core.slots import slots_left
from surefoot.engine.release import due, look_at_sealed, release


async def scene(house, sealed: int = 60, **habits):
    agent = await house.agent(habits=replace(HABITS, **habits))
    await house.cases(sealed, "sealed")
    live = await house.read(lambda tx: tx.versions.genome(agent.base))
    return agent, live


async def look(house, *labels: str):
    agent = await house.read(lambda tx: tx.agents.get(NAME))
    live = await house.read(lambda tx: tx.versions.genome(agent.base))
    return await look_at_sealed(house.ports, agent, live, taught(live, *labels))


async def left(house) -> int:
    def work(tx):
        slots, cases = tx.agents.get(NAME).habits.slots, tx.cases.counts(NAME).get("sealed", 0)
        return slots_left(tx.looks.all(NAME), slots=slots, cases=cases)

    return await house.read(work)


async def looks(house) -> list[str]:
    return [one.verdict for one in await house.read(lambda tx: tx.looks.all(NAME))]


async def drafted(house, *parts, ticks: int = 1) -> Draft:
    """A draft with one lever per group of edits."""

    def work(tx):
        accepted = []
        for number, edits in enumerate(parts):
            lever = Lever(id=f"L-{number}", agent=NAME, gap=f"g{number}", title=f"gap {number}", impact=0.1, failures=9,
                          state="drafted")  # fmt: skip
            tx.levers.put(lever)
            accepted.append(Accepted(
                proposal=f"P-{number}", lever=lever.id, improver="scripted", edits=tuple(edits), evidence="e",
                rationale="r",
            ))  # fmt: skip
        return tx.drafts.swap(Draft(agent=NAME, on=1, ticks=ticks, accepted=tuple(accepted)))

    return await house.write(work)


async def run(house, draft, *, scope: str = "tick/1"):
    agent = await house.read(lambda tx: tx.agents.get(NAME))
    return await release(house.ports, agent, draft, reason="asked", scope=scope)


async def levers(house) -> dict[str, tuple[str, int]]:
    return {lever.id: (lever.state, lever.tries) for lever in await house.read(lambda tx: tx.levers.all(NAME))}


async def test_a_draft_that_helps_becomes_a_candidate_by_the_improver_and_a_new_draft_begins(house):
    await scene(house)
    done = await run(house, await drafted(house, [know("refund")]))
    assert (done.version, done.verdicts[0].verdict, done.slots_left) == (2, "pass", 0)
    version = await house.read(lambda tx: tx.versions.get(NAME, 2))
    assert (version.state, version.author, version.parent) == ("candidate", "improver:scripted", 1)
    assert await levers(house) == {"L-0": ("shipped", 0)}
    draft = await house.read(lambda tx: tx.drafts.get(NAME))
    assert (draft.accepted, draft.ticks) == ((), 0)
    assert await house.live() == 1, "a release is no promotion"


async def test_a_draft_that_proves_nothing_is_dropped_and_its_levers_are_tried_once_more(house):
    await scene(house)
    done = await run(house, await drafted(house, [breaks("nobody")]))
    assert (done.version, done.verdicts[0].verdict) == (None, "inconclusive")
    assert await levers(house) == {"L-0": ("open", 1)}
    assert await house.states() == {1: "live"}


async def test_when_the_whole_fails_the_stronger_half_is_looked_at_and_only_its_lever_ships(house):
    await scene(house)
    done = await run(house, await drafted(house, [know("refund")], [breaks("other")]))
    assert [verdict.verdict for verdict in done.verdicts] == ["fail", "pass"]
    assert await looks(house) == ["fail", "pass"]
    genome = await house.read(lambda tx: tx.versions.genome(tx.versions.get(NAME, 2).genome))
    assert genome.has("know-refund")
    assert not genome.has("break-other")
    assert await levers(house) == {"L-0": ("shipped", 0), "L-1": ("open", 1)}
    notes = [await house.read(lambda tx, one=lever: tx.levers.log(NAME, one)[-1][1]) for lever in ("L-0", "L-1")]
    assert notes[0].startswith("shipped")
    assert notes[1].startswith("failed")


async def test_every_look_costs_a_slot_and_the_same_genome_has_only_one(house):
    await scene(house, slots=3)
    for label in ("a b", "a b", "c d"):
        assert (await look(house, label)).verdict == "inconclusive"
    assert len(await looks(house)) == 2
    assert await left(house) == 1


async def test_no_slot_left_means_that_nothing_is_looked_at(house):
    await scene(house, slots=2)
    for label in ("a b", "c d"):
        await look(house, label)
    house.model.asked.clear()
    verdict = await look(house, "refund", "billing")
    assert (verdict.verdict, verdict.reason, verdict.p_value) == ("inconclusive", "no_slot_left", None)
    assert house.model.asked == []
    assert len(await looks(house)) == 2


async def test_without_a_slot_the_draft_waits_and_its_levers_did_not_fail(house):
    await scene(house, slots=1)
    await look(house, "a b")
    draft = await drafted(house, [know("refund")])
    done = await run(house, draft)
    assert (done.version, done.verdicts[0].reason) == (None, "no_slot_left")
    assert await house.read(lambda tx: tx.drafts.get(NAME)) == draft
    assert await levers(house) == {"L-0": ("drafted", 0)}


async def test_after_a_release_the_rest_is_spent_until_half_of_the_sealed_cases_are_fresh(house):
    await scene(house, sealed=60, slots=5)
    assert (await look(house, "refund")).verdict == "pass"
    assert await left(house) == 0
    await house.cases(58, "sealed", start=1000)
    assert (await look(house, "billing")).reason == "no_slot_left"
    await house.cases(2, "sealed", start=2000)
    assert await left(house) == 5
    assert (await look(house, "billing")).verdict == "pass"
    assert (await left(house)) == 0


async def test_a_second_look_at_a_genome_sees_the_cases_of_the_first_only(house):
    await scene(house, sealed=9, slots=5)
    first = await look(house, "refund")
    assert (first.verdict, first.tally.n) == ("inconclusive", 9)
    await house.cases(90, "sealed", start=1000)
    again = await look(house, "refund")
    assert again == first, "more cases would be another look, for nothing"
    assert len(await looks(house)) == 1


async def test_two_looks_at_once_for_the_last_slot_are_one_look(house):
    await scene(house, slots=1)
    done = await asyncio.gather(*(look(house, f"thing {n}", "refund") for n in range(4)))
    assert sum(verdict.verdict == "pass" for verdict in done) == 1
    assert sum(verdict.reason == "no_slot_left" for verdict in done) == 3
    assert len(await looks(house)) == 1


async def test_where_nothing_is_scored_nothing_is_spent_and_the_draft_stays(house):
    await scene(house)
    draft = await drafted(house, [know("refund")])

    def away(question):
        raise Unavailable("away")

    house.model.trouble = away
    done = await run(house, draft)
    assert (done.version, done.verdicts[0].reason, done.slots_left) == (None, "nothing_scored", 5)
    assert await looks(house) == []
    assert await house.read(lambda tx: tx.drafts.get(NAME)) == draft
    assert await levers(house) == {"L-0": ("drafted", 0)}
    house.model.trouble = lambda _: None
    assert (await run(house, draft)).version == 2


async def test_without_sealed_cases_nothing_is_released(house):
    await scene(house, sealed=0)
    draft = await drafted(house, [know("refund")])
    assert (await run(house, draft)).version is None
    assert await house.states() == {1: "live"}
    assert await looks(house) == []


@pytest.mark.parametrize("kill_after", range(1, 5))
async def test_a_release_that_is_killed_between_two_writes_and_repeated_makes_one_look_and_one_version(
    house, monkeypatch, kill_after
):
    await scene(house, sealed=30)
    draft = await drafted(house, [know("refund")])
    store = type(house.app.store)
    real, writes = store.write, 0

    async def dies(self, work):
        nonlocal writes
        done = await real(self, work)
        writes += 1
        if writes == kill_after:
            raise ConnectionError("killed")
        return done

    monkeypatch.setattr(store, "write", dies)
    with pytest.raises(ConnectionError):
        await run(house, draft)
    monkeypatch.undo()
    agent = await house.read(lambda tx: tx.agents.get(NAME))
    current = await house.read(lambda tx: tx.drafts.get(NAME))
    if current.accepted:
        assert (await release(house.ports, agent, draft, reason="asked", scope="tick/1")).version == 2
    assert await looks(house) == ["pass"]
    assert await house.states() == {1: "live", 2: "candidate"}
    assert await levers(house) == {"L-0": ("shipped", 0)}
    assert (await house.read(lambda tx: tx.drafts.get(NAME))).accepted == ()
    assert (await house.actions()).count("candidate") == 1
    assert len(house.model.asked) == 60, "and no answer was paid for twice"


async def test_a_release_is_due_by_power_by_the_tick_limit_or_when_asked(house):
    agent, _ = await scene(house, release_ticks=3, release_power=0.8)
    await house.cases(60, "val")
    empty = Draft(agent=NAME, on=1, ticks=9)
    assert await due(house.ports, agent, empty, asked=True, scope="") == "empty"
    weak = await drafted(house, [breaks("nobody")])
    assert await due(house.ports, agent, weak, asked=False, scope="") == "not-yet"
    assert await due(house.ports, agent, weak, asked=True, scope="") == "asked"
    assert await due(house.ports, agent, replace(weak, ticks=3), asked=False, scope="") == "tick-limit"
    strong = replace(weak, accepted=(replace(weak.accepted[0], edits=(know("refund"),)),))
    assert await due(house.ports, agent, strong, asked=False, scope="") == "power"


async def test_to_ask_whether_a_release_is_due_costs_nothing_that_the_tick_did_not_pay(house):
    await house.agent(habits=replace(HABITS, release_ticks=9, release_power=0.9999))
    await house.history(150)
    report = await house.tick()
    assert report["outcome"] == "accepted"
    asked = [(question.system, question.case_id) for question in house.model.asked]
    assert len(asked) == len(set(asked)), "no prompt is asked twice about a case"


async def test_the_candidate_of_a_level_that_needs_a_person_waits_for_one(house):
    await house.agent(policy=Policy(autonomy="propose"))
    await house.history(240)
    report = await house.tick()
    assert report["release"]["version"] == 2
    assert (report["rollout"], report["waits"]) == (None, "this agent's autonomy is propose")
    assert await house.read(lambda tx: tx.rollouts.all(NAME)) == []


async def test_a_candidate_under_an_improver_s_name_that_passed_no_look_is_not_rolled_out_by_the_loop(house):
    await house.agent()
    await house.history(30)
    await house.offer("refund", by="improver:scripted")
    house.improver.plan = lambda brief: []
    report = await house.tick()
    assert report["rollout"] is None
    assert await house.states() == {1: "live", 2: "candidate"}


async def test_what_the_sealed_look_said_reaches_no_brief_no_lesson_and_no_lever_in_it(house):
    await house.agent(habits=replace(HABITS, slots=500))  # at a slot of .0001 this draft does not pass
    await house.history(240)
    report = await house.tick()
    (verdict, *_) = report["release"]["looks"]
    assert report["release"]["version"] is None
    await house.tick()
    brief = house.improver.briefs[-1]
    told = json.dumps([
        brief.title, brief.gap, list(brief.lessons), sorted(brief.tried), brief.genome.document(),
        [[case.input, case.expected, case.predicted, case.feedback] for case in (*brief.failures, *brief.others)],
    ])  # fmt: skip
    for secret in (
        verdict["sentence"],
        f"{verdict['gained']} gained",
        f"of {verdict['cases']} cases",
        f"{verdict['p_value']:.2g}",
    ):
        assert secret not in told
    for lesson in await house.read(lambda tx: tx.lessons.all(NAME)):
        assert verdict["sentence"] not in lesson.text

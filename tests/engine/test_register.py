"""Agents and versions: immutable, numbered once, and nothing locked ever changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from scripted_house import HABITS, LABELS, NAME, taught

from surefoot.core.audit import verify
from surefoot.core.case import case_id
from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound, SurefootError
from surefoot.core.genome import Block, Genome
from surefoot.core.lesson import SHIPPED
from surefoot.core.starter import starting_genome
from surefoot.engine.register import add_cases, create_agent, offer_version, stop


async def live_genome(house) -> Genome:
    def work(tx):
        return tx.versions.genome(tx.versions.get(NAME, tx.agents.get(NAME).live).genome)

    return await house.read(work)


async def test_an_agent_starts_with_a_live_version_a_lineage_the_shipped_lessons_and_an_audit_entry(house):
    agent = await house.agent()
    assert (agent.live, agent.tick, agent.stopped) == (1, 0, False)
    assert await house.states() == {1: "live"}
    assert [(number, by) for number, _, by, _ in await house.read(lambda tx: tx.agents.lineage(NAME))] == [
        (1, "founder")
    ]
    assert tuple(lesson.text for lesson in await house.read(lambda tx: tx.lessons.all(NAME))) == SHIPPED
    assert await house.actions() == ["agent-created"]
    assert agent.base == (await house.read(lambda tx: tx.versions.get(NAME, 1))).genome


async def test_a_name_is_given_once_and_the_loser_leaves_nothing(house):
    await house.agent()
    with pytest.raises(Conflict, match="already is an agent"):
        await house.agent(genome=taught(starting_genome(LABELS), "refund"))
    assert await house.states() == {1: "live"}
    assert len(await house.read(lambda tx: tx.lessons.all(NAME))) == len(SHIPPED)


async def test_of_ten_who_create_the_same_agent_at_once_one_does(house):
    done = await asyncio.gather(*(house.agent() for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in done) == 9
    assert await house.actions() == ["agent-created"]


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 64, "../a", "a\n", "ä"])
async def test_a_name_that_makes_trouble_is_refused(house, name):
    with pytest.raises(Invalid, match="not usable"):
        await house.agent(name)
    assert await house.read(lambda tx: tx.agents.all()) == []


async def test_a_genome_without_a_section_is_refused(house):
    with pytest.raises(Invalid, match="no section"):
        await create_agent(house.ports, NAME, Genome((Block(id="a", kind="rule", text="b"),)), by="ann")


async def test_a_version_is_numbered_and_waits_without_traffic(house):
    await house.agent()
    assert await house.offer("refund") == 2
    assert await house.offer("billing") == 3
    assert await house.states() == {1: "live", 2: "candidate", 3: "candidate"}
    version = await house.read(lambda tx: tx.versions.get(NAME, 3))
    assert (version.parent, version.author, version.rationale) == (1, "ann", "more labels")
    assert {(await house.serve(n)).version for n in range(5)} == {1}


async def test_the_same_genome_is_never_two_versions(house):
    await house.agent()
    await house.offer("refund")
    for labels in (("refund",), ()):
        with pytest.raises(Conflict, match="this very genome") as caught:
            await house.offer(*labels)
        assert "immutable" in caught.value.hint
    assert await house.states() == {1: "live", 2: "candidate"}


async def test_of_ten_versions_offered_at_once_each_has_a_number_of_its_own(house):
    await house.agent()
    numbers = await asyncio.gather(*(house.offer(f"KNOW thing {n}") for n in range(10)))
    assert sorted(numbers) == list(range(2, 12))
    same = await asyncio.gather(*(house.offer("billing") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in same) == 4


async def test_a_version_needs_an_author(house):
    await house.agent()
    with pytest.raises(Invalid, match="author"):
        await house.offer("refund", by=" ")


@pytest.mark.parametrize("what", ["edited", "removed", "unlocked", "another", "renamed", "order"])
async def test_locked_bytes_cannot_be_changed_by_an_offered_version(house, what):
    start = starting_genome(LABELS)
    second = Block(id="law", kind="section", text="Never shout.", locked=True)
    await house.agent(genome=Genome((start.blocks[0], second, *start.blocks[1:])))
    role, law, *rest = (await live_genome(house)).blocks
    changed = {
        "edited": (replace(role, text=role.text + " "), law, *rest),
        "removed": (role, *rest),
        "unlocked": (role, replace(law, locked=False), *rest),
        "another": (role, law, Block(id="new", kind="section", text="Obey.", locked=True), *rest),
        "renamed": (role, replace(law, id="lore"), *rest),
        "order": (law, role, *rest),
    }[what]
    with pytest.raises(Forbidden, match="locked bytes"):
        await offer_version(house.ports, NAME, Genome(changed), by="ann", rationale="harmless")
    assert await house.states() == {1: "live"}


async def test_the_locked_bytes_are_those_of_the_base_whatever_has_become_live_since(house):
    await house.agent()
    number = await house.offer("refund")

    def work(tx):
        tx.versions.move(NAME, number, "canary")
        tx.versions.move(NAME, number, "live")
        tx.agents.swap(replace(tx.agents.get(NAME), live=number))

    await house.write(work)
    genome = await live_genome(house)
    assert await house.offer("billing") == 3
    broken = Genome(tuple(replace(block, text="x") if block.locked else block for block in genome.blocks))
    with pytest.raises(Forbidden, match="locked bytes"):
        await offer_version(house.ports, NAME, broken, by="ann", rationale="x")


async def test_cases_of_an_operator_stay_as_they_are_when_they_come_again(house):
    await house.agent()
    (case,) = await house.cases(1, "sealed")
    again = replace(case, split="shown", group="other", must_pass=True)
    assert await add_cases(house.ports, [again], by="mallory") == 0
    assert await house.read(lambda tx: tx.cases.of(NAME, ("sealed",))) == [case]
    assert case.id == case_id(NAME, case.input, case.expected)


async def test_stop_and_resume_are_said_once_and_kept(house):
    await house.agent()
    assert (await stop(house.ports, NAME, by="ann")).stopped
    with pytest.raises(Conflict, match="stopped already"):
        await stop(house.ports, NAME, by="ann")
    assert not (await stop(house.ports, NAME, by="ann", stopped=False)).stopped
    with pytest.raises(Conflict, match="running already"):
        await stop(house.ports, NAME, by="ann", stopped=False)
    assert await house.actions() == ["agent-created", "stopped", "resumed"]
    assert (await house.read(lambda tx: verify(tx.audit.all()))).intact


async def test_nothing_is_created_for_an_agent_that_does_not_exist(house):
    for work in (
        lambda: house.offer("refund", name="ghost"),
        lambda: stop(house.ports, "ghost", by="ann"),
        lambda: house.serve(1, name="ghost"),
    ):
        with pytest.raises(NotFound, match="ghost"):
            await work()
    assert await house.actions() == []


async def test_a_failure_in_the_middle_of_a_registration_leaves_nothing(house):
    class Broken(SurefootError):
        pass

    def half(tx):
        tx.audit.append(at=house.clock(), actor="x", action="x", subject="x", payload={})
        raise Broken("the power went out")

    with pytest.raises(Broken):
        await house.write(half)
    assert await house.actions() == []
    await house.agent(habits=replace(HABITS, slots=3))
    assert (await house.read(lambda tx: tx.agents.get(NAME))).habits.slots == 3

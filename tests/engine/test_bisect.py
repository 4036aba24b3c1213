"""Bisecting versions: the first bad version and its bad edit, within a budget, or an honest shrug."""

from __future__ import annotations

import pytest
from scripted_house import NAME, taught

from surefoot.core.errors import Invalid
from surefoot.engine.bisect import bisect
from surefoot.engine.register import offer_version

GOOD = ("billing", "refund")


async def versions(house, *steps: tuple[str, ...], cases: int = 45) -> None:
    """Version 1 knows everything; each step adds rules to the one before."""
    from surefoot.core.starter import starting_genome

    await house.agent(genome=taught(starting_genome(("other", *GOOD)), "other", *GOOD))
    await house.cases(cases, "val")
    await house.cases(cases, "hidden", start=70_000)
    await house.cases(cases, "sealed", start=90_000)
    for step in steps:
        agent = await house.read(lambda tx: tx.agents.get(NAME))
        now = await house.read(lambda tx, a=agent: tx.versions.genome(tx.versions.get(NAME, a.live).genome))
        version = await offer_version(house.ports, NAME, taught(now, *step), by="ann", rationale="more")
        await live(house, version.number)


async def live(house, number: int) -> None:
    from dataclasses import replace

    def work(tx):
        agent = tx.agents.get(NAME)
        tx.versions.move(NAME, number, "canary")
        tx.versions.move(NAME, number, "live")
        tx.versions.move(NAME, agent.live, "retired")
        tx.agents.swap(replace(agent, live=number))
        tx.agents.moved_live(NAME, number, at=house.clock(), by="bob", why="by hand")

    await house.write(work)


NOTHING = [(f"KNOW thing {n}",) for n in range(9)]


async def test_the_first_bad_version_and_its_bad_edit_are_named(house):
    await versions(house, *NOTHING[:3], ("KNOW thing 7", "BREAK refund", "KNOW thing 8"), *NOTHING[3:6])
    found = await bisect(house.ports, NAME)
    assert (found.good, found.bad, found.first_bad, found.after) == (1, 8, 5, 4)
    assert found.edit is not None
    assert found.edit.target == "break-refund"
    assert "v5" in found.sentence
    assert "break-refund" in found.sentence
    assert len([one for one in found.probes if one.name.startswith("v")]) <= 3
    assert all(one.right <= one.cases for one in found.probes)


async def test_answers_are_paid_once(house):
    await versions(house, *NOTHING[:2], ("BREAK refund",), *NOTHING[2:4])
    first = await bisect(house.ports, NAME)
    asked = len(house.model.asked)
    again = await bisect(house.ports, NAME)
    assert first.calls == asked
    assert (again.calls, len(house.model.asked)) == (0, asked)
    assert (again.first_bad, again.edit) == (first.first_bad, first.edit)


@pytest.mark.parametrize("calls", [10, 200, 300])
async def test_the_limit_of_calls_is_never_exceeded_and_a_range_is_an_answer(house, calls):
    await versions(house, *NOTHING[:3], ("BREAK refund",), *NOTHING[3:6])
    found = await bisect(house.ports, NAME, calls=calls)
    assert found.calls == len(house.model.asked) <= calls
    assert found.first_bad is None
    assert "calls" in found.sentence


async def test_versions_that_are_alike_are_not_accused(house):
    await versions(house, *NOTHING[:4])
    found = await bisect(house.ports, NAME)
    assert (found.first_bad, found.edit, found.p) == (None, None, 1.0)
    assert "not shown to be worse" in found.sentence


async def test_sealed_cases_are_never_asked_and_no_text_is_told(house):
    await versions(house, *NOTHING[:2], ("BREAK refund",))
    found = await bisect(house.ports, NAME)
    sealed = {one.input for one in await house.read(lambda tx: tx.cases.of(NAME, ("sealed",)))}
    held = {one.input for one in await house.read(lambda tx: tx.cases.of(NAME, ("val",)))}
    assert not sealed & {one.user for one in house.model.asked}
    assert not any(text in repr(found) for text in held)


async def test_one_may_name_the_ends_and_must_name_an_ancestor(house):
    await versions(house, ("BREAK refund",), *NOTHING[:3])
    found = await bisect(house.ports, NAME, good=2, bad=5)
    assert found.first_bad is None
    with pytest.raises(Invalid, match="no ancestor") as caught:
        await bisect(house.ports, NAME, good=5, bad=3)
    assert "v1, v2" in caught.value.hint
    with pytest.raises(Invalid, match="no ancestor"):
        await bisect(house.ports, NAME, bad=1)


async def test_without_cases_nothing_is_asked(house):
    await versions(house, *NOTHING[:2], cases=0)
    with pytest.raises(Invalid, match="no such cases"):
        await bisect(house.ports, NAME)
    assert house.model.asked == []


async def test_known_failures_help_to_locate_and_do_not_prove_by_default(house):
    await versions(house, *NOTHING[:2], ("BREAK refund",), *NOTHING[2:4], cases=2)
    await house.traffic(60, labels=("refund",))
    assert (await bisect(house.ports, NAME, among="failing")).first_bad == 4

"""What a person makes of failures: a lever like any other, and a case whose side nobody chooses or learns."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from scripted_house import NAME, know

from surefoot.core.backlog import MIN_GAP
from surefoot.core.case import split_of
from surefoot.core.errors import Conflict, Invalid, NotFound, SurefootError
from surefoot.engine.enlist import enlist
from surefoot.engine.shelve import lever_by_hand, shelve
from surefoot.engine.triage import sort_into_cases, triage

SIDES = ("shown", "hidden", "val", "sealed", "later", "untouched")


async def failing(house, count: int = 6, **given) -> list:
    await house.agent(**given)
    await house.traffic(count, labels=("refund",))
    return await house.read(lambda tx: tx.outcomes.failures(NAME, limit=99))


async def cases(house) -> list:
    return await house.read(lambda tx: tx.cases.of(NAME, SIDES))


async def unlabelled(house, number: int = 1) -> str:
    await house.agent()
    return (await house.serve(number)).trace_id


@pytest.mark.parametrize("by", ["trace", "cluster"])
async def test_a_lever_that_a_person_made_is_the_one_that_the_next_tick_would_make(house, by):
    found = await failing(house, 60)
    what = found[0].trace_id if by == "trace" else found[0].symptom
    mine = await lever_by_hand(house.ports, NAME, what, by="olga", reason="three people wrote to us")
    assert (mine.state, mine.failures, mine.note) == ("open", len(found), "olga: three people wrote to us")
    assert "lever-made" in await house.actions()
    after = (await triage(house.ports, NAME)).levers
    assert [one.id for one in after if one.gap == mine.gap] == [mine.id]


async def test_one_failure_alone_is_enough_for_a_person(house):
    found = await failing(house, 1)
    assert len(found) < MIN_GAP
    assert (
        await lever_by_hand(house.ports, NAME, found[0].trace_id, by="olga", reason="it was the mayor")
    ).failures == 1


async def test_who_makes_it_twice_is_told_that_it_is_there_and_what_to_do(house):
    found = await failing(house)
    mine = await lever_by_hand(house.ports, NAME, found[0].trace_id, by="olga", reason="why not")
    with pytest.raises(Conflict, match=f"{mine.id} of support answers this already: it is open"):
        await lever_by_hand(house.ports, NAME, found[1].trace_id, by="ben", reason="me too")
    await shelve(house.ports, NAME, mine.id, closed=True, by="olga", reason="wait")
    with pytest.raises(Conflict) as told:
        await lever_by_hand(house.ports, NAME, found[0].symptom, by="ben", reason="me too")
    assert f"--reopen {mine.id}" in told.value.hint


@pytest.mark.parametrize(("what", "by", "reason", "error"), [
    ("nothing", "olga", "why", NotFound), ("missed:nothing", "olga", "why", NotFound), ("", "olga", "why", NotFound),
    ("missed:refund", " ", "why", Invalid), ("missed:refund", "olga", " ", Invalid),
])  # fmt: skip
async def test_a_lever_needs_a_failure_that_stands_a_person_and_a_reason(house, what, by, reason, error):
    await failing(house)
    with pytest.raises(error):
        await lever_by_hand(house.ports, NAME, what, by=by, reason=reason)
    assert await house.read(lambda tx: tx.levers.all(NAME)) == []


async def test_what_a_tick_may_do_is_the_same_for_a_lever_that_a_person_made(house):
    found = await failing(house, 6)  # too few for a tick
    await lever_by_hand(house.ports, NAME, found[0].trace_id, by="olga", reason="now")
    house.improver.plan = lambda brief: [know("refund")]
    report = await house.tick()
    assert (report["outcome"], house.improver.briefs) == ("hold", [])
    assert await house.states() == {1: "live"}


async def test_a_request_becomes_a_case_on_the_side_of_its_hash_and_the_next_tick_finds_it_done(house):
    found = await failing(house)
    made_ = [await enlist(house.ports, NAME, one.trace_id, by="ana") for one in found[:3]]
    agent = await house.read(lambda tx: tx.agents.get(NAME))
    kept = {one.id: one for one in await cases(house)}
    assert set(kept) == {one.id for one in made_}
    assert all(one.split == split_of(agent.salt, one.group, agent.habits.shares) for one in kept.values())
    while await house.write(lambda tx: sort_into_cases(tx, NAME)):
        pass
    after = {one.id: one for one in await cases(house)}
    assert {name: after[name] for name in kept} == kept


async def test_its_like_go_to_the_same_side_and_what_resembles_two_sides_becomes_none(house):
    trace = await unlabelled(house)
    text = (await house.read(lambda tx: tx.traces.get(trace))).input
    first = await enlist(house.ports, NAME, trace, expected="refund", by="ana")
    twin = (await house.serve(1)).trace_id
    with pytest.raises(Conflict, match="is a case already"):
        await enlist(house.ports, NAME, twin, expected="refund", by="ana")
    other = replace(first, id="x", split="val" if first.split != "val" else "sealed")
    await house.write(lambda tx: tx.cases.add([other]))
    third = (await house.serve(1)).trace_id
    with pytest.raises(Conflict, match="resembles cases on several sides") as told:
        await enlist(house.ports, NAME, third, expected="billing", by="ana")
    assert not any(side in f"{told.value.message} {told.value.hint}".split() for side in SIDES)
    assert {one.input for one in await cases(house)} == {text}


async def test_nobody_is_told_which_side_it_is_on(house):
    found = await failing(house, 12)
    for one in found:
        await enlist(house.ports, NAME, one.trace_id, by="ana")
    entries = [one for one in await house.read(lambda tx: tx.audit.all()) if one.action == "case-added"]
    assert len(entries) == len(found)
    for one in entries:
        assert set(one.payload) == {"case", "trace"}
        assert not any(side in json.dumps(dict(one.payload)) for side in SIDES)


async def test_held_out_cases_that_a_person_added_reach_no_brief(house):
    found = await failing(house, 60)
    for one in found:
        await enlist(house.ports, NAME, one.trace_id, by="ana")
    held = [one.input for one in await cases(house) if one.split != "shown"]
    house.improver.plan = lambda brief: [know("refund")]
    await house.tick()
    assert held
    assert house.improver.briefs
    told = " ".join(str(brief) for brief in house.improver.briefs)
    assert [text for text in held if text in told] == []


async def test_what_nobody_judged_takes_an_answer_which_is_kept_as_an_outcome_in_the_persons_name(house):
    trace = await unlabelled(house)
    with pytest.raises(Invalid, match="nobody said what is right"):
        await enlist(house.ports, NAME, trace, by="ana")
    await enlist(house.ports, NAME, trace, expected="refund", by="ana")
    (said,) = await house.read(lambda tx: tx.outcomes.of(trace))
    assert (said.expected, said.verdict, said.source) == ("refund", "failure", "by:ana")


async def test_a_person_may_correct_what_was_said_and_twice_is_refused_kindly(house):
    (one, *_) = await failing(house)
    found = await enlist(house.ports, NAME, one.trace_id, expected="billing", by="ana")
    assert found.expected == "billing"
    with pytest.raises(Conflict, match="is a case already"):
        await enlist(house.ports, NAME, one.trace_id, expected="billing", by="ben")
    assert len(await house.read(lambda tx: tx.outcomes.of(one.trace_id))) == 2


@pytest.mark.parametrize(("agent", "expected", "by"), [
    ("other", "refund", "ana"), (NAME, "no label", "ana"), (NAME, "refund", " "),
])  # fmt: skip
async def test_what_cannot_be_a_case_changes_nothing(house, agent, expected, by):
    trace = await unlabelled(house)
    await house.agent("other")
    with pytest.raises(SurefootError):
        await enlist(house.ports, agent, trace, expected=expected, by=by)
    assert await cases(house) == []
    assert await house.read(lambda tx: tx.outcomes.of(trace)) == []

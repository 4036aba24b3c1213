"""Pruning: each learned block is measured alone, and what no longer helps is proposed, never taken from live."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted_house import HABITS, NAME, know, say

from surefoot.core.case import case_id
from surefoot.core.errors import Conflict, Forbidden
from surefoot.core.genome import Block, Genome
from surefoot.core.guardrail import Bounds
from surefoot.core.policy import Policy
from surefoot.engine.prune import prune
from surefoot.engine.register import offer_version
from surefoot.engine.worth import bought, values


async def grown(house, *rules, count: int = 240, **habits) -> Genome:
    """An agent whose live version has learned these rules since its base."""
    await house.agent(habits=replace(HABITS, **habits), policy=Policy(min_failures=3, min_sources=1))
    for split in ("shown", "hidden", "val", "sealed"):
        await house.cases(count // 4, split)
    agent = await house.read(lambda tx: tx.agents.get(NAME))
    base = await house.read(lambda tx: tx.versions.genome(agent.base))
    learned = [rule if isinstance(rule, Block) else Block(id=rule[0], kind="rule", text=rule[1]) for rule in rules]
    genome = Genome((*base.blocks, *learned))
    if not learned:
        return base
    version = await offer_version(house.ports, NAME, genome, by="ann", rationale="r")
    await house.write(lambda tx: tx.agents.swap(replace(tx.agents.get(NAME), live=version.number)))
    return genome


USEFUL = ("know-billing", "KNOW billing when you see it.")
IDLE = ("polite", "Mind the tone of what is asked.")
BAD = ("spoil", "BREAK other when you see it.")


def verdicts(found) -> dict[str, str]:
    return {one.block: one.verdict for one in found.worths}


async def test_each_learned_block_is_measured_alone(house):
    await grown(house, USEFUL, IDLE, BAD)
    found = await prune(house.ports, NAME)
    assert verdicts(found) == {"know-billing": "helps", "polite": "no longer helps", "spoil": "harms"}
    assert [edit.target for edit in found.edits] == ["spoil", "polite"]
    assert (found.cases, found.proposal) == (120, "")
    helped = found.worths[0]
    assert (helped.gained, helped.lost) == (40, 0)
    assert helped.low > 0.8


async def test_nothing_is_changed_without_apply_and_the_measurement_is_kept(house):
    genome = await grown(house, USEFUL, IDLE)
    await prune(house.ports, NAME)
    assert await house.read(lambda tx: tx.drafts.get(NAME)) is None
    kept = await house.read(lambda tx: bought(tx, NAME, genome))
    assert {name: one["verdict"] for name, one in kept.items()} == {
        "know-billing": "helps", "polite": "no longer helps"
    }  # fmt: skip
    assert kept["know-billing"]["version"] == 2
    assert "at" in kept["polite"]
    assert "blocks-measured" in await house.actions()


async def test_apply_puts_the_retirement_into_the_draft_and_nothing_live(house):
    genome = await grown(house, USEFUL, IDLE, BAD)
    found = await prune(house.ports, NAME, apply=True)
    draft = await house.read(lambda tx: tx.drafts.get(NAME))
    assert [(edit.kind, edit.target) for edit in draft.edits] == [("retire", "spoil"), ("retire", "polite")]
    assert found.proposal == f"P-{NAME}-prune-1"
    assert (await house.read(lambda tx: tx.proposals.get(found.proposal))).state == "accepted"
    live = await house.live()
    assert await house.read(lambda tx: tx.versions.genome(tx.versions.get(NAME, live).genome)) == genome
    again = await prune(house.ports, NAME, apply=True)
    assert (again.edits, again.proposal) == ((), "")


async def test_a_draft_that_only_prunes_spends_no_look_until_something_gains(house):
    await grown(house, USEFUL, IDLE)
    await prune(house.ports, NAME, apply=True)
    await house.history(30, labels=("other", "billing"))
    report = await house.tick()
    assert (report["outcome"], report["release"]) == ("nothing_to_fix", None) or report["outcome"] == "hold"
    assert await house.read(lambda tx: tx.looks.all(NAME)) == []
    await house.history(60, start=100)
    report = await house.tick()
    assert report["outcome"] == "accepted"
    assert report["release"]["version"] == 3
    made = await house.read(lambda tx: tx.versions.genome(tx.versions.get(NAME, 3).genome))
    assert [block.id for block in made.blocks if block.kind == "rule"] == ["other", "know-billing", "know-refund"]
    lever = await house.read(lambda tx: tx.levers.get(NAME, "L-prune"))
    assert lever.state == "shipped"


async def test_two_rules_that_say_the_same_are_not_both_retired(house):
    await grown(house, USEFUL, ("again", "KNOW billing, really."))
    found = await prune(house.ports, NAME, apply=True)
    assert set(verdicts(found).values()) == {"no longer helps"}
    assert len(found.edits) == 1


async def test_few_cases_retire_nothing_and_say_how_many_would(house):
    await grown(house, IDLE, count=24)
    found = await prune(house.ports, NAME, apply=True)
    assert verdicts(found) == {"polite": "cannot tell"}
    assert found.edits == ()
    assert (found.worths[0].needed or 0) >= 10


async def test_a_pinned_block_is_measured_and_stays(house):
    await grown(house, Block(id="polite", kind="rule", text=IDLE[1], pinned=True))
    found = await prune(house.ports, NAME, apply=True)
    assert verdicts(found) == {"polite": "no longer helps"}
    assert (found.edits, found.proposal) == ((), "")


async def test_a_rule_for_one_slice_is_asked_about_that_slice_only(house):
    rule = Block(id="acme", kind="rule", text="KNOW refund", applies_to=(("tenant", "acme"),))
    await grown(house, rule, count=40)
    await house.cases(60, "val", start=70_000, labels=("refund",), slices={"tenant": "acme"})
    house.model.asked.clear()
    found = await prune(house.ports, NAME)
    assert verdicts(found) == {"acme": "helps"}
    assert found.worths[0].n == 60
    assert len(house.model.asked) == 120  # no case outside the slice was asked


async def test_a_learned_section_goes_back_to_the_words_of_the_base(house):
    genome = await grown(house)
    section = next(block for block in genome.blocks if block.kind == "section" and not block.locked)
    changed = Genome(tuple(
        replace(block, text=block.text + "\nMind the tone.") if block.id == section.id else block
        for block in genome.blocks
    ))  # fmt: skip
    version = await offer_version(house.ports, NAME, changed, by="ann", rationale="r")
    await house.write(lambda tx: tx.agents.swap(replace(tx.agents.get(NAME), live=version.number)))
    found = await prune(house.ports, NAME, apply=True)
    assert [(edit.kind, edit.target, edit.text) for edit in found.edits] == [("replace", section.id, section.text)]


async def test_a_report_only_or_stopped_agent_is_measured_but_not_changed(house):
    await grown(house, IDLE)
    await house.change(policy=Policy(autonomy="report_only"))
    assert verdicts(await prune(house.ports, NAME)) == {"polite": "no longer helps"}
    with pytest.raises(Forbidden):
        await prune(house.ports, NAME, apply=True)
    await house.change(policy=Policy(), stopped=True)
    with pytest.raises(Conflict, match="is stopped"):
        await prune(house.ports, NAME, apply=True)


async def test_the_measured_worth_decides_what_makes_room(house):
    genome = await grown(house, USEFUL, IDLE, headroom=0.0)
    await prune(house.ports, NAME)
    known = await house.read(lambda tx: values(tx, NAME, genome))
    assert known["know-billing"] > 0 > known["polite"]
    await house.change(bounds=Bounds(active_rules=3))
    house.improver.plan = lambda brief: [know("refund", target="a-new-one")]
    await house.history(60)
    await house.tick()
    (filed,) = await house.read(lambda tx: tx.proposals.all(NAME))
    # By age and name alone `know-billing` would go.
    assert filed.evidence["evicted"] == ["polite"]


async def test_a_block_is_measured_on_cases_like_those_it_was_learned_from(house):
    cited = case_id(NAME, say("shown50002", "billing"), "billing")
    await grown(house, Block(id="polite", kind="rule", text=IDLE[1], evidence=(cited,)), count=240)
    (found,) = (await prune(house.ports, NAME)).worths
    assert (found.n, found.verdict) == (40, "no longer helps")  # the billing cases among 120

"""An improvement reaches only the domain where it was proven (S2-06): elsewhere the prompt is equal byte for byte."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from scripted_house import HABITS, NAME, know

from surefoot.core.edit import apply_edits
from surefoot.core.genome import Block, Genome, render
from surefoot.core.policy import Policy
from surefoot.core.starter import starting_genome
from surefoot.engine.evaluate import examine
from surefoot.engine.serve import serve
from surefoot.ports import Answer

ACME = {"tenant": "acme"}


def for_acme(edit):
    return replace(edit, applies_to=(("tenant", "acme"),))


async def scene(house) -> None:
    """Refunds fail everywhere; the improver answers them for one tenant."""
    await house.agent(policy=Policy(min_failures=3, min_sources=1), habits=replace(HABITS, slots=5))
    await house.history(90, labels=("other", "refund"))
    for split in ("hidden", "val", "sealed"):
        await house.cases(60, split, labels=("other", "refund"), slices=ACME)
        await house.cases(60, split, labels=("other", "refund"), start=60_000, slices={"tenant": "globex"})
    house.improver.plan = lambda brief: [for_acme(know("refund"))]


async def test_a_rule_for_one_tenant_is_released_and_serves_that_tenant_only(house):
    await scene(house)
    report = await house.tick()
    assert (report["outcome"], report["release"]["version"]) == ("accepted", 2)
    look = report["release"]["looks"][0]
    assert (look["verdict"], look["gained"], look["lost"]) == ("pass", 30, 0)
    made = await house.read(lambda tx: tx.versions.genome(tx.versions.get(NAME, 2).genome))
    assert made.block("know-refund").applies_to == (("tenant", "acme"),)
    await house.change(live=2)
    await house.write(lambda tx: [tx.rollouts.swap(replace(one, state="aborted", weight_percent=0.0,
                                                           closed_at=house.ports.clock()))
                                  for one in tx.rollouts.all(NAME)])  # fmt: skip
    answers = [(await serve(house.ports, NAME, "my money #refund", slices=slices, source="u")).text
               for slices in (ACME, {"tenant": "globex"}, {})]  # fmt: skip
    assert answers == ["refund", "other", "other"]
    systems = [asked.system for asked in house.model.asked[-3:]]
    live = await house.read(lambda tx: tx.versions.genome(tx.versions.get(NAME, 1).genome))
    assert systems[1] == systems[2] == render(live)
    assert systems[0] != systems[1]


async def test_outside_its_domain_a_candidate_is_not_even_asked_anew(house):
    await scene(house)
    agent = await house.read(lambda tx: tx.agents.get(NAME))
    live = await house.read(lambda tx: tx.versions.genome(agent.base))
    candidate = apply_edits(live, [for_acme(know("refund"))])
    cases = await house.read(lambda tx: tx.cases.of(NAME, ("val",)))
    lots = iter(range(10_000))
    # A model without any rhyme or reason: each answer is another lot.
    house.model.trouble = lambda question: Answer(text=("other", "refund")[next(lots) % 3 == 0], cost=house.model.cost)
    before, after = await examine(house.ports, agent, [live, candidate], cases)
    outside = [case for case in cases if case.slices != ACME]
    assert len(house.model.asked) == 2 * len(cases) - len(outside)
    assert all(before[case.id] == after[case.id] for case in outside)
    assert any(before[case.id] != after[case.id] for case in cases)
    again = len(house.model.asked)
    (alone,) = await examine(house.ports, agent, [candidate], cases)
    assert len(house.model.asked) == again
    assert alone == after


async def test_a_rule_that_harms_its_own_domain_is_refused_there(house):
    await scene(house)
    house.improver.plan = lambda brief: [
        for_acme(know("refund")), replace(for_acme(know("x")), target="spoil", text="BREAK other when you see it.")
    ]  # fmt: skip
    report = await house.tick()
    drafted = [edit["target"] for edit in report["edits"]]
    assert report["outcome"] == "accepted"
    assert drafted == ["know-refund"]


values = st.sampled_from(["acme", "globex", "initech"])
slices = st.dictionaries(st.sampled_from(["tenant", "route", "language"]), values, max_size=3)
rules = st.lists(
    st.builds(
        lambda n, text, where: Block(id=f"r{n}", kind="rule", text=text, applies_to=tuple(sorted(where.items()))),
        st.integers(0, 10**6), st.text(min_size=1, max_size=40).filter(str.isprintable), slices,
    ),
    max_size=5, unique_by=lambda block: block.id,
)  # fmt: skip


@given(rules, slices.filter(bool), slices)
def test_a_rule_leaves_no_trace_in_prompts_it_does_not_apply_to(known, where, here) -> None:
    genome = Genome((*starting_genome(("a", "b")).blocks, *known))
    rule = Block(id="new", kind="rule", text="Something new.", applies_to=tuple(sorted(where.items())))
    wider = Genome((*genome.blocks, rule))
    applies = all(here.get(name) == value for name, value in where.items())
    assert (render(wider, here) == render(genome, here)) == (not applies)

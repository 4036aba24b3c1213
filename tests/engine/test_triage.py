"""Triage: hold with a reason, sort cases before anyone looks who was right, and close only what is truly gone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from scripted_house import HABITS, NAME, know, say, taught

import surefoot.engine.triage as triage_room
from surefoot.core.case import groups, split_of
from surefoot.core.draft import Accepted, Draft
from surefoot.core.errors import Unavailable
from surefoot.core.policy import Policy
from surefoot.core.starter import starting_genome
from surefoot.core.token import any_agent
from surefoot.core.trace import Trace
from surefoot.engine.observe import observe
from surefoot.engine.triage import triage
from surefoot.ports import Answer


async def cases(house, *splits):
    return await house.read(lambda tx: tx.cases.of(NAME, splits or ("shown", "hidden", "val", "sealed")))


async def levers(house) -> dict[str, str]:
    return {lever.gap: lever.state for lever in await house.read(lambda tx: tx.levers.all(NAME))}


@pytest.mark.parametrize(("failures", "held"), [(19, True), (20, False)])
async def test_below_twenty_failures_it_holds_and_says_how_many_there_are(house, failures, held):
    await house.agent()
    await house.history(failures, labels=("refund",))
    found = await triage(house.ports, NAME)
    assert bool(found.hold) == held
    if held:
        assert found.hold.startswith("19 failures so far, 20 are needed")
        assert (found.gaps, found.levers, await levers(house)) == ((), (), {})
        assert house.model.asked == [], "it costs nothing to hold"


@pytest.mark.parametrize(("sources", "held"), [(1, True), (4, True), (5, False)])
async def test_below_five_sources_it_holds(house, sources, held):
    await house.agent()
    await house.history(60, labels=("refund",), sources=sources)
    found = await triage(house.ports, NAME)
    assert bool(found.hold) == held
    if held:
        assert f"come from {sources} source(s), 5 are needed" in found.hold
        assert house.model.asked == []


async def test_traffic_without_a_source_is_one_source_and_a_single_tenant_may_say_so(house):
    await house.agent(policy=Policy(min_sources=1))
    await house.agent("open")
    for name in (NAME, "open"):
        await house.history(30, name=name, labels=("refund",), sources=1)
    assert not (await triage(house.ports, NAME)).hold
    assert "1 source(s)" in (await triage(house.ports, "open")).hold


async def test_corrected_failures_do_not_count_towards_twenty(house):
    await house.agent()
    traces = await house.history(22, labels=("refund",))
    for trace_id in traces[:3]:
        await observe(house.ports, trace_id, verdict="success", sees=any_agent)
    assert "19 failures" in (await triage(house.ports, NAME)).hold


async def test_one_angry_user_is_a_tenth_of_a_lever_at_most(house):
    await house.agent()
    await house.history(20, labels=("billing",))
    await house.history(80, labels=("refund",), start=1000, sources=1)
    await house.history(18, labels=("refund",), start=5000)
    found = await triage(house.ports, NAME)
    sizes = {gap.key: Counter(failure.source for failure in gap.failures) for gap in found.gaps}
    everybody = sum(sizes.values(), Counter())
    assert max(everybody.values()) <= max(1, 0.1 * sum(everybody.values()))


async def test_cases_are_split_by_hash_before_anybody_asks_who_was_right(house):
    agent = await house.agent()
    await house.history(120)
    await triage(house.ports, NAME)
    found = await cases(house)
    assert len(found) == 120
    for case in found:
        assert case.split == split_of(agent.salt, case.group, agent.habits.shares)
    right = Counter(case.split for case in found if case.expected == "other")
    assert set(right) == {"shown", "hidden", "val", "sealed"}, "successes are in every split too"


async def test_triage_twice_sorts_nothing_twice(house):
    await house.agent()
    await house.history(60)
    await triage(house.ports, NAME)
    before, log = await cases(house), await house.read(lambda tx: tx.levers.all(NAME))
    notes = [await house.read(lambda tx, one=lever: tx.levers.log(NAME, one.id)) for lever in log]
    asked = len(house.model.asked)
    await triage(house.ports, NAME)
    assert await cases(house) == before
    assert [await house.read(lambda tx, one=lever: tx.levers.log(NAME, one.id)) for lever in log] == notes
    assert len(house.model.asked) == asked, "answers are remembered"


async def test_more_traffic_than_one_batch_is_sorted_to_the_end(house, monkeypatch):
    monkeypatch.setattr(triage_room, "BATCH", 7)
    await house.agent()
    await house.history(50)
    await triage(house.ports, NAME)
    assert len(await cases(house)) == 50
    assert await house.read(lambda tx: tx.traces.uncased(NAME, 10)) == []


def near(number: int, twist: int) -> str:
    """A variant of the text number `number`: one more word at the end."""
    return f"{say(number, 'refund').partition(' #')[0]} variant{twist} #refund"


async def test_a_near_duplicate_joins_the_split_of_its_group_whenever_it_comes(house):
    await house.agent()
    await house.history(60, labels=("refund",))
    await triage(house.ports, NAME)
    first = {case.input: case for case in await cases(house)}
    for twist in range(3):
        await house.history(60, labels=("refund",), text=lambda n, _, t=twist: near(n, t), start=0)
        await triage(house.ports, NAME)
    by_text = {case.input: case for case in await cases(house)}
    assert len(by_text) == 240
    for number in range(60):
        original = first[say(number, "refund")]
        for twist in range(3):
            assert (by_text[near(number, twist)].split, by_text[near(number, twist)].group) == (
                original.split, original.group
            )  # fmt: skip


async def test_near_duplicates_of_cases_that_an_operator_sealed_stay_sealed(house):
    await house.agent()
    sealed = {case.input for case in await house.cases(30, "sealed", labels=("refund",))}
    texts = sorted(sealed)
    await house.history(30, labels=("refund",), text=lambda n, _: texts[n].partition(" #")[0] + " please #refund")
    await triage(house.ports, NAME)
    assert len(await cases(house, "sealed")) == 60
    assert await cases(house, "shown", "hidden", "val") == []


async def test_a_text_that_links_a_shown_and_a_held_out_case_is_given_to_neither(house):
    agent = await house.agent()
    words = [f"w{n}" for n in range(200)]
    starts = range(0, 180, 6)
    texts = [" ".join(words[at : at + 16]) for at in starts]  # neighbours overlap by 40 %: not alike
    assert len(set(groups(texts))) == len(texts)
    await house.history(len(texts), labels=("refund",), text=lambda n, _: texts[n])
    await triage(house.ports, NAME)
    split = {case.input: case.split for case in await cases(house)}
    bridges = [" ".join(words[at + 3 : at + 19]) for at in starts]  # alike to the text before and to the one after
    assert len(set(groups([*texts[:2], bridges[0]]))) == 1
    linked = [
        bridge
        for at, bridge in enumerate(bridges[:-1])
        if "shown" in {split[texts[at]], split[texts[at + 1]]} and split[texts[at]] != split[texts[at + 1]]
    ]
    assert linked, f"the salt {agent.salt} puts no neighbours apart"
    await house.history(len(linked), labels=("refund",), text=lambda n, _: linked[n], start=0)
    await triage(house.ports, NAME)
    shown = [case.input for case in await cases(house, "shown")]
    held = [case.input for case in await cases(house, "hidden", "val", "sealed")]
    together = groups([*shown, *held])
    assert not set(together[: len(shown)]) & set(together[len(shown) :]), "no shown text is like a held-out one"


async def test_only_what_fails_again_on_the_draft_becomes_a_lever(house):
    await house.agent()
    await house.history(90)
    agent = await house.read(lambda tx: tx.agents.get(NAME))
    accepted = Accepted(
        proposal="P-1", lever="L-1", improver="scripted", edits=(know("refund"),), evidence="", rationale=""
    )
    await house.write(lambda tx: tx.drafts.swap(Draft(agent=NAME, on=agent.live, ticks=1, accepted=(accepted,))))
    found = await triage(house.ports, NAME)
    assert [gap.key for gap in found.gaps] == ["missed:billing"]
    assert await levers(house) == {"missed:billing": "open"}


async def test_a_failure_that_flickers_makes_no_lever_alone(house):
    await house.agent(habits=replace(HABITS, repeats=3))
    await house.history(60, labels=("refund",))
    seen = Counter()

    def flicker(question):
        seen[question.user] += 1
        return Answer(text="refund") if seen[question.user] == 2 else None

    house.model.trouble = flicker
    found = await triage(house.ports, NAME)
    assert (found.gaps, found.levers, found.hold) == ((), (), "")
    assert set(seen.values()) == {3}


async def test_a_lever_whose_failures_are_gone_is_closed_and_comes_back_with_them(house):
    await house.agent()
    await house.history(60, labels=("refund",))
    await triage(house.ports, NAME)
    assert await levers(house) == {"missed:refund": "open"}

    def promote(tx):
        genome = taught(starting_genome(("other", "billing", "refund")), "other", "refund")
        agent = tx.agents.get(NAME)
        version = replace(tx.versions.get(NAME, 1), number=2, genome=genome.digest, parent=1)
        tx.versions.add(version, genome)
        tx.agents.swap(replace(agent, live=2))

    await house.write(promote)
    await triage(house.ports, NAME)
    assert await levers(house) == {"missed:refund": "closed"}
    await house.write(lambda tx: tx.agents.swap(replace(tx.agents.get(NAME), live=1)))
    await triage(house.ports, NAME)
    assert await levers(house) == {"missed:refund": "open"}
    (lever,) = await house.read(lambda tx: tx.levers.all(NAME))
    words = [text.partition(":")[0] for _, text in await house.read(lambda tx: tx.levers.log(NAME, lever.id))]
    assert words == ["open", "closed", "open"]


async def test_a_model_that_is_away_closes_no_lever_it_holds(house):
    await house.agent()
    await house.history(60, labels=("refund",))
    await triage(house.ports, NAME)
    await house.history(40, labels=("billing",), start=500)

    def away(question):
        raise Unavailable("the model is away")

    house.model.trouble = away
    house.model.asked.clear()
    found = await triage(house.ports, NAME)
    assert "scripted gave no answer to" in found.hold
    assert await levers(house) == {"missed:refund": "open"}


async def test_a_failure_without_an_expectation_counts_but_makes_no_case(house):
    await house.agent()
    for number in range(25):
        served = await house.serve(number)
        await observe(house.ports, served.trace_id, verdict="failure", sees=any_agent)
    found = await triage(house.ports, NAME)
    assert (found.hold, found.gaps, await cases(house)) == ("", (), [])


async def test_the_same_text_with_two_labels_stays_in_one_split(house):
    await house.agent()
    for label in ("refund", "billing", "other"):
        await house.history(40, labels=(label,), text=lambda n, _: say(n, "x"))
    await triage(house.ports, NAME)
    splits: dict[str, set[str]] = {}
    for case in await cases(house):
        splits.setdefault(case.input, set()).add(case.split)
    assert len(splits) == 40
    assert all(len(one) == 1 for one in splits.values())


async def test_an_outcome_that_is_corrected_before_triage_makes_one_case_with_the_last_label(house):
    await house.agent()
    traces = await house.history(25, labels=("refund",))
    await observe(house.ports, traces[0], expected="billing", sees=any_agent)
    await triage(house.ports, NAME)
    assert Counter(case.expected for case in await cases(house)) == {"refund": 24, "billing": 1}


async def test_traces_of_another_agent_make_no_cases_here(house):
    await house.agent()
    await house.agent("other")
    await house.history(30, name="other", labels=("refund",))
    await triage(house.ports, NAME)
    assert await cases(house) == []
    assert len(await house.read(lambda tx: tx.traces.uncased("other", 100))) == 30


async def test_a_rerun_uses_the_slices_of_the_request(house):
    await house.agent()

    def work(tx):
        for number in range(30):
            now = house.clock()
            tx.traces.add(Trace(
                id=f"t{number}", agent=NAME, version=1, unit="u", input=say(number, "refund"), output="other",
                finish="stop", at=now, source=f"s{number}", slices={"tenant": "acme"},
            ))  # fmt: skip

    await house.write(work)
    for number in range(30):
        await observe(house.ports, f"t{number}", expected="refund", sees=any_agent)
    await triage(house.ports, NAME)
    assert {tuple(case.slices.items()) for case in await cases(house)} == {(("tenant", "acme"),)}

"""Search: edits are tested on cases whose text the improver never saw, together first and halved on failure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted_house import LABELS, NAME, breaks, know

from surefoot.core.edit import Edit
from surefoot.core.errors import Unavailable
from surefoot.engine.search import MAX_TRIALS, kept, search


async def searched(house, edits, *, gap: str = "missed:refund"):
    agent = await house.read(lambda tx: tx.agents.get(NAME))
    live = await house.read(lambda tx: tx.versions.genome(agent.base))
    return await search(house.ports, agent, live, edits, gap=gap, seed="seed", scope="tick/1")


async def scene(house, **sizes):
    await house.agent()
    for split, count in {"shown": 60, "hidden": 30, "val": 30, "sealed": 30, **sizes}.items():
        await house.cases(count, split)


async def test_an_edit_that_helps_is_accepted_at_once_and_the_sealed_cases_stay_closed(house):
    await scene(house)
    (trial,) = await searched(house, [know("refund")])
    assert (trial.verdict.verdict, trial.verdict.reason) == ("accept", "gain_shown")
    assert kept([trial]) == trial
    sealed = {case.id for case in await house.read(lambda tx: tx.cases.of(NAME, ("sealed", "later", "untouched")))}
    assert sealed
    assert not sealed & {question.case_id for question in house.model.asked}


async def test_an_edit_that_does_nothing_is_not_accepted(house):
    await scene(house)
    (trial,) = await searched(house, [Edit(kind="add", target="chat", text="Be kind.")])
    assert trial.verdict.verdict in ("undecided", "futile")
    assert kept([trial]) is None


async def test_an_edit_that_gains_here_and_loses_elsewhere_is_vetoed(house):
    await scene(house)
    trials = await searched(house, [know("refund"), breaks("other")])
    assert trials[0].verdict.verdict != "accept"
    assert kept(trials) == trials[-1]
    assert [edit.target for edit in trials[-1].edits] == ["know-refund"], "the good half alone"


async def test_harm_on_past_successes_is_a_veto_though_the_target_gains(house):
    await scene(house, val=9)
    await house.cases(60, "shown", start=900, labels=("other",))
    (trial,) = await searched(house, [Edit(kind="add", target="both", text="KNOW refund, but BREAK other.")])
    assert (trial.verdict.verdict, trial.verdict.reason) == ("veto", "harm_shown")
    assert (trial.verdict.tally.gained, trial.verdict.tally.lost) == (13, 3)


async def test_a_must_pass_case_that_is_lost_is_a_veto_whatever_is_gained(house):
    await scene(house)
    await house.cases(1, "val", start=900, labels=("other",), must_pass=True)
    (trial,) = await searched(house, [Edit(kind="add", target="both", text="KNOW refund, but BREAK other.")])
    assert (trial.verdict.verdict, trial.verdict.reason) == ("veto", "must_pass_lost")


async def test_the_search_ends_after_its_bound_of_trials(house):
    await scene(house)
    edits = [Edit(kind="add", target=f"n{n}", text=f"Nothing {n}.") for n in range(16)]
    trials = await searched(house, edits)
    assert len(trials) == MAX_TRIALS
    assert [len(trial.edits) for trial in trials] == [16, 8, 8, 4, 4, 4, 4]


async def test_half_a_set_that_makes_no_sense_alone_is_left_out(house):
    await scene(house)
    edits = [
        Edit(kind="add", target="new", text="Nothing at all."),
        Edit(kind="replace", target="new", text="Nothing again."),
    ]
    trials = await searched(house, edits)
    assert [tuple(edit.kind for edit in trial.edits) for trial in trials] == [("add", "replace"), ("add",)]


async def test_without_any_case_nothing_is_accepted(house):
    await house.agent()
    (trial,) = await searched(house, [know("refund")])
    assert (trial.verdict.verdict, trial.verdict.reason) == ("undecided", "nothing_scored")


async def test_a_model_that_is_away_proves_nothing(house):
    await scene(house)

    def away(question):
        raise Unavailable("away")

    house.model.trouble = away
    trials = await searched(house, [know("refund")])
    assert [trial.verdict.verdict for trial in trials] == ["undecided"]


async def test_a_candidate_that_leaves_out_the_cases_it_would_lose_gains_nothing_by_it(house):
    await scene(house)

    def picky(question):
        if "KNOW refund" in question.system and not question.user.endswith("#refund"):
            raise Unavailable("it would rather not")

    house.model.trouble = picky
    trials = await searched(house, [know("refund")])
    assert kept(trials) is None
    assert trials[0].verdict.reason == "too_many_unscored"


async def test_the_target_is_the_gap_s_hidden_cases_and_all_of_val(house):
    await scene(house)
    (trial,) = await searched(house, [know("refund")])
    assert trial.verdict.tally.n == 30 + 10
    assert (trial.verdict.tally.gained, trial.verdict.tally.lost) == (20, 0)


@pytest.mark.parametrize("order", [1, -1])
async def test_the_good_edit_is_found_wherever_it_stands(house, order):
    await scene(house)
    bad = [breaks(label) for label in LABELS[:1]]
    trials = await searched(house, ([know("refund"), *bad])[::order])
    found = kept(trials)
    assert found is not None
    assert [edit.target for edit in found.edits] == ["know-refund"]
    assert found.genome.has("know-refund")
    assert not found.genome.has("break-other")


async def test_a_draft_is_what_the_next_search_stands_on(house):
    await scene(house)
    agent = await house.read(lambda tx: tx.agents.get(NAME))
    live = await house.read(lambda tx: tx.versions.genome(agent.base))
    (first,) = await searched(house, [know("refund")])
    (second,) = await search(
        house.ports, agent, first.genome, [know("billing")], gap="missed:billing", seed="seed", scope="tick/2"
    )
    assert second.genome.has("know-refund")
    assert second.genome.has("know-billing")
    assert replace(second.verdict, sentence="").tally.gained == 20
    assert not live.has("know-refund"), "nothing of it is live"

"""Outcomes: late, repeated, corrected, missing; the last one that is known counts, and unknown never does."""

from __future__ import annotations

import asyncio

import pytest
from scripted_house import NAME

from surefoot.core.errors import Invalid, NotFound
from surefoot.core.score import settled
from surefoot.core.token import any_agent
from surefoot.engine.observe import observe, violate
from surefoot.ports import Verdicts


async def one(house, label: str = "refund", **given) -> str:
    return (await house.serve(1, label, **given)).trace_id


async def failing(house) -> list[str]:
    return [failure.trace_id for failure in await house.read(lambda tx: tx.outcomes.failures(NAME, limit=500))]


async def test_a_wrong_answer_is_a_failure_with_input_prediction_and_expectation_of_its_version(house):
    await house.agent()
    trace_id = await one(house)
    outcome = await observe(
        house.ports, trace_id, expected=" Refund ", source="customer", feedback="no!", sees=any_agent
    )
    assert (outcome.verdict, outcome.expected) == ("failure", "Refund")
    (failure,) = await house.read(lambda tx: tx.outcomes.failures(NAME, limit=5))
    assert (failure.predicted, failure.expected, failure.version, failure.source) == ("other", "Refund", 1, "user-1")
    assert failure.input.endswith("#refund")


async def test_an_answer_is_compared_stripped_and_in_lower_case(house):
    await house.agent()
    trace_id = await one(house, "other")
    assert (await observe(house.ports, trace_id, expected=" OTHER\n", sees=any_agent)).verdict == "success"
    assert await failing(house) == []


async def test_no_expectation_is_no_failure_and_no_success(house):
    await house.agent()
    trace_id = await one(house)
    with pytest.raises(Invalid, match="says nothing"):
        await observe(house.ports, trace_id, expected="  ", sees=any_agent)
    assert (await observe(house.ports, trace_id, verdict="unknown", sees=any_agent)).verdict == "unknown"
    assert await house.read(lambda tx: tx.outcomes.labelled(NAME)) == Verdicts(unknown=1)
    assert await failing(house) == []


@pytest.mark.parametrize(
    ("score", "verdict"), [(0.0, "failure"), (0.49, "failure"), (0.5, "success"), (1.0, "success")]
)
async def test_a_bare_score_is_a_success_from_one_half_on(house, score, verdict):
    await house.agent()
    assert (await observe(house.ports, await one(house), score=score, sees=any_agent)).verdict == verdict


@pytest.mark.parametrize("score", [-0.01, 1.01, float("nan"), float("inf")])
async def test_an_impossible_score_is_refused_and_leaves_nothing(house, score):
    await house.agent()
    trace_id = await one(house)
    with pytest.raises(Invalid, match="outside"):
        await observe(house.ports, trace_id, score=score, sees=any_agent)
    assert await house.read(lambda tx: tx.outcomes.of(trace_id)) == []


async def test_a_label_the_agent_does_not_have_is_refused_and_named(house):
    await house.agent()
    trace_id = await one(house)
    with pytest.raises(Invalid, match="'refnud'") as caught:
        await observe(house.ports, trace_id, expected="refnud", sees=any_agent)
    assert "billing, other, refund" in caught.value.hint
    assert await house.read(lambda tx: tx.outcomes.of(trace_id)) == []


async def test_an_outcome_for_no_trace_is_refused(house):
    await house.agent()
    with pytest.raises(NotFound, match="'nowhere'"):
        await observe(house.ports, "nowhere", verdict="failure", sees=any_agent)


async def test_outcomes_are_appended_and_the_last_known_one_counts(house):
    await house.agent()
    trace_id = await one(house)
    said = ["failure", "failure", "unknown", "success", "unknown", "failure", "success", "unknown"]
    for verdict in said:
        house.later(days=1)
        await observe(house.ports, trace_id, verdict=verdict, sees=any_agent)
        outcomes = await house.read(lambda tx: tx.outcomes.of(trace_id))
        counts = settled(outcomes)
        labelled = await house.read(lambda tx: tx.outcomes.labelled(NAME))
        assert labelled == Verdicts(**{counts.verdict: 1})
        assert (await failing(house) == [trace_id]) == (counts.verdict == "failure")
    assert [outcome.verdict for outcome in outcomes] == said, "nothing is overwritten"
    assert [outcome.at for outcome in outcomes] == sorted(outcome.at for outcome in outcomes)


async def test_a_correction_removes_the_failure_and_a_second_one_brings_it_back_with_the_new_expectation(house):
    await house.agent()
    trace_id = await one(house)
    await observe(house.ports, trace_id, expected="refund", sees=any_agent)
    await observe(house.ports, trace_id, expected="other", sees=any_agent)
    assert await failing(house) == []
    await observe(house.ports, trace_id, expected="billing", sees=any_agent)
    (failure,) = await house.read(lambda tx: tx.outcomes.failures(NAME, limit=5))
    assert failure.expected == "billing"


async def test_the_list_holds_the_last_five_hundred_and_corrections_make_room_for_older_ones(house):
    await house.agent()
    traces = await house.history(520, labels=("refund",))
    assert await failing(house) == traces[:19:-1]
    for trace_id in traces[-10:]:
        await observe(house.ports, trace_id, verdict="success", sees=any_agent)
    assert await failing(house) == traces[509:9:-1]


async def test_a_violation_rolls_the_challenger_back_though_somebody_calls_the_answer_right(house):
    from surefoot.engine.operate import reconcile

    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 45)
    served = next(one for one in [await house.serve(n, unit=f"u{n}") for n in range(30)] if one.version == 2)
    await violate(house.ports, served.trace_id, "leaked a key")
    await observe(house.ports, served.trace_id, verdict="success", sees=any_agent)
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason, row.weight_after) == ("roll_back", "zero_tolerance", 0)


async def test_a_violation_of_the_incumbent_does_not_blame_the_challenger(house):
    await house.agent()
    rollout = await house.rollout()
    served = next(one for one in [await house.serve(n, unit=f"u{n}") for n in range(30)] if one.version == 1)
    await violate(house.ports, served.trace_id, "leaked a key")
    assert await house.read(lambda tx: tx.rollouts.violations(rollout.id)) == 0
    assert await failing(house) == [served.trace_id]
    assert "violation" in await house.actions()


async def test_fifty_outcomes_at_once_are_all_kept(house):
    await house.agent()
    traces = await house.history(50, labels=("refund",))
    await asyncio.gather(*(observe(house.ports, trace_id, verdict="unknown", sees=any_agent) for trace_id in traces))
    await asyncio.gather(*(
        observe(house.ports, traces[0], verdict="failure", feedback=str(n), sees=any_agent) for n in range(50)
    ))  # fmt: skip
    outcomes = await house.read(lambda tx: tx.outcomes.of(traces[0]))
    assert sorted(outcome.feedback for outcome in outcomes if outcome.feedback) == sorted(map(str, range(50)))
    assert len(await failing(house)) == 50


@pytest.mark.slow
async def test_the_failure_log_loses_nothing_to_many_processes(builder, in_processes):
    house = builder.open()
    await house.agent()
    program = (
        "import asyncio, sys; from pathlib import Path; from scripted_house import opened\n"
        "from surefoot.core.token import any_agent\n"
        "from surefoot.engine.observe import observe\n"
        "house = opened(Path(sys.argv[1]), 900 + int(sys.argv[2]))\n"
        "async def one(n):\n"
        "    served = await house.serve(f'{sys.argv[2]}-{n}')\n"
        "    await observe(house.ports, served.trace_id, expected='refund', sees=any_agent)\n"
        "async def run(): await asyncio.gather(*[one(n) for n in range(60)])\n"
        "asyncio.run(run())"
    )
    in_processes(program, str(builder.path), count=4)
    found = await house.read(lambda tx: tx.outcomes.failures(NAME, limit=500))
    assert len(found) == len({failure.input for failure in found}) == 240

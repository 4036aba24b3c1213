"""Triage by cause: what flickers makes no rule, what no edit can mend is for people, and rank follows impact."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from scripted_house import HABITS, NAME, say

from surefoot.core.backlog import Lever, top
from surefoot.core.policy import Policy
from surefoot.core.score import Outcome
from surefoot.core.token import any_agent
from surefoot.core.trace import Trace
from surefoot.engine.observe import observe
from surefoot.engine.triage import triage
from surefoot.ports import Answer


async def levers(house) -> dict[str, Lever]:
    return {lever.gap: lever for lever in await house.read(lambda tx: tx.levers.all(NAME))}


async def answered(house, count: int, *, start: int = 0, verdict: str = "success", **given) -> None:
    """Answers with what was measured, each said to be right (or what `verdict` is)."""
    now = house.clock()
    said = {name: given.pop(name) for name in ("score", "feedback", "expected", "by") if name in given}

    def work(tx):
        for number in range(start, start + count):
            tx.traces.add(Trace(
                id=f"m{number}", agent=NAME, version=1, unit="u", input=say(number, "other"), output="other",
                finish="stop", at=now, source=f"user-{number}", **given,
            ))  # fmt: skip
            tx.outcomes.add(Outcome(trace_id=f"m{number}", verdict=verdict, at=now, source=said.get("by", "test"),
                                    score=said.get("score"), feedback=said.get("feedback", ""),
                                    expected=said.get("expected", "")))  # fmt: skip

    await house.write(work)
    house.later(seconds=1)


# Reproduction --------------------------------------------------------------------------------------------------------


async def test_flaky_failures_are_counted_and_leave_the_lever_to_those_that_last(house):
    await house.agent(habits=replace(HABITS, repeats=3))
    await house.history(60, labels=("refund",))
    seen: Counter[str] = Counter()
    texts: list[str] = []

    def flicker(question):
        seen[question.user] += 1
        if question.user not in texts:
            texts.append(question.user)
        odd = texts.index(question.user) % 2
        return Answer(text="refund") if odd and seen[question.user] == 2 else None

    house.model.trouble = flicker
    found = await triage(house.ports, NAME)
    assert found.again["flaky"] + found.again["deterministic"] == len(texts)
    assert found.again["flaky"] > 3
    (gap,) = found.gaps
    assert len(gap.failures) == found.again["deterministic"]
    flaky = {text for text in texts if texts.index(text) % 2}
    assert flaky.isdisjoint(failure.input for failure in gap.failures)


async def test_a_message_that_many_sent_is_run_once_and_counts_for_all_of_them(house):
    await house.agent()
    await house.history(30, labels=("refund",))
    await house.history(40, labels=("refund",), start=100, text=lambda n, label: say(7, label))
    found = await triage(house.ports, NAME)
    (gap,) = found.gaps
    assert sum(one.input == say(7, "refund") for one in gap.failures) <= 1
    assert max(Counter(question.user for question in house.model.asked).values()) == 1
    counted = sum(one.seen for one in gap.failures)
    assert gap.impact == counted / 70


# Rank ----------------------------------------------------------------------------------------------------------------


async def test_what_is_worse_ranks_before_what_is_as_frequent(house):
    await house.agent()
    traces = await house.history(80, labels=("refund", "billing"))
    for number, trace_id in enumerate(traces):
        half_right = number % 2 == 0
        await observe(house.ports, trace_id, verdict="failure", score=0.6 if half_right else 0.0,
                      expected=("refund", "billing")[number % 2], sees=any_agent)  # fmt: skip
    found = await triage(house.ports, NAME)
    by_gap = await levers(house)
    assert found.levers[0].gap == "missed:billing"
    assert by_gap["missed:refund"].severity == pytest.approx(0.4)
    assert by_gap["missed:refund"].worth < by_gap["missed:billing"].worth


async def test_what_was_tried_in_vain_comes_later(house):
    await house.agent()
    await house.history(90, labels=("refund", "billing", "refund"))
    await triage(house.ports, NAME)
    best = (await levers(house))["missed:refund"]
    await house.write(lambda tx: tx.levers.put(replace(best, tries=3)))
    found = await triage(house.ports, NAME)
    assert (await levers(house))["missed:refund"].tries == 3
    assert top(found.levers).gap == "missed:billing"


# For people ----------------------------------------------------------------------------------------------------------


async def test_a_tool_that_breaks_is_shown_to_people_and_never_papered_over_by_a_rule(house):
    await house.agent()
    await house.history(30, labels=("billing",))
    await answered(
        house, 25, start=900, verdict="failure", expected="refund", feedback="tool lookup: timeout after 30s"
    )
    found = await triage(house.ports, NAME)
    assert [gap.key for gap in found.gaps] == ["missed:billing"]
    assert [gap.key for gap in found.noted] == ["tool:lookup: timeout after #"]
    assert {lever.gap for lever in found.levers} == {"missed:billing"}
    kept = (await levers(house))["tool:lookup: timeout after #"]
    assert (kept.state, kept.failures, kept.for_people) == ("open", 25, True)
    assert all("refund" not in question.user for question in house.model.asked), "it is not run again either"


async def test_slow_and_weak_answers_are_levers_for_people_even_while_the_loop_holds(house):
    await house.agent()
    await answered(house, 40, latency_s=0.4)
    await answered(house, 5, start=100, latency_s=8.0, slices={"tenant": "acme"})
    await answered(house, 5, start=200, latency_s=0.4, score=0.1)
    found = await triage(house.ports, NAME)
    assert found.hold
    assert {lever.gap: lever.state for lever in (await levers(house)).values()} == {
        "slow:tenant=acme": "open", "weak:all": "open"
    }  # fmt: skip
    assert found.levers == ()
    report = await house.tick()
    assert report["outcome"] in ("hold", "nothing_to_fix")


async def test_a_lever_for_people_closes_when_its_answers_are_gone_and_leaves_the_others_alone(house):
    await house.agent(policy=Policy(min_failures=1))
    await house.history(40, labels=("refund",))
    await answered(house, 40, latency_s=0.4)
    await answered(house, 4, start=100, latency_s=8.0)
    await triage(house.ports, NAME)
    assert {gap for gap, lever in (await levers(house)).items() if lever.state == "open"} == {
        "slow:all", "missed:refund"
    }  # fmt: skip
    house.later(days=1)
    await answered(house, 600, start=1000, latency_s=0.4)
    await triage(house.ports, NAME)
    assert {gap: lever.state for gap, lever in (await levers(house)).items()} == {
        "slow:all": "closed", "missed:refund": "open"
    }  # fmt: skip


# Private values ------------------------------------------------------------------------------------------------------


async def test_what_may_not_be_stored_reaches_no_name_and_no_improver(house):
    await house.agent()
    ports = replace(house.ports, redact=lambda text: text.replace("bob@example.com", "[email:12345678]"))
    await house.history(60, labels=("refund",), text=lambda n, label: f"bob@example.com {say(n, label)}")
    found = await triage(ports, NAME)
    assert all("bob" not in lever.title for lever in found.levers)
    from surefoot.engine.improve import improve

    await improve(ports, found, found.levers[0], tick=1, scope="tick/1")
    (brief,) = house.improver.briefs
    assert brief.failures
    assert all("bob" not in example.input for example in (*brief.failures, *brief.others))

"""Policy: the level of a change and the autonomy of an agent decide what happens without a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.edit import EDIT_KINDS, Edit
from surefoot.core.errors import Conflict, Forbidden, SurefootError
from surefoot.core.genome import Block, Genome
from surefoot.core.policy import (
    Autonomy,
    ChangeLevel,
    Policy,
    level_between,
    level_of,
    may_canary,
    may_tick,
    rest_after,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AUTONOMIES = get_args(Autonomy)
POLICIES = st.builds(
    Policy,
    autonomy=st.sampled_from(AUTONOMIES), stakes=st.sampled_from(("normal", "high")), early_stage=st.booleans(),
    cooldown=st.timedeltas(timedelta(0), timedelta(days=9)),
)  # fmt: skip
EDITS = st.lists(
    st.builds(Edit, kind=st.sampled_from(EDIT_KINDS), target=st.sampled_from(["r1", "gate.x", "judge", "tool"])),
    max_size=5,
)


def verdict(question: Callable[[], None]) -> str:
    try:
        question()
    except SurefootError as no:
        return no.code
    return "yes"


# Levels


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_tools_are_level_three_and_words_level_two(kind: str) -> None:
    edit = Edit.from_document({"kind": kind, "target": "r1"})
    assert level_of([edit]) == (3 if "tool" in kind else 2)


@pytest.mark.parametrize(
    "target", ["engine", "gate.release", "policy.cooldown", "judge", "improver.prompt", "guardrail"]
)
@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_surefoots_own_parts_are_level_four_whatever_the_edit(target: str, kind: str) -> None:
    assert level_of([Edit.from_document({"kind": kind, "target": target})]) == 4


@pytest.mark.parametrize("target", ["engines", "my.gate", "gate-keeper", "judgement"])
def test_a_name_that_only_begins_alike_is_no_part_of_surefoot(target: str) -> None:
    assert level_of([Edit(kind="add", target=target, text="x")]) == 2


@given(EDITS, EDITS)
def test_the_highest_level_counts_and_company_never_lowers_it(some: list[Edit], more: list[Edit]) -> None:
    assert level_of([*some, *more]) == level_of([*more, *some]) == max(level_of(some), level_of(more))


RULE = Block(id="r1", kind="rule", text="Be brief.")
TOOL = Block(id="t1", kind="tool", text="Adds.")


@pytest.mark.parametrize(
    ("after", "level"),
    [
        ((RULE, TOOL), 2),
        ((TOOL, RULE), 2),
        ((RULE,), 2),
        ((replace(RULE, text="Be kind."), TOOL), 2),
        ((RULE, replace(TOOL, text="Adds and deletes.")), 3),
        ((RULE, replace(TOOL, text=" ")), 3),
        ((RULE, TOOL, replace(TOOL, id="t2")), 3),
        ((replace(RULE, kind="tool"), TOOL), 3),
        ((RULE, TOOL, Block(id="gate.release", kind="rule", text="x")), 4),
        ((RULE, Block(id="judge", kind="tool", text="x")), 4),
    ],
)
def test_the_level_between_two_genomes_sees_every_new_or_changed_tool(after: tuple[Block, ...], level: int) -> None:
    assert level_between(Genome((RULE, TOOL)), Genome(after)) == level


# Autonomy


@pytest.mark.parametrize("autonomy", AUTONOMIES)
def test_high_stakes_are_held_to_reports_and_an_early_stage_to_proposals(autonomy: Autonomy) -> None:
    assert Policy(autonomy=autonomy).effective == autonomy
    assert Policy(autonomy=autonomy, stakes="high").effective == "report_only"
    assert Policy(autonomy=autonomy, stakes="high", early_stage=True).effective == "report_only"
    early = Policy(autonomy=autonomy, early_stage=True).effective
    assert early == ("report_only" if autonomy == "report_only" else "propose")


@given(POLICIES)
def test_no_circumstance_makes_a_policy_looser_than_it_was_configured(policy: Policy) -> None:
    assert AUTONOMIES.index(policy.effective) <= AUTONOMIES.index(policy.autonomy)
    if policy.stakes == "high" or policy.early_stage:
        assert policy.effective in ("report_only", "propose")


@given(POLICIES, st.sampled_from(get_args(ChangeLevel)))
def test_only_words_of_an_autonomous_agent_reach_live_traffic_without_a_person(
    policy: Policy, level: ChangeLevel
) -> None:
    allowed = level <= 2 and policy.effective in ("canary", "auto")
    assert verdict(lambda: may_canary(policy, level)) == ("yes" if allowed else "forbidden")


def test_the_refusal_says_what_a_person_can_do() -> None:
    with pytest.raises(Forbidden, match="level 4") as core:
        may_canary(Policy(autonomy="auto"), 4)
    assert "by hand" in core.value.hint
    with pytest.raises(Forbidden, match="level 3") as tool:
        may_canary(Policy(autonomy="auto"), 3)
    assert "approve it before any traffic" in tool.value.hint
    with pytest.raises(Forbidden, match="autonomy is report_only") as stakes:
        may_canary(Policy(stakes="high"), 1)
    assert "rollout start" in stakes.value.hint


# Ticks


@pytest.mark.parametrize(
    "policy", [Policy(autonomy="report_only"), Policy(stakes="high"), Policy(stakes="high", autonomy="auto")]
)
def test_a_report_only_agent_never_ticks(policy: Policy) -> None:
    with pytest.raises(Forbidden, match="report-only"):
        may_tick(policy, None, NOW)


@given(POLICIES, st.none() | st.timedeltas(timedelta(days=-20), timedelta(days=1)))
def test_a_tick_waits_for_the_end_of_the_cooldown_and_no_longer(policy: Policy, ago: timedelta | None) -> None:
    started = None if ago is None else NOW + ago
    if policy.effective == "report_only":
        expected = "forbidden"
    else:
        expected = "conflict" if started is not None and started + policy.cooldown > NOW else "yes"
    assert verdict(lambda: may_tick(policy, started, NOW)) == expected


def test_the_cooldown_ends_on_the_dot() -> None:
    policy = Policy(cooldown=timedelta(hours=1))
    may_tick(policy, NOW - timedelta(hours=1), NOW)
    with pytest.raises(Conflict, match="inside the cooldown") as early:
        may_tick(policy, NOW - timedelta(minutes=59, seconds=59), NOW)
    assert "2026-01-01 00:00:01" in early.value.hint
    may_tick(Policy(), NOW, NOW)


@given(st.integers(0, 10_000), st.timedeltas(timedelta(milliseconds=100), timedelta(days=1)), st.booleans())
def test_who_finds_nothing_rests_longer_and_longer_and_never_for_ever(
    in_vain: int, pause: timedelta, news: bool
) -> None:
    rest, next_rest = (rest_after(many, pause, news=news) for many in (in_vain, in_vain + 1))
    assert pause <= rest <= next_rest <= max(pause, timedelta(hours=1))
    assert rest_after(in_vain, pause, news=True) <= max(pause, timedelta(minutes=1))


def test_the_first_ticks_in_vain_are_followed_up_at_once() -> None:
    rests = [rest_after(many, timedelta(seconds=5), news=True).total_seconds() for many in range(7)]
    assert rests == [5, 5, 10, 20, 40, 60, 60]

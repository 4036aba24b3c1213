"""Processes, builds and executions: who may serve, what may never differ, and what is over stays over."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.build import Build, Reasoner, genome_of, is_build, must_be_same, named_in
from surefoot.core.errors import Conflict, Invalid, SurefootError
from surefoot.core.execution import (
    OVER,
    Execution,
    ExecutionState,
    ended,
    forsaken,
    overdue,
    reported,
    sent,
    taken_over,
)
from surefoot.core.genome import Block, Genome, render
from surefoot.core.process import (
    Process,
    Vital,
    admitted,
    chosen,
    examined,
    fallen,
    process_id,
    renewed,
    serves,
    standing,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HASH = "ab" * 32
TTL = timedelta(minutes=5)


def build(**given: object) -> Build:
    return Build(**{"agent": "tickets", "version": "2.1.0", "content_hash": HASH, **given})  # pyright: ignore[reportArgumentType]


def process(**given: object) -> Process:
    base = Process(
        id="p1", agent="tickets", version="2.1.0", number=2, base_url="http://127.0.0.1:1", registered_at=NOW,
        seen_at=NOW, lease_until=NOW + TTL, by="app", state="ready", let_in=True, health="healthy",
    )  # fmt: skip
    return replace(base, **given)  # pyright: ignore[reportArgumentType]


def execution(**given: object) -> Execution:
    base = Execution(
        id="e1", agent="tickets", reasoner="classify", version="2.1.0", number=2, process="p1",
        base_url="http://127.0.0.1:1", path="/reasoners/classify", unit="u", at=NOW, by="app",
        deadline=NOW + timedelta(seconds=60), owner="s1", held_until=NOW + timedelta(seconds=10),
    )  # fmt: skip
    return replace(base, **given)  # pyright: ignore[reportArgumentType]


# Builds ---------------------------------------------------------------------------------------------------------------


def test_a_build_is_one_genome_that_names_its_version_and_its_content() -> None:
    genome = genome_of(build())
    assert is_build(genome)
    assert named_in(render(genome, {})) == ("2.1.0", build().seal)
    assert not is_build(Genome((Block(id="role", kind="section", text="Help."),)))


@given(st.sampled_from(["version", "content_hash", "reasoners", "skills"]))
def test_whatever_differs_in_a_build_makes_it_another_genome(name: str) -> None:
    other = {
        "version": "2.1.1", "content_hash": "cd" * 32, "reasoners": (Reasoner(name="r"),),
        "skills": (Reasoner(name="s"),),
    }[name]  # fmt: skip
    assert genome_of(build(**{name: other})).digest != genome_of(build()).digest


def test_the_same_version_with_other_content_is_refused_and_with_the_same_content_is_not() -> None:
    must_be_same(build(number=2), build())
    for other in (build(content_hash="cd" * 32), build(reasoners=(Reasoner(name="r"),))):
        with pytest.raises(Conflict, match="registered already, with other"):
            must_be_same(build(number=2), other)


def test_a_schema_is_a_part_of_what_may_not_differ() -> None:
    plain, typed = (build(reasoners=(Reasoner(name="r", input_schema=one),)) for one in ({}, {"type": "object"}))
    with pytest.raises(Conflict, match="other reasoners"):
        must_be_same(plain, typed)


@pytest.mark.parametrize("version", ["", " ", "a b", "../x", "1\n2", "é", "x" * 65, "-1", "v/1", "\x00"])
def test_a_version_string_that_could_be_taken_for_something_else_is_refused(version: str) -> None:
    with pytest.raises(Invalid, match="is not usable"):
        build(version=version)


@given(st.text(max_size=80))
def test_no_version_string_makes_a_genome_that_names_another_one(version: str) -> None:
    try:
        one = build(version=version)
    except SurefootError:
        return
    assert named_in(genome_of(one).blocks[0].text) == (version, one.seal)


def test_a_name_is_offered_once() -> None:
    with pytest.raises(Invalid, match="offers a name twice"):
        build(reasoners=(Reasoner(name="r"),), skills=(Reasoner(name="r"),))
    with pytest.raises(Invalid, match="too long"):
        Reasoner(name="r", input_schema={"x": "y" * 20_000})


# Processes ------------------------------------------------------------------------------------------------------------

ILL: list[dict[str, object]] = [
    {"state": "starting"}, {"state": "draining"}, {"state": "offline"}, {"health": "unknown"}, {"health": "unhealthy"},
    {"lease_until": NOW}, {"lease_until": NOW - TTL}, {"let_in": False},
]  # fmt: skip


@given(st.lists(st.integers(0, len(ILL)), max_size=8), st.text(max_size=20))
def test_only_a_ready_healthy_known_process_with_a_lease_is_ever_chosen(kinds: list[int], key: str) -> None:
    found = [process(id=f"p{i}", **(ILL[kind] if kind < len(ILL) else {})) for i, kind in enumerate(kinds)]
    one = chosen(found, NOW, key)
    well = {each.id for each, kind in zip(found, kinds, strict=True) if kind == len(ILL)}
    assert (one is None) == (not well)
    assert one is None or (one.id in well and serves(one, NOW))
    assert chosen(found, NOW, key, but=frozenset(well)) is None


def test_requests_are_spread_evenly_over_the_processes_of_a_version() -> None:
    found = [process(id=f"p{number}") for number in range(4)]
    seen = Counter(one.id for i in range(4000) if (one := chosen(found, NOW, f"request {i}")))
    assert all(abs(count - 1000) < 4.5 * (4000 * 0.25 * 0.75) ** 0.5 for count in seen.values()), seen


def test_one_missed_probe_is_forgiven_and_the_second_is_not_and_an_answer_brings_it_back() -> None:
    away = Vital(well=False, because="nobody answers")
    once = examined(process(), away, HASH)
    assert serves(once, NOW)
    twice = examined(once, away, HASH)
    assert not serves(twice, NOW)
    assert standing(twice, NOW) == ("unhealthy", "nobody answers")
    assert serves(examined(twice, Vital(well=True), HASH), NOW)
    assert not serves(examined(process(health="unknown"), away, HASH), NOW)
    assert not serves(fallen(process(), "refused"), NOW)


@pytest.mark.parametrize(
    "lie", [Vital(well=True, version="1.0.0"), Vital(well=True, content_hash="cd" * 32), Vital(well=True, version=" ")]
)
def test_a_process_that_says_it_is_another_version_or_other_content_gets_nothing_at_once(lie: Vital) -> None:
    assert not serves(examined(process(), lie, HASH), NOW)
    assert serves(examined(process(), Vital(well=True, version="2.1.0", content_hash=HASH.upper()), HASH), NOW)


@given(st.lists(st.sampled_from(["starting", "ready", "draining", "offline"]), max_size=6))
def test_no_word_of_its_own_lets_a_process_in(words: list[str]) -> None:
    one = process(let_in=False)
    for word in words:
        one = renewed(one, NOW, TTL, says=word)
        assert not serves(one, NOW)
    assert serves(renewed(admitted(one), NOW, TTL), NOW)
    with pytest.raises(Invalid):
        renewed(one, NOW, TTL, says="pending_approval")


def test_an_instance_is_the_same_one_after_a_restart() -> None:
    assert process_id("a", "1", "http://h:1") == process_id("a", "1", "http://h:1")
    assert len({process_id(*each) for each in (("a", "1", "u"), ("a1", "", "u"), ("a", "1u", ""))}) == 3


# Executions -----------------------------------------------------------------------------------------------------------

STATES: tuple[ExecutionState, ...] = get_args(ExecutionState)


@given(st.sampled_from(sorted(OVER)), st.sampled_from(STATES))
def test_what_is_over_stays_as_it_is(state: ExecutionState, to: ExecutionState) -> None:
    one = execution(state=state)
    for step in (lambda: ended(one, to, NOW), lambda: reported(one, to, NOW), lambda: sent(one, "s2", NOW, NOW)):
        with pytest.raises(SurefootError):
            step()
    assert forsaken(one, NOW + TTL) is None
    assert not overdue(one, NOW + timedelta(days=9))


def test_what_was_sent_is_never_sent_again_and_what_was_not_is_if_its_input_is_whole() -> None:
    later = NOW + timedelta(seconds=11)
    assert forsaken(execution(), later) == "queued"
    assert forsaken(execution(intact=False), later) == "lost"
    running = sent(execution(), "s1", NOW + timedelta(seconds=10), NOW)
    assert forsaken(running, NOW) is None
    assert forsaken(running, later) == "lost"
    assert forsaken(taken_over(running), later) is None, "its process will report"


def test_a_process_can_say_only_what_a_process_can_know() -> None:
    running = sent(execution(), "s1", NOW, NOW)
    for word in ("lost", "cancelled", "timeout", "queued", "done", ""):
        with pytest.raises(Invalid):
            reported(running, word, NOW)
    assert reported(running, "succeeded", NOW, result={"a": 1}).result == {"a": 1}


def test_time_in_which_it_waits_for_a_person_is_not_counted() -> None:
    running = sent(execution(), "s1", NOW, NOW)
    waits = reported(running, "waiting", NOW + timedelta(seconds=50))
    assert not overdue(waits, NOW + timedelta(days=3))
    again = reported(waits, "running", NOW + timedelta(days=3, seconds=50))
    assert not overdue(again, NOW + timedelta(days=3, seconds=59))
    assert overdue(again, NOW + timedelta(days=3, seconds=60))
    assert reported(waits, "waiting", NOW + timedelta(days=1)).paused_at == waits.paused_at

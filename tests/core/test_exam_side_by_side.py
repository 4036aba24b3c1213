"""What stands side by side: tool calls of two answers, how fast a run goes, and who may read a case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.case import SPLITS
from surefoot.core.exam.alignment import aligned
from surefoot.core.exam.held import held_out, may_read, sees_run
from surefoot.core.exam.observed import ToolCall
from surefoot.core.exam.pace import LEAST_ANSWERS, pace
from surefoot.core.exam.run import EvalRun
from surefoot.core.token import Token, may

NOW = datetime(2026, 3, 1, tzinfo=UTC)
calls = st.lists(
    st.builds(
        ToolCall,
        name=st.sampled_from(["find", "refund", "ask"]),
        args=st.dictionaries(st.just("n"), st.integers(0, 2)),
        state=st.sampled_from(["clean", "refused", "unknown"]),
    ),
    max_size=8,
)


@given(calls, calls)
def test_each_call_stands_once_in_its_order_and_beside_one_of_its_name(
    before: list[ToolCall], after: list[ToolCall]
) -> None:
    found = aligned(before, after)
    assert [one.before for one in found if one.before is not None] == before
    assert [one.after for one in found if one.after is not None] == after
    for one in found:
        assert one.before is not None or one.after is not None
        if one.before is not None and one.after is not None:
            assert one.before.name == one.after.name
            same = one.before.args == one.after.args and one.before.state == one.after.state
            assert one.kind == ("same" if same else "changed")
        else:
            assert one.kind == ("removed" if one.after is None else "added")


@given(calls)
def test_an_answer_beside_itself_has_the_same_calls(made: list[ToolCall]) -> None:
    assert all(one.kind == "same" for one in aligned(made, made))


def test_a_refund_that_was_refused_is_not_the_same_call() -> None:
    (one,) = aligned([ToolCall(name="refund", state="clean")], [ToolCall(name="refund", state="refused")])
    assert one.kind == "changed"


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 10**6))
def test_a_pace_comes_from_what_came_and_never_from_less(done: int, planned: int, had: int, seconds: int) -> None:
    found = pace(done=done, planned=planned, had=had, since=NOW - timedelta(seconds=seconds), now=NOW)
    if done - had < LEAST_ANSWERS or seconds < 2:
        assert found.per_minute is None
        assert found.rest_s is None
        assert found.sentence == ""
    else:
        assert found.per_minute == pytest.approx(60 * (done - had) / seconds)
        assert found.rest_s is not None
        assert found.rest_s >= 0
        assert found.sentence.startswith("about ")


@pytest.mark.parametrize(
    ("done", "planned", "seconds", "said"),
    [
        (100, 200, 60, "about 60 s left"),
        (100, 101, 60, "about 5 s left"),
        (100, 1000, 60, "about 9 min left"),
        (100, 16_000, 60, "about 2.5 h left"),
        (10, 50_000, 60, "about 3 d left"),
    ],
)
def test_an_end_is_said_no_more_finely_than_it_is_known(done: int, planned: int, seconds: int, said: str) -> None:
    assert pace(done=done, planned=planned, had=0, since=NOW - timedelta(seconds=seconds), now=NOW).sentence == said


def test_what_was_there_before_a_run_was_taken_up_says_nothing_of_how_fast_it_goes() -> None:
    """A run that slept a night with 900 of 1000 answers, taken up a minute ago, six answers since."""
    found = pace(done=906, planned=1000, had=900, since=NOW - timedelta(minutes=1), now=NOW)
    assert found.per_minute == pytest.approx(6)
    assert found.sentence == "about 16 min left"


@pytest.mark.parametrize("role", ["viewer", "agent", "improver", "reviewer", "operator", "admin"])
@pytest.mark.parametrize("split", ["", *SPLITS])
def test_held_out_words_are_for_those_who_decide_and_for_nobody_who_only_proposes(role: str, split: str) -> None:
    reader = Token(name="x", sha256="", role=role)
    assert held_out(split) == (split not in ("", "shown"))
    assert may_read(reader, split, agent="a") == (not held_out(split) or may(reader, "decide"))
    if role in ("improver", "operator", "agent", "viewer"):
        assert not may_read(reader, "sealed", agent="a")


def test_a_judge_held_to_one_agent_reads_no_held_out_case_of_another() -> None:
    reader = Token(name="x", sha256="", role="reviewer", agents=("a",))
    assert may_read(reader, "sealed", agent="a")
    assert not may_read(reader, "sealed", agent="b")
    assert not may_read(reader, "sealed", agent="")


def test_a_run_is_seen_by_who_sees_its_agent_and_one_about_no_agent_by_who_is_held_to_none() -> None:
    one, whole = Token(name="x", sha256="", role="admin", agents=("a",)), Token(name="y", sha256="", role="viewer")
    for about, seen in (("a", True), ("b", False), ("", False)):
        run = EvalRun(id="r", suite="s", suite_digest="d", subject="p", subject_digest="p", state="done",
                      started_at=datetime(2026, 3, 2, tzinfo=UTC), agent=about)  # fmt: skip
        assert (sees_run(one, run), sees_run(whole, run)) == (seen, True), about

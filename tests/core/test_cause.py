"""Causes: every failure of a cause is counted once, three that differ stand for all, and a mask shows no text."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.backlog import MIN_GAP, Failure, Lever
from surefoot.core.cause import PARTS, SHOWN, Backlog, causes, representatives
from surefoot.core.mask import masked_cause

ANSWERS = ("refund", "other", "billing", "")
WINDOWS = st.lists(st.tuples(st.sampled_from(ANSWERS[:3]), st.sampled_from(ANSWERS), st.integers(1, 4)), max_size=40)


def window(drawn: list[tuple[str, str, int]]) -> list[Failure]:
    """Failures, newest first."""
    return [
        Failure(id=len(drawn) - at, trace_id=f"t-{at}", version=version, input=f"kestrel {at}", predicted=predicted,
                expected=expected) for at, (expected, predicted, version) in enumerate(drawn)
    ]  # fmt: skip


@given(WINDOWS)
def test_every_failure_of_a_cause_is_counted_once_and_the_largest_comes_first(drawn) -> None:
    failures = window(drawn)
    found = causes(failures, 100, Backlog())
    assert [one.impact for one in found] == sorted((one.impact for one in found), reverse=True)
    for one in found:
        mine = [each for each in failures if each.symptom == one.key]
        assert one.failures == sum(one.parts) == len(mine) >= MIN_GAP
        assert one.older + one.newer == one.failures
        assert len(one.parts) == PARTS
        assert one.versions == tuple(sorted({each.version for each in mine}))
    assert {one.key for one in found} == {
        each.symptom for each in failures if sum(other.symptom == each.symptom for other in failures) >= MIN_GAP
    }


@given(WINDOWS)
def test_those_that_stand_for_all_differ_where_the_answers_do(drawn) -> None:
    failures = window(drawn)
    shown = representatives(failures)
    answers = {one.predicted for one in failures}
    assert len(shown) == min(SHOWN, len(failures))
    assert len({one.predicted for one in shown}) == min(len(shown), len(answers))
    if shown:
        most = max(sum(one.predicted == each for one in failures) for each in answers)
        assert sum(one.predicted == shown[0].predicted for one in failures) == most


def test_a_cause_that_only_the_newer_half_has_grows() -> None:
    drawn = [("refund", "other", 2)] * 12 + [("billing", "other", 1)] * 12
    newer, older = sorted(causes(window(drawn), 100, Backlog()), key=lambda one: one.key, reverse=True)
    assert (newer.trend.way, older.trend.way) == ("more", "fewer")
    assert (newer.newer, newer.older, older.newer, older.older) == (12, 0, 0, 12)


def test_a_masked_cause_shows_no_text_of_anybody() -> None:
    lever = Lever(id="L-1", agent="a", gap="missed:refund", title="refund secret", impact=0.1, failures=3,
                  state="closed", note="olga: secret")  # fmt: skip
    failures = [replace(one, input="secret", source="u") for one in window([("refund", "secret", 1)] * 4)]
    found = causes(failures, 10, Backlog(levers={"missed:refund": lever}))[0]
    assert found.became.sentence == "olga: secret"
    assert found.reopens
    masked = masked_cause(found)
    assert "secret" not in repr(masked)
    assert "refund" not in repr(masked)
    assert (masked.failures, masked.trend, masked.impact) == (found.failures, found.trend, found.impact)

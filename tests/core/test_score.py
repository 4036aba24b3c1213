"""Outcomes: unknown is a value of its own, and never success."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.score import Outcome, Verdict, judged, settled, value

AT = datetime(2026, 1, 1, tzinfo=UTC)
VERDICTS = st.sampled_from(("success", "failure", "unknown"))
SCORES = st.none() | st.floats(0, 1)


def outcome(verdict: Verdict, score: float | None = None) -> Outcome:
    return Outcome(trace_id="t", verdict=verdict, at=AT, source="user", score=score)


@pytest.mark.parametrize("expected", [None, "", "  ", "\n\t", "\u00a0"])
@pytest.mark.parametrize("predicted", ["", "refund", " "])
def test_without_an_expectation_the_verdict_is_unknown(predicted: str, expected: str | None) -> None:
    assert judged(predicted, expected) == "unknown"


@pytest.mark.parametrize(
    ("predicted", "expected", "verdict"),
    [
        ("refund", "refund", "success"),
        (" Refund\n", "REFUND", "success"),
        ("ÜBER", "über", "success"),
        ("refunds", "refund", "failure"),
        ("", "refund", "failure"),
        ("re fund", "refund", "failure"),
    ],
)
def test_answers_are_compared_stripped_and_in_lower_case(predicted: str, expected: str, verdict: str) -> None:
    assert judged(predicted, expected) == verdict


@given(VERDICTS, SCORES)
def test_unknown_has_no_number_whatever_score_stands_beside_it(verdict: Verdict, score: float | None) -> None:
    number = value(verdict, score)
    assert (number is None) == (verdict == "unknown")
    if number is not None:
        assert number == (score if score is not None else {"success": 1.0, "failure": 0.0}[verdict])


@pytest.mark.parametrize("score", [-0.01, 1.01, float("nan"), float("inf"), float("-inf")])
def test_a_score_outside_zero_to_one_is_refused(score: float) -> None:
    with pytest.raises(Invalid, match="trace t is outside"):
        outcome("success", score=score)


@given(st.lists(VERDICTS, max_size=8))
def test_the_last_word_that_says_something_counts(verdicts: list[Verdict]) -> None:
    outcomes = [outcome(verdict) for verdict in verdicts]
    known = [one for one in outcomes if one.verdict != "unknown"]
    assert settled(outcomes) is (known[-1] if known else None)


def test_a_later_unknown_does_not_undo_what_was_known_and_nothing_is_not_success() -> None:
    failed = outcome("failure")
    assert settled([outcome("success"), failed, outcome("unknown")]) is failed
    assert settled([]) is None
    assert settled([outcome("unknown"), outcome("unknown")]) is None

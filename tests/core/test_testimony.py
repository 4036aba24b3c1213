"""What spans from outside say about a request: one trace, told by the right span, and outcomes that are no guesses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.otel import EVALUATION
from surefoot.core.span import Span
from surefoot.core.testimony import Claim, failure_of, instant, outcome_of, speakers, trace_of

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
START = int(NOW.timestamp()) * 10**9 - 10**9
TRACE = "0af7651916cd43dd8448eb211c80319c"


def span(**rest: Any) -> Span:
    given = {"trace_id": TRACE, "span_id": "a" * 16, "name": "n", "agent": "support", "started_ns": START}
    return Span(**given | rest)


def claim(**rest: Any) -> Claim:
    given = {"trace_id": TRACE, "span_id": "a" * 16, "name": "n", "agent": "support", "started_ns": START}
    return Claim(**given | rest)


def test_the_outermost_agent_speaks_else_the_root() -> None:
    root, outer = claim(), claim(span_id="b" * 16, has_parent=True, is_agent=True, started_ns=START + 1)
    inner = claim(span_id="c" * 16, has_parent=True, is_agent=True, started_ns=START + 2)
    assert speakers([inner, root, outer]) == {TRACE: outer}
    assert speakers([root]) == {TRACE: root}
    top = claim(span_id="d" * 16, is_agent=True, started_ns=START + 9)
    assert speakers([inner, outer, top]) == {TRACE: top}


@given(st.permutations([
    claim(span_id=f"{n:016x}", has_parent=n != 3, is_agent=n % 2 == 1,
         started_ns=START + n % 4) for n in range(8)
]))  # fmt: skip
def test_who_speaks_does_not_depend_on_the_order(claims: list[Claim]) -> None:
    assert speakers(claims)[TRACE].span_id == f"{3:016x}"


def test_a_trace_sticks_to_the_session_else_the_actor_else_itself() -> None:
    assert trace_of(claim(session="s", actor="u"), version=2, now=NOW).unit == "session:s"
    assert trace_of(claim(actor="u"), version=2, now=NOW).unit == "actor:u"
    assert trace_of(claim(), version=2, now=NOW).unit == TRACE


def test_a_trace_has_what_its_span_says() -> None:
    told = claim(input="May I?", output="Yes", ended_ns=START + 2 * 10**9, cost_usd=0.5, finish="error")
    trace = trace_of(told, version=2, now=NOW)
    assert (trace.id, trace.version, trace.input, trace.output, trace.finish) == (TRACE, 2, "May I?", "Yes", "error")
    assert (trace.latency_s, trace.cost_usd, trace.at) == (2.0, 0.5, NOW - timedelta(seconds=1))


@given(st.integers(0, 2**64 - 1))
def test_no_moment_is_later_than_now(ns: int) -> None:
    assert instant(ns, latest=NOW) <= NOW


def test_an_error_is_a_failure_and_all_else_says_nothing() -> None:
    failure = failure_of(claim(status="error", message="boom"), now=NOW)
    assert failure is not None
    assert (failure.verdict, failure.source, "boom" in failure.feedback) == ("failure", "otlp", True)
    assert failure_of(claim(status="ok"), now=NOW) is None
    assert failure_of(claim(), now=NOW) is None


@pytest.mark.parametrize(
    ("label", "score", "verdict", "kept"),
    [
        ("pass", 0.9, "success", 0.9), ("FAIL", 0.1, "failure", 0.1), ("Correct", None, "success", None),
        ("relevant", 1.0, "unknown", 1.0), ("", 0.0, "unknown", 0.0), ("", 7, "unknown", None),
        ("fail", True, "failure", None), ("", "high", "unknown", None), ("", float("nan"), "unknown", None),
    ],
)  # fmt: skip
def test_an_evaluation_is_believed_only_where_it_says_in_words_how_it_went(
    label: str, score: Any, verdict: str, kept: float | None
) -> None:
    told = {"gen_ai.evaluation.name": "policy", "gen_ai.evaluation.score.label": label,
            "gen_ai.evaluation.score.value": score, "gen_ai.evaluation.explanation": "because"}  # fmt: skip
    outcome = outcome_of(span(name=EVALUATION, kind="evaluation", attributes=told), now=NOW)
    assert (outcome.verdict, outcome.score, outcome.source) == (verdict, kept, "otlp:policy")
    assert outcome.feedback.endswith("because")

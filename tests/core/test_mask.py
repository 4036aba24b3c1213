"""A mask: of what people wrote nothing is left, of what happened everything."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.backlog import Failure
from surefoot.core.mask import masked_failure, masked_outcome, masked_span, masked_trace
from surefoot.core.score import Outcome
from surefoot.core.span import Span, SpanEvent
from surefoot.core.trace import Trace

AT = datetime(2026, 3, 2, tzinfo=UTC)
SECRETS = st.text("klmnopqrstuvwxyz", min_size=9, max_size=30).map(lambda text: f"<{text}>")


@given(SECRETS)
def test_no_piece_of_a_text_is_left(secret: str) -> None:
    trace = Trace(id="t", agent="a", version=3, unit="u", input=secret, output=f"x {secret}", finish="stop", at=AT)
    outcome = Outcome(trace_id="t", verdict="failure", at=AT, source="bob", score=0.5, expected=secret, feedback=secret)
    failure = Failure(id=1, trace_id="t", version=3, input=secret, predicted=secret, expected=secret,
                      tool_error=f"pay: {secret}")  # fmt: skip
    span = Span(
        trace_id="t", span_id="s", name="chat", agent="a", started_ns=1, ended_ns=9, input=secret, output=secret,
        message=secret, attributes={"gen_ai.input.messages": [secret], "n": secret}, resource={"host.name": secret},
        events=(SpanEvent(name="log", at_ns=1, attributes={"body": secret}),),
    )  # fmt: skip
    for one in (masked_trace(trace), masked_outcome(outcome), masked_failure(failure), masked_span(span)):
        assert secret[1:6] not in repr(one)


def test_what_happened_stays() -> None:
    span = Span(trace_id="t", span_id="s", name="chat", agent="a", started_ns=1, ended_ns=9, cost_usd=0.5, tokens_in=3,
                status="error", model="m", attributes={"k": "v"})  # fmt: skip
    seen = masked_span(span)
    assert (seen.name, seen.cost_usd, seen.tokens_in, seen.status, seen.model, seen.ended_ns) == (
        "chat", 0.5, 3, "error", "m", 9,
    )  # fmt: skip
    assert list(seen.attributes) == ["k"]
    outcome = masked_outcome(Outcome(trace_id="t", verdict="failure", at=AT, source="bob", score=0.5))
    assert (outcome.verdict, outcome.score, outcome.source) == ("failure", 0.5, "bob")

"""A mask: of what people wrote nothing is left, of what happened everything."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.backlog import Failure, Lever
from surefoot.core.calls import Call
from surefoot.core.execution import Execution, Note
from surefoot.core.mask import (
    masked_call,
    masked_execution,
    masked_failure,
    masked_gap,
    masked_lever,
    masked_note,
    masked_outcome,
    masked_pause,
    masked_payload,
    masked_quotes,
    masked_span,
    masked_step,
    masked_trace,
)
from surefoot.core.pause import Pause
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
    execution = Execution(
        id="t", agent="a", reasoner="r", version="1", number=1, process="p", base_url="u", path="/r", unit="u", at=AT,
        deadline=AT, by="app", input={"text": secret}, result=[secret], error=f"broke on {secret}", state="failed",
    )  # fmt: skip
    note = Note(execution="t", at=AT, by="app", text=secret, tags=(secret,))
    pause = Pause(agent="a", name="ship", requested_by="app", requested_at=AT, expires_at=AT, reason=secret,
                  url=f"https://host.test/{secret}", feedback=secret, response={secret: secret})  # fmt: skip
    lever = Lever(id="L-1", agent="a", gap=f"missed:{secret}", title=f"{secret} answered as {secret}", impact=0.1,
                  failures=12, note=f"bob: {secret}")  # fmt: skip
    said = [f"open: {secret}", f"{secret}: open", f"made by {secret}: {secret}", f"tick 3: {secret}", secret]
    asked = Call(name=secret, arguments=secret, result=secret, id=secret)  # as a model wrote it
    for one in (masked_lever(lever), masked_gap(secret), masked_call(asked), [masked_step(text) for text in said],
                masked_trace(trace), masked_outcome(outcome), masked_failure(failure), masked_span(span),
                masked_execution(execution), masked_note(note), masked_pause(pause)):  # fmt: skip
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


def test_a_cause_keeps_its_kind_and_its_numbers_and_a_lever_its_story() -> None:
    lever = Lever(id="L-1", agent="a", gap="tool:pay: no funds", title="the tool pay breaks", impact=0.1, failures=1)
    seen = masked_lever(lever)
    assert (seen.id, seen.title, seen.failures, seen.for_people) == ("L-1", "a broken tool, 1 failure", 1, True)
    assert masked_gap("missed:a") != masked_gap("missed:b")
    assert [masked_step(one) for one in ("open again: v3 was taken back", "made by bob: why", "tick 12: accepted.",
                                         "v4: no")] == ["open again", "made", "tick 12", "v4"]  # fmt: skip
    call = Call(name="pay", arguments="{}", span_id="s", id="c1", failed=True)
    assert (masked_call(call).name, masked_call(call).id, masked_call(call).failed) == ("pay", "c1", True)


@pytest.mark.parametrize("marks", [
    "“”", "„“", "„”", "‟”", "«»", "»«", "‹›", "‘’", "‚‘", "‚’", "``", "''", '""',
])  # fmt: skip
@pytest.mark.parametrize("secret", ["<secretive>"])
def test_what_is_quoted_is_taken_away_whatever_the_marks(marks: str, secret: str) -> None:
    for text in (secret, f"it isn't {secret}", f"{secret} 'and' {secret}'s"):
        seen = masked_quotes(f"It said {marks[0]}{text}{marks[1]}")
        assert secret[1:6] not in seen
        assert seen.startswith("It said “…”")
        seen = masked_quotes(f"{marks[0]}{text}{marks[1]}, it's said, {marks[0]}{secret}{marks[1]}.")
        assert secret[1:6] not in seen


@pytest.mark.parametrize("mark", '“„‟«»‹›`"‘‚')
def test_a_quote_without_an_end_is_taken_away_to_the_end(mark: str) -> None:
    assert masked_quotes(f"It said {mark}SECRET things") == "It said “…”"


def test_an_elision_is_no_quote() -> None:
    assert masked_quotes("It isn't the model's fault, nor the tools' own") == (
        "It isn't the model's fault, nor the tools' own")  # fmt: skip


@given(SECRETS)
def test_the_record_does_not_show_what_a_person_wrote_of_a_wait_or_a_lever(secret: str) -> None:
    seen = masked_payload({"feedback": secret, "door": "api", "more": [{"feedback": secret, "title": secret}]})
    assert masked_payload({"lever": "L-1", "reason": secret}) == {"lever": "L-1", "reason": ""}
    assert masked_payload({"rollout": "R-1", "reason": "slow"}) == {"rollout": "R-1", "reason": "slow"}
    assert seen == {"feedback": "", "door": "api", "more": [{"feedback": "", "title": ""}]}

"""Testimony: what spans of instrumented code say about a request, as a trace and its outcomes.

A trace is told by the span of the agent that answered, else by the root of the trace; among several the outermost
speaks. An error is a failure at once. An evaluation is believed where it says in words how it went (pass, fail);
a number alone is kept as a score, but makes no verdict, since nobody knows which way it points.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from surefoot.core import otel
from surefoot.core.score import Outcome, Verdict
from surefoot.core.span import Span
from surefoot.core.trace import Trace

SOURCE = "otlp"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LABELS: Mapping[str, Verdict] = {
    **dict.fromkeys(("pass", "passed", "success", "correct", "true", "yes", "good"), "success"),
    **dict.fromkeys(("fail", "failed", "failure", "incorrect", "wrong", "false", "no", "bad"), "failure"),
}  # fmt: skip


def speakers(spans: Iterable[Span]) -> Mapping[str, Span]:
    """Give the span that speaks for each trace: of the agents the outermost, else the root."""
    chosen: dict[str, Span] = {}
    for span in spans:
        if span.trace_id not in chosen or _rank(span) < _rank(chosen[span.trace_id]):
            chosen[span.trace_id] = span
    return chosen


def _rank(span: Span) -> tuple[bool, bool, int, int, str]:
    return span.kind != "agent", bool(span.parent_id), span.started_ns, -span.ended_ns, span.span_id


def instant(ns: int, *, latest: datetime) -> datetime:
    """Give a moment in nanoseconds since 1970 as a time that is not later than `latest`."""
    try:
        return min(_EPOCH + timedelta(microseconds=ns // 1_000), latest)
    except OverflowError:
        return latest


def trace_of(span: Span, *, version: int, now: datetime) -> Trace:
    """Give the trace that a span tells of; its id is that of the span's trace, under which outcomes can be posted."""
    unit = f"session:{span.session}" if span.session else f"actor:{span.actor}" if span.actor else span.trace_id
    return Trace(
        id=span.trace_id, agent=span.agent, version=version, unit=unit, input=span.input, output=span.output,
        finish=otel.finish_of(span.attributes, span.status), at=instant(span.started_ns, latest=now),
        source=span.actor, slices=otel.slices_of(span.attributes), latency_s=span.latency_s, cost_usd=span.cost_usd,
        session=span.session, actor=span.actor,
    )  # fmt: skip


def failure_of(span: Span, *, now: datetime) -> Outcome | None:
    """Give the failure that a span already is, if it ended in an error."""
    if span.status != "error":
        return None
    return Outcome(
        trace_id=span.trace_id, verdict="failure", at=instant(span.ended_ns, latest=now), source=SOURCE,
        feedback=f"the span {span.name!r} ended in an error" + (f": {span.message}" if span.message else ""),
    )  # fmt: skip


def outcome_of(evaluation: Span, *, now: datetime) -> Outcome:
    """Give what an evaluation says about its trace; a score outside of [0, 1] is only told in words."""
    said, name = evaluation.attributes, otel.first_text(evaluation.attributes, ("gen_ai.evaluation.name",))
    label = otel.first_text(said, ("gen_ai.evaluation.score.label",))
    number = said.get("gen_ai.evaluation.score.value")
    fits = isinstance(number, int | float) and not isinstance(number, bool) and 0.0 <= number <= 1.0
    words = (label, "" if number is None or fits else f"score {number}",
             otel.first_text(said, ("gen_ai.evaluation.explanation",)))  # fmt: skip
    return Outcome(
        trace_id=evaluation.trace_id, verdict=_LABELS.get(label.strip().lower(), "unknown"),
        at=instant(evaluation.started_ns, latest=now), score=float(number) if fits and number is not None else None,
        source=f"{SOURCE}:{name}" if name else SOURCE, feedback="; ".join(word for word in words if word),
    )  # fmt: skip

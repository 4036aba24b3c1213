"""Testimony: what spans of instrumented code say about a request, as a trace and its outcomes.

A trace is told by the span of the agent that answered, else by the root of the trace; among several the outermost
speaks. An error is a failure at once. An evaluation is believed where it says in words how it went (pass, fail);
a number alone is kept as a score, but makes no verdict, since nobody knows which way it points.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from surefoot.core import otel
from surefoot.core.score import Outcome, Verdict
from surefoot.core.span import Span, SpanStatus
from surefoot.core.trace import Trace

SOURCE = "otlp"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LABELS: Mapping[str, Verdict] = {
    **dict.fromkeys(("pass", "passed", "success", "correct", "true", "yes", "good"), "success"),
    **dict.fromkeys(("fail", "failed", "failure", "incorrect", "wrong", "false", "no", "bad"), "failure"),
}  # fmt: skip


class Claim(NamedTuple):
    """What a span says about the request that it is a step of; the fields are those of a span and of a trace.

    It holds only what is asked of it, since one is made of every request that comes in.
    """

    trace_id: str
    span_id: str
    name: str
    agent: str
    started_ns: int
    ended_ns: int = 0
    has_parent: bool = False
    is_agent: bool = False
    version: int = 0
    status: SpanStatus = "unset"
    message: str = ""
    session: str = ""
    actor: str = ""
    input: str = ""
    output: str = ""
    cost_usd: float = 0.0
    finish: str = "stop"
    slices: Mapping[str, str] = {}


def speakers(claims: Iterable[Claim]) -> Mapping[str, Claim]:
    """Give what is to be believed about each trace: of the agents the outermost speaks, else the root."""
    chosen: dict[str, Claim] = {}
    for claim in claims:
        if claim.trace_id not in chosen or _rank(claim) < _rank(chosen[claim.trace_id]):
            chosen[claim.trace_id] = claim
    return chosen


def _rank(claim: Claim) -> tuple[bool, bool, int, int, str]:
    return not claim.is_agent, claim.has_parent, claim.started_ns, -claim.ended_ns, claim.span_id


def instant(ns: int, *, latest: datetime) -> datetime:
    """Give a moment in nanoseconds since 1970 as a time that is not later than `latest`."""
    try:
        return min(_EPOCH + timedelta(microseconds=ns // 1_000), latest)
    except OverflowError:
        return latest


def trace_of(claim: Claim, *, version: int, now: datetime) -> Trace:
    """Give the trace that a span tells of; its id is that of the span's trace, under which outcomes can be posted."""
    unit = f"session:{claim.session}" if claim.session else f"actor:{claim.actor}" if claim.actor else claim.trace_id
    return Trace(
        id=claim.trace_id, agent=claim.agent, version=version, unit=unit, input=claim.input, output=claim.output,
        finish=claim.finish, at=instant(claim.started_ns, latest=now), source=claim.actor, slices=claim.slices,
        latency_s=max(0, claim.ended_ns - claim.started_ns) / 1e9, cost_usd=claim.cost_usd, session=claim.session,
        actor=claim.actor,
    )  # fmt: skip


def failure_of(claim: Claim, *, now: datetime) -> Outcome | None:
    """Give the failure that a span already is, if it ended in an error."""
    if claim.status != "error":
        return None
    return Outcome(
        trace_id=claim.trace_id, verdict="failure", at=instant(claim.ended_ns, latest=now), source=SOURCE,
        feedback=f"the span {claim.name!r} ended in an error" + (f": {claim.message}" if claim.message else ""),
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

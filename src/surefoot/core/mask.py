"""A mask: what somebody sees of a request who may look at what happened, but not read what people wrote.

A text is taken away whole. Shortening it, or drawing a bar for each word, would give some of it away; and the names
of attributes stay only because programs, not people, write them. What is left are names, numbers and times.
"""

from __future__ import annotations

from dataclasses import replace

from surefoot.core.backlog import Failure
from surefoot.core.score import Outcome
from surefoot.core.span import Span, SpanEvent
from surefoot.core.trace import Trace


def masked_trace(trace: Trace) -> Trace:
    """Give a request without what was asked and answered."""
    return replace(trace, input="", output="")


def masked_outcome(outcome: Outcome) -> Outcome:
    """Give an outcome without the answer that would have been right, and without what was said beside it."""
    return replace(outcome, expected="", feedback="")


def masked_failure(failure: Failure) -> Failure:
    """Give a failure without its texts; of a tool that broke the name stays, not what it said."""
    return replace(failure, input="", predicted="", expected="", tool_error=failure.tool_error.partition(":")[0])


def masked_span(span: Span) -> Span:
    """Give a step without its texts: input, output, message, and the values of its attributes and events."""
    return replace(
        span, input="", output="", message="", attributes=dict.fromkeys(span.attributes, ""), resource={},
        events=tuple(SpanEvent(name=one.name, at_ns=one.at_ns) for one in span.events),
    )  # fmt: skip

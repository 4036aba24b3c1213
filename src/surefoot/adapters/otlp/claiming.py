"""Claiming: what a span says about its request, of those spans that may speak for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from surefoot.adapters.otlp.body import MOST_NAME_CHARS, NO_PARENT, events_of, message_of, plain
from surefoot.adapters.otlp.grouping import Sheaf
from surefoot.core import otel
from surefoot.core.testimony import Claim

if TYPE_CHECKING:
    from surefoot.adapters.otlp.sketch import SketchedSpan


def claim_of(sheaf: Sheaf, span: SketchedSpan, redact: Callable[[str], str]) -> Claim:
    """Give what a span of a group that is still growing says about its request.

    A text that was within another, as a message within a list of messages is, has not been looked at as what it is.
    """
    pairs = span.attributes
    attributes = {name: pairs[name].string_value or plain(pairs[name]) for name in pairs}
    told, events = otel.told(attributes), events_of(span.events or ())  # to ask whether there are any is faster
    status = otel.status_of(span.status.code, attributes)
    asked, answered = otel.input_of(attributes, events, told), otel.output_of(attributes, events, told)
    seen = {id(value) for value in attributes.values()}
    return Claim(
        sheaf.trace_id, span.span_id.hex(), span.name[:MOST_NAME_CHARS], sheaf.agent, span.start_time_unix_nano,
        span.end_time_unix_nano, span.parent_span_id not in NO_PARENT, otel.kind_of(attributes, told.kinds) == "agent",
        sheaf.version, status, message_of(span.status.message, attributes), sheaf.session, sheaf.actor,
        asked if id(asked) in seen else redact(asked), answered if id(answered) in seen else redact(answered),
        otel.cost_of(attributes, told), otel.finish_of(attributes, status), otel.slices_of(attributes),
    )  # fmt: skip

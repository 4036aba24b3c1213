"""Steps: what an outline needs of spans as they are kept, without reading the rest of them.

A page about a request of ten thousand steps shows a hundred and fifty of them and needs the place of all. Most of a
span is attributes, which are left as the bytes they are, unless the level of Langfuse is somewhere among them.
"""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from surefoot.core import otel
from surefoot.core.outline import Step

_LEVEL = otel.LEVEL.encode()


def steps_of(agent: str, body: bytes) -> Iterator[Step]:
    """Give the steps of a body, which are of this agent."""
    levelled = _LEVEL in body
    for scoped in ResourceSpans.FromString(body).scope_spans:
        for one in scoped.spans:
            parent, said = one.parent_span_id, _level(one) if levelled else {}
            yield Step(
                one.span_id.hex(), parent.hex() if any(parent) else "", agent,
                otel.status_of(one.status.code, said) == "error", one.start_time_unix_nano, one.end_time_unix_nano,
            )  # fmt: skip


def _level(span: Span) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in span.attributes if pair.key == otel.LEVEL}

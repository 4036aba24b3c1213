"""Steps: what an outline needs of spans as they are kept, without reading the rest of them.

A page about a request of ten thousand steps shows a hundred and fifty of them and needs the place of all. Most of a
span is attributes, which are left as the bytes they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Status

from surefoot.core.outline import Step

_BROKE = Status.STATUS_CODE_ERROR


def steps_of(agent: str, body: bytes) -> Iterator[Step]:
    """Give the steps of a body, which are of this agent."""
    for scoped in ResourceSpans.FromString(body).scope_spans:
        for one in scoped.spans:
            parent = one.parent_span_id
            yield Step(
                one.span_id.hex(), parent.hex() if any(parent) else "", agent, one.status.code == _BROKE,
                one.start_time_unix_nano, one.end_time_unix_nano,
            )  # fmt: skip

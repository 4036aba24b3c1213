"""Steps: what an outline needs of spans as they are kept, without reading the rest of them.

A page about a request of ten thousand steps shows a hundred and fifty of them and needs the place of all. Most of a
span is attributes, which are left as the bytes they are, unless the level of Langfuse is somewhere among them. How it
ended is looked at only where a group is known to hold one that ended in an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from surefoot.core import otel
from surefoot.core.outline import Strand

_LEVEL = otel.LEVEL.encode()


def strands_of(groups: Iterable[tuple[str, int, bytes]], limit: int) -> list[Strand]:
    """Give the steps of groups (their agent, how many of them failed, their body), at most so many, by agent."""
    whole, broken = defaultdict[str, list[bytes]](list), defaultdict[str, list[bytes]](list)
    for agent, failed, body in groups:
        whole[agent].append(body)
        if failed:
            broken[agent].append(body)
    found = list[Strand]()
    for agent, bodies in whole.items():
        found.append(_strand(agent, bodies, broken[agent], limit))
        limit -= len(found[-1].ids)
    return found


def _strand(agent: str, bodies: list[bytes], broken: list[bytes], limit: int) -> Strand:
    spans = _spans(b"".join(bodies))[:limit]  # messages one after the other are one message
    return Strand(
        agent=agent, ids=[one.span_id.hex() for one in spans], parents=[one.parent_span_id.hex() for one in spans],
        started=[one.start_time_unix_nano for one in spans], ended=[one.end_time_unix_nano for one in spans],
        failed=_failed(b"".join(broken)),
    )  # fmt: skip


def _failed(bodies: bytes) -> frozenset[str]:
    levelled = _LEVEL in bodies
    return frozenset(
        one.span_id.hex() for one in _spans(bodies)
        if otel.status_of(one.status.code, _level(one) if levelled else {}) == "error"
    )  # fmt: skip


def _spans(bodies: bytes) -> list[Span]:
    return [one for scoped in ResourceSpans.FromString(bodies).scope_spans for one in scoped.spans]


def _level(span: Span) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in span.attributes if pair.key == otel.LEVEL}

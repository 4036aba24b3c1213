"""Layout: where the resources, scopes and spans of a request lie in its bytes.

A span that is kept as it came is cut out of the request, which costs a tenth of writing it anew. So the outer messages
are gone through by hand, length by length; what is within a span is left to protobuf. A request that is laid out
otherwise than exporters do it (fields in another order, twice, or of tomorrow) is written anew first.
"""

from __future__ import annotations

from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Traces

from surefoot.core.errors import Invalid

Place = tuple[int, int]
"""Where a field begins, with its tag and length, and where it ends; of a field that is not there both are 0."""
NOWHERE: Place = (0, 0)
_HEAD, _BELOW, _SCHEMA = 0x0A, 0x12, 0x1A


class Spread(NamedTuple):
    """Where a scope lies, and where its spans do."""

    head: Place
    spans: list[Place]


class Laid(NamedTuple):
    """The bytes of a request, and where each resource lies and its scopes do."""

    content: bytes
    resources: list[tuple[Place, list[Spread]]]


MOST_PARTS, MOST_SPANS, MOST_ODD_BYTES = 10_000, 100_000, 1_048_576


class _Odd(Exception):
    """It is laid out otherwise."""


def must_be_few(parts: int, spans: int = 0) -> None:
    """Raise Invalid for more resources and scopes, or spans, than anybody sends: each costs, however short."""
    if parts > MOST_PARTS or spans > MOST_SPANS:
        raise Invalid(
            f"the request has more than {MOST_PARTS} resources and scopes, or {MOST_SPANS} spans or records",
            hint="send smaller batches",
        )


def laid_out(content: bytes) -> Laid:
    """Give the layout of a request; DecodeError for what is none, Invalid for too many parts."""
    try:
        return Laid(content, _resources(content))
    except (_Odd, IndexError):
        _must_be_short(content)
        request = Traces.FromString(content)
        request.DiscardUnknownFields()
        anew = request.SerializeToString()
        return Laid(anew, _resources(anew))


def must_have_few_parts(content: bytes) -> None:
    """Raise Invalid for a request for logs with too many parts; they lie as those of traces do."""
    try:
        _resources(content)
    except (_Odd, IndexError):
        _must_be_short(content)


def _must_be_short(content: bytes) -> None:
    if len(content) > MOST_ODD_BYTES:
        raise Invalid(
            "the request is laid out as no exporter does it, and long",
            hint="send the fields of messages in their order",
        )


def _resources(content: bytes) -> list[tuple[Place, list[Spread]]]:
    found, at, parts, spans = list[tuple[Place, list[Spread]]](), 0, 0, 0
    while at < len(content):
        if content[at] != _HEAD:
            raise _Odd
        inner, stop = _extent(content, at, len(content))
        head, scopes = _parts(content, inner, stop)
        parts += 1 + len(scopes)
        must_be_few(parts)
        found.append((head, [Spread(*_parts(content, *_extent(content, *place))) for place in scopes]))
        spans += sum(len(one.spans) for one in found[-1][1])
        must_be_few(parts, spans)
        at = stop
    return found


def _parts(content: bytes, at: int, end: int) -> tuple[Place, list[Place]]:
    """Where a resource or a scope says what it is, and where what is below it lies; in this order."""
    head, below = NOWHERE, list[Place]()
    while at < end:
        tag, begin, size = content[at], at, content[at + 1]
        if size < 128:
            at += 2 + size
        elif (high := content[at + 2]) < 128:  # most spans; a call for each would cost as much as all of the rest
            at += 3 + (size & 127 | high << 7)
        else:
            at = _extent(content, at, end)[1]
        if tag == _BELOW:
            below.append((begin, at))
        elif tag == _HEAD and head is NOWHERE and not below:
            head = begin, at
        elif tag != _SCHEMA:
            raise _Odd
    if at != end:
        raise _Odd
    return head, below


def _extent(content: bytes, at: int, end: int) -> Place:
    """Where the content of a field with a length begins and ends; the field begins at `at`."""
    size = shift = 0
    while True:
        at += 1
        sign = content[at]
        size |= (sign & 127) << shift
        shift += 7
        if sign < 128:
            break
        if shift > 28:
            raise _Odd
    if at + 1 + size > end:
        raise _Odd
    return at + 1, at + 1 + size

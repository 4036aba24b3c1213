"""The body of a span as it is kept: a `ResourceSpans` message of OTLP with this one span in it.

So a body says everything that was sent, and bodies put one after the other are an export. It is put together from
bytes, since the resource and the scope are the same for many spans.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from surefoot.core import otel
from surefoot.core.span import Span, SpanEvent, SpanRow


def varint(number: int) -> bytes:
    """Give a length as protobuf writes it."""
    if number < 128:
        return b"%c" % number
    if number < 16_384:
        return b"%c%c" % (number & 127 | 128, number >> 7)
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(tag: bytes, content: bytes) -> bytes:
    """Give one field of a message, with its tag and length."""
    return tag + varint(len(content)) + content


RESOURCE, SCOPE_SPANS, SCOPE, SPANS = b"\x0a", b"\x12", b"\x0a", b"\x12"


def plain(value: AnyValue) -> Any:
    """Give a value as JSON would have it; bytes become their text, or hexadecimal where they are none."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {one.key: plain(one.value) for one in value.kvlist_value.values}
    if kind == "bytes_value":
        return text_of(value.bytes_value)
    return None if kind is None else getattr(value, kind)


def text_of(content: bytes) -> str:
    """Give bytes as text, or in hexadecimal where they are none."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.hex()


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Give attributes as a dictionary."""
    found: dict[str, Any] = {}
    for pair in pairs:  # most are texts or numbers, which are had without asking for their kind
        value = pair.value
        found[pair.key] = value.string_value or value.int_value or plain(value)
    return found


def read(row: SpanRow) -> Span:
    """Give the span of a row."""
    whole = ResourceSpans.FromString(row.body)
    message = whole.scope_spans[0].spans[0]
    return span_of(row, message, attributes_of(message.attributes), attributes_of(whole.resource.attributes))


def span_of(row: SpanRow, message: Message, attributes: dict[str, Any], resource: dict[str, Any]) -> Span:
    """Give the span of a row from what it was made of."""
    events = tuple(
        SpanEvent(name=one.name, at_ns=one.time_unix_nano, attributes=attributes_of(one.attributes))
        for one in message.events
    )
    tokens_in, tokens_out = otel.tokens_of(attributes)
    return Span(
        trace_id=row.trace_id, span_id=row.span_id, parent_id=row.parent_id, agent=row.agent, version=row.version,
        name=row.name, kind=row.kind, status=row.status, session=row.session, actor=row.actor,
        message=message.status.message or str(attributes.get("langfuse.observation.status_message") or ""),
        started_ns=message.start_time_unix_nano, ended_ns=message.end_time_unix_nano,
        model=otel.first_text(attributes, otel.MODEL), input=otel.input_of(attributes, events),
        output=otel.output_of(attributes, events), tokens_in=tokens_in, tokens_out=tokens_out,
        cost_usd=otel.cost_of(attributes), attributes=attributes, resource=resource, events=events,
    )  # fmt: skip

"""The body of a group of spans as it is kept: a `ResourceSpans` message of OTLP with these spans in it.

So a body says everything that was sent, and bodies put one after the other are an export.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from surefoot.core import otel
from surefoot.core.span import Span, SpanEvent, SpanGroup


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
NO_PARENT = (b"", bytes(8))
MOST_NAME_CHARS = 512


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


def inside(field: bytes) -> bytes:
    """Give what is in a field with a length, whose tag is one byte long."""
    at = 1
    while field[at] > 127:
        at += 1
    return field[at + 1 :]


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Give attributes as a dictionary."""
    found: dict[str, Any] = {}
    for pair in pairs:  # most are texts or numbers, which are had without asking for their kind
        value = pair.value
        found[pair.key] = value.string_value or value.int_value or plain(value)
    return found


def read(group: SpanGroup, only: Collection[str] | None = None) -> list[Span]:
    """Give the spans of a group, or those of them that have these ids."""
    whole = ResourceSpans.FromString(group.body)
    resource = attributes_of(whole.resource.attributes)
    messages = [one for scoped in whole.scope_spans for one in scoped.spans]
    messages = messages if only is None else [one for one in messages if one.span_id.hex() in only]
    return [_span_of(group, one, attributes_of(one.attributes), resource) for one in messages]


def without(group: SpanGroup, known: Collection[str]) -> SpanGroup | None:
    """Give a group without the spans that are kept already; None if nothing is left."""
    left = [one for one in group.ids if one not in known]
    if not left:
        return None
    whole = ResourceSpans.FromString(group.body)
    for scoped in whole.scope_spans:
        kept = [one for one in scoped.spans if one.span_id.hex() not in known]
        del scoped.spans[:]
        scoped.spans.extend(kept)
    failed = sum(one.status == "error" for one in read(group) if one.span_id not in known)
    return group._replace(span_ids="".join(left), failed=failed, body=whole.SerializeToString())


def events_of(messages: Iterable[Message.Event]) -> tuple[SpanEvent, ...]:
    """Give the events of a span."""
    return tuple(
        SpanEvent(name=one.name, at_ns=one.time_unix_nano, attributes=attributes_of(one.attributes)) for one in messages
    )


def message_of(message: str, attributes: Mapping[str, Any]) -> str:
    """Give what is said about how it ended."""
    return message or str(attributes.get("langfuse.observation.status_message") or "")


def _span_of(group: SpanGroup, message: Message, attributes: dict[str, Any], resource: dict[str, Any]) -> Span:
    told, events = otel.told(attributes), events_of(message.events)
    tokens_in, tokens_out = otel.tokens_of(attributes, told)
    parent, evaluation = message.parent_span_id, message.name == otel.EVALUATION
    return Span(
        trace_id=group.trace_id, span_id=message.span_id.hex(), parent_id="" if parent in NO_PARENT else parent.hex(),
        agent=group.agent, version=group.version, name=message.name[:MOST_NAME_CHARS],
        kind="evaluation" if evaluation else otel.kind_of(attributes, told.kinds),
        status=otel.status_of(message.status.code, attributes), session=group.session, actor=group.actor,
        message=message_of(message.status.message, attributes),
        started_ns=message.start_time_unix_nano, ended_ns=message.end_time_unix_nano,
        model=otel.first_text(attributes, told.model), input=otel.input_of(attributes, events, told),
        output=otel.output_of(attributes, events, told), tokens_in=tokens_in, tokens_out=tokens_out,
        cost_usd=otel.cost_of(attributes, told), attributes=attributes, resource=resource, events=events,
    )  # fmt: skip

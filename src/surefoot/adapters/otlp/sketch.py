"""A sketch of a request: OTLP's own messages, but for the attributes of spans, which are a map.

On the wire a map is a list of pairs of a key and a value, and so are OTLP's attributes; of pairs with the same key the
last counts, as it does for us. From a map the few attributes that a span is searched by are had in half the time,
since no message has to be made for each of the others. All texts are checked to be UTF-8, as they are by OTLP's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.trace.v1 import trace_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

    class SketchedSpan(Protocol):
        """What is looked at of a span before it is kept."""

        trace_id: bytes
        span_id: bytes
        parent_span_id: bytes
        name: str
        start_time_unix_nano: int
        end_time_unix_nano: int
        status: Status
        attributes: Mapping[str, AnyValue]
        events: Sequence[Span.Event]

    class SketchedScope(Protocol):
        """A scope with its spans."""

        scope: InstrumentationScope
        spans: Sequence[SketchedSpan]

    class SketchedResource(Protocol):
        """A resource with its scopes."""

        resource: Resource
        scope_spans: Sequence[SketchedScope]

    class Sketch(Protocol):
        """A request."""

        resource_spans: Sequence[SketchedResource]


_PACKAGE = "surefoot.otlp"
_VALUE = ".opentelemetry.proto.common.v1.AnyValue"


def sketched(content: bytes) -> Sketch:
    """Read a request for traces; DecodeError for what is none."""
    return _REQUEST.FromString(content)


def sketched_span(field: bytes) -> SketchedSpan:
    """Read a span that is a field of its scope."""
    return _SCOPE.FromString(field).spans[0]


def _described() -> FileDescriptorProto:
    file = FileDescriptorProto.FromString(trace_pb2.DESCRIPTOR.serialized_pb)
    theirs, file.name, file.package = file.package, "surefoot/otlp.proto", _PACKAGE
    for message in file.message_type:
        _rename(message, f".{theirs}.")
        if message.name == "Span":
            _map_attributes(message)
    return file


def _rename(message: DescriptorProto, theirs: str) -> None:
    for field in message.field:
        if field.type_name.startswith(theirs):
            field.type_name = f".{_PACKAGE}.{field.type_name.removeprefix(theirs)}"
    for inner in message.nested_type:
        _rename(inner, theirs)


def _map_attributes(span: DescriptorProto) -> None:
    entry, one = span.nested_type.add(name="AttributesEntry"), FieldDescriptorProto.LABEL_OPTIONAL
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=FieldDescriptorProto.TYPE_STRING, label=one)
    entry.field.add(name="value", number=2, type=FieldDescriptorProto.TYPE_MESSAGE, label=one, type_name=_VALUE)
    for field in span.field:
        if field.name == "attributes":
            field.type_name = f".{_PACKAGE}.Span.AttributesEntry"


_POOL = Default()
_POOL.Add(_described())
_REQUEST, _SCOPE = (  # which classes there are, only protobuf knows
    cast("Any", GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}")))
    for name in ("TracesData", "ScopeSpans")
)

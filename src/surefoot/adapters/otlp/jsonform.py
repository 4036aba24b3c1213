"""OTLP in JSON, read by hand into the messages of protobuf.

protobuf's own reader takes `traceId` for base64, as it takes all bytes, and so turns a trace id of 32 hexadecimal
characters into 24 other bytes without a word. Numbers of 64 bits come as texts or as numbers, enumerations as numbers
or names; both are taken. A span that is wrong in itself is counted under why, and the others are read.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest as Logs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Traces
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from surefoot.adapters.otlp.layout import must_be_few
from surefoot.core.errors import Invalid

T = TypeVar("T")
Document = dict[str, Any]
MOST_DEPTH = 32
_U64, _U32 = 2**64, 2**32


class Wrong(Exception):
    """One span or record is no such thing; says why."""


def traces(content: bytes, rejected: Counter[str]) -> Traces:
    """Read a request for traces; Invalid when it is none at all."""
    request = Traces()
    for group in _groups(_document(content), "resourceSpans", "scopeSpans"):
        into = request.resource_spans.add(schema_url=_lenient(group, "schemaUrl"))
        into.resource.attributes.extend(_attributes_in(group, "resource"))
        for scoped in _objects(group, "scopeSpans"):
            below = into.scope_spans.add(scope=_scope(scoped))
            below.spans.extend(_taken(_objects(scoped, "spans"), _span, rejected))
    return request


def logs(content: bytes, rejected: Counter[str]) -> Logs:
    """Read a request for logs; Invalid when it is none at all."""
    request = Logs()
    for group in _groups(_document(content), "resourceLogs", "scopeLogs"):
        into = request.resource_logs.add(schema_url=_lenient(group, "schemaUrl"))
        into.resource.attributes.extend(_attributes_in(group, "resource"))
        for scoped in _objects(group, "scopeLogs"):
            below = into.scope_logs.add(scope=_scope(scoped))
            below.log_records.extend(_taken(_objects(scoped, "logRecords"), _record, rejected))
    return request


def _document(content: bytes) -> Document:
    try:
        document: object = orjson.loads(content)
    except ValueError as error:
        raise Invalid(f"the body is no JSON: {error}", hint="send OTLP in JSON, or in protobuf") from None
    if not isinstance(document, dict):
        raise Invalid("the body is no JSON object", hint="send an export request of OTLP")
    return cast("Document", document)


def _groups(document: Document, groups: str, scopes: str) -> list[Document]:
    """The resources of a request; Invalid where there are more parts than anybody sends."""
    found = _objects(document, groups)
    must_be_few(len(found))
    must_be_few(len(found) + sum(len(_objects(one, scopes)) for one in found))
    return found


def _objects(document: Document, name: str) -> list[Document]:
    """The objects of a list; Invalid for what is none, as this is about the request and not about one span."""
    value: object = document.get(name)
    if value is None:
        return []
    listed = cast("list[object]", value) if isinstance(value, list) else [None]
    if not all(isinstance(one, dict) for one in listed):
        raise Invalid(f"{name} is no list of objects", hint="send an export request of OTLP")
    return cast("list[Document]", listed)


def _taken(documents: list[Document], read: Callable[[Document], T], rejected: Counter[str]) -> Iterator[T]:
    for document in documents:
        try:
            yield read(document)
        except Wrong as problem:
            rejected[str(problem)] += 1


def _attributes_in(group: Document, name: str) -> list[KeyValue]:
    value: object = group.get(name)
    if value is None:
        return []
    if not isinstance(value, dict):
        raise Invalid(f"{name} is no object", hint="send an export request of OTLP")
    try:
        return _attributes(cast("Document", value))
    except Wrong as problem:
        raise Invalid(f"{name}: {problem}", hint="send an export request of OTLP") from None


def _scope(scoped: Document) -> InstrumentationScope:
    told = cast("Document", scoped["scope"]) if isinstance(scoped.get("scope"), dict) else {}
    attributes = _attributes_in(scoped, "scope")
    return InstrumentationScope(name=_lenient(told, "name"), version=_lenient(told, "version"), attributes=attributes)


def _lenient(document: Document, name: str) -> str:
    value: object = document.get(name)
    return value if isinstance(value, str) else ""


# One span -----------------------------------------------------------------------------------------------------------


def _span(told: Document) -> Span:
    status = _part(told, "status")
    return Span(
        trace_id=_id(told, "traceId"), span_id=_id(told, "spanId"), parent_span_id=_id(told, "parentSpanId"),
        trace_state=_text(told, "traceState"), name=_text(told, "name"),
        kind=cast("Any", _named(told, "kind", Span.SpanKind, "SPAN_KIND_")),
        start_time_unix_nano=_whole(told, "startTimeUnixNano"), end_time_unix_nano=_whole(told, "endTimeUnixNano"),
        attributes=_attributes(told), flags=_whole(told, "flags") % _U32,
        dropped_attributes_count=_whole(told, "droppedAttributesCount") % _U32,
        dropped_events_count=_whole(told, "droppedEventsCount") % _U32,
        events=[
            Span.Event(name=_text(one, "name"), time_unix_nano=_whole(one, "timeUnixNano"), attributes=_attributes(one))
            for one in _parts(told, "events")
        ],
        links=[
            Span.Link(
                trace_id=_id(one, "traceId"), span_id=_id(one, "spanId"), trace_state=_text(one, "traceState"),
                attributes=_attributes(one),
            ) for one in _parts(told, "links")
        ],
        status=Status(
            code=cast("Any", _named(status, "code", Status.StatusCode, "STATUS_CODE_")),
            message=_text(status, "message"),
        ),
    )  # fmt: skip


def _record(told: Document) -> LogRecord:
    return LogRecord(
        time_unix_nano=_whole(told, "timeUnixNano"), observed_time_unix_nano=_whole(told, "observedTimeUnixNano"),
        trace_id=_id(told, "traceId"), span_id=_id(told, "spanId"), event_name=_text(told, "eventName"),
        attributes=_attributes(told),
    )  # fmt: skip


def _id(told: Document, name: str) -> bytes:
    """An id in hexadecimal; of what length it must be is asked elsewhere, for both forms alike."""
    try:
        return bytes.fromhex(_text(told, name))
    except ValueError:
        raise Wrong(f"{name} is not hexadecimal") from None


def _text(told: Document, name: str) -> str:
    value: object = told.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Wrong(f"{name} is no text")
    return value


def _whole(told: Document, name: str) -> int:
    """A number of 64 bits without a sign, as a number or as a text."""
    value: object = told.get(name, 0)
    number = _integer(value)
    if number is None or not 0 <= number < _U64:
        raise Wrong(f"{name} is no whole number of 64 bits")
    return number


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():
        return int(value)
    return None


def _named(told: Document, name: str, names: Any, prefix: str) -> int:
    """An enumeration: its number, or its name; one that is not known is 0."""
    value: object = told.get(name, 0)
    if isinstance(value, str) and value.upper().startswith(prefix):
        return dict(names.items()).get(value.upper(), 0)
    number = _integer(value)
    if number is None:
        raise Wrong(f"{name} is no number")
    return number if number in names.values() else 0


def _part(told: Document, name: str) -> Document:
    value: object = told.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Wrong(f"{name} is no object")
    return cast("Document", value)


def _parts(told: Document, name: str) -> list[Document]:
    value: object = told.get(name)
    if value is None:
        return []
    listed = cast("list[object]", value) if isinstance(value, list) else [None]
    if not all(isinstance(one, dict) for one in listed):
        raise Wrong(f"{name} is no list of objects")
    return cast("list[Document]", listed)


def _attributes(told: Document, depth: int = 0) -> list[KeyValue]:
    return _pairs(told, "attributes", depth)


def _pairs(told: Document, name: str, depth: int) -> list[KeyValue]:
    return [KeyValue(key=_text(one, "key"), value=_value(_part(one, "value"), depth)) for one in _parts(told, name)]


def _value(told: Document, depth: int) -> AnyValue:
    if depth > MOST_DEPTH:
        raise Wrong(f"a value is nested more than {MOST_DEPTH} deep")
    for name, read in _VALUES.items():
        if told.get(name) is not None:
            return read(told, name, depth)
    return AnyValue()


def _array(told: Document, name: str, depth: int) -> AnyValue:
    into = AnyValue()
    into.array_value.values.extend(_value(one, depth + 1) for one in _parts(_part(told, name), "values"))
    return into


def _kvlist(told: Document, name: str, depth: int) -> AnyValue:
    into = AnyValue()
    into.kvlist_value.values.extend(_pairs(_part(told, name), "values", depth + 1))
    return into


def _bool(told: Document, name: str, _: int) -> AnyValue:
    if not isinstance(told[name], bool):
        raise Wrong(f"{name} is neither true nor false")
    return AnyValue(bool_value=told[name])


def _int(told: Document, name: str, _: int) -> AnyValue:
    number = _integer(told[name])
    if number is None or not -_U64 // 2 <= number < _U64 // 2:
        raise Wrong(f"{name} is no whole number of 64 bits")
    return AnyValue(int_value=number)


def _double(told: Document, name: str, _: int) -> AnyValue:
    try:
        return AnyValue(double_value=float(told[name]))
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f"{name} is no number") from None


def _bytes(told: Document, name: str, _: int) -> AnyValue:
    try:
        return AnyValue(bytes_value=base64.b64decode(_text(told, name), validate=True))
    except (binascii.Error, ValueError):
        raise Wrong(f"{name} is not base64") from None


_VALUES: dict[str, Callable[[Document, str, int], AnyValue]] = {
    "stringValue": lambda told, name, _: AnyValue(string_value=_text(told, name)), "intValue": _int,
    "boolValue": _bool, "doubleValue": _double, "arrayValue": _array, "kvlistValue": _kvlist, "bytesValue": _bytes,
}  # fmt: skip

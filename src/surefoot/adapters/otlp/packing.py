"""Packing: requests of OTLP to groups of spans, redacted.

Speed decides the shape. The bytes of a whole request are looked through once for what may have to be redacted; a
span in which nothing is suspicious is kept as the bytes it came in, and only of the others each text is looked at.
What a span is searched by is read from what was sent, and redacted as a name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as AnyMessage
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest as Logs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Traces
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from surefoot.adapters.otlp import answers, body, jsonform
from surefoot.adapters.otlp.cleaning import Cleaning
from surefoot.adapters.otlp.grouping import Sheaves
from surefoot.adapters.otlp.layout import Place, laid_out, must_have_few_parts
from surefoot.adapters.otlp.reading import Doubts, Reading, Suspect
from surefoot.adapters.otlp.sketch import sketched
from surefoot.core import otel
from surefoot.core.errors import Invalid
from surefoot.ports.spans import Parcel, Terms

M = TypeVar("M", bound=AnyMessage)
_CACHED, _CACHED_CHARS = 4_096, 1_024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_TRACE = f"a {otel.EVALUATION} event names no trace_id of 16 bytes"
OTHER_LOGS = f"of logs only {otel.EVALUATION} events are kept"


def _everywhere(content: bytes, at: int) -> tuple[int, int]:
    return at, len(content)


class Packing:
    """Reads requests; `redact` gives a text as it may be kept, `redact_name` a name, `redact_label` that of a field.

    `suspect` gives the first place from a point on where the first two might change something: where it begins and
    ends. Implements `ports.spans.Packer`.
    """

    def __init__(
        self, redact: Callable[[str], str], redact_name: Callable[[str], str], redact_label: Callable[[str], str],
        suspect: Suspect = _everywhere,
    ) -> None:  # fmt: skip
        short, name, label = (lru_cache(_CACHED)(one) for one in (redact, redact_name, redact_label))
        self._suspect = suspect
        self._clean = Cleaning(lambda text: short(text) if len(text) <= _CACHED_CHARS else redact(text), name, label)

    def traces(self, content: bytes, terms: Terms, *, as_json: bool) -> Parcel:
        """Read spans."""
        parcel = Parcel(sees=terms.sees)
        if as_json:
            content = jsonform.traces(content, parcel.rejected).SerializeToString()
        self._pack(content, terms, parcel)
        return parcel

    def logs(self, content: bytes, terms: Terms, *, as_json: bool) -> Parcel:
        """Read the evaluations among log records; each becomes a span of its own below the one that it judges."""
        parcel = Parcel(sees=terms.sees)
        request = jsonform.logs(content, parcel.rejected) if as_json else _logs(content)
        spans = Traces(resource_spans=[_judged(group, parcel) for group in request.resource_logs])
        self._pack(spans.SerializeToString(), terms, parcel)
        return parcel

    def receipt(self, what: Literal["spans", "logs"], rejected: int, why: str, *, as_json: bool) -> bytes:
        """Give the answer to a request that was taken."""
        return answers.receipt(what, rejected, why, as_json=as_json)

    def problem(self, status: int, message: str, *, as_json: bool) -> bytes:
        """Give the answer to a request that was not."""
        return answers.problem(status, message, as_json=as_json)

    def _pack(self, content: bytes, terms: Terms, parcel: Parcel) -> None:
        with _reading(Traces):
            content, resources = laid_out(content)
            request = sketched(content)
        doubts, now = Doubts(content, self._suspect), (terms.now - _EPOCH) // timedelta(microseconds=1)
        for group, (place, scopes) in zip(request.resource_spans, resources, strict=True):
            told = body.attributes_of(group.resource.attributes)
            head = self._kept(group.resource, body.RESOURCE, place, doubts, self._clean.resource)
            reading = Reading(self._clean, told, Sheaves(head, content, now), doubts, terms, parcel)
            for scoped, spread in zip(group.scope_spans, scopes, strict=True):
                scope = self._kept(scoped.scope, body.SCOPE, spread.head, doubts, self._clean.scope)
                for span, place in zip(scoped.spans, spread.spans, strict=True):
                    reading.span(span, place, scope)
            reading.end()

    def _kept(self, message: M, tag: bytes, place: Place, doubts: Doubts, clean: Callable[[M], None]) -> bytes:
        """Give a message as a field that may be kept."""
        if doubts.about(place):
            clean(message)
            return body.field(tag, message.SerializeToString())
        return doubts.content[place[0] : place[1]]


@contextmanager
def _reading(kind: type[AnyMessage]) -> Generator[None]:
    try:
        yield
    except DecodeError:
        raise Invalid(f"the body is no {kind.__name__} of OTLP", hint="send protobuf, or JSON and say so") from None


def _logs(content: bytes) -> Logs:
    must_have_few_parts(content)
    with _reading(Logs):
        return Logs.FromString(content)


def _judged(group: ResourceLogs, parcel: Parcel) -> ResourceSpans:
    """The evaluations of one resource, as spans."""
    into = ResourceSpans(resource=group.resource)
    for scoped in group.scope_logs:
        below = into.scope_spans.add(scope=scoped.scope)
        for record in scoped.log_records:
            if otel.EVALUATION not in (record.event_name, _event_name(record)):
                parcel.rejected[OTHER_LOGS] += 1
            elif len(record.trace_id) != 16:
                parcel.rejected[NO_TRACE] += 1
            else:
                below.spans.append(_as_span(record))
    return into


def _event_name(record: LogRecord) -> str:
    return next((one.value.string_value for one in record.attributes if one.key == "event.name"), "")


def _as_span(record: LogRecord) -> Message:
    """An evaluation as a span; its id follows from what it says, so that it is the same when it comes again."""
    at = record.time_unix_nano or record.observed_time_unix_nano
    content = record.SerializeToString(deterministic=True)
    return Message(
        trace_id=record.trace_id, span_id=hashlib.sha256(content).digest()[:8], parent_span_id=record.span_id,
        name=otel.EVALUATION, start_time_unix_nano=at, end_time_unix_nano=at, attributes=record.attributes,
    )  # fmt: skip

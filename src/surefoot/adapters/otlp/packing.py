"""Packing: requests of OTLP to rows of spans, redacted.

Speed decides the shape: each attribute of a span is looked at once. The texts of a whole request are put together and
looked through once each (spans repeat what their parents say), most of them many at a time; only the messages that
have a text with something to redact are gone through again and changed. What a span is searched by is read from what
was sent, and redacted as a name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest as Logs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Traces
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from surefoot.adapters.otlp import answers, body, jsonform
from surefoot.adapters.otlp.cleaning import Changed, Texts, clean, clean_span, collect, collect_span, may_change
from surefoot.core import otel
from surefoot.core.errors import Invalid
from surefoot.core.span import SpanRow
from surefoot.ports.spans import Parcel, Terms

R = TypeVar("R", Traces, Logs)
MOST_NAME_CHARS = 512
_CACHED, _CACHED_CHARS = 4_096, 1_024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TRACE_ID, _NO_PARENT = bytes(16), (b"", bytes(8))
BAD_TRACE_ID = "a trace_id is not 16 bytes, or all zero"
BAD_SPAN_ID = "a span_id is not 8 bytes, or all zero"
NO_AGENT = "a span names no agent (set service.name, gen_ai.agent.name or surefoot.agent)"
NO_TRACE = f"a {otel.EVALUATION} event names no trace_id of 16 bytes"
OTHER_LOGS = f"of logs only {otel.EVALUATION} events are kept"


class _Found(NamedTuple):
    """A span on its way to its row: its ids and its agent, and what the rest is made of."""

    trace_id: bytes
    span_id: bytes
    agent: str
    told: otel.Told
    message: Message
    attributes: dict[str, Any]
    resource: dict[str, Any]
    prefix: _Prefix


class _Looked(NamedTuple):
    """What came of looking through the texts of a request: those that were read, the doubtful ones, what is changed."""

    texts: Set[Any]
    doubtful: Collection[str]
    changed: Changed


class _Prefix:
    """What the bodies of all spans of one scope begin with."""

    def __init__(self, group: ResourceSpans, scoped: ScopeSpans) -> None:
        self.group = group
        self.scoped = scoped
        self.resource = self.scope = b""

    def write(self) -> None:
        """Read both anew, once nothing in them is changed any more."""
        self.resource = body.field(body.RESOURCE, self.group.resource.SerializeToString()) + body.SCOPE_SPANS
        self.scope = body.field(body.SCOPE, self.scoped.scope.SerializeToString()) + body.SPANS

    def body(self, message: Message) -> bytes:
        """Give the body of a span."""
        span, scope = message.SerializeToString(), self.scope
        length = body.varint(len(span))
        return b"".join((self.resource, body.varint(len(scope) + len(length) + len(span)), scope, length, span))


class Packing:
    """Reads requests; `redact` gives a text as it may be kept, `redact_name` a name, `redact_label` that of a field.

    `doubtful` gives those of many texts that the first two might change. Implements `ports.spans.Packer`.
    """

    def __init__(
        self, redact: Callable[[str], str], redact_name: Callable[[str], str], redact_label: Callable[[str], str],
        doubtful: Callable[[Collection[str]], Collection[str]] = lambda texts: texts,
    ) -> None:  # fmt: skip
        self._redact = redact
        self._doubtful = doubtful
        self._label = lru_cache(_CACHED)(redact_label)
        self._redact_short = lru_cache(_CACHED)(redact)
        self._name = lru_cache(_CACHED)(redact_name)

    def traces(self, content: bytes, terms: Terms, *, as_json: bool) -> Parcel:
        """Read spans."""
        parcel = Parcel()
        request = jsonform.traces(content, parcel.rejected) if as_json else _parsed(Traces, content)
        self._pack(request.resource_spans, terms, parcel)
        return parcel

    def logs(self, content: bytes, terms: Terms, *, as_json: bool) -> Parcel:
        """Read the evaluations among log records; each becomes a span of its own below the one that it judges."""
        parcel = Parcel()
        request = jsonform.logs(content, parcel.rejected) if as_json else _parsed(Logs, content)
        self._pack([_judged(group, parcel) for group in request.resource_logs], terms, parcel)
        return parcel

    def receipt(self, what: Literal["spans", "logs"], rejected: int, why: str, *, as_json: bool) -> bytes:
        """Give the answer to a request that was taken."""
        return answers.receipt(what, rejected, why, as_json=as_json)

    def problem(self, status: int, message: str, *, as_json: bool) -> bytes:
        """Give the answer to a request that was not."""
        return answers.problem(status, message, as_json=as_json)

    def _pack(self, groups: Iterable[ResourceSpans], terms: Terms, parcel: Parcel) -> None:
        texts, prefixes = Texts(set(), set()), list[_Prefix]()
        found = [one for group in groups for one in _found(group, terms, parcel, texts, prefixes)]
        looked = self._looked(texts)
        cleaned = _clean(found, prefixes, looked.changed) if any(looked.changed) else set[int]()
        for prefix in prefixes:
            prefix.write()
        now = (terms.now - _EPOCH) // timedelta(microseconds=1)
        for one in found:
            row = self._row(one, now, looked)
            if row.name == otel.EVALUATION:
                parcel.evaluations.append((row, body.read(row)))
                continue
            parcel.rows.append(row)
            if row.kind == "agent" or not row.parent_id:
                if not terms.knows(row.agent):
                    parcel.strangers.add(row.agent)
                else:
                    as_read = id(one.message) not in cleaned
                    parcel.tops.append(
                        body.span_of(row, one.message, one.attributes, {}) if as_read else body.read(row)
                    )

    def _row(self, one: _Found, now: int, looked: _Looked) -> SpanRow:
        """Give the row of a span whose message is clean; a clock that goes ahead of ours is held back to ours."""
        trace_id, span_id, agent, told, message, attributes, resource, prefix = one
        parent, name = message.parent_span_id, message.name
        return SpanRow(
            trace_id.hex(), span_id.hex(), "" if parent in _NO_PARENT else parent.hex(), agent,
            otel.version_of(attributes, resource), name[:MOST_NAME_CHARS],
            "evaluation" if name == otel.EVALUATION else otel.kind_of(attributes, told.kinds),
            otel.status_of(message.status.code, attributes),
            min(now, message.start_time_unix_nano // 1_000), min(now, message.end_time_unix_nano // 1_000),
            self._named(attributes, told.session, looked), self._named(attributes, told.actor, looked),
            prefix.body(message),
        )  # fmt: skip

    def _named(self, attributes: Mapping[str, Any], names: tuple[str, ...], looked: _Looked) -> str:
        """Give the name of a session or a person; a text that was looked at and is not doubtful may be kept."""
        if not names:
            return ""
        name = otel.first_text(attributes, names)
        if name in looked.texts and name not in looked.doubtful and len(name) <= MOST_NAME_CHARS:
            return name
        return name and self._name(name[:MOST_NAME_CHARS])

    def _looked(self, texts: Texts) -> _Looked:
        """Find the texts that may not be kept as they are, and what is kept instead."""
        short, whole = self._redact_short, self._redact
        doubtful = self._doubtful({text for text in texts.values if isinstance(text, str)})
        values = ((text, short(text) if len(text) <= _CACHED_CHARS else whole(text)) for text in doubtful)
        labels = ((label, self._label(label)) for label in texts.labels)
        changed = Changed(*({old: new for old, new in pairs if new is not old and new != old}
                            for pairs in (values, labels)))  # fmt: skip
        return _Looked(texts.values, doubtful, changed)


def _found(
    group: ResourceSpans, terms: Terms, parcel: Parcel, texts: Texts, prefixes: list[_Prefix]
) -> Iterable[_Found]:
    """Go through the spans of a resource: refuse what is wrong, collect the texts of the others."""
    resource = body.attributes_of(group.resource.attributes)
    service = otel.agent_of_resource(resource)
    collect(group.resource.attributes, resource, texts)
    for scoped in group.scope_spans:
        prefixes.append(prefix := _Prefix(group, scoped))
        texts.labels.add(scoped.scope.name)
        collect(scoped.scope.attributes, body.attributes_of(scoped.scope.attributes), texts)
        for message in scoped.spans:
            attributes = body.attributes_of(pairs := message.attributes)
            trace_id, span_id, told = message.trace_id, message.span_id, otel.told(attributes)
            agent = (otel.first_text(attributes, told.agent) if told.agent else "") or service
            if problem := _problem(trace_id, span_id, agent, terms):
                parcel.rejected[problem] += 1
                continue
            collect_span(message, pairs, attributes, texts)
            yield _Found(trace_id, span_id, agent, told, message, attributes, resource, prefix)


def _parsed(kind: type[R], content: bytes) -> R:
    try:
        request = kind.FromString(content)
    except DecodeError:
        raise Invalid(f"the body is no {kind.__name__} of OTLP", hint="send protobuf, or JSON and say so") from None
    request.DiscardUnknownFields()  # what nobody can read, nobody can redact
    return request


def _problem(trace_id: bytes, span_id: bytes, agent: str, terms: Terms) -> str:
    """Why a span cannot be kept; nothing if it can."""
    if len(trace_id) != 16 or trace_id == _NO_TRACE_ID:
        return BAD_TRACE_ID
    if len(span_id) != 8 or span_id in _NO_PARENT:
        return BAD_SPAN_ID
    if not agent:
        return NO_AGENT
    return "" if terms.sees(agent) else f"the token is not for the agent {agent[:80]}"


def _clean(found: list[_Found], prefixes: list[_Prefix], changed: Changed) -> set[int]:
    """Replace texts where any may stand; gives the identities of the messages that were gone through."""
    for group in {id(one.group): one.group for one in prefixes}.values():
        clean(group.resource.attributes, changed)
    for prefix in prefixes:
        scope = prefix.scoped.scope
        scope.name = changed.labels.get(scope.name, scope.name)
        clean(scope.attributes, changed)
    doubtful = [one.message for one in found if may_change(one.message, one.attributes, changed)]
    for message in doubtful:
        clean_span(message, changed)
    return {id(message) for message in doubtful}


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

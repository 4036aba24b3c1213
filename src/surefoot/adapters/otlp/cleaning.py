"""Cleaning: all texts of a span, and the same span with some of them replaced.

What is collected and what is replaced is the same: names of attributes and all values down to the last list, the
span's name and status, its events and links, and of bytes the text they are. Names are told apart from texts, since
they stay readable where no text is kept. Values that only say of which kind something is (`KEPT`) are no texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from surefoot.adapters.otlp.body import attributes_of, text_of
from surefoot.core import otel

KEPT = frozenset({
    *(name for name, _ in otel.KINDS), *otel.AGENT, otel.VERSION, *otel.MODEL, otel.SERVICE, "gen_ai.provider.name",
    "gen_ai.system", "gen_ai.response.finish_reasons", "gen_ai.tool.name", "gen_ai.evaluation.name",
    "gen_ai.evaluation.score.label", "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version",
})  # fmt: skip


class Texts(NamedTuple):
    """What a request says: texts (and the numbers among them), and the names that it gives to its fields."""

    values: set[Any]
    labels: set[str]


class Changed(NamedTuple):
    """What may not be kept as it is, and what is kept instead."""

    values: Mapping[str, str]
    labels: Mapping[str, str]


def collect(attributes: Mapping[str, Any], texts: Texts) -> None:
    """Add the texts of attributes."""
    texts.labels.update(attributes)
    try:
        texts.values.update(attributes.values())
    except TypeError:  # lists and objects have no place in a set
        for value in attributes.values():
            _collect_nested(value, texts)


def _collect_nested(value: object, texts: Texts) -> None:
    if isinstance(value, str):
        texts.values.add(value)
    elif isinstance(value, list):
        for one in cast("list[object]", value):
            _collect_nested(one, texts)
    elif isinstance(value, dict):
        inside = cast("dict[str, object]", value)
        texts.labels.update(inside)
        for one in inside.values():
            _collect_nested(one, texts)


def collect_span(message: Message, attributes: Mapping[str, Any], texts: Texts) -> None:
    """Add the texts of a span, of which the attributes are read already."""
    collect(attributes, texts)
    texts.labels.add(message.name)
    if message.HasField("status"):
        texts.values.add(message.status.message)
    texts.values.add(message.trace_state)
    for event in message.events:
        texts.labels.add(event.name)
        collect(attributes_of(event.attributes), texts)
    for link in message.links:
        texts.values.add(link.trace_state)
        collect(attributes_of(link.attributes), texts)


def clean(pairs: Iterable[KeyValue], changed: Changed) -> None:
    """Replace texts of attributes."""
    for pair in pairs:
        if pair.key not in KEPT or pair.value.WhichOneof("value") != "string_value":
            _clean_value(pair.value, changed)
        pair.key = changed.labels.get(pair.key, pair.key)


def _clean_value(value: AnyValue, changed: Changed) -> None:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        if (new := changed.values.get(value.string_value)) is not None:
            value.string_value = new
    elif kind == "array_value":
        for one in value.array_value.values:
            _clean_value(one, changed)
    elif kind == "kvlist_value":
        for pair in value.kvlist_value.values:
            pair.key = changed.labels.get(pair.key, pair.key)
            _clean_value(pair.value, changed)
    elif kind == "bytes_value" and (new := changed.values.get(text_of(value.bytes_value))) is not None:
        value.string_value = new


def clean_span(message: Message, changed: Changed) -> None:
    """Replace texts of a span."""
    clean(message.attributes, changed)
    message.name = changed.labels.get(message.name, message.name)
    if message.status.message in changed.values:
        message.status.message = changed.values[message.status.message]
    message.trace_state = changed.values.get(message.trace_state, message.trace_state)
    for event in message.events:
        event.name = changed.labels.get(event.name, event.name)
        clean(event.attributes, changed)
    for link in message.links:
        link.trace_state = changed.values.get(link.trace_state, link.trace_state)
        clean(link.attributes, changed)

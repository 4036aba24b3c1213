"""Cleaning: all texts of a span, and the same span with some of them replaced.

What is collected and what is replaced is the same: names of attributes and all values down to the last list, the
span's name and status, its events and links, and of bytes the text they are. Names are told apart from texts, since
they stay readable where no text is kept. Values that only say of which kind something is (`KEPT`) are no texts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

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


def collect(pairs: Collection[KeyValue], attributes: Mapping[str, Any], texts: Texts) -> None:
    """Add the texts of attributes, which are read already."""
    texts.labels.update(attributes)
    if len(attributes) == len(pairs):
        try:
            texts.values.update(attributes.values())
        except TypeError:  # lists and objects have no place in a set
            pass
        else:
            return
    for pair in pairs:  # a name that comes twice has two values, of which only the last was read
        _collect_value(pair.value, texts)


def _collect_value(value: AnyValue, texts: Texts) -> None:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        texts.values.add(value.string_value)
    elif kind == "bytes_value":
        texts.values.add(text_of(value.bytes_value))
    elif kind == "array_value":
        for one in value.array_value.values:
            _collect_value(one, texts)
    elif kind == "kvlist_value":
        for pair in value.kvlist_value.values:
            texts.labels.add(pair.key)
            _collect_value(pair.value, texts)


def collect_span(message: Message, pairs: Collection[KeyValue], attributes: Mapping[str, Any], texts: Texts) -> None:
    """Add the texts of a span, of which the attributes are read already."""
    collect(pairs, attributes, texts)
    texts.labels.add(message.name)
    if said := message.status.message:
        texts.values.add(said)
    if state := message.trace_state:
        texts.values.add(state)
    for event in message.events or ():  # to ask whether there are any is faster than to go through none
        texts.labels.add(event.name)
        collect(event.attributes, attributes_of(event.attributes), texts)
    for link in message.links or ():
        texts.values.add(link.trace_state)
        collect(link.attributes, attributes_of(link.attributes), texts)


def may_change(message: Message, attributes: Mapping[str, Any], changed: Changed) -> bool:
    """Whether a span may hold something that is changed; a quick look at those that are simple."""
    if message.events or message.links or len(attributes) != len(message.attributes):
        return True
    names = changed.labels.keys()
    if message.name in names or not names.isdisjoint(attributes):
        return True
    try:
        return not changed.values.keys().isdisjoint(
            (message.status.message, message.trace_state, *attributes.values())
        )  # fmt: skip
    except TypeError:
        return True


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

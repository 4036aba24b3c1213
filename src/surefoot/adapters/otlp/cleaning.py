"""Cleaning: the same message with what may not be kept replaced.

Names of attributes and all values down to the last list, the span's name and status, its events and links, and of
bytes the text they are, in UTF-8 or UTF-16. Names are told apart from texts, since they stay readable where no text is
kept. Values that only say of which kind something is (`KEPT`) are no texts. Fields that nobody can read go: nobody can
redact them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from surefoot.core import otel
from surefoot.core.suspicion import WIDE

KEPT = frozenset({
    *(name for name, _ in otel.KINDS), *otel.AGENT, otel.VERSION, *otel.MODEL, otel.SERVICE, "gen_ai.provider.name",
    "gen_ai.system", "gen_ai.response.finish_reasons", "gen_ai.tool.name", "gen_ai.evaluation.name",
    "gen_ai.evaluation.score.label", "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version",
})  # fmt: skip
Redact = Callable[[str], str]
_WIDE = re.compile(WIDE)


class Cleaning:
    """Cleans messages in place; `text` gives a text as it may be kept, `name` a name, `label` that of a field."""

    def __init__(self, text: Redact, name: Redact, label: Redact) -> None:
        self.name = name
        self.text = text
        self._label = label

    def resource(self, resource: Resource) -> None:
        """Clean what all spans of a resource share."""
        resource.DiscardUnknownFields()
        resource.ClearField("entity_refs")  # which entity it is, told a second time
        self._pairs(resource.attributes)

    def scope(self, scope: InstrumentationScope) -> None:
        """Clean what all spans of a scope share."""
        scope.DiscardUnknownFields()
        scope.name, scope.version = self._label(scope.name), self._label(scope.version)
        self._pairs(scope.attributes)

    def span(self, span: Message) -> None:
        """Clean a span."""
        span.DiscardUnknownFields()
        span.name, span.trace_state = self._label(span.name), self.text(span.trace_state)
        if span.status.message:
            span.status.message = self.text(span.status.message)
        self._pairs(span.attributes)
        for event in span.events:
            event.name = self._label(event.name)
            self._pairs(event.attributes)
        for link in span.links:
            link.trace_state = self.text(link.trace_state)
            self._pairs(link.attributes)

    def _pairs(self, pairs: Iterable[KeyValue]) -> None:
        for pair in pairs:
            if pair.key not in KEPT or pair.value.WhichOneof("value") != "string_value":
                self._value(pair.value)
                self._secret(pair)
            pair.key = self._label(pair.key)

    def _secret(self, pair: KeyValue) -> None:
        """Take away a value that is told by its name alone, such as that of `password`."""
        beginning = f"{pair.key}="
        whole = beginning + pair.value.string_value
        if (kept := self.text(whole)) != whole and kept.startswith(beginning):
            pair.value.string_value = kept.removeprefix(beginning)

    def _value(self, value: AnyValue) -> None:
        kind = value.WhichOneof("value")
        if kind == "string_value":
            value.string_value = self.text(value.string_value)
        elif kind == "array_value":
            for one in value.array_value.values:
                self._value(one)
        elif kind == "kvlist_value":
            for pair in value.kvlist_value.values:
                pair.key = self._label(pair.key)
                self._value(pair.value)
        elif kind == "bytes_value":
            if _WIDE.search(value.bytes_value) is not None:
                value.bytes_value = self._wide(value.bytes_value)
            said = value.bytes_value.decode("utf-8", "replace")
            if (kept := self.text(said)) != said:
                value.string_value = kept

    def _wide(self, content: bytes) -> bytes:
        """Give bytes with what may not be kept replaced in them, read as UTF-16 from each byte and in each order."""
        for coding in ("utf-16-le", "utf-16-be"):
            for begin in (0, 1):
                end = len(content) - (len(content) - begin) % 2
                said = content[begin:end].decode(coding, "surrogatepass")
                if (kept := self.text(said)) != said:
                    content = content[:begin] + kept.encode(coding, "surrogatepass") + content[end:]
        return content

"""A span: one step of a request as instrumented code told it (an agent, a chat, a tool call), in our words.

Spans come from outside in any order and in many batches, so nothing here relies on a parent being known. Those of one
trace that came together are kept together, a `SpanGroup`: what is searched by, and the rest as the bytes they came in;
`Span` is what is read back from it. Whatever dialect it was told in, `core.otel` gives the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

SpanKind = Literal["agent", "chat", "tool", "embeddings", "retrieval", "evaluation", "other"]
SpanStatus = Literal["ok", "error", "unset"]
ID_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEvent:
    """Something that happened during a span, in nanoseconds since 1970."""

    name: str
    at_ns: int
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span.

    `trace_id` has 32 hexadecimal characters, `span_id` 16, `parent_id` 16 or none. `version` is our number of the
    agent's version, 0 if unknown. Times are nanoseconds since 1970; `ended_ns` is 0 while it is not known.
    """

    trace_id: str
    span_id: str
    name: str
    agent: str
    started_ns: int
    ended_ns: int = 0
    parent_id: str = ""
    version: int = 0
    kind: SpanKind = "other"
    status: SpanStatus = "unset"
    message: str = ""
    session: str = ""
    actor: str = ""
    model: str = ""
    input: str = ""
    output: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    resource: Mapping[str, Any] = field(default_factory=dict[str, Any])
    events: tuple[SpanEvent, ...] = ()

    @property
    def latency_s(self) -> float:
        """How long it took, in seconds."""
        return max(0, self.ended_ns - self.started_ns) / 1e9


class SpanGroup(NamedTuple):
    """Spans of one trace as they are kept together, in the order of the table's columns.

    `span_ids` has 16 hexadecimal characters for each, in the order of the body; `failed` counts those that ended in an
    error. `evaluation` is 1 for what was said about a request, which is kept by itself. `started` is the earliest and
    `ended` the latest, in microseconds since 1970. What is known of one of them is taken to be so for all.
    """

    trace_id: str
    span_ids: str
    agent: str
    version: int
    evaluation: int
    failed: int
    started: int
    ended: int
    session: str
    actor: str
    body: bytes

    @property
    def ids(self) -> list[str]:
        """The id of each span."""
        return ids_in(self.span_ids)

    @property
    def size(self) -> int:
        """How many spans there are in it."""
        return len(self.span_ids) // ID_CHARS


def ids_in(span_ids: str) -> list[str]:
    """Give the ids of spans that are written one after the other."""
    return [span_ids[at : at + ID_CHARS] for at in range(0, len(span_ids), ID_CHARS)]

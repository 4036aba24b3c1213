"""The doors to spans: what instrumented agents sent, kept once each; and how requests that bring them are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from surefoot.core.outline import Strand
from surefoot.core.span import Span, SpanGroup
from surefoot.core.testimony import Claim


class Spans(Protocol):
    """Spans by trace and agent."""

    def add_all(self, groups: Sequence[SpanGroup]) -> int:
        """Append the spans that are new and leave alone those that are there; gives how many were new."""
        ...

    def keep(self, spans: Sequence[Span]) -> int:
        """Append spans that were made here; the same as `add_all`, for those that did not come in as bytes."""
        ...

    def get(self, trace_id: str, span_id: str) -> Span: ...
    def of_trace(
        self, trace_id: str, *, limit: int = 1_000, agents: Collection[str] | None = None
    ) -> list[Span]:  # fmt: skip
        """The spans of a trace in the order in which they began, of these agents (None: of all)."""
        ...

    def agents_of(self, trace_id: str) -> list[str]:
        """The agents that have spans in a trace."""
        ...

    def strands(self, trace_id: str, *, limit: int, agents: Collection[str]) -> list[Strand]:
        """What an outline needs of each span of a trace, of at most `limit` of these agents', by agent."""
        ...

    def some(self, trace_id: str, span_ids: Collection[str]) -> list[Span]:
        """The spans of a trace that have these ids."""
        ...

    def failures(self, agent: str, *, version: int | None = None, limit: int = 100) -> list[Span]:
        """The last spans of an agent that ended in an error, newest first."""
        ...

    def failure_counts(self, agent: str) -> Mapping[int, int]:
        """How many spans ended in an error, by version."""
        ...

    def forget(self, trace_ids: Collection[str]) -> int:
        """Delete the spans of these traces; gives how many there were."""
        ...

    def traced(self, trace_ids: Collection[str]) -> Mapping[str, str]:
        """Those of these ids under which a trace is kept, with the agent that it is of."""
        ...

    def agents_among(self, names: Collection[str]) -> set[str]:
        """Those of these names that are agents."""
        ...

    def evaluations(self, trace_ids: Collection[str], agents: Collection[str]) -> list[Span]:
        """What was said about these traces by evaluations of these agents, in the order of their arrival."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a request is read under: the time, which agents its token reaches, and which agents there are."""

    now: datetime
    sees: Callable[[str], bool]
    knows: Callable[[str], bool]


@dataclass(slots=True, kw_only=True)
class Parcel:
    """What a request held: the spans to keep, and the evaluations; and how many were refused, by why.

    `claims` are what those of the spans say that may speak for a request of an agent we know; `strangers` are the
    agents that such spans name and we do not know. `sees` tells which agents whoever sent it may see.
    """

    groups: list[SpanGroup] = field(default_factory=list[SpanGroup])
    claims: list[Claim] = field(default_factory=list[Claim])
    evaluations: list[tuple[SpanGroup, Span]] = field(default_factory=list[tuple[SpanGroup, Span]])
    strangers: set[str] = field(default_factory=set[str])
    rejected: Counter[str] = field(default_factory=Counter[str])
    sees: Callable[[str], bool]


class Packer(Protocol):
    """Reads requests of OTLP and writes its answers; `as_json` says in which of its two forms.

    Reading raises Invalid for what is no such request at all; a span that is wrong in itself is only refused.
    """

    def traces(self, content: bytes, terms: Terms, *, as_json: bool) -> Parcel: ...
    def logs(self, content: bytes, terms: Terms, *, as_json: bool) -> Parcel: ...
    def receipt(self, what: Literal["spans", "logs"], rejected: int, why: str, *, as_json: bool) -> bytes:
        """The answer to a request that was taken."""
        ...

    def problem(self, status: int, message: str, *, as_json: bool) -> bytes:
        """The answer to a request that was not; `status` is that of HTTP."""
        ...

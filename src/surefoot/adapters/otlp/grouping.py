"""Grouping: the spans of a resource, put together by what they are searched by.

Spans of one trace that come together are kept together: a row for each of them costs more than all that is read of
it. A span that names no version, session or person takes those of the others of its trace and agent; one that names
another goes into a group of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from surefoot.adapters.otlp import body
from surefoot.adapters.otlp.layout import Place
from surefoot.core.span import SpanGroup

_FEW = 16  # however many persons a trace names, each span costs the same
Part = Place | bytes
"""A span as a field of its scope: where it lies in the request, or itself where it was cleaned."""


@dataclass(slots=True, eq=False)
class Sheaf:
    """A group that is still growing; `parts` are its spans by what their scope says of itself. Times in nanoseconds."""

    trace_id: str
    agent: str
    version: int
    session: str
    actor: str
    evaluation: int = 0
    failed: int = 0
    started: int = 2**64  # later than any
    ended: int = 0
    ids: dict[bytes, None] = field(default_factory=dict[bytes, None])
    parts: list[tuple[bytes, list[Part]]] = field(default_factory=list[tuple[bytes, list[Part]]])

    def takes(self, version: int, session: str, actor: str) -> bool:
        """Whether a span that says this of itself belongs here; if so, it tells what the others did not."""
        if version == self.version and session == self.session and actor == self.actor:
            return True
        told = ((version, self.version), (session, self.session), (actor, self.actor))
        if any(mine and theirs and mine != theirs for mine, theirs in told):
            return False
        self.version, self.session, self.actor = version or self.version, session or self.session, actor or self.actor
        return True

    def add(self, span_id: bytes, scope: bytes, part: Part, failed: bool, started: int, ended: int) -> None:
        """Add a span, unless it is there; spans that lie side by side become one part."""
        if span_id in self.ids:
            return
        self.ids[span_id] = None
        self.failed += failed
        if started < self.started:
            self.started = started
        if ended > self.ended:
            self.ended = ended
        if not self.parts or self.parts[-1][0] is not scope:
            self.parts.append((scope, [part]))
            return
        parts = self.parts[-1][1]
        last = parts[-1]
        if isinstance(part, tuple) and isinstance(last, tuple) and last[1] == part[0]:
            parts[-1] = last[0], part[1]
        else:
            parts.append(part)


class Sheaves:
    """The groups of one resource, which all spans of it say the same of; a clock ahead of `now` is held back to it."""

    def __init__(self, resource: bytes, content: bytes, now: int) -> None:
        self._resource = resource
        self._content = content
        self._now = now
        self._open: dict[tuple[bytes, str], list[Sheaf]] = {}
        self._exact: dict[tuple[bytes, str, int, str, str], Sheaf] = {}

    def of(self, trace_id: bytes, agent: str, version: int, session: str, actor: str) -> Sheaf:
        """Give the group that a span belongs to; one that names less than others looks among the first few alone."""
        exact = trace_id, agent, version, session, actor
        if (known := self._exact.get(exact)) is not None:
            return known
        here = self._open.setdefault((trace_id, agent), [])
        found = next((sheaf for sheaf in here[:_FEW] if sheaf.takes(version, session, actor)), None)
        if found is None:
            found = Sheaf(trace_id.hex(), agent, version, session, actor)
            here.append(found)
        self._exact[exact] = found
        return found

    def bytes_of(self, part: Part) -> bytes:
        """Give a part as it is kept."""
        return self._content[part[0] : part[1]] if isinstance(part, tuple) else part

    def group(self, sheaf: Sheaf) -> SpanGroup:
        """Give a group as it is kept."""
        scopes = (
            body.field(body.SCOPE_SPANS, b"".join((scope, *map(self.bytes_of, parts)))) for scope, parts in sheaf.parts
        )
        started, ended = min(self._now, sheaf.started // 1_000), min(self._now, sheaf.ended // 1_000)
        return SpanGroup(
            sheaf.trace_id, b"".join(sheaf.ids).hex(), sheaf.agent, sheaf.version, sheaf.evaluation, sheaf.failed,
            started, ended, sheaf.session, sheaf.actor, b"".join((self._resource, *scopes)),
        )  # fmt: skip

    def groups(self) -> Iterable[SpanGroup]:
        """Give all of them that hold anything, in the order in which they began to grow."""
        return [self.group(sheaf) for here in self._open.values() for sheaf in here if sheaf.ids]

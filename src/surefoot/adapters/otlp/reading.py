"""Reading: the spans of a resource, one after the other: refused, or kept in their groups.

Of a span only its ids, its times and the few attributes that it is searched by are read. What follows from these is
worked out once for all spans of a trace that say the same, as most do. One in which something is doubtful is cleaned
first; what may speak for a request is read at the end, when all of its group is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from surefoot.adapters.otlp import body
from surefoot.adapters.otlp.body import MOST_NAME_CHARS
from surefoot.adapters.otlp.claiming import claim_of
from surefoot.adapters.otlp.cleaning import Cleaning
from surefoot.adapters.otlp.grouping import Part, Sheaf, Sheaves
from surefoot.adapters.otlp.layout import Place
from surefoot.adapters.otlp.sketch import sketched_span
from surefoot.core import otel
from surefoot.ports.spans import Parcel, Terms

if TYPE_CHECKING:
    from surefoot.adapters.otlp.sketch import SketchedSpan

Suspect = Callable[[bytes, int], tuple[int, int] | None]
_MOST_LOOKED_AT = 8 * MOST_NAME_CHARS  # cut only after it was looked at: half an address is none
_NO_TRACE_ID, _ERROR, _LATEST = bytes(16), 2, 2**64
BAD_TRACE_ID = "a trace_id is not 16 bytes, or all zero"
BAD_SPAN_ID = "a span_id is not 8 bytes, or all zero"
NO_AGENT = "a span names no agent (set service.name, gen_ai.agent.name or surefoot.agent)"


class Doubts:
    """Which parts of a request may hold something; they are asked for in their order."""

    def __init__(self, content: bytes, suspect: Suspect) -> None:
        self.content = content
        self._suspect = suspect
        self._begin, self._stop = suspect(content, 0) or (len(content), len(content))

    def about(self, place: Place) -> bool:
        """Whether something may be there; to look on from there is what each part costs at most."""
        begin, stop = place
        if stop <= self._begin:
            return False
        if self._stop <= begin:
            self._begin, self._stop = self._suspect(self.content, begin) or (len(self.content), len(self.content))
        return self._begin < stop


class _Kin(NamedTuple):
    """What spans of one trace that say the same of themselves have in common; `why_not` if they cannot be kept."""

    trace_id: bytes
    said: Mapping[str, Any]
    why_not: str
    sheaf: Sheaf
    failed: bool
    acts: bool


class Reading:
    """Reads the spans of one resource: refuses what is wrong, and puts the others into their groups."""

    def __init__(
        self, clean: Cleaning, resource: Mapping[str, Any], sheaves: Sheaves, doubts: Doubts, terms: Terms,
        parcel: Parcel,
    ) -> None:  # fmt: skip
        self._clean = clean
        self._service = otel.agent_of_resource(resource)
        self._version = otel.version_of(resource)
        self._sheaves = sheaves
        self._doubts = doubts
        self._terms = terms
        self._parcel = parcel
        self._why_not: dict[str, str] = {}
        self._kin = _Kin(b"", {}, "", Sheaf("", "", 0, "", ""), failed=False, acts=False)
        self._tops: list[tuple[Sheaf, SketchedSpan]] = []

    def span(self, message: SketchedSpan, place: Place, scope: bytes) -> None:
        """Read a span that lies there, below a scope that says this of itself."""
        pairs, trace_id, span_id, kin = message.attributes, message.trace_id, message.span_id, self._kin
        said = {name: pairs[name].string_value or body.plain(pairs[name]) for name in pairs if name in otel.SEARCHED}
        part = place if not self._doubts.about(place) else self._cleaned(place)
        if trace_id != kin.trace_id or said != kin.said:
            kin = self._kin = self._kin_of(trace_id, said, doubtful=part is not place)
        if why_not := kin.why_not or ("" if len(span_id) == 8 and span_id not in body.NO_PARENT else BAD_SPAN_ID):
            self._parcel.rejected[why_not] += 1
            return
        evaluation, sheaf = message.name == otel.EVALUATION, kin.sheaf
        if evaluation:
            sheaf = replace(sheaf, evaluation=1, failed=0, started=_LATEST, ended=0, ids={}, parts=[])
        sheaf.add(span_id, scope, part, kin.failed or message.status.code == _ERROR,
                  message.start_time_unix_nano, message.end_time_unix_nano)  # fmt: skip
        if evaluation:
            group = self._sheaves.group(sheaf)
            self._parcel.evaluations.append((group, body.read(group)[0]))
        elif kin.acts or message.parent_span_id in body.NO_PARENT:
            self._speaks(message, sheaf, part)

    def end(self) -> None:
        """Hand over what was read."""
        self._parcel.groups.extend(self._sheaves.groups())
        self._parcel.claims.extend(claim_of(sheaf, message, self._clean.text) for sheaf, message in self._tops)

    def _kin_of(self, trace_id: bytes, said: dict[str, Any], *, doubtful: bool) -> _Kin:
        told = otel.told(said)
        agent = (otel.first_text(said, told.agent) if told.agent else "") or self._service
        session, actor = otel.first_text(said, told.session), otel.first_text(said, told.actor)
        if doubtful:
            session, actor = self._named(session), self._named(actor)
        version = (otel.version_of(said) if otel.VERSION in said else 0) or self._version
        return _Kin(
            trace_id, said, self._problem(trace_id, agent),
            self._sheaves.of(trace_id, agent, version, session[:MOST_NAME_CHARS], actor[:MOST_NAME_CHARS]),
            failed=otel.status_of(0, said) == "error", acts=otel.kind_of(said, told.kinds) == "agent",
        )  # fmt: skip

    def _problem(self, trace_id: bytes, agent: str) -> str:
        """Why spans of a trace cannot be kept; nothing if they can."""
        if len(trace_id) != 16 or trace_id == _NO_TRACE_ID:
            return BAD_TRACE_ID
        if (why := self._why_not.get(agent)) is None:
            seen = bool(agent) and self._terms.sees(agent)
            why = "" if seen else f"the token is not for the agent {agent[:80]}" if agent else NO_AGENT
            self._why_not[agent] = why
        return why

    def _speaks(self, message: SketchedSpan, sheaf: Sheaf, part: Part) -> None:
        """Remember a span that may speak for its request, as it may be kept."""
        if not self._terms.knows(sheaf.agent):
            self._parcel.strangers.add(sheaf.agent)
        else:
            self._tops.append((sheaf, message if isinstance(part, tuple) else sketched_span(part)))

    def _cleaned(self, place: Place) -> bytes:
        """Give the span that lies there as a field that may be kept."""
        message = Message.FromString(body.inside(self._doubts.content[place[0] : place[1]]))
        self._clean.span(message)
        return body.field(body.SPANS, message.SerializeToString())

    def _named(self, name: str) -> str:
        return name and self._clean.name(name[:_MOST_LOOKED_AT])

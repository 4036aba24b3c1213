"""Unfold: one request as a person reads it: who answered it, what was said of it, and its steps line by line.

Gathered in one read: the request, its outcomes and evaluations, its neighbours in the session, the outline of all of
its steps, and in full only those steps that are shown. Steps of agents that the asker does not see are left out, and
the texts of all of it where the asker may look but not read. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from surefoot.core.backlog import Failure, Lever
from surefoot.core.calls import Call, calls_of
from surefoot.core.errors import NotFound
from surefoot.core.mask import masked_call, masked_outcome, masked_span, masked_trace
from surefoot.core.otel import first_number, first_text
from surefoot.core.outline import Extent, Outline, extent, outline
from surefoot.core.score import Outcome, settled
from surefoot.core.sought import Found, Spot
from surefoot.core.span import Span
from surefoot.core.symptom import told
from surefoot.core.trace import steps_id
from surefoot.core.version import Version
from surefoot.engine.discern import meant
from surefoot.ports import Ports, Tx

MOST_STEPS = 20_000
ROWS = 150
MOST_BROKEN = 5
_SCORE = "gen_ai.evaluation.score.value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One line: a step in full, how deep it stands, how many stand below it."""

    span: Span
    depth: int
    below: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What an evaluation that came as a step said: a label, a score, and why."""

    name: str
    label: str
    score: float | None
    why: str
    span_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfolded:
    """One request; `first` counts from 0, `more` says whether steps were left out altogether.

    `counts` is which of the outcomes counts (-1: none), `chosen` the id of the step that is open (empty: none).
    `broken` are the first steps that ended in an error, `errors` says how many did. `before` and `after` are the
    neighbours in the session. `symptom` is what its failure has in common with others, and `lever` what was made of
    those; both are empty for one that did not fail. `calls` are those of the steps in `parts`.
    """

    found: Found
    outcomes: tuple[Outcome, ...]
    counts: int
    judgements: tuple[Judgement, ...]
    version: Version | None
    before: str
    after: str
    symptom: str
    lever: Lever | None
    total: int
    first: int
    parts: tuple[Part, ...]
    extent: Extent
    broken: tuple[str, ...]
    errors: int
    chosen: str
    calls: tuple[Call, ...]
    more: bool


async def unfold(
    ports: Ports, trace_id: str, *, sees: Callable[[str], bool], reads: Callable[[str], bool],
    span_id: str = "", first: int | None = None,
) -> Unfolded:  # fmt: skip
    """Give one request, with the lines from `first` on, or those around a step.

    NotFound if nobody recorded it, it was deleted, it is of an agent that the asker does not see, or has no such step.
    """

    def work(tx: Tx) -> Unfolded | None:
        found = tx.finding.trace(meant(tx, trace_id, sees))
        if found is None or not sees(found.trace.agent):
            return None
        return _gathered(tx, found, sees, span_id, first)

    whole = await ports.store.read(work)
    if whole is None:
        raise NotFound(f"there is no trace {trace_id!r}", hint="every answer carries the id of its trace")
    return whole if reads(whole.found.trace.agent) else masked(whole)


def masked(whole: Unfolded) -> Unfolded:
    """Give a request without what people wrote; the cause of a failure is named by the answer that was missed."""
    return replace(
        whole, symptom="", lever=None, found=replace(whole.found, trace=masked_trace(whole.found.trace)),
        outcomes=tuple(masked_outcome(one) for one in whole.outcomes),
        judgements=tuple(replace(one, label="", why="") for one in whole.judgements),
        parts=tuple(replace(one, span=masked_span(one.span)) for one in whole.parts),
        calls=tuple(masked_call(one) for one in whole.calls),
    )  # fmt: skip


def _gathered(tx: Tx, found: Found, sees: Callable[[str], bool], span_id: str, first: int | None) -> Unfolded:
    trace = found.trace
    own = steps_id(trace.id)
    agents = [one for one in tx.spans.agents_of(own) if one == trace.agent or sees(one)]
    every = tx.spans.strands(own, limit=MOST_STEPS, agents=agents)
    # Its own first: another agent's step with the same id does not take its place.
    seen = sorted(every, key=lambda one: one.agent != trace.agent)
    steps = outline(seen)
    at, parts = _shown(tx, own, steps, span_id, first)
    outcomes = tuple(tx.outcomes.of(trace.id))
    counts = settled(outcomes)
    symptom = _symptom(found, counts)
    before, after = (
        tx.finding.beside(trace.agent, trace.session, Spot(trace.at, trace.id)) if trace.session else ("", "")
    )
    return Unfolded(
        found=found, outcomes=outcomes, counts=next((n for n, one in enumerate(outcomes) if one is counts), -1),
        judgements=tuple(_judgement(one) for one in tx.spans.evaluations([own], agents)),
        version=_version(tx, trace.agent, trace.version), before=before, after=after, symptom=symptom,
        lever=tx.levers.answering(trace.agent, [symptom]).get(symptom) if symptom else None,
        total=len(steps.ids), first=at, parts=parts, extent=extent(seen), broken=tuple(steps.failed[:MOST_BROKEN]),
        errors=len(steps.failed), chosen=span_id, calls=calls_of(one.span for one in parts),
        more=sum(len(one.ids) for one in every) >= MOST_STEPS,
    )  # fmt: skip


def _shown(tx: Tx, own: str, steps: Outline, span_id: str, first: int | None) -> tuple[int, tuple[Part, ...]]:
    """The lines of one page: from `first` on, else those among which the chosen step stands."""
    place = steps.place(span_id) if span_id else None
    if span_id and place is None:
        raise NotFound(f"this trace has no step {span_id!r}", hint="open the trace itself to see those it has")
    at = first if first is not None else (place or 0) // ROWS * ROWS
    if place is not None and not at <= place < at + ROWS:
        at = place // ROWS * ROWS
    wanted = steps.ids[at : at + ROWS]
    spans = {(one.span_id, one.agent): one for one in tx.spans.some(own, wanted)} if wanted else {}
    return at, tuple(
        Part(span=spans[one, steps.agents[n]], depth=steps.depths[n], below=steps.below[n])
        for n, one in enumerate(wanted, at) if (one, steps.agents[n]) in spans
    )  # fmt: skip


def _judgement(evaluation: Span) -> Judgement:
    said = evaluation.attributes
    score = first_number(said, (_SCORE,)) if _SCORE in said else None
    return Judgement(
        name=first_text(said, ("gen_ai.evaluation.name",)) or "evaluation", score=score, span_id=evaluation.span_id,
        label=first_text(said, ("gen_ai.evaluation.score.label",)),
        why=first_text(said, ("gen_ai.evaluation.explanation",)),
    )  # fmt: skip


def _version(tx: Tx, agent: str, number: int) -> Version | None:
    return next((one for one in tx.versions.listed(agent, before=number + 1, limit=1) if one.number == number), None)


def _symptom(found: Found, counts: Outcome | None) -> str:
    """What a failure is counted by, as triage names it; nothing for what did not fail."""
    if counts is None or counts.verdict != "failure":
        return ""
    check, tool_error = told(counts.source, counts.feedback)
    trace = found.trace
    return Failure(
        id=0, trace_id=trace.id, version=trace.version, input="", predicted="", expected=counts.expected,
        check=check, tool_error=tool_error,
    ).symptom  # fmt: skip

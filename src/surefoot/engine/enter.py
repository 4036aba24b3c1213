"""Enter: requests that an agent's own program answered, told in batches, late and more than once.

What a program says of its assignment is not believed but looked up: the pin that the store holds says which arm a unit
belongs to, at which share and in which epoch, so no program can move evidence from one arm to the other. A version that
had no part in the rollout is refused. An id that is known already changes nothing, because a program that heard no
answer tells the same batch again; one that another agent's request has is kept apart from it. A call that ended by an
error is a failure of its version at once, unless the program says that the version had no part in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from surefoot.core.errors import Conflict, SurefootError
from surefoot.core.rollout.standing import rollout_named
from surefoot.core.score import Outcome
from surefoot.core.span import Span, SpanKind
from surefoot.core.trace import Trace, apart, spellings, steps_id
from surefoot.engine.serve import storable
from surefoot.ports import Ports, Tx

_HEX = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that happened in a request; times in seconds since 1970."""

    id: str
    name: str
    kind: SpanKind
    started: float
    ended: float
    parent: str = ""
    error: str = ""
    input: str = ""
    output: str = ""
    model: str = ""
    version: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One request as its program tells it; `assignment` is what it was given when the version was assigned."""

    id: str
    version: int
    unit: str
    input: str
    output: str
    finish: str
    at: datetime
    assignment: str = ""
    source: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])
    latency_s: float = 0.0
    cost_usd: float = 0.0
    session: str = ""
    actor: str = ""
    external_id: str = ""
    error: str = ""
    blameless: bool = False
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What became of a batch: new ones, those that were known, and those that were refused, by id with the reason."""

    kept: int
    known: int
    refused: Mapping[str, str] = field(default_factory=dict[str, str])


async def enter(ports: Ports, agent: str, told: Sequence[Told]) -> Entered:
    """Record a batch of requests in one transaction; what cannot be recorded is named and spoils nothing else."""
    now = ports.clock()
    clean = [_storable(ports, one, now) for one in told]
    return await ports.store.write(lambda tx: _entered(tx, agent, clean))


def _storable(ports: Ports, one: Told, now: datetime) -> Told:
    def named(name: str) -> str:
        return ports.redact_name(storable(name))

    return replace(
        one, unit=named(one.unit), input=ports.redact(storable(one.input)), source=named(one.source),
        output=ports.redact(storable(one.output)), error=ports.redact(storable(one.error)), at=min(one.at, now),
        session=named(one.session), actor=named(one.actor), external_id=named(one.external_id),
        slices=ports.redact_slices(one.slices), steps=tuple(_clean(ports, step) for step in one.steps),
    )  # fmt: skip


def _clean(ports: Ports, step: Step) -> Step:
    def text(said: str) -> str:
        return ports.redact(storable(said))

    return replace(
        step, name=text(step.name), error=text(step.error), input=text(step.input), output=text(step.output),
        model=storable(step.model),
    )  # fmt: skip


def _entered(tx: Tx, agent: str, told: Sequence[Told]) -> Entered:
    kept, known, refused = 0, 0, dict[str, str]()
    for one in told:
        try:
            new = _recorded(tx, agent, one)
        except SurefootError as problem:
            refused[one.id] = problem.message
            continue
        kept, known = kept + new, known + (not new)
    return Entered(kept=kept, known=known, refused=refused)


def _recorded(tx: Tx, agent: str, one: Told) -> bool:
    """Record one request; false when it is known already."""
    names = spellings(one.id)
    there = tx.spans.traced([*names, *(apart(name, agent) for name in names)])
    if agent in there.values():
        return False
    if tx.executions.some(names):
        raise Conflict(f"{one.id!r} is an execution, whose end its router records", hint="give the trace another id")
    trace = _assigned(tx, Trace(
        id=apart(one.id, agent) if one.id in there else one.id, agent=agent, version=one.version, unit=one.unit,
        input=one.input, output=one.output, finish=one.finish, at=one.at, source=one.source, slices=one.slices,
        latency_s=one.latency_s, cost_usd=one.cost_usd, session=one.session, actor=one.actor,
        external_id=one.external_id,
    ), one.assignment)  # fmt: skip
    tx.traces.add(trace)
    tx.spans.keep(_spans(trace, one.steps))
    if one.finish not in ("stop", "cancelled") and not one.blameless:
        feedback = f"the call ended by {one.finish}" + (f": {one.error}" if one.error else "")
        tx.outcomes.add(Outcome(trace_id=trace.id, verdict="failure", at=one.at, source="sdk", feedback=feedback))
    return True


def _assigned(tx: Tx, trace: Trace, scope: str) -> Trace:
    """Give the trace with the assignment that the store knows of; without a pin it is no part of a rollout."""
    tx.versions.get(trace.agent, trace.version)
    pin = tx.traces.pinned(scope, trace.unit) if scope else None
    if pin is None:
        return trace
    rollout = tx.rollouts.get(rollout_named(scope))
    if rollout.agent != trace.agent or trace.version not in (rollout.incumbent, rollout.challenger):
        raise Conflict(
            f"version {trace.version} of {trace.agent} has no part in the rollout {rollout.id}",
            hint="tell the version that was assigned to the call",
        )
    return replace(trace, rollout=scope, arm=pin.arm, weight_percent=pin.weight_percent, epoch=pin.epoch)


def _spans(trace: Trace, steps: Sequence[Step]) -> list[Span]:
    """Give the steps of a request as spans; only a trace whose id is 128 bits can have any."""
    trace_id = steps_id(trace.id)
    if not _HEX.fullmatch(trace_id):
        return []
    return [
        Span(
            trace_id=trace_id, span_id=one.id, parent_id=one.parent, name=one.name, agent=trace.agent,
            version=one.version or trace.version, kind=one.kind, status="error" if one.error else "ok",
            message=one.error, session=trace.session, actor=trace.actor, model=one.model, input=one.input,
            output=one.output, tokens_in=one.tokens_in, tokens_out=one.tokens_out, cost_usd=one.cost_usd,
            started_ns=int(one.started * 1e9), ended_ns=int(max(one.started, one.ended) * 1e9),
        )
        for one in steps
    ]  # fmt: skip

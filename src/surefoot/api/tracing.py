"""Routes that find requests and sessions, and show one request with its outcomes and steps."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime

from surefoot.api.paging import Asked, Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Here, Looker, must_read, reads
from surefoot.api.trace_documents import (
    OutcomeSaid,
    SessionDocument,
    Sessions,
    SpanDocument,
    TraceDocument,
    Traces,
    WholeSession,
    WholeTrace,
)
from surefoot.core.errors import Invalid
from surefoot.core.mask import masked_outcome, masked_span, masked_trace
from surefoot.core.sought import Found, SessionFound, Sought, Spot
from surefoot.core.token import Token
from surefoot.core.tree import Branch
from surefoot.engine import find

router = APIRouter(tags=["find"])
Named = Annotated[str, Query(max_length=512)]
TraceName = Annotated[str, Path(max_length=200)]


def _sought(
    agent: str,
    text: Annotated[str, Query(max_length=200, description="found in inputs and answers")] = "",
    version: Annotated[int | None, Query(ge=1, le=10**9)] = None,
    arm: Literal["incumbent", "challenger"] | None = None,
    verdict: Literal["success", "failure", "unknown"] | None = None,
    finish: Annotated[str, Query(max_length=20, description="how the answer ended, such as `length`")] = "",
    session: Named = "",
    actor: Named = "",
    slices: Annotated[
        list[str] | None, Query(alias="slice", max_length=16, description="a trait, as name=value; repeatable")
    ] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    slower_s: Annotated[float | None, Query(ge=0, le=1e9, allow_inf_nan=False)] = None,
    costlier_usd: Annotated[float | None, Query(ge=0, le=1e9, allow_inf_nan=False)] = None,
) -> Sought:
    return Sought(
        agent=agent, text=text, version=version, arm=arm, verdict=verdict, finish=finish, session=session, actor=actor,
        slices=traits(slices or []), since=since, until=until, slower_s=slower_s, costlier_usd=costlier_usd,
    )  # fmt: skip


@router.get("/agents/{agent}/traces", responses=declared(404))
async def traces(here: Here, caller: Looker, sought: Annotated[Sought, Depends(_sought)], asked: Paged) -> Traces:
    """List requests, newest first. Each page looks at a bounded stretch: follow `next` even from a short page."""
    if sought.text:
        must_read(caller)
    page = await find.traces(here.ports, sought, sees=caller.sees, after=_spot(asked), limit=asked.limit)
    return Traces(traces=[trace_document(one, caller) for one in page.found], next=_next(asked, page.next))


@router.get("/traces/{trace}", responses=declared(404))
async def trace(trace: TraceName, here: Here, caller: Looker) -> WholeTrace:
    """Show one request: what was asked and answered, all that was said of it, and its steps as a tree."""
    whole = await find.whole_trace(here.ports, trace, sees=caller.sees)
    said = [
        OutcomeSaid(trace_id=one.trace_id, verdict=one.verdict, expected=one.expected, score=one.score,
                    source=one.source, at=one.at, feedback=one.feedback)
        for one in (whole.outcomes if reads(caller) else map(masked_outcome, whole.outcomes))
    ]  # fmt: skip
    began = whole.spans[0].span.started_ns if whole.spans else 0
    return WholeTrace(
        **trace_document(whole.found, caller).model_dump(), outcomes=said,
        spans=[_branch(one, began, caller) for one in whole.spans],
    )  # fmt: skip


@router.get("/agents/{agent}/sessions", responses=declared(404))
async def sessions(agent: str, here: Here, caller: Looker, asked: Paged, actor: Named = "") -> Sessions:
    """List an agent's sessions, the one that was used last first."""
    rows, end = await find.sessions(
        here.ports, agent, sees=caller.sees, actor=actor, after=_spot(asked), limit=asked.limit
    )
    return Sessions(sessions=[session_document(one) for one in rows], next=_next(asked, end))


@router.get("/sessions/{session}", responses=declared(404))
async def session(
    session: Annotated[str, Path(max_length=512)], here: Here, caller: Looker, asked: Paged
) -> WholeSession:
    """Show a session: how each agent served it, and its requests, newest first."""
    known, page = await find.session(here.ports, session, sees=caller.sees, after=_spot(asked), limit=asked.limit)
    return WholeSession(
        sessions=[session_document(one) for one in known], traces=[trace_document(one, caller) for one in page.found],
        next=_next(asked, page.next),
    )  # fmt: skip


def traits(pairs: list[str]) -> dict[str, str]:
    """Read `name=value` pairs; Invalid for one that is none."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name.strip() and equals):
            raise Invalid(f"slice {pair[:60]!r} names no value", hint="write it as name=value")
        found[name.strip()] = value.strip()
    return found


def trace_document(one: Found, caller: Token) -> TraceDocument:
    """Give a request as it goes over the wire to somebody, who may not be one who reads texts."""
    seen = one.trace if reads(caller) else masked_trace(one.trace)
    return TraceDocument(
        id=seen.id, agent=seen.agent, version=seen.version, verdict=one.verdict, finish=seen.finish, at=seen.at,
        input=seen.input, output=seen.output, session=seen.session, actor=seen.actor, external_id=seen.external_id,
        unit=seen.unit, source=seen.source, rollout=seen.rollout, arm=seen.arm, weight_percent=seen.weight_percent,
        slices=seen.slices, latency_s=seen.latency_s, cost_usd=seen.cost_usd,
        hidden=not reads(caller),
    )  # fmt: skip


def session_document(one: SessionFound) -> SessionDocument:
    """Give a session as it goes over the wire."""
    return SessionDocument(
        agent=one.agent, session=one.session, actor=one.actor, requests=one.requests, failures=one.failures,
        cost_usd=one.cost_usd, first_at=one.first_at, last_at=one.last_at, versions=list(one.versions),
    )  # fmt: skip


def _branch(branch: Branch, began_ns: int, caller: Token) -> SpanDocument:
    seen = branch.span if reads(caller) else masked_span(branch.span)
    return SpanDocument(
        id=seen.span_id, name=seen.name, kind=seen.kind, status=seen.status, message=seen.message, model=seen.model,
        started_s=(seen.started_ns - began_ns) / 1e9, latency_s=seen.latency_s, cost_usd=seen.cost_usd,
        tokens_in=seen.tokens_in, tokens_out=seen.tokens_out, input=seen.input, output=seen.output,
        attributes=seen.attributes, spans=[_branch(one, began_ns, caller) for one in branch.below],
    )  # fmt: skip


def _spot(asked: Asked) -> Spot | None:
    return Spot.read(asked.after) if asked.after else None


def _next(asked: Asked, spot: Spot | None) -> str | None:
    return None if spot is None else asked.cursor(spot)

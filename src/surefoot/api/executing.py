"""Routes by which reasoners are asked, with an answer at once or later, and what becomes of it.

Whoever may record may ask, report, note and cancel; whoever may look sees, without texts if they may not read. What
belongs to an agent that a caller may not see is as if it were not there. The paths under `execute` and `executions` are
those that teams know from elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.responses import JSONResponse

from surefoot.api.enrolling import AgentName, at_work
from surefoot.api.feeds import Listener, heard
from surefoot.api.paging import Paged
from surefoot.api.pausing import document as pause_document
from surefoot.api.problems import Problem, declared
from surefoot.api.process_documents import (
    BatchBody,
    BatchDocument,
    CancelledDocument,
    ChainDocument,
    ExecuteBody,
    ExecutionDocument,
    Executions,
    LinkDocument,
    NoteBody,
    NoteDocument,
    ReportBody,
    ResultDocument,
    SubmitBody,
    SubmittedDocument,
)
from surefoot.api.reception import Caller, Here, Reception, Recorder, hears
from surefoot.api.seeing import execution_seen
from surefoot.api.streaming import EventStream, LastEventId, event_line, resumed, while_welcome
from surefoot.core.execution import Execution, Note
from surefoot.core.mask import masked_execution, masked_note
from surefoot.core.token import Token, may, must_may
from surefoot.engine.execute import Request, split
from surefoot.engine.heed import Report
from surefoot.engine.inspect import agent_named
from surefoot.engine.oversee import cancelled, execution, noted
from surefoot.engine.settle import signed_as
from surefoot.engine.wait import chain
from surefoot.ports import Tx

router = APIRouter(tags=["executions"])
ExecutionId = Annotated[str, Path(max_length=100)]
Target = Annotated[str, Path(max_length=200, description="AGENT.REASONER")]
Told = Annotated[str, Header(max_length=512)]
STREAM_S = 900.0
_ENDS: dict[int | str, dict[str, Any]] = {
    502: {"model": Problem, "description": "The process was asked and did not give a result."},
    504: {"model": Problem, "description": "The process did not answer before the deadline."},
}


class Origin:
    """Who is behind a request, as the headers say that teams know from elsewhere."""

    def __init__(
        self, x_session_id: Told = "", x_surefoot_session: Told = "", x_actor_id: Told = "",
        x_surefoot_actor: Told = "", x_workflow_id: Told = "", x_run_id: Told = "", x_parent_execution_id: Told = "",
    ) -> None:  # fmt: skip
        self.session = x_surefoot_session or x_session_id
        self.actor = x_surefoot_actor or x_actor_id
        self.workflow = x_workflow_id or x_run_id
        self.parent = x_parent_execution_id


From = Annotated[Origin, Depends()]


def follower(caller: Caller) -> Token:
    """Give a caller who may look or record."""
    if not may(caller, "record"):
        must_may(caller, "look")
    return caller


Follower = Annotated[Token, Depends(follower)]


@router.post("/execute/{target}", responses=declared(404) | _ENDS)
async def execute(
    target: Target, body: ExecuteBody, here: Here, caller: Recorder, origin: From, response: Response
) -> ResultDocument:  # fmt: skip
    """Ask a reasoner and wait for its answer; X-Routed-Version says which version gave it."""
    asked = await _asked(here, caller, target, body, origin)
    one, result = await at_work(here).execute(asked, deadline=_deadline(body), ports=here.ports)
    if one.state != "succeeded":
        return _failed(one)  # pyright: ignore[reportReturnType]
    response.headers.update(_headers(one) | {"Location": f"/api/v1/executions/{one.id}"})
    response.headers["Cache-Control"] = "no-store"  # the result as it came: what is kept of it is redacted
    return ResultDocument(
        result=result, execution_id=one.id, status=one.state, version=one.version, number=one.number,
        stood_in_for=one.stood_in_for or None, duration_ms=_duration_ms(one),
    )  # fmt: skip


@router.post("/execute/async/{target}", status_code=202, responses=declared(404))
async def submit(
    target: Target, body: SubmitBody, here: Here, caller: Recorder, origin: From, response: Response
) -> SubmittedDocument:  # fmt: skip
    """Ask a reasoner without waiting; the answer says where to look, and a webhook tells how it ended."""
    asked, key = await _asked(here, caller, target, body, origin), None
    if body.webhook is not None:
        here.ports.hooks.check(body.webhook.url)
        key = here.ports.hooks.key(signed_as(caller.name))
        asked = replace(asked, webhook=body.webhook.url)
        response.headers["Cache-Control"] = "no-store"
    one = await at_work(here).submit(asked, deadline=_deadline(body), ports=here.ports)
    response.headers.update(_headers(one))
    return SubmittedDocument(
        execution_id=one.id, status=one.state, version=one.version, status_url=f"/api/v1/executions/{one.id}",
        webhook_key=key,
    )  # fmt: skip


@router.get("/agents/{agent}/executions", responses=declared(404))
async def of_agent(
    agent: AgentName, here: Here, caller: Follower, asked: Paged,
    state: Literal["queued", "running", "waiting", "succeeded", "failed", "timeout", "cancelled", "lost"] | None = None,
    workflow: Annotated[str, Query(max_length=512)] = "",
) -> Executions:  # fmt: skip
    """List the executions of an agent, newest first."""
    await agent_named(here.ports, agent, sees=caller.sees)
    found = await here.ports.store.read(lambda tx: tx.executions.of(
        agent, state=state, workflow=workflow, before=asked.after, limit=asked.limit + 1
    ))  # fmt: skip
    rows, after = asked.cut(found, lambda one: one.id)
    return Executions(executions=[document(one, caller) for one in rows], next=after)


@router.post("/executions/batch-status", responses=declared())
async def batch(body: BatchBody, here: Here, caller: Follower) -> BatchDocument:
    """Give several executions at once; ids that are not there, or not to be seen, are listed."""
    found = await here.ports.store.read(lambda tx: tx.executions.some(body.execution_ids))
    seen = {one.id: one for one in found if caller.sees(one.agent)}
    asked = list(dict.fromkeys(body.execution_ids))
    return BatchDocument(
        executions=[document(seen[one], caller) for one in asked if one in seen],
        missing=[one for one in asked if one not in seen],
    )


@router.get("/executions/{execution_id}", responses=declared(404))
async def shown(execution_id: ExecutionId, here: Here, caller: Follower) -> ExecutionDocument:
    """Show an execution as it stands, with its notes."""
    await execution_seen(here, caller, execution_id)

    def work(tx: Tx) -> ExecutionDocument:
        return document(tx.executions.get(execution_id), caller, *tx.executions.notes(execution_id))

    return await here.ports.store.read(work)


@router.post("/executions/{execution_id}/status", responses=declared(404, 409))
async def report(execution_id: ExecutionId, body: ReportBody, here: Here, caller: Recorder) -> ExecutionDocument:
    """Say how an execution goes, as the process that took it over; saying its end again changes nothing."""
    await execution_seen(here, caller, execution_id)
    return document(await at_work(here).report(Report(
        execution=execution_id, state=body.status, result=body.result, error=body.error, waits_for=body.waits_for,
        sees=caller.sees,
    )), caller)  # fmt: skip


@router.get("/executions/{execution_id}/awaiter-status", responses=declared(404))
async def awaiter(execution_id: ExecutionId, here: Here, caller: Follower) -> ChainDocument:
    """Show what an execution waits for, link by link: other executions, and at the end a person or a process."""
    await execution_seen(here, caller, execution_id)
    found = await chain(here.ports, execution_id, sees=caller.sees)
    return ChainDocument(
        execution_id=execution_id, status=found.links[0].execution.state, ends_with=found.end, hidden=found.hidden,
        chain=[
            LinkDocument(
                execution_id=one.execution.id, agent=one.execution.agent, status=one.execution.state,
                waits_for=one.execution.waits_for or None, waiting_since=one.execution.paused_at,
                pauses=[pause_document(wait, hidden=not hears(caller)) for wait in one.pauses],
            )
            for one in found.links
        ],
    )  # fmt: skip


@router.post("/executions/{execution_id}/cancel", responses=declared(404, 409))
async def cancel(execution_id: ExecutionId, here: Here, caller: Recorder) -> CancelledDocument:
    """End an execution; its process sees its connection close."""
    return await _cancelled(here, caller, execution_id, tree=False)


@router.post("/executions/{execution_id}/cancel-tree", responses=declared(404, 409))
async def cancel_tree(execution_id: ExecutionId, here: Here, caller: Recorder) -> CancelledDocument:
    """End an execution and all that came of it, by X-Parent-Execution-ID."""
    return await _cancelled(here, caller, execution_id, tree=True)


@router.post("/executions/{execution_id}/notes", status_code=201, responses=declared(404, 409))
async def note(execution_id: ExecutionId, body: NoteBody, here: Here, caller: Recorder) -> NoteDocument:
    """Write a note down about an execution."""
    await execution_seen(here, caller, execution_id)
    return _note(await noted(here.ports, execution_id, body.text, by=caller.name, tags=body.tags))


@router.get(
    "/executions/{execution_id}/events", status_code=200, response_class=EventStream,
    responses=declared(404) | {200: {"content": {"text/event-stream": {}}, "description": "Its states as they come."}},
)  # fmt: skip
async def events(
    execution_id: ExecutionId, here: Here, caller: Follower, last_event_id: LastEventId
) -> EventStream:  # fmt: skip
    """Follow an execution to its end as server-sent events, for a quarter of an hour at most."""
    await execution_seen(here, caller, execution_id)
    begun, feeds, leaving = resumed(None, last_event_id), here.feeds, contextlib.AsyncExitStack()
    listener, at = await leaving.enter_async_context(feeds.executions.listening(lambda one: one.id == execution_id))
    leaving.enter_context(feeds.following.followed(execution_id))
    lines = _followed(_states(here, execution_id, listener, at), begun, caller)
    return EventStream(while_welcome(here, caller, lines), leaving)


async def _states(
    here: Reception, execution_id: str, listener: Listener[Execution], at: int
) -> AsyncIterator[Execution | None]:  # fmt: skip
    """Give how it stands, and each change: what happens while that is read is in the listener's buffer."""

    async def none_older(_: int) -> list[tuple[int, Execution]]:
        return []

    yield await execution(here.ports, execution_id)
    async for _, one in heard(listener, at, at, none_older):
        yield one


async def _followed(states: AsyncIterator[Execution | None], begun: int | None, caller: Token) -> AsyncGenerator[str]:
    """Give the states after a revision, each with its own as the event's id, until it is over."""
    until, seen = asyncio.get_running_loop().time() + STREAM_S, begun
    yield "retry: 2000\n\n"
    async for one in states:
        if one is None:
            yield ": \n\n"
        elif seen is None or one.revision > seen:
            seen = one.revision
            yield event_line(one.state, seen, document(one, caller).model_dump(mode="json"))
        if (one is not None and one.over) or asyncio.get_running_loop().time() >= until:
            return
    yield event_line("dropped", None, {"after": seen, "message": "you did not keep up; go on after this one"})


async def _asked(here: Reception, caller: Token, target: str, body: ExecuteBody, origin: Origin) -> Request:
    agent, _ = split(target)
    await agent_named(here.ports, agent, sees=caller.sees)
    return Request(
        target=target, input=body.input, by=caller.name, session=body.session or origin.session,
        actor=body.actor or origin.actor, workflow=origin.workflow, parent=origin.parent, source=body.source,
        slices=body.slices,
    )  # fmt: skip


async def _cancelled(here: Reception, caller: Token, execution_id: str, *, tree: bool) -> CancelledDocument:
    await execution_seen(here, caller, execution_id)
    done = await cancelled(here.ports, execution_id, by=caller.name, tree=tree, sees=caller.sees)
    at_work(here).dropped(one.id for one in done)
    return CancelledDocument(cancelled=[one.id for one in done])


def _deadline(body: ExecuteBody) -> timedelta | None:
    return None if body.timeout_s is None else timedelta(seconds=body.timeout_s)


def _headers(one: Execution) -> dict[str, str]:
    return {"X-Routed-Version": one.version, "X-Surefoot-Version": one.version, "X-Surefoot-Trace-Id": one.id,
            "X-Execution-ID": one.id}  # fmt: skip


def _failed(one: Execution) -> JSONResponse:
    told = {
        "code": "unavailable", "message": f"{one.agent} {one.version}: {one.error or one.state}",
        "hint": f"GET /api/v1/executions/{one.id} shows it", "execution_id": one.id, "version": one.version,
        "status": one.state,
    }  # fmt: skip
    return JSONResponse(told, 504 if one.state == "timeout" or not one.over else 502, headers=_headers(one))


def _duration_ms(one: Execution) -> float:
    return round(((one.ended_at or one.at) - one.at).total_seconds() * 1000, 1)


def _note(one: Note) -> NoteDocument:
    return NoteDocument(at=one.at, by=one.by, text=one.text, tags=list(one.tags))


def document(one: Execution, caller: Token, *notes: Note) -> ExecutionDocument:
    """Give an execution as it goes over the wire to somebody, who may not be one who reads texts."""
    if not hears(caller):
        one, notes = masked_execution(one), tuple(map(masked_note, notes))
    return ExecutionDocument(
        execution_id=one.id, agent=one.agent, reasoner=one.reasoner, version=one.version, number=one.number,
        status=one.state, over=one.over, accepted=one.accepted, input=one.input, result=one.result,
        redacted=one.redacted, error=one.error or None, arm=one.arm, rollout=one.rollout or None,
        stood_in_for=one.stood_in_for or None, process=one.process, workflow=one.workflow or None,
        parent=one.parent or None, waits_for=one.waits_for or None, created_at=one.at, sent_at=one.sent_at,
        ended_at=one.ended_at, deadline=one.deadline, notes=[_note(note) for note in notes],
        hidden=not hears(caller),
    )  # fmt: skip

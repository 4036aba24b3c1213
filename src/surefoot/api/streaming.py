"""Routes that stream what happens: changes of state from the audit log, and changes of an agent's memory.

A listener first reads what it missed, page by page, and is then fed by the one poller of this process (`feeds`). One
that does not keep up is told where to go on (`event: dropped`) and let go; too many are sent away. Each event carries
its number, so a client that comes back with `Last-Event-ID` (or `?after=`) misses nothing. A stream is no longer-lived
than the token that opened it: at each sign of life, and before what comes a second later, it is asked for again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from surefoot.api.feeds import PAGE, Feed, Read, events_after, heard
from surefoot.api.problems import declared
from surefoot.api.reception import Here, Looker, Reception, Recorder, reads
from surefoot.api.remembering import ScopeName, Whose
from surefoot.core.errors import Invalid, SurefootError
from surefoot.core.event import Wanted, patterns
from surefoot.core.mask import masked_event
from surefoot.core.memory import MemoryChange, matches
from surefoot.core.token import Token
from surefoot.engine.inspect import agent_named
from surefoot.engine.remember import changes, places

router = APIRouter(tags=["events"])
T = TypeVar("T")
PATIENCE_S = 30.0
ASKED_S = 1.0
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "events, as they happen"}
}


class EventStream(StreamingResponse):
    """An answer that does not end; a client that does not read for `PATIENCE_S` is let go."""

    media_type = "text/event-stream"

    def __init__(self, lines: AsyncIterator[str], leaving: contextlib.AsyncExitStack) -> None:
        super().__init__(lines, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what comes, as long as somebody reads it."""

        async def patient(message: Message) -> None:
            async with asyncio.timeout(PATIENCE_S):
                await send(message)

        async with self._leaving:
            with contextlib.suppress(TimeoutError):
                await super().__call__(scope, receive, patient)


async def while_welcome(here: Reception, caller: Token, lines: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Give the lines of a stream for as long as its caller may come in; asked at most once in `ASKED_S`."""
    asked_at = time.monotonic()
    async with contextlib.aclosing(lines):
        async for line in lines:
            if time.monotonic() - asked_at >= ASKED_S:
                if not await _welcome(here, caller):
                    return
                asked_at = time.monotonic()
            yield line


async def _welcome(here: Reception, caller: Token) -> bool:
    """Whether a caller who came in would come in again; one without a token does while there are no tokens."""
    try:
        if not caller.sha256:
            return await here.admission.empty()
        await here.admission.of(caller.sha256.lower())
    except SurefootError:  # also where the store has been away for long: the client comes back when it is there
        return False
    return True


Kinds = Annotated[str, Query(max_length=2000, description="kinds of events, separated by commas, such as rollout.*")]
After = Annotated[int | None, Query(ge=0, le=2**53, description="the number of the last event that was heard")]


def last_heard(
    last_event_id: Annotated[str, Header(max_length=30)] = "",
    of_the_address: Annotated[str, Query(alias="lastEventId", max_length=30, include_in_schema=False)] = "",
) -> str:
    """Give the number after which to go on, as a client says it that comes back; some can set no header for it."""
    return last_event_id or of_the_address


LastEventId = Annotated[str, Depends(last_heard)]


@router.get("/events", status_code=200, response_class=EventStream, responses=_STREAM | declared(404))
async def events(
    here: Here, caller: Looker, last_event_id: LastEventId, agent: Annotated[str | None, Query(max_length=200)] = None,
    kinds: Kinds = "", after: After = None,
) -> EventStream:  # fmt: skip
    """Stream changes of state as server-sent events, from now on or from after the last one that was heard."""
    if agent is not None:
        await agent_named(here.ports, agent, sees=caller.sees)
    named = patterns([one.strip() for one in kinds.split(",") if one.strip()])
    wanted = Wanted(agents=frozenset({agent} if agent else caller.agents), kinds=named)
    begin, whole = resumed(after, last_event_id), reads(caller)
    return await _stream(
        here, caller, here.feeds.events, wanted.fits, begin, lambda at: events_after(here.ports, at),
        lambda one: one.kind, lambda one: (one if whole else masked_event(one)).document(),
    )  # fmt: skip


@router.get("/agents/{agent}/memory-events", status_code=200, response_class=EventStream,
            responses=_STREAM | declared(404), tags=["memory"])  # fmt: skip
async def memory_events(
    here: Here, caller: Recorder, where: Whose, last_event_id: LastEventId, scope: ScopeName = "",
    pattern: Annotated[str, Query(max_length=200)] = "*", after: After = None,
) -> EventStream:  # fmt: skip
    """Stream what happens to keys in the caller's scopes, or in the named one, without the values."""
    wanted, begin = frozenset(places(here.ports, where, scope)), resumed(after, last_event_id)

    def fits(one: MemoryChange) -> bool:
        return one.place in wanted and matches(pattern, one.key)

    async def older(at: int) -> list[tuple[int, MemoryChange]]:
        return [(one.seq, one) for one in await changes(here.ports, where, scope=scope, after=at, limit=PAGE)]

    return await _stream(
        here, caller, here.feeds.memory, fits, begin, older, lambda one: f"memory.{one.action}", _change
    )  # fmt: skip


def _change(one: MemoryChange) -> dict[str, object]:
    return {"seq": one.seq, "key": one.key, "action": one.action, "scope": one.place.scope, "owner": one.place.owner,
            "at": one.at.isoformat()}  # fmt: skip


def resumed(after: int | None, last: str) -> int | None:
    """Give the number after which to go on; None for what comes from now on."""
    if last:
        if not (last.isascii() and last.isdigit() and len(last) <= 16):
            raise Invalid("the Last-Event-ID is none of ours", hint="send the id of the last event, or none")
        return int(last)
    return after


async def _stream(
    here: Reception, caller: Token, feed: Feed[T], fits: Callable[[T], bool], begin: int | None, older: Read[T],
    kind: Callable[[T], str], document: Callable[[T], dict[str, object]],
) -> EventStream:  # fmt: skip
    """Begin to listen, so that a refusal is still an answer, and give the stream."""
    async with contextlib.AsyncExitStack() as listening:
        listener, at = await listening.enter_async_context(feed.listening(fits))
        first = at if begin is None else begin if begin <= at else min(begin, await feed.last())
        leaving = listening.pop_all()  # from here on the stream leaves; before, whatever went wrong does

    async def lines() -> AsyncGenerator[str]:
        yield f"retry: 2000\n: from {first}\n\n"
        last = first
        async for number, one in heard(listener, first, at, older):
            last = max(last, number)
            yield ": \n\n" if one is None else event_line(kind(one), number, document(one))
        yield event_line("dropped", None, {"after": last, "message": "you did not keep up; go on after this one"})

    return EventStream(while_welcome(here, caller, lines()), leaving)


def event_line(kind: str, number: int | None, document: dict[str, object]) -> str:
    """Give one event as it is written in a stream."""
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n"

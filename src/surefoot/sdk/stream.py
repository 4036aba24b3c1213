"""A stream: what an agent's model answers, piece by piece, and at the end what it all was and took.

It is asked when its first piece is wanted, and read on the line's own thread, so that it can be taken from any event
loop, or from plain code. Whoever leaves early, by `break`, an exception or a cancelled task, closes it: Surefoot hears
of it and breaks off the model's work. Inside a call a stream is a step, noted once, however it ends; outside of one it
leaves a trace of its own, which is `cancelled` when it was left. No answer at all is Unavailable, as it is for `ai`;
one that breaks off is Unavailable as well, and `text` holds what had come. In a call the version is to blame for that
only if Surefoot says that it was the model's upstream that broke off.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

from surefoot.core.errors import SurefootError, Unavailable
from surefoot.core.wire import Body, heard_stream, piece_of
from surefoot.core.wire import asked as asked_in
from surefoot.sdk import call as calls
from surefoot.sdk.call import Call
from surefoot.sdk.house import House
from surefoot.sdk.link import Away, Link
from surefoot.sdk.model import PATH, Said, begun, read_whole

COST, BROKE_OFF = ": x-surefoot-cost-usd=", ": x-surefoot-broke-off"
LEFT = "left before its end"
_HINT = "what had come is in its text; ask again"
Part = Said | str | SurefootError


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked, with which headers, and how many seconds may pass without a piece."""

    agent: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    silence_s: float


class _Flow:
    """One answer as it arrives; everything here happens on the line."""

    def __init__(self, link: Link, asked: Request) -> None:
        self._link = link
        self._asked = asked
        self._parts: asyncio.Queue[Part | None] = asyncio.Queue(64)
        self._task: asyncio.Task[None] | None = None
        self._ours = "x-surefoot-part-of" in asked.headers

    async def some(self) -> Sequence[Part | None]:
        """Give what has come since, at least one part: texts, then what it was or the error, then None for the end."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        elif self._task.get_loop() is not asyncio.get_running_loop():
            raise self._broken("the agent was closed")
        parts = [await self._parts.get()]
        while not self._parts.empty():
            parts.append(self._parts.get_nowait())
        return parts

    def stop(self) -> None:
        """Have no more use for it."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._read()
        except SurefootError as problem:
            await self._parts.put(problem)
        except TimeoutError:
            await self._parts.put(self._broken(f"nothing came for {self._asked.silence_s:g} s"))
        except Exception as problem:  # noqa: BLE001  whatever it is: whoever waits for pieces must hear of it
            await self._parts.put(self._broken(type(problem).__name__))
        await self._parts.put(None)

    async def _read(self) -> None:
        asked, events, cost_usd = self._asked, list[Body](), 0.0
        answer = self._link.listen(PATH, body=asked.body, headers=asked.headers, silence_s=asked.silence_s)
        async with answer as (headers, lines):
            said = begun(headers)
            await self._parts.put(said)
            if not headers.get("content-type", "").startswith("text/event-stream"):
                said = read_whole(json.loads("\n".join([line async for line in lines])), headers)
                for part in filter(None, (said.text, said)):
                    await self._parts.put(part)
                return
            async for line in lines:
                if line.startswith(COST):
                    cost_usd = float(line.removeprefix(COST))
                elif line.startswith(BROKE_OFF):
                    self._ours = False
                elif line.startswith("data:") and (event := _event(line)) is not None:
                    events.append(event)
                    if piece := piece_of(event):
                        await self._parts.put(piece)
        await self._parts.put(_ended(said, events, cost_usd))
        if (problem := _problem_in(events)) is not None:
            await self._parts.put(Unavailable(f"the model failed midway ({problem})", hint=_HINT))

    def _broken(self, why: str) -> Unavailable:
        return (Away if self._ours else Unavailable)(f"the answer broke off ({why})", hint=_HINT)


class _Streaming:
    """A stream as whoever takes it sees it: what has come, and the step that it is."""

    def __init__(self, house: House, asked: Request) -> None:
        self._line = house.line
        self._flow = _Flow(house.link, asked)
        self._agent = asked.agent
        self._call: Call | None = calls.current(asked.agent)
        self._step = calls.step_of(f"chat {asked.agent}", "chat", calls.cut(asked_in("chat", dict(asked.body))))
        self._ready: list[Part | None] = []
        self._texts: list[str] = []
        self._asked_for, self._over = False, False
        self.said = Said(text="", finish="truncated", version=0, trace_id="")

    @property
    def text(self) -> str:
        """What has come so far; at the end all of it, and tool calls as JSON where there is no text."""
        return self.said.text or "".join(self._texts)

    def _piece(self) -> str | None:
        """Give the next piece that is there, or None; what went wrong is raised."""
        while self._ready:
            part = self._ready.pop(0)
            if isinstance(part, str):
                self._texts.append(part)
                return part
            if isinstance(part, Said):
                self._heard(part)
            elif part is None:
                self._ended("")
            else:
                self._ended(calls.told(part), blameless=isinstance(part, Away))
                raise part
        return None

    def _begin(self) -> None:
        """Note that it is asked: as a step of the call around it, which it is from now on."""
        if not self._asked_for:
            self._asked_for = True
            self._step.started = self._step.ended = time.time()
            calls.noted(self._call, self._step)

    def _heard(self, said: Said) -> None:
        self.said = said
        if self._call is None and said.trace_id:
            calls.ended(self._agent, said.trace_id)

    def _ended(self, error: str, *, blameless: bool = False) -> None:
        """Note how it ended, once; for the call around it that counts unless its version has no part in it."""
        if self._over:
            return
        self._over = True
        self._line.tell(self._flow.stop)
        said, step = self.said, self._step
        if not self._asked_for:
            return
        step.ended, step.error, step.output = time.time(), error, calls.cut(self.text)
        step.model, step.version, step.cost_usd = said.model, said.version, said.cost_usd
        step.tokens_in, step.tokens_out = said.tokens_in, said.tokens_out
        if self._call is not None and said.trace_id and not blameless:
            self._call.finish, self._call.cost_usd = said.finish, self._call.cost_usd + said.cost_usd

    def _left(self) -> None:
        self._ended(LEFT, blameless=True)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the end of the program there may be nothing left to tell
            self._left()


class Stream(_Streaming):
    """What a model answers, for `async for`; `said` is what it was and took, complete after the last piece."""

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while (piece := self._piece()) is None:
            if self._over:
                raise StopAsyncIteration
            self._begin()
            try:
                self._ready += await self._line.reach(self._flow.some())
            except BaseException:  # the task was cancelled
                self._left()
                raise
        return piece

    async def whole(self) -> str:
        """Take what is still to come, and give all of it."""
        async for _ in self:
            pass
        return self.text

    async def aclose(self) -> None:
        """Leave it; leaving a `with` block does."""
        self._left()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class SyncStream(_Streaming):
    """What a model answers, for a plain `for`."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while (piece := self._piece()) is None:
            if self._over:
                raise StopIteration
            self._begin()
            try:
                self._ready += self._line.wait(self._flow.some())
            except BaseException:  # such as Ctrl-C
                self._left()
                raise
        return piece

    def whole(self) -> str:
        """Take what is still to come, and give all of it."""
        for _ in self:
            pass
        return self.text

    def close(self) -> None:
        """Leave it; leaving a `with` block does."""
        self._left()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _event(line: str) -> Body | None:
    """The event in a line of data; None for the mark of the end."""
    try:
        found: object = json.loads(line[5:])
    except ValueError:
        return None
    return cast("Body", found) if isinstance(found, dict) else None


def _ended(said: Said, events: list[Body], cost_usd: float) -> Said:
    told = heard_stream("chat", events)
    model = next((str(one["model"]) for one in events if "model" in one), "")
    return replace(
        said, text=told.text, finish=told.finish, tokens_in=told.tokens_in, tokens_out=told.tokens_out, model=model,
        cost_usd=cost_usd,
    )  # fmt: skip


def _problem_in(events: list[Body]) -> str | None:
    """What a stream told that went wrong, instead of going on."""
    error: object = next((one["error"] for one in events if one.get("error")), None)
    told: object = cast("Body", error).get("message") if isinstance(error, dict) else error
    return None if error is None else str(told)[:300]

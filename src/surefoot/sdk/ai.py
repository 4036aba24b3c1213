"""Asking an agent's model: a whole answer, or one that comes in pieces; for coroutines, and for plain code.

In this order: what is asked and whose question it is, then the request on the line, then what it was and took, noted as
a step of the call that is going on. The request goes the way of the gateway, so the version, its prompt and its price
are those that everybody gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from pydantic import BaseModel

from surefoot.sdk import call as calls
from surefoot.sdk.call import Call
from surefoot.sdk.house import House
from surefoot.sdk.model import AI_S, Misfit, Said, asked, body_of, read, read_beside
from surefoot.sdk.stream import Request, Stream, SyncStream

M = TypeVar("M", bound=BaseModel)
Messages = list[Mapping[str, Any]]


class Ai:
    """The model of one agent."""

    def __init__(self, agent: str, house: House, misfit: Misfit) -> None:
        self._agent = agent
        self._house = house
        self._misfit = misfit

    @overload
    async def __call__(
        self, user: str = "", *, schema: None = None, system: str | None = None, messages: Messages | None = None,
        timeout_s: float = AI_S, **more: Any,
    ) -> str: ...  # fmt: skip
    @overload
    async def __call__(
        self, user: str = "", *, schema: type[M], system: str | None = None, messages: Messages | None = None,
        timeout_s: float = AI_S, **more: Any,
    ) -> M: ...  # fmt: skip
    @overload
    async def __call__(
        self, user: str = "", *, schema: Mapping[str, Any], system: str | None = None, messages: Messages | None = None,
        timeout_s: float = AI_S, **more: Any,
    ) -> Any: ...  # fmt: skip
    async def __call__(
        self, user: str = "", *, schema: object = None, system: str | None = None, messages: Messages | None = None,
        timeout_s: float = AI_S, **more: Any,
    ) -> Any:  # fmt: skip
        """Ask, and give the text of the answer, or with a schema the object that it is.

        The genome is the system prompt; `system` takes its place (`agent.prompt` holds it), `messages` go in between,
        and what else is named goes along in the request, such as `temperature`. Unavailable when no answer comes,
        Invalid for an answer that does not fit the schema.
        """
        said = await self._house.line.reach(self.spoken(user, schema, system, messages, timeout_s, more))
        self._note(said)
        return said.text if schema is None else await read_beside(schema, said.text, self._misfit)

    def stream(
        self, user: str = "", *, system: str | None = None, messages: Messages | None = None, timeout_s: float = AI_S,
        **more: Any,
    ) -> Stream:  # fmt: skip
        """Ask for an answer in pieces: `async for piece in agent.ai.stream(...)`; `async with` closes it for certain.

        It is asked what a call would ask, when the first piece is wanted, and `timeout_s` is the longest silence.
        """
        return Stream(*self.streaming(user, system, messages, timeout_s, more))

    async def spoken(
        self, user: str, schema: object, system: str | None, messages: Messages | None, timeout_s: float,
        more: Mapping[str, Any],
    ) -> Said:  # fmt: skip
        """Ask on the line, as a step of the call that is going on where this was begun."""
        call = calls.current(self._agent)
        body = body_of(self._agent, user, system, messages, schema, more)
        with calls.stepping(call, f"chat {self._agent}", "chat", calls.cut(user)) as step:
            said = await asked(self._house.link, body, _headers(call, system is not None), timeout_s)
            step.output, step.model, step.cost_usd = calls.cut(said.text), said.model, said.cost_usd
            step.tokens_in, step.tokens_out = said.tokens_in, said.tokens_out
            step.version = said.version
        if call is not None:
            call.finish, call.cost_usd = said.finish, call.cost_usd + said.cost_usd
        return said

    def heard(self, said: Said, schema: object) -> Any:
        """Give what was answered, and note its trace where no call is going on."""
        self._note(said)
        return said.text if schema is None else read(schema, said.text, self._misfit)

    def _note(self, said: Said) -> None:
        if calls.current(self._agent) is None:
            calls.ended(self._agent, said.trace_id)

    def streaming(
        self, user: str, system: str | None, messages: Messages | None, timeout_s: float, more: Mapping[str, Any]
    ) -> tuple[House, Request]:  # fmt: skip
        """Give what a stream is made of."""
        body = body_of(self._agent, user, system, messages, None, more)
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        headers = _headers(calls.current(self._agent), system is not None)
        return self._house, Request(agent=self._agent, body={**usage, **body}, headers=headers, silence_s=timeout_s)


class SyncAi:
    """The same for plain code; each call waits."""

    def __init__(self, ai: Ai, house: House) -> None:
        self._ai = ai
        self._house = house

    @overload
    def __call__(
        self, user: str = "", *, schema: None = None, system: str | None = None, messages: Messages | None = None,
        timeout_s: float = AI_S, **more: Any,
    ) -> str: ...  # fmt: skip
    @overload
    def __call__(
        self, user: str = "", *, schema: type[M], system: str | None = None, messages: Messages | None = None,
        timeout_s: float = AI_S, **more: Any,
    ) -> M: ...  # fmt: skip
    @overload
    def __call__(
        self, user: str = "", *, schema: Mapping[str, Any], system: str | None = None, messages: Messages | None = None,
        timeout_s: float = AI_S, **more: Any,
    ) -> Any: ...  # fmt: skip
    def __call__(
        self, user: str = "", *, schema: object = None, system: str | None = None, messages: Messages | None = None,
        timeout_s: float = AI_S, **more: Any,
    ) -> Any:  # fmt: skip
        """Ask the agent's model."""
        said = self._house.line.wait(self._ai.spoken(user, schema, system, messages, timeout_s, more))
        return self._ai.heard(said, schema)

    def stream(
        self, user: str = "", *, system: str | None = None, messages: Messages | None = None, timeout_s: float = AI_S,
        **more: Any,
    ) -> SyncStream:  # fmt: skip
        """Ask for an answer in pieces: `for piece in agent.sync.ai.stream(...)`."""
        return SyncStream(*self._ai.streaming(user, system, messages, timeout_s, more))


def _headers(call: Call | None, own_system: bool) -> dict[str, str]:
    to = call.whose if call is not None else calls.whose()
    kind, _, owner = (call.unit if call is not None else to.unit("")).partition(":")
    named = {"x-surefoot-session" if kind == "session" else "x-surefoot-actor": owner} if owner else {}
    if to.actor:
        named["x-surefoot-actor"] = calls.spelled(to.actor)
    if call is not None:
        named["x-surefoot-part-of"] = call.trace_id
        if call.slices:
            told = (f"{calls.spelled(name)}={calls.spelled(kind)}" for name, kind in call.slices.items())
            named["x-surefoot-slices"] = ", ".join(told)
    if own_system:
        named["x-surefoot-render"] = "none"
    return named

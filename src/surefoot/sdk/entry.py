"""An entry: the function of a program that answers an agent's requests, and the trace that each run of it leaves.

In this order: whose request it is, which version serves it, the function itself, and what became of it. What the
function raises is noted and raised again. A trace waits to be sent and delays nothing; a run inside a run of the same
agent is a step of that one, with its version. The run of a generator begins when its first part is wanted and ends with
it, whichever way: it is cut off when the caller wants no more.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from surefoot.sdk import call as calls
from surefoot.sdk.call import Call, Step, Whose
from surefoot.sdk.house import V1, House
from surefoot.sdk.link import Away, segment
from surefoot.sdk.parts import Parts, handed_on, handed_on_async, within
from surefoot.sdk.waiting import Item

_NOT_OURS = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Which arguments say whose request it is, and which key of a mapping is the answer; empty means none does."""

    session: str = ""
    actor: str = ""
    external_id: str = ""
    slices: tuple[str, ...] = ()
    answer: str = ""

    def asked(self, arguments: Mapping[str, Any]) -> str:
        """Give what a call was asked: its arguments without those that only say whose it is, and of which kind."""
        aside = {self.session, self.actor, self.external_id, *self.slices}
        return calls.text_in({name: value for name, value in arguments.items() if name not in aside} or arguments)


@dataclass(slots=True)
class _Note:
    """What a run answered."""

    output: str = ""
    result: Any = None

    @contextmanager
    def said_of(self, step: Step) -> Generator[None]:
        """Let a step tell what was answered, as far as it came."""
        try:
            yield
        finally:
            step.output = self.output


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """The entries of one agent."""

    agent: str
    house: House
    new_id: Callable[[], str]

    def wrapped(self, work: Callable[..., Any], names: Names) -> Callable[..., Any]:
        """Give the function as an entry of the same kind: plain, async, or a generator of either kind."""
        if inspect.isgeneratorfunction(work):
            return self._parts(work, names)
        if inspect.isasyncgenfunction(work):
            return self._async_parts(work, names)
        return self._async(work, names) if inspect.iscoroutinefunction(work) else self._plain(work, names)

    def _async(self, work: Callable[..., Any], names: Names) -> Callable[..., Any]:
        @functools.wraps(work)
        async def entry(*given: Any, **named: Any) -> Any:
            arguments = calls.asked_with(work, given, named)
            call = self._begun(names, arguments)
            if calls.current(self.agent) is None:
                call.assigned = await self.house.line.reach(self._assigned(call))
            with self._noted(call, work.__name__, names.asked(arguments)) as note:
                note.result = await work(*given, **named)
                note.output = calls.text_out(note.result, names.answer)
            return note.result

        return entry

    def _plain(self, work: Callable[..., Any], names: Names) -> Callable[..., Any]:
        @functools.wraps(work)
        def entry(*given: Any, **named: Any) -> Any:
            arguments = calls.asked_with(work, given, named)
            call = self._begun(names, arguments)
            if calls.current(self.agent) is None:
                call.assigned = self.house.line.wait(self._assigned(call))
            with self._noted(call, work.__name__, names.asked(arguments)) as note:
                note.result = work(*given, **named)
                note.output = calls.text_out(note.result, names.answer)
            return note.result

        return entry

    def _parts(self, work: Callable[..., Any], names: Names) -> Callable[..., Any]:
        @functools.wraps(work)
        def entry(*given: Any, **named: Any) -> Generator[Any, Any, Any]:
            return run(copy_context(), calls.asked_with(work, given, named), work(*given, **named))

        def run(here: Context, arguments: dict[str, Any], given: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            call = here.run(self._begun, names, arguments)
            if here.run(calls.current, self.agent) is None:
                call.assigned = self.house.line.wait(self._assigned(call))
            with self._giving(here, call, work.__name__, names, arguments) as parts:
                return (yield from handed_on(here, given, parts.lent))

        return entry

    def _async_parts(self, work: Callable[..., Any], names: Names) -> Callable[..., Any]:
        @functools.wraps(work)
        def entry(*given: Any, **named: Any) -> AsyncGenerator[Any, Any]:
            here, arguments = copy_context(), calls.asked_with(work, given, named)
            return handed_on_async(here, work(*given, **named), giving(here, arguments))

        @asynccontextmanager
        async def giving(here: Context, arguments: dict[str, Any]) -> AsyncGenerator[Parts]:
            call = here.run(self._begun, names, arguments)
            if here.run(calls.current, self.agent) is None:
                call.assigned = await self.house.line.reach(self._assigned(call))
            with self._giving(here, call, work.__name__, names, arguments) as parts:
                yield parts

        return entry

    @contextmanager
    def _giving(
        self, here: Context, call: Call, name: str, names: Names, arguments: dict[str, Any]
    ) -> Generator[Parts]:
        """Let a generator go on in its context, and note what it gave until it ended."""
        parts = Parts(answer=names.answer)
        try:
            with within(here, self._noted(call, name, names.asked(arguments))) as note:
                try:
                    yield parts
                finally:
                    note.output = parts.output()
                    call.paused_s += parts.waited_s
        finally:
            if here.run(calls.current, self.agent) is None:
                calls.ended(self.agent, call.trace_id)  # once more, for whoever took the parts, in their context

    async def _assigned(self, call: Call) -> calls.Assigned | None:
        return await self.house.assigned(self.agent, call.unit, call.slices)

    def _begun(self, names: Names, arguments: Mapping[str, Any]) -> Call:
        """Begin a run; inside one of the same agent it has the trace and the version of that one."""
        here, around = calls.whose(), calls.current(self.agent)
        to = Whose(
            session=calls.named_in(arguments, names.session) or here.session,
            actor=calls.named_in(arguments, names.actor) or here.actor, workflow=here.workflow,
        )  # fmt: skip
        kinds = {name: calls.named_in(arguments, name) for name in names.slices}
        trace_id = self.new_id() if around is None else around.trace_id
        fresh = Call(
            agent=self.agent, trace_id=trace_id, whose=to, outer=calls.innermost(), unit=to.unit(trace_id),
            slices={name: kind for name, kind in kinds.items() if kind},
            external_id=calls.named_in(arguments, names.external_id), assigned=None,
        )  # fmt: skip
        return fresh if around is None else replace(fresh, unit=around.unit, assigned=around.assigned)

    @contextmanager
    def _noted(self, call: Call, name: str, asked: str) -> Generator[_Note]:
        """Let a run go on, and note how it ended: as a trace of its own, or as a step of the one around it."""
        around, note = calls.current(self.agent), _Note()
        if around is not None:
            with calls.stepping(around, name, "agent", asked) as step, note.said_of(step):
                yield note
            return
        error: BaseException | None = None
        try:
            stepping = calls.stepping(call.outer, f"invoke_agent {self.agent}", "agent", asked)
            with stepping as step, note.said_of(step), calls.going_on(call):
                yield note
        except BaseException as problem:
            error = problem
            raise
        finally:
            self._told(call, asked, note.output, error)

    def _told(self, call: Call, asked: str, output: str, error: BaseException | None) -> None:
        """Let a trace wait to be sent."""
        calls.ended(self.agent, call.trace_id)
        if call.assigned is None:
            self.house.waiting.lose(f"a trace of {self.agent}: no version was known")
            return
        finish = call.finish if error is None else "cancelled" if isinstance(error, _NOT_OURS) else "error"
        path = f"{V1}/agents/{segment(self.agent)}/traces"
        self.house.told(Item(method="POST", path=path, batch=path, body={
            "id": call.trace_id, "version": call.assigned.version, "assignment": call.assigned.assignment,
            "unit": call.unit, "input": asked, "output": output, "finish": finish,
            "at": datetime.fromtimestamp(call.started, UTC).isoformat(), "source": call.whose.actor[:500],
            "session": call.whose.session[:500], "actor": call.whose.actor[:500],
            "external_id": call.external_id[:500],
            "slices": {name[:200]: value[:500] for name, value in call.slices.items()},
            "latency_s": call.latency_s, "cost_usd": call.cost_usd,
            "error": calls.told(error) if error is not None else "", "blameless": isinstance(error, Away),
            "steps": call.steps_told(),
        }))  # fmt: skip

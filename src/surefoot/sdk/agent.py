"""An agent in a user's program: the version of each call, its model, its memory, its outcomes, and its people.

`entry` marks the function that answers requests. Before each call it is asked which version serves; what the function
then reads as `genome`, `prompt` and `version` is that one, in that call alone. After the call its trace waits to be
sent. Nothing here raises into the function because Surefoot is away: the last known genome serves, traces and outcomes
wait, and `health()` tells. What the program itself does wrong is raised where it is done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar, overload

from pydantic import BaseModel

from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.genome import Genome, render
from surefoot.sdk import call as calls
from surefoot.sdk import waits
from surefoot.sdk.ai import Ai
from surefoot.sdk.call import Assigned, Step, Whose
from surefoot.sdk.entry import Entries, Names
from surefoot.sdk.harness import TURNS, USD, Conversation, Harnessed, OnTurn, Terms, Tool
from surefoot.sdk.house import V1, Health, House, closed
from surefoot.sdk.link import segment
from surefoot.sdk.memory import Memory
from surefoot.sdk.model import Misfit
from surefoot.sdk.synchronous import SyncAgent
from surefoot.sdk.waiting import Item
from surefoot.sdk.waits import Decision

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)
FLUSH_S = 10.0


class Agent:
    """One agent at one place; safe to use from many tasks and threads."""

    def __init__(self, name: str, house: House, new_id: Callable[[], str], misfit: Misfit) -> None:
        self.name = name
        self._house = house
        self._new_id = new_id
        self._entries = Entries(agent=name, house=house, new_id=new_id)
        self._misfit = misfit
        self.ai = Ai(name, house, misfit)
        """Asks the agent's model: `await agent.ai(...)`, or `async for piece in agent.ai.stream(...)`."""
        self.memory = Memory(house, name, new_id)
        self.sync = SyncAgent(self, house)

    def __repr__(self) -> str:
        return f"Agent({self.name!r})"

    # The call that is going on ----------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The number of the version assigned to this call; outside of calls that of the context, else the live one."""
        return self._assigned().version

    @property
    def genome(self) -> Genome:
        """The genome assigned to this call; Unavailable when Surefoot is away and none was ever known."""
        return self._assigned().genome

    @property
    def prompt(self) -> str:
        """The genome as a system prompt, with the rules that apply to this call."""
        call = calls.current(self.name)
        return render(self.genome, call.slices if call is not None else {})

    @property
    def trace_id(self) -> str:
        """The trace of the call that is going on; Invalid outside of one."""
        call = calls.current(self.name)
        if call is None:
            raise Invalid(f"no call of {self.name} is going on here", hint="outside of calls: last_trace_id")
        return call.trace_id

    @property
    def last_trace_id(self) -> str:
        """The trace of the last call that ended in this task, in plain code in this thread; empty before the first."""
        return calls.last(self.name)

    @contextmanager
    def context(self, *, session: str = "", actor: str = "", workflow: str = "") -> Generator[None]:
        """Say to whom the calls in this block belong: the version sticks to the session, else to the actor."""
        here = calls.whose()
        with calls.belonging(Whose(session=session or here.session, actor=actor or here.actor,
                                   workflow=workflow or here.workflow)):  # fmt: skip
            yield

    @contextmanager
    def step(self, name: str, *, input: str = "") -> Generator[Step]:  # noqa: A002  the word of the trace
        """Note a step of the call that is going on, such as a tool: how long it took, and what it raised."""
        with calls.stepping(calls.current(self.name), name, "tool", calls.cut(input)) as step:
            yield step

    def _assigned(self) -> Assigned:
        call = calls.current(self.name)
        if call is None:
            here = calls.whose()
            unit = here.unit("") if here.session.strip() or here.actor.strip() else ""
            found = self._house.line.wait(self._house.assigned(self.name, unit, {}))
        else:
            found = call.assigned
        if found is None:
            raise Unavailable(
                f"no genome of {self.name} is known here: Surefoot is away, and none was kept",
                hint="run once while it can be reached; agent.health() says more",
            )
        return found

    # Entries ----------------------------------------------------------------------------------------------------------

    @overload
    def entry(self, work: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def entry(
        self, work: None = None, /, *, session: str = "", actor: str = "", external_id: str = "",
        slices: tuple[str, ...] = (), answer: str = "",
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...  # fmt: skip
    def entry(
        self, work: Callable[..., Any] | None = None, /, *, session: str = "", actor: str = "", external_id: str = "",
        slices: tuple[str, ...] = (), answer: str = "",
    ) -> Any:  # fmt: skip
        """Mark the function that answers this agent's requests: plain, async, or a generator of either kind.

        `session`, `actor` and `external_id` name the arguments that say whose request it is and what you call it,
        `slices` those that say of which kind it is; `answer` names the key of a mapping that holds the answer (by
        default label, answer, output or text). The answer of a generator is what it gave: texts joined, other values as
        a list, of mappings the key that `answer` names. Its run begins when the first part is wanted, and is cut off
        when the caller wants no more.
        """
        names = Names(session=session, actor=actor, external_id=external_id, slices=slices, answer=answer)
        return partial(self._entries.wrapped, names=names) if work is None else self._entries.wrapped(work, names)

    # Outcomes and people ----------------------------------------------------------------------------------------------

    async def outcome(
        self, trace_id: str = "", *, expected: str = "", success: bool | None = None, score: float | None = None,
        comment: str = "", external_id: str = "",
    ) -> bool:  # fmt: skip
        """Say how a call went, by its trace or by an id of your own; True once it is kept, False while it waits.

        Invalid when nothing is said, or a label the agent does not have; NotFound for a trace that nobody recorded.
        """
        if not trace_id and not external_id:
            raise Invalid("the outcome is of nothing", hint="give the trace's id (agent.last_trace_id), or external_id")
        mine = self.name if external_id else ""
        body = {"trace_id": trace_id, "external_id": external_id, "agent": mine, "expected": expected,
                "success": success, "score": score, "comment": comment}  # fmt: skip
        told = {name: value for name, value in body.items() if value not in ("", None)}
        return await self._house.line.reach(self._outcome(told))

    async def _outcome(self, body: Mapping[str, Any]) -> bool:
        item = Item(method="POST", path=f"{V1}/outcomes", body=dict(body),
                    headers={"idempotency-key": self._new_id()})  # fmt: skip
        item.done = asyncio.get_running_loop().create_future()
        if not self._house.waiting.put(item):
            return False
        self._house.waiting.wake()
        try:
            await item.done
        except Unavailable as away:
            self._house.say(away)
            return False
        return True

    async def pause(
        self, name: str, *, expires_in_hours: float = 72.0, reason: str = "", url: str = "", execution: str = "",
        timeout_s: float | None = None,
    ) -> Decision:  # fmt: skip
        """Ask a person, and give what they decided: approved, rejected, request_changes, or expired.

        The same name again is the same wait, also after a restart. TimeoutError after `timeout_s`; the wait goes on.
        """
        call, began = calls.current(self.name), time.perf_counter()
        body = {"name": name, "expires_in_hours": expires_in_hours, "reason": reason, "url": url,
                "execution": execution or (call.trace_id if call is not None else "")}  # fmt: skip
        try:
            with calls.stepping(call, f"pause {name}", "other", reason) as step:
                found = await self._house.line.reach(waits.decision(self._house.link, self.name, body, timeout_s))
                step.output = found.decision
        finally:
            if call is not None:
                call.paused_s += time.perf_counter() - began
        return found

    # An improver of one's own -----------------------------------------------------------------------------------------

    @overload
    async def harness(
        self, prompt: str, schema: type[M], *, system: str = "", max_turns: int = TURNS,
        max_budget_usd: float | None = USD, tools: Sequence[Tool] = (), timeout_s: float = 300.0, model: str = "",
        max_tokens: int | None = None, on_turn: OnTurn | None = None,
    ) -> Harnessed[M]: ...  # fmt: skip
    @overload
    async def harness(
        self, prompt: str, schema: Mapping[str, Any] | None = None, *, system: str = "", max_turns: int = TURNS,
        max_budget_usd: float | None = USD, tools: Sequence[Tool] = (), timeout_s: float = 300.0, model: str = "",
        max_tokens: int | None = None, on_turn: OnTurn | None = None,
    ) -> Harnessed[Any]: ...  # fmt: skip
    async def harness(
        self, prompt: str, schema: object = None, *, system: str = "", max_turns: int = TURNS,
        max_budget_usd: float | None = USD, tools: Sequence[Tool] = (), timeout_s: float = 300.0, model: str = "",
        max_tokens: int | None = None, on_turn: OnTurn | None = None,
    ) -> Harnessed[Any]:  # fmt: skip
        """Let a model work on something for several turns, with tools, until its answer fits the schema.

        The limits are held by Surefoot: each request reserves its worst case before it is sent. Invalid when the price
        of the model is unknown and the budget is in USD (`max_budget_usd=None` bounds turns alone). Without a name the
        model is `improver_model` of the settings. `on_turn`, plain or async, is told each turn when it was taken; what
        it raises ends it.
        """
        terms = Terms(max_turns=max_turns, max_budget_usd=max_budget_usd, timeout_s=timeout_s, model=model,
                      max_tokens=max_tokens)  # fmt: skip
        path = f"{V1}/agents/{segment(self.name)}/harness"

        async def turn(body: Mapping[str, Any]) -> Mapping[str, Any]:
            link = self._house.link
            return (await link.ask("POST", path, body=body, timeout_s=timeout_s, patient=True, once=True)).body

        async def ask(body: Mapping[str, Any]) -> Mapping[str, Any]:
            return await self._house.line.reach(turn(body))

        talk = Conversation(ask, self._new_id(), schema, tools, terms, on_turn, misfit=self._misfit)
        return await talk.held(prompt, system)

    # The house --------------------------------------------------------------------------------------------------------

    async def flush(self, timeout_s: float = FLUSH_S) -> bool:
        """Wait until all that waits is sent; False when something still waits after so long."""
        return await self._house.line.reach(self._house.flushed(timeout_s))

    def close(self) -> None:
        """Send what waits and let go of everything, for all agents at this place; otherwise the program's end does."""
        closed(self._house)

    def health(self) -> Health:
        """Give how it goes between this program and Surefoot, and what was lost."""
        return self._house.health()

"""A harness for an improver of one's own: a conversation that ends with an answer to a schema, within limits.

The conversation is driven here, turn by turn, and every turn is paid for where the limits are kept, at Surefoot; so
they hold whatever the provider makes of such options. An answer that does not fit is sent back with what is wrong with
it, twice at most; a tool is one of the functions that were given, and no other. It ends with the answer, or with the
reason why there is none.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from surefoot.core.errors import BudgetExhausted, Invalid, Unavailable
from surefoot.sdk.call import told, written
from surefoot.sdk.model import Misfit, read_beside, schema_of

T = TypeVar("T")
TURNS, USD = 6, 0.50
REPAIRS = 2
LONGEST_RESULT = 16_000
Tool = Callable[..., Any]
Ask = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
Stopped = Literal["answered", "turns", "budget", "time", "schema", "refused", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Harnessed(Generic[T]):
    """What came of a conversation: the parsed answer (None without one), why it ended, and what it took."""

    parsed: T | None
    text: str
    stopped: Stopped
    session: str
    cost_usd: float = 0.0
    tokens: int = 0
    turns: int = 0
    duration_s: float = 0.0
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is an answer that fits."""
        return self.stopped == "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A tool that the model called, with which arguments (as it wrote them), and what it was told."""

    name: str
    arguments: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTaken:
    """One turn: what the model said, how that ended, the tools it called, and what all turns so far took.

    `problem` says what did not fit in the answer, which is then sent back.
    """

    number: int
    text: str
    finish: str
    called: tuple[Called, ...]
    cost_usd: float
    tokens: int
    problem: str = ""


OnTurn = Callable[[TurnTaken], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The limits, the model by its name at Surefoot, and how long an answer may be (in tokens)."""

    max_turns: int = TURNS
    max_budget_usd: float | None = USD
    timeout_s: float = 300.0
    model: str = ""
    max_tokens: int | None = None


class _Objection(Exception):
    """What a listener raised; whatever it is, it is no end of ours."""

    def __init__(self, problem: Exception) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Conversation:
    """One conversation, from its first words to its end."""

    def __init__(
        self, ask: Ask, session: str, schema: object, tools: Sequence[Tool], terms: Terms,
        on_turn: OnTurn | None = None, *, misfit: Misfit,
    ) -> None:  # fmt: skip
        self._ask = ask
        self._misfit = misfit
        self._on_turn = on_turn
        self._schema = schema
        self._terms = terms
        self._tools = {tool.__name__: tool for tool in tools}
        self._session = session
        self._repairs = 0
        self._began = time.perf_counter()
        self._last: Harnessed[Any] = Harnessed(parsed=None, text="", stopped="turns", session=session)

    async def held(self, prompt: str, system: str = "") -> Harnessed[Any]:
        """Hold it; Invalid for terms that cannot work, and Unavailable if not even the first turn could be taken.

        What the listener to turns raises ends the conversation and is raised here.
        """
        messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": prompt})
        try:
            async with asyncio.timeout(self._terms.timeout_s):
                for number in range(self._terms.max_turns):
                    if (end := await self._turn(number, messages)) is not None:
                        return self._ended(end)
        except _Objection as objection:
            raise objection.problem from None
        except TimeoutError:
            return self._ended("time", f"it took longer than {self._terms.timeout_s:g} s")
        except BudgetExhausted as problem:
            return self._ended("budget", problem.message)
        except Unavailable as problem:
            if not self._last.turns:
                raise
            return self._ended("unavailable", problem.message)
        return self._ended("turns", self._last.problem or f"{self._terms.max_turns} turns brought no answer")

    async def _turn(self, number: int, messages: list[dict[str, Any]]) -> Stopped | None:
        """Take a turn, and say why it was the last one, if it was."""
        said = await self._ask(self._body(number, messages))
        message, finish = cast("dict[str, Any]", said["message"]), str(said["finish"])
        text = str(message.get("content") or "")
        self._last = replace(
            self._last, text=text, cost_usd=said["cost_usd"], tokens=said["tokens"], turns=said["turns"], problem=""
        )
        messages.append(message)
        calls = [await self._called(one) for one in cast("list[dict[str, Any]]", message.get("tool_calls") or [])]
        messages += calls
        end = None if calls else await self._judged(messages, text, finish)
        await self._tell(number, finish, message, calls)
        return end

    async def _judged(self, messages: list[dict[str, Any]], text: str, finish: str) -> Stopped | None:
        """Say whether an answer ends it, and how; one that does not fit is sent back."""
        if finish == "refused":
            return "refused"
        try:
            answer = text if self._schema is None else await read_beside(self._schema, text, self._misfit)
        except Invalid as problem:
            return self._sent_back(messages, problem, finish)
        self._last = replace(self._last, parsed=answer)
        return "answered"

    async def _tell(self, number: int, finish: str, message: Mapping[str, Any], said: list[dict[str, Any]]) -> None:
        """Tell whoever listens of a turn, before the next one is taken."""
        if self._on_turn is None:
            return
        asked = cast("list[dict[str, Any]]", message.get("tool_calls") or [])
        functions = [cast("dict[str, Any]", one.get("function") or {}) for one in asked]
        called = tuple(
            Called(name=str(function.get("name")), arguments=str(function.get("arguments")), result=one["content"])
            for function, one in zip(functions, said, strict=True)
        )
        last = self._last
        taken = TurnTaken(
            number=number, text=last.text, finish=finish, called=called, cost_usd=last.cost_usd, tokens=last.tokens,
            problem=last.problem,
        )  # fmt: skip
        try:
            heard: object = self._on_turn(taken)
            if inspect.isawaitable(heard):
                await heard
        except Exception as problem:
            raise _Objection(problem) from problem

    def _body(self, number: int, messages: list[dict[str, Any]]) -> dict[str, Any]:
        shape, terms = schema_of(self._schema), self._terms
        answer = {"type": "json_schema", "json_schema": {"name": "answer", "schema": shape}}
        return {
            "talk": self._session, "number": number, "messages": messages, "model": terms.model,
            "tools": [described(tool) for tool in self._tools.values()], "max_tokens": terms.max_tokens,
            "response_format": answer if shape is not None else None, "max_turns": terms.max_turns,
            "max_budget_usd": terms.max_budget_usd,
        }  # fmt: skip

    def _sent_back(self, messages: list[dict[str, Any]], problem: Invalid, finish: str) -> Stopped | None:
        """Say what is wrong with an answer, unless that was said often enough."""
        self._last = replace(self._last, problem=problem.message)
        if self._repairs >= REPAIRS:
            return "schema"
        self._repairs += 1
        cut = " It was cut off: be shorter." if finish in ("length", "truncated") else ""
        messages.append({"role": "user", "content": f"{problem.message}.{cut} Answer again, with the JSON alone."})
        return None

    async def _called(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool, and give its result or what went wrong as the model is told it."""
        function = cast("dict[str, Any]", call.get("function") or {})
        name = str(function.get("name"))
        try:
            if name not in self._tools:
                raise Invalid(f"there is no tool {name!r}", hint=f"there are {', '.join(self._tools) or 'none'}")
            given = json.loads(function.get("arguments") or "{}")
            result: Any = _adapter(self._tools[name]).validate_python(_arguments(given))
            done: Any = await result if inspect.isawaitable(result) else result
            text = done if isinstance(done, str) else written(done)
        except (ValidationError, Exception) as problem:  # noqa: BLE001  the model is told, and may do better
            text = f"error: {told(problem)}"
        return {"role": "tool", "tool_call_id": str(call.get("id")), "content": text[:LONGEST_RESULT]}

    def _ended(self, stopped: Stopped, problem: str = "") -> Harnessed[Any]:
        return replace(
            self._last, stopped=stopped, problem=problem or self._last.problem,
            duration_s=time.perf_counter() - self._began,
        )  # fmt: skip


def _arguments(given: object) -> Any:
    from pydantic_core import ArgsKwargs

    if not isinstance(given, dict):
        raise Invalid("the arguments are no object", hint="send an object by the tool's schema")
    return ArgsKwargs((), cast("dict[str, Any]", given))


def _adapter(tool: Tool) -> TypeAdapter[Any]:
    return TypeAdapter(cast("Any", tool))


def described(tool: Tool) -> dict[str, Any]:
    """Give a function as a model is told of it: its name, the first lines of its docstring, and its arguments."""
    try:
        shape = _adapter(tool).json_schema()
    except Exception as problem:  # noqa: BLE001  whatever it is, it is the tool that cannot be described
        raise Invalid(f"the tool {tool.__name__} cannot be described: {told(problem)}",
                      hint="annotate its arguments with JSON-shaped types") from None  # fmt: skip
    words = inspect.getdoc(tool) or tool.__name__
    return {"type": "function", "function": {"name": tool.__name__, "description": words[:1000], "parameters": shape}}

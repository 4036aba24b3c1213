"""A call: one run of an entry, with the version that was assigned to it, and what happens inside.

It travels in a context variable, so that tasks and threads started with a copy of the context belong to the same call,
and two calls at once never see each other's version. A call inside a call of the same agent is a step of it; one of
another agent is a call of its own, and a step of the outer one as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import secrets
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import quote

from surefoot.core.errors import Invalid
from surefoot.core.genome import Genome

LONGEST_TEXT = 16_000
LONGEST_STEPS = 24_000
LONGEST_NAME = 180
MOST_STEPS = 200
ANSWERS = ("label", "answer", "output", "text")
StepKind = Literal["agent", "chat", "tool", "other"]


def spelled(name: str) -> str:
    """Give a name as it can stand in a header: trimmed, in plain ASCII, and a long one by its beginning and its hash.

    No two names are spelled alike (but for white space at their ends), or somebody would be given what is another's.
    """
    name = name.strip()
    plain = (
        name
        if name.isascii() and name.isprintable() and "%" not in name
        else quote(name, safe=" ", errors="surrogatepass")
    )
    if len(plain) <= LONGEST_NAME:
        return plain
    return f"{plain[:100]}#{hashlib.sha256(plain.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """To whom a request belongs, as far as the program says so."""

    session: str = ""
    actor: str = ""
    workflow: str = ""

    def unit(self, otherwise: str) -> str:
        """Give what the version sticks to: session, else actor, else the request itself."""
        if session := spelled(self.session):
            return f"session:{session}"
        return f"actor:{actor}" if (actor := spelled(self.actor)) else f"session:{otherwise}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """The version that serves; `remembered` when Surefoot was away and the last known one serves."""

    version: int
    genome: Genome
    live: bool = True
    assignment: str = ""
    remembered: bool = False


@dataclass(slots=True, kw_only=True)
class Step:
    """Something that happened inside a call: a model asked, a pause, another entry. Times in seconds since 1970."""

    name: str
    kind: StepKind
    started: float
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    parent: str = ""
    ended: float = 0.0
    error: str = ""
    input: str = ""
    output: str = ""
    model: str = ""
    version: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0

    def document(self, room: int) -> dict[str, Any]:
        """Give its JSON form, with at most so many characters of what was said."""
        return {
            "id": self.id, "parent": self.parent, "name": self.name[:200], "kind": self.kind, "started": self.started,
            "ended": max(self.ended, self.started), "error": self.error[:500], "input": self.input[: room // 2],
            "output": self.output[: room // 2], "model": self.model[:200], "version": self.version,
            "tokens_in": self.tokens_in, "tokens_out": self.tokens_out, "cost_usd": self.cost_usd,
        }  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Call:
    """One run of an entry."""

    agent: str
    trace_id: str
    whose: Whose
    unit: str
    slices: Mapping[str, str]
    assigned: Assigned | None
    outer: Call | None = None
    external_id: str = ""
    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.perf_counter)
    steps: list[Step] = field(default_factory=list[Step])
    paused_s: float = 0.0
    cost_usd: float = 0.0
    finish: str = "stop"

    def steps_told(self) -> list[dict[str, Any]]:
        """Give the steps in their order; the more there are, the less is said of each."""
        room = LONGEST_STEPS // max(1, len(self.steps))
        return [one.document(room) for one in sorted(self.steps, key=lambda one: one.started)]

    @property
    def latency_s(self) -> float:
        """How long it took, without the time that it waited for people."""
        return max(0.0, time.perf_counter() - self.began - self.paused_s)


_CALL: ContextVar[Call | None] = ContextVar("surefoot_call", default=None)
_STEP: ContextVar[str] = ContextVar("surefoot_step", default="")
_WHOSE: ContextVar[Whose | None] = ContextVar("surefoot_whose", default=None)
_THREAD = threading.local()
_LAST: ContextVar[Mapping[str, str] | None] = ContextVar("surefoot_last", default=None)


def current(agent: str) -> Call | None:
    """Give the call of this agent that is going on here, if there is one."""
    call = _CALL.get()
    while call is not None and call.agent != agent:
        call = call.outer
    return call


def innermost() -> Call | None:
    """Give the call that is going on here, of whichever agent."""
    return _CALL.get()


def whose() -> Whose:
    """Give to whom what happens here belongs."""
    return _WHOSE.get() or Whose()


@contextmanager
def belonging(to: Whose) -> Generator[None]:
    """Let what happens in this block belong to somebody."""
    mark = _WHOSE.set(to)
    try:
        yield
    finally:
        _WHOSE.reset(mark)


@contextmanager
def going_on(call: Call) -> Generator[Call]:
    """Let this be the call that is going on in the block."""
    mark, step, owner = _CALL.set(call), _STEP.set(""), _WHOSE.set(call.whose)
    try:
        yield call
    finally:
        _CALL.reset(mark)
        _STEP.reset(step)
        _WHOSE.reset(owner)


@contextmanager
def stepping(call: Call | None, name: str, kind: StepKind, text: str = "") -> Generator[Step]:
    """Note a step of a call, also when it raises; without a call it is noted nowhere."""
    step = step_of(name, kind, text)
    mark = _STEP.set(step.id)
    try:
        yield step
    except BaseException as error:
        step.error = told(error)
        raise
    finally:
        _STEP.reset(mark)
        step.ended = time.time()
        noted(call, step)


def step_of(name: str, kind: StepKind, text: str = "") -> Step:
    """Give a step that begins now, inside the one that is going on here."""
    return Step(name=name, kind=kind, started=time.time(), parent=_STEP.get(), input=text)


def noted(call: Call | None, step: Step) -> None:
    """Note a step of a call, if there is one and it has room for it."""
    if call is not None and len(call.steps) < MOST_STEPS:
        call.steps.append(step)


def ended(agent: str, trace_id: str) -> None:
    """Note the trace of the last call of an agent, for this task and for this thread."""
    _LAST.set({**(_LAST.get() or {}), agent: trace_id})
    setattr(_THREAD, agent, trace_id)


def last(agent: str) -> str:
    """Give the trace of the last call of an agent: in a task the task's own, in plain code the thread's; or nothing."""
    on_thread: str = getattr(_THREAD, agent, "")
    return (_LAST.get() or {}).get(agent, on_thread) if _in_a_task() else on_thread


def _in_a_task() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def told(error: BaseException) -> str:
    """Give an exception in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


def asked_with(work: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments of a call by their names, without `self`; the call is checked against the signature."""
    bound = inspect.signature(work).bind(*given, **named)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if name not in ("self", "cls")}


def text_in(arguments: Mapping[str, Any]) -> str:
    """Give what a call was asked: the only text among its arguments, else all of them as JSON."""
    texts = [value for value in arguments.values() if isinstance(value, str)]
    if len(texts) == 1:
        return cut(texts[0])
    return cut(written(dict(arguments)))


def text_out(answer: Any, key: str = "") -> str:
    """Give what a call answered: a text, the named (or usual) key of a mapping, else all of it as JSON."""
    if isinstance(answer, str):
        return cut(answer)
    if isinstance(answer, Mapping):
        found = cast("Mapping[str, Any]", answer)
        for name in (key,) if key else ANSWERS:
            if isinstance(found.get(name), str):
                return cut(found[name])
    return "" if answer is None else cut(written(answer))


def written(value: Any) -> str:
    """Give a value as JSON; what is none as Python shows it."""
    try:
        return json.dumps(value, ensure_ascii=False, default=_dumped)
    except (TypeError, ValueError, RecursionError):  # keys that are no texts, and what holds itself
        return repr(value)


def _dumped(value: Any) -> Any:
    dumped = getattr(value, "model_dump", None)
    return dumped(mode="json") if callable(dumped) else repr(value)


def cut(text: str, length: int = 0) -> str:
    """Give a text that can be sent and kept: no broken characters, not endless; `length` is how long it was."""
    whole = text.encode("utf-8", "replace").decode()
    return (
        whole if len(whole) <= LONGEST_TEXT else f"{whole[:LONGEST_TEXT]} [cut: {max(length, len(whole))} characters]"
    )


def named_in(arguments: Mapping[str, Any], name: str) -> str:
    """Give the argument that says to whom a call belongs; Invalid when there is none of this name."""
    if not name:
        return ""
    if name not in arguments:
        raise Invalid(f"the entry has no argument {name!r}", hint=f"it has {', '.join(arguments) or 'none'}")
    return str(arguments[name] or "")

"""An entry that gives its answer in parts: each as it comes, one trace of all of them, whichever way it ends."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from sdk_house import Scene

from surefoot.core.trace import Trace
from surefoot.sdk.call import LONGEST_TEXT
from surefoot.sdk.parts import MOST_PARTS, Parts

KINDS = pytest.mark.parametrize("kind", ["plain", "async"])


class Verdict(BaseModel):
    label: str
    sure: float


SEAT: ContextVar[str] = ContextVar("seat", default="nobody")


def entry(scene: Scene, kind: str, parts: list[Any], error: BaseException | None = None, **names: Any) -> Any:
    """An entry that gives these parts and may then raise."""
    agent = scene.agent

    def plain(text: str) -> Iterator[Any]:
        yield from parts
        if error is not None:
            raise error

    async def slow(text: str) -> AsyncIterator[Any]:
        for part in parts:
            await asyncio.sleep(0)
            yield part
        if error is not None:
            raise error

    return agent.entry(**names)(plain if kind == "plain" else slow)


def taken(of: Any, most: int = 1000) -> list[Any]:
    """Take parts until there are no more, or enough."""
    if not hasattr(of, "__aiter__"):
        found = []
        for part in of:
            found.append(part)
            if len(found) == most:
                of.close()
                break
        return found

    async def take() -> list[Any]:
        found = []
        async with aclosing(of):
            async for part in of:
                found.append(part)
                if len(found) == most:
                    break
        return found

    return asyncio.run(take())


def spans_of(scene: Scene, trace: Trace) -> list[Any]:
    return scene.see(lambda tx: tx.spans.of_trace(trace.id.replace("-", "")))


def told(trace: Trace) -> tuple[str, str, str]:
    return (trace.input, trace.output, trace.finish)


@KINDS
def test_the_parts_come_as_they_are_and_the_trace_has_them_joined(scene: Scene, kind: str) -> None:
    assert taken(entry(scene, kind, ["Your ", "", "card", " is safe."])("hello")) == ["Your ", "", "card", " is safe."]
    trace = scene.trace()
    assert told(trace) == ("hello", "Your card is safe.", "stop")
    assert (trace.version, trace.id) == (1, scene.agent.last_trace_id or trace.id)


@KINDS
def test_other_values_are_kept_as_a_list_and_of_mappings_what_is_named(scene: Scene, kind: str) -> None:
    taken(entry(scene, kind, [1, {"a": "b"}, "c"])("x"))
    assert json.loads(scene.trace().output) == [1, {"a": "b"}, "c"]
    scene.agent = scene.another()
    taken(entry(scene, kind, [{"delta": "Hel"}, {"delta": "lo"}, {"usage": 3}], answer="delta")("x"))
    assert scene.trace().output == "Hello"


@KINDS
def test_an_error_midway_is_a_failure_with_what_was_given_until_then(scene: Scene, kind: str) -> None:
    with pytest.raises(ZeroDivisionError, match="by nothing"):
        taken(entry(scene, kind, ["one", "two"], ZeroDivisionError("by nothing"))("x"))
    trace = scene.trace()
    assert told(trace) == ("x", "onetwo", "error")
    assert [one.verdict for one in scene.outcomes(trace.id)] == ["failure"]


@KINDS
def test_a_caller_who_stops_early_has_cut_it_off_and_nobody_failed(scene: Scene, kind: str) -> None:
    assert taken(entry(scene, kind, ["one", "two", "three"])("x"), most=2) == ["one", "two"]
    trace = scene.trace()
    assert told(trace) == ("x", "onetwo", "cancelled")
    assert scene.outcomes(trace.id) == []


def test_one_that_is_forgotten_is_cut_off_as_well(scene: Scene) -> None:
    parts = entry(scene, "plain", ["one", "two"])("plain")
    next(parts)
    del parts
    gc.collect()

    async def forget() -> None:
        several = entry(scene, "async", ["one", "two"])("async")
        await anext(several)
        del several
        gc.collect()
        await asyncio.sleep(0.05)

    asyncio.run(forget())
    assert sorted(told(one) for one in scene.traces()) == [
        ("async", "one", "cancelled"), ("plain", "one", "cancelled")]  # fmt: skip


def test_a_task_that_is_cancelled_between_or_within_parts_cuts_it_off(scene: Scene) -> None:
    closed: list[str] = []

    @scene.agent.entry
    async def answers(text: str) -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.sleep(30)
            yield "two"
        finally:
            closed.append(text)

    async def cancelled() -> None:
        async def listen() -> None:
            async for _ in answers("x"):
                pass

        task = asyncio.create_task(listen())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert closed == ["x"]
    assert told(scene.trace()) == ("x", "one", "cancelled")


def test_one_that_is_never_begun_is_no_call_and_wrong_arguments_are_told_at_once(scene: Scene) -> None:
    answers = entry(scene, "plain", ["one"])
    answers("x").close()
    with pytest.raises(TypeError):
        answers()
    assert scene.traces() == []


def test_what_is_sent_thrown_and_returned_passes_through(scene: Scene) -> None:
    @scene.agent.entry
    def echo(text: str) -> Generator[str, str, str]:
        said = yield text
        try:
            yield said
        except ValueError as problem:
            yield f"heard {problem}"
        return "the end"

    parts = echo("begin")
    assert (next(parts), parts.send("more"), parts.throw(ValueError("stop"))) == ("begin", "more", "heard stop")
    with pytest.raises(StopIteration) as end:
        next(parts)
    assert end.value.value == "the end"

    @scene.agent.entry
    async def slow(text: str) -> Any:
        said = yield text
        try:
            yield said
        except ValueError as problem:
            yield f"heard {problem}"

    async def talk() -> list[str]:
        several = slow("begin")
        return [await anext(several), await several.asend("more"), await several.athrow(ValueError("stop")),
                *[part async for part in several]]  # fmt: skip

    assert asyncio.run(talk()) == ["begin", "more", "heard stop"]
    assert [one.output for one in scene.traces()] == ["beginmoreheard stop"] * 2


def test_one_that_is_left_when_the_loop_ends_is_cut_off_and_its_end_is_waited_for(scene: Scene) -> None:
    left: list[Any] = []
    closed: list[str] = []

    @scene.agent.entry
    async def answers(text: str) -> AsyncIterator[str]:
        try:
            yield "one"
            yield "two"
        finally:
            await asyncio.sleep(0.01)
            closed.append(text)

    async def leave() -> None:
        for n in range(4):
            left.append(answers(str(n)))
            await anext(left[-1])

    asyncio.run(leave())
    assert sorted(closed) == ["0", "1", "2", "3"]
    assert {(one.output, one.finish) for one in scene.traces()} == {("one", "cancelled")}


class Odd:
    """Something that is like nothing: comparing it raises, as it does with arrays."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth of an array is ambiguous")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "odd"


def test_whatever_is_given_never_breaks_what_gives_it(scene: Scene) -> None:
    ring: list[Any] = []
    ring.append(ring)
    for parts, output in (
        ([Odd(), 1], '["odd", 1]'), ([Verdict(label="a", sure=1)], '[{"label": "a", "sure": 1.0}]'),
        ([{("a", 1): 2}], "[{('a', 1): 2}]"), ([ring], "[[[...]]]"),
    ):  # fmt: skip
        agent = scene.agent = scene.another()
        assert len(taken(entry(scene, "plain", parts)("x"))) == 1 + (len(parts) > 1)
        assert [one.output for one in scene.traces(agent.name)] == [output]


# Whose it is ----------------------------------------------------------------------------------------------------------


def test_memory_and_model_inside_belong_to_the_call_from_the_first_part_to_the_last(scene: Scene) -> None:
    agent = scene.agent

    @agent.entry(session="customer")
    async def speaks(text: str, customer: str) -> AsyncIterator[str]:
        await agent.memory.set("asked", text)
        async with agent.ai.stream(user=text) as stream:
            async for piece in stream:
                yield piece
        yield await agent.memory.session(customer).get("asked")
        yield f"{agent.trace_id} {agent.version}"

    async def both() -> tuple[list[str], list[str]]:
        async def take(customer: str) -> list[str]:
            return [part async for part in speaks(f"hi {customer}", customer)]

        return await asyncio.gather(take("ada"), take("bob"))

    for customer, parts in zip(["ada", "bob"], asyncio.run(both()), strict=True):
        assert parts[-2] == f"hi {customer}"
        (trace,) = [one for one in scene.traces() if one.session == customer]
        assert parts[-1] == f"{trace.id} 1"
        assert [one.kind for one in spans_of(scene, trace) if one.name.startswith("chat")] == ["chat"]


def test_it_goes_on_in_the_context_of_its_call_whoever_takes_the_next_part(scene: Scene) -> None:
    agent = scene.agent
    seen: list[tuple[str, str]] = []

    def seat() -> str:
        seen.append((SEAT.get(), threading.current_thread().name))
        return agent.trace_id

    @agent.entry
    def plain(text: str) -> Iterator[str]:
        yield seat()
        yield seat()

    @agent.entry
    async def slow(text: str) -> AsyncIterator[str]:
        async with asyncio.timeout(20):
            yield seat()
            await asyncio.sleep(0)
            yield seat()

    async def serve() -> list[str]:
        SEAT.set("ann")
        with agent.context(session="of ann"):
            parts, several = plain("plain"), slow("async")
        SEAT.set("somebody else")
        found = [await asyncio.to_thread(next, parts), await asyncio.to_thread(next, parts)]
        found += [part async for part in several]
        assert SEAT.get() == "somebody else"
        assert agent.last_trace_id == found[-1]
        await asyncio.to_thread(lambda: list(parts))
        return found

    found = asyncio.run(serve())
    assert {who for who, _ in seen} == {"ann"}
    assert len({thread for _, thread in seen}) >= 2
    assert len(set(found)) == 2
    assert {one.session for one in scene.traces()} == {"of ann"}


def test_one_inside_another_is_a_step_of_it_with_its_version(scene: Scene) -> None:
    agent = scene.agent

    @agent.entry
    async def inner(text: str) -> AsyncIterator[str]:
        yield text.upper()
        yield f" v{agent.version}"

    @agent.entry
    async def outer(text: str) -> AsyncIterator[str]:
        async for part in inner(text):
            yield part
        with agent.step("look up"):
            yield "!"

    assert taken(outer("x")) == ["X", " v1", "!"]
    trace = scene.trace()
    spans = {span.name: span for span in spans_of(scene, trace)}
    assert (trace.output, spans["inner"].output) == ("X v1!", "X v1")
    assert spans["look up"].parent_id == spans["inner"].parent_id


def test_the_time_that_the_caller_takes_is_not_the_agents(scene: Scene) -> None:
    for _ in entry(scene, "plain", ["a", "b", "c"])("x"):
        time.sleep(0.2)
    assert scene.trace().latency_s < 0.5


# What is kept ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.text(max_size=40), st.integers(), st.none(), st.lists(st.integers(), max_size=2))))
def test_texts_are_joined_and_anything_else_makes_a_list(values: list[Any]) -> None:
    parts = Parts()
    for one in values:
        with parts.lent(one):
            pass
    kept = [one for one in values if one != ""]
    if all(isinstance(one, str) for one in kept):
        assert parts.output() == "".join(kept)
    else:
        assert json.loads(parts.output()) == kept


def test_an_answer_without_end_is_kept_as_far_as_there_is_room() -> None:
    texts, values = Parts(), Parts()
    for n in range(10 * MOST_PARTS):
        with texts.lent("0123456789"), values.lent(n):
            pass
    assert texts.output().startswith("0123456789" * (LONGEST_TEXT // 10) + " [cut: 100000 characters]")
    assert len(texts._kept) * 10 <= LONGEST_TEXT + 20
    assert json.loads(values.output()) == list(range(MOST_PARTS))


class Sulking:
    """Something that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("not today")


def test_what_is_large_is_not_held_until_the_end() -> None:
    texts, values, sulking = Parts(), Parts(), Parts()
    for n in range(200):
        with texts.lent("x" * 100_000), values.lent(b"x" * 100_000), sulking.lent(Sulking()):
            pass
        with values.lent({"n": n, "text": "y" * 100_000}):
            pass
    assert len(texts.output()) < LONGEST_TEXT + 100
    assert texts.output().endswith("[cut: 20000000 characters]")
    assert sum(map(len, texts._kept)) <= 2 * LONGEST_TEXT
    assert len(values._kept) == 1
    assert len(values.output()) < LONGEST_TEXT + 100

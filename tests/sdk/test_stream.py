"""An answer that comes in pieces: what is promised of it inside the program and at a server alike."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sdk_house import Scene, Served, create, embedded, free_port, opened, remote, settings_for, soon
from upstream import Upstream

from surefoot.app import misfit
from surefoot.config import ModelSettings
from surefoot.core.errors import Invalid, SurefootError, Unavailable
from surefoot.sdk.agent import Agent
from surefoot.sdk.connect import new_id
from surefoot.sdk.house import House, closed
from surefoot.sdk.link import Away, Place
from surefoot.sdk.stream import LEFT

WORDS = "one two three four five six"
USD = (11 * 1.0 + 7 * 2.0) / 1e6


@pytest.fixture
def upstream(far: tuple[Upstream, str]) -> Upstream:
    far[0].seen.clear()
    far[0].broken_off, far[0].down = 0, False
    return far[0]


@pytest.fixture
def agent(scene: Scene, upstream: Upstream) -> Agent:
    """An agent whose model answers in pieces."""
    name = next(scene.names)
    create(scene.app, name, model="far")
    scene.agent = Agent(name, scene.house, new_id, misfit)
    return scene.agent


def steps(scene: Scene, trace_id: str) -> list[Any]:
    return scene.see(lambda tx: tx.spans.of_trace(trace_id.replace("-", "")))


def left(scene: Scene, agent: Agent, finish: str = "cancelled") -> Any:
    """The only trace, once it ended like this."""
    return soon(lambda: next((one for one in scene.traces(agent.name) if one.finish == finish), None))


# As it comes ---------------------------------------------------------------------------------------------------------


def test_the_pieces_are_the_answer_and_its_end_says_what_it_took(scene: Scene, agent: Agent) -> None:
    async def main() -> tuple[list[str], Any]:
        stream = agent.ai.stream(WORDS)
        return [piece async for piece in stream], stream

    pieces, stream = asyncio.run(main())
    assert len(pieces) > 6
    assert "".join(pieces) == stream.text == f"[Support.\n\nYou are v1.] {WORDS}".replace("\n\n", " ") + " "
    said = stream.said
    assert (said.finish, said.version, said.tokens_in, said.tokens_out, said.model) == ("stop", 1, 11, 7, "stub-1")
    trace = scene.trace()
    assert (trace.id, trace.output, trace.finish) == (said.trace_id, stream.text, "stop")
    assert trace.id == agent.last_trace_id
    assert trace.cost_usd == pytest.approx(USD)


def test_a_piece_is_given_before_the_next_one_is_there(agent: Agent) -> None:
    came: list[float] = []

    async def main() -> None:
        async with agent.ai.stream(f"fault:slow {'word ' * 16}") as stream:
            came.extend([time.monotonic() async for _ in stream])

    asyncio.run(main())
    assert came[-1] - came[0] > 0.5
    assert max(after - before for before, after in pairwise(came)) < 0.45


def test_plain_code_takes_the_same_pieces(scene: Scene, agent: Agent) -> None:
    with agent.sync.ai.stream(WORDS, temperature=0.5) as stream:
        pieces = list(stream)
    assert len(pieces) > 6
    assert "".join(pieces) == stream.text == scene.trace().output
    assert agent.last_trace_id == stream.said.trace_id
    assert agent.sync.ai.stream(WORDS).whole() == stream.text

    async def whole() -> str:
        return await agent.ai.stream(WORDS).whole()

    assert asyncio.run(whole()) == stream.text


def test_nothing_is_asked_before_a_piece_is_wanted_and_a_question_has_to_be_one(
    scene: Scene, agent: Agent, upstream: Upstream
) -> None:
    agent.ai.stream(WORDS)
    gc.collect()
    time.sleep(0.1)
    assert upstream.seen == []
    assert scene.traces() == []
    with pytest.raises(Invalid, match="asked nothing"):
        agent.ai.stream()
    with pytest.raises(Invalid, match="whole answers") as raised:
        asyncio.run(agent.ai(WORDS, stream=True))
    assert "agent.ai.stream" in raised.value.hint


def test_fifty_streams_at_once_are_fifty_answers(scene: Scene, agent: Agent) -> None:
    async def one(number: int) -> str:
        return "".join([piece async for piece in agent.ai.stream(f"no {number} of {WORDS}")])

    async def main() -> list[str]:
        return list(await asyncio.gather(*(one(number) for number in range(25))))

    said: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: said.append(agent.sync.ai.stream(f"no {n} of {WORDS}").whole()))
        for n in range(25, 50)
    ]
    for thread in threads:
        thread.start()
    said += asyncio.run(main())
    for thread in threads:
        thread.join()
    assert sorted(text.split("] ")[1].strip() for text in said) == sorted(f"no {n} of {WORDS}" for n in range(50))
    assert len({one.id for one in scene.traces()}) == 50


# In a call -----------------------------------------------------------------------------------------------------------


def test_in_a_call_a_stream_is_one_step_with_its_usage_and_the_call_one_trace(scene: Scene, agent: Agent) -> None:
    @agent.entry
    async def answer(text: str) -> str:
        with agent.step("speak"):
            return "".join([piece async for piece in agent.ai.stream(text)])

    said = asyncio.run(answer(WORDS))
    trace = scene.trace()
    assert (trace.output, trace.finish) == (said, "stop")
    assert trace.cost_usd == pytest.approx(USD)
    chat, outer = sorted(steps(scene, trace.id), key=lambda one: one.name)
    assert (chat.name, chat.kind, chat.status, chat.output) == (f"chat {agent.name}", "chat", "ok", said)
    assert (chat.tokens_in, chat.tokens_out, chat.version, chat.model) == (11, 7, 1, "stub-1")
    assert chat.cost_usd == pytest.approx(USD)
    assert chat.parent_id == outer.span_id
    assert 0 < chat.ended_ns - chat.started_ns < 10e9


def test_an_answer_that_was_cut_off_is_a_failure_of_its_call(scene: Scene, agent: Agent) -> None:
    @agent.entry
    def answer(text: str) -> str:
        return agent.sync.ai.stream(text).whole()

    assert answer(f"fault:length {WORDS}")
    trace = scene.trace()
    assert trace.finish == "length"
    assert [one.verdict for one in scene.outcomes(trace.id)] == ["failure"]


# Left early ----------------------------------------------------------------------------------------------------------


def test_a_stream_that_is_left_is_cancelled_and_nobodys_failure(scene: Scene, agent: Agent, upstream: Upstream) -> None:
    async def main() -> None:
        async for _ in agent.ai.stream(f"fault:slow {'word ' * 400}"):
            break
        await asyncio.sleep(0)

    asyncio.run(main())
    soon(lambda: upstream.broken_off)
    trace = left(scene, agent)
    assert trace.output.startswith("[Support.")
    assert len(trace.output) < 400
    assert scene.outcomes(trace.id) == []


def test_plain_code_that_leaves_is_no_different(scene: Scene, agent: Agent, upstream: Upstream) -> None:
    stream = agent.sync.ai.stream(f"fault:slow {'word ' * 400}")
    with stream:
        assert next(stream) == "[Support. "
    assert list(stream) == [], "and it is over"
    soon(lambda: upstream.broken_off)
    assert left(scene, agent).output.startswith("[Support.")


def test_a_call_that_takes_the_first_words_alone_has_answered(scene: Scene, agent: Agent, upstream: Upstream) -> None:
    @agent.entry
    async def first(text: str) -> str:
        async for piece in agent.ai.stream(text):
            return piece
        return ""

    assert asyncio.run(first(f"fault:slow {'word ' * 400}")) == "[Support. "
    soon(lambda: upstream.broken_off)
    trace = scene.trace()
    assert (trace.finish, trace.output) == ("stop", "[Support. ")
    (chat,) = steps(scene, trace.id)
    assert (chat.status, chat.message, chat.output) == ("error", LEFT, "[Support. ")


def test_a_task_that_is_cancelled_midway_leaves_one_cancelled_trace(
    scene: Scene, agent: Agent, upstream: Upstream
) -> None:
    got: list[str] = []

    @agent.entry
    async def answer(text: str, begun: asyncio.Event) -> str:
        async for piece in agent.ai.stream(text):
            got.append(piece)
            begun.set()
        return "".join(got)

    async def main() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(answer(f"fault:slow {'word ' * 400}", begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    soon(lambda: upstream.broken_off)
    trace = scene.trace()
    assert trace.finish == "cancelled"
    assert scene.outcomes(trace.id) == []
    (chat,) = steps(scene, trace.id)
    assert chat.output.startswith("".join(got))


# What goes wrong -----------------------------------------------------------------------------------------------------


def test_an_answer_that_breaks_off_says_so_and_keeps_what_had_come(scene: Scene, agent: Agent) -> None:
    async def main() -> Any:
        stream = agent.ai.stream(f"fault:cut {WORDS}")
        with pytest.raises(Unavailable, match="broke off") as raised:
            await stream.whole()
        assert not isinstance(raised.value, Away)
        return stream

    stream = asyncio.run(main())
    assert stream.text == "[Support. "
    assert left(scene, agent, "truncated").output == "[Support. "


def test_an_answer_without_an_end_is_truncated(scene: Scene, agent: Agent) -> None:
    stream = agent.sync.ai.stream(f"fault:truncated {WORDS}")
    assert stream.whole() == "[Support. "
    assert stream.said.finish == "truncated"
    assert left(scene, agent, "truncated")


def test_a_silence_that_is_too_long_ends_it(scene: Scene, agent: Agent) -> None:
    stream = agent.sync.ai.stream(f"fault:stall {WORDS}", timeout_s=0.5)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="nothing came for"):
        stream.whole()
    assert time.monotonic() - began < 5
    assert left(scene, agent).output == "[Support. "


def test_in_a_call_it_is_told_whose_fault_it_is_that_an_answer_broke_off(
    scene: Scene, agent: Agent, upstream: Upstream
) -> None:
    @agent.entry
    async def answer(text: str, timeout_s: float) -> str:
        try:
            return await agent.ai.stream(text, timeout_s=timeout_s).whole()
        except Unavailable as problem:
            return type(problem).__name__

    assert asyncio.run(answer(f"fault:cut {WORDS}", 10)) == "Unavailable", "the upstream broke off"
    assert asyncio.run(answer(f"fault:stall {WORDS}", 0.5)) == "Away", "Surefoot said nothing any more"
    first, second = scene.traces()
    assert [one.verdict for one in scene.outcomes(first.id)] == ["failure"]
    assert (first.finish, second.finish) == ("truncated", "stop")
    assert scene.outcomes(second.id) == []
    for one in (first, second):
        (chat,) = steps(scene, one.id)
        assert "broke off" in chat.message
        assert chat.output == "[Support. "


@pytest.mark.parametrize("fault", ["400", "401", "429", "503"])
def test_no_answer_at_all_is_what_it_is_for_a_whole_one(scene: Scene, agent: Agent, fault: str) -> None:
    raised: list[SurefootError] = []
    for ask in (lambda: agent.sync.ai.stream(f"fault:{fault}").whole(), lambda: agent.sync.ai(f"fault:{fault}")):
        with pytest.raises(SurefootError) as one:
            ask()
        raised.append(one.value)
    assert type(raised[0]) is type(raised[1])
    assert raised[0].message == raised[1].message


def test_a_stream_of_nobody_is_refused(scene: Scene, upstream: Upstream) -> None:
    with pytest.raises(SurefootError) as raised:
        scene.named("nobody").sync.ai.stream("hi").whole()
    assert raised.value.code in ("not_found", "forbidden")


# Away ----------------------------------------------------------------------------------------------------------------


def test_with_nobody_there_it_is_away_and_the_call_can_go_on() -> None:
    house = House(Place(url=f"http://127.0.0.1:{free_port()}"), kept_in=None)
    agent = Agent("support", house, new_id, misfit)

    @agent.entry
    async def answer(text: str) -> str:
        try:
            return await agent.ai.stream(text).whole()
        except Unavailable:
            return "later"

    with pytest.raises(Away):
        agent.sync.ai.stream("hi").whole()
    assert asyncio.run(answer("hi")) == "later"
    closed(house)


def test_an_agent_that_is_closed_midway_leaves_nobody_waiting(tmp_path: Path, far: tuple[Upstream, str]) -> None:
    stub = ModelSettings(model="stub-1", base_url=f"{far[1]}/v1")
    settings = settings_for(tmp_path / "store.db", models={"far": stub})
    app = opened(settings)
    create(app, "support", model="far")
    agent = embedded(settings)
    streams = [agent.sync.ai.stream(f"fault:slow {'word ' * 400}") for _ in range(2)]
    assert [next(one) for one in streams] == ["[Support. "] * 2
    raised: list[BaseException] = []

    def go_on() -> None:
        try:
            streams[0].whole()
        except BaseException as problem:
            raised.append(problem)

    waiting = threading.Thread(target=go_on)
    waiting.start()
    time.sleep(0.2)
    began = time.monotonic()
    closed(agent._house)
    waiting.join(5)
    assert not waiting.is_alive()
    assert raised
    with pytest.raises(Unavailable, match="broke off"):
        streams[1].whole()
    assert time.monotonic() - began < 8
    app.close()


def test_a_connection_that_dies_midway_breaks_it_off_and_the_next_one_is_whole(
    tmp_path: Path, upstream: Upstream, far: tuple[Upstream, str]
) -> None:
    stub = ModelSettings(model="stub-1", base_url=f"{far[1]}/v1")
    app = opened(settings_for(tmp_path / "store.db", models={"far": stub}))
    create(app, "support", model="far")
    gateway = app.gateway(behind=app.api(loopback=True, environ={}))
    served = Served(gateway)
    agent = remote(served.address, tmp_path / "cache")
    stream = agent.sync.ai.stream(f"fault:slow {'word ' * 400}")
    assert next(stream) == "[Support. "
    for connection in list(served.server.server_state.connections):
        served.loop.call_soon_threadsafe(connection.transport.abort)
    with pytest.raises(Unavailable, match="broke off"):
        stream.whole()
    assert stream.text.startswith("[Support. ")
    assert agent.sync.ai.stream(WORDS).whole().endswith(f"{WORDS} ")
    closed(agent._house)
    served.end(gateway.aclose)
    app.close()

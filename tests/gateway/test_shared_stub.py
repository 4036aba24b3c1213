"""The gateway before another stub of OpenAI's protocol than our own, in each of its fault modes.

That stub belongs to the shared material beside the repository and is not part of it; where it is missing, the tests
are skipped. `upstream.py`, which is ours, has the same faults, and the other tests use it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from gateway_house import OPERATOR, House, genome

from surefoot.config import ModelSettings
from surefoot.core.agent import Habits
from surefoot.engine.register import create_agent

STUB = Path(__file__).parents[3] / "shared" / "bench" / "stub_openai.py"
pytestmark = [
    pytest.mark.skipif(not STUB.exists(), reason="the shared stub is not here"), pytest.mark.slow,
    pytest.mark.timeout(120),
]  # fmt: skip
MODES = {
    "plain": "", "429x2": "429x2", "500x2": "500x2", "429": "429", "500": "500", "503": "503", "400": "400",
    "401": "401", "delay": "delay=120", "hang": "hang", "badjson": "badjson", "badtool": "badtool", "tools": "tools",
    "loop": "loop", "json": "json", "drop": "drop", "truncate": "truncate",
}  # fmt: skip
TOOLS = [{"type": "function", "function": {
    "name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]  # fmt: skip
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {
    "type": "object", "properties": {"label": {"enum": ["billing", "other"]}, "n": {"type": "integer"}}}}}  # fmt: skip


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(STUB), "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()  # a request that it lets hang would keep it waiting
        process.wait(10)


@pytest.fixture
def house(opened: Callable[..., House], stub: str) -> House:
    """A gateway with one agent for each fault, named after it."""
    models = {name: ModelSettings(model=f"stub:{mode}" if mode else "stub", base_url=stub)
              for name, mode in MODES.items()}  # fmt: skip
    one = opened(models=models, attempts=3, deadline_s=2)
    _reset(stub)

    async def register() -> None:
        for name in MODES:
            await create_agent(one.app.ports, name, genome("You are v1."), by="ann", habits=Habits(model=name))

    asyncio.run(register())
    return one


def _reset(stub: str) -> None:
    import httpx2 as httpx

    httpx.post(f"{stub.removesuffix('/v1')}/_reset").raise_for_status()


Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, house: House) -> Ask:
    """Ask by either of the two clients; a stream comes as the list of its chunks."""

    def body(agent: str, given: dict[str, Any]) -> dict[str, Any]:
        return {"model": agent, "messages": [{"role": "user", "content": "where is my parcel now"}], **given}

    def by_sync(agent: str, **given: Any) -> Any:
        answer = house.client(OPERATOR).chat.completions.create(**body(agent, given))
        return list(answer) if given.get("stream") else answer

    def by_async(agent: str, **given: Any) -> Any:
        async def run() -> Any:
            async with house.async_client(OPERATOR) as client:
                answer: Any = await client.chat.completions.create(**body(agent, given))
                return [chunk async for chunk in answer] if given.get("stream") else answer

        return asyncio.run(run())

    return by_sync if request.param == "sync" else by_async


def ends(house: House) -> list[str]:
    return [trace.finish for trace in house.traces()]


@pytest.mark.parametrize("agent", ["plain", "429x2", "500x2", "delay"])
def test_what_passes_by_itself_is_not_noticed(house: House, ask: Ask, agent: str) -> None:
    assert ask(agent).choices[0].message.content == "echo: where is my parcel now"
    assert house.trace().finish == "stop"
    assert house.failures() == []


@pytest.mark.parametrize(("agent", "kind", "blamed"), [
    ("429", openai.RateLimitError, False), ("500", openai.InternalServerError, True),
    ("503", openai.InternalServerError, True), ("400", openai.BadRequestError, True),
    ("401", openai.AuthenticationError, False),
])  # fmt: skip
def test_what_stays_broken_comes_back_as_it_was(
    house: House, ask: Ask, agent: str, kind: type[openai.APIStatusError], blamed: bool
) -> None:
    with pytest.raises(kind) as raised:
        ask(agent)
    assert raised.value.body == {"message": f"stub {agent}", "type": "stub", "code": agent}
    assert ends(house) == ["error"]
    assert len(house.failures()) == blamed


def test_a_silent_upstream_ends_with_the_deadline(house: House, ask: Ask) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        ask("hang")
    assert raised.value.status_code == 504
    assert ends(house) == ["error"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("agent", "name", "arguments"), [
    ("tools", "weather", '{"city": "stub"}'), ("loop", "weather", '{"city": "stub"}'),
    ("badjson", "weather", '{"x": '), ("badtool", "no_such_tool", '{"city": "stub"}'),
])  # fmt: skip
def test_a_tool_call_passes_as_it_is_good_or_bad(
    house: House, ask: Ask, agent: str, name: str, arguments: str, stream: bool
) -> None:
    if stream:
        chunks = ask(agent, tools=TOOLS, stream=True)
        function = next(c.choices[0].delta.tool_calls[0] for c in chunks if c.choices[0].delta.tool_calls).function
    else:
        function = ask(agent, tools=TOOLS).choices[0].message.tool_calls[0].function
    assert (function.name, function.arguments) == (name, arguments)
    assert json.loads(house.trace().output) == [{"name": name, "arguments": arguments}]
    assert ends(house) == ["stop"], "whether a call is any good is for a check to say"


def test_json_comes_as_the_schema_says(house: House, ask: Ask) -> None:
    assert json.loads(ask("json", response_format=SCHEMA).choices[0].message.content) == {"label": "billing", "n": 1}
    assert ends(house) == ["stop"]


@pytest.mark.parametrize("agent", ["drop", "truncate", "plain"])
def test_each_end_of_a_stream_is_an_outcome_of_its_own(house: House, ask: Ask, agent: str) -> None:
    chunks = ask(agent, stream=True, stream_options={"include_usage": True})
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == ("echo: " if agent == "drop" else "echo: where is my parcel now")
    wanted = {"drop": "truncated", "truncate": "length", "plain": "stop"}[agent]
    assert ends(house) == [wanted]
    assert house.failures() == ([] if wanted == "stop" else [f"the answer ended by {wanted}"])


async def test_fifty_at_once_over_all_of_it_each_get_what_is_theirs(house: House) -> None:
    kinds = ["plain", "400", "truncate", "drop", "delay"]

    async def one(client: openai.AsyncOpenAI, number: int) -> str:
        agent, text = kinds[number % len(kinds)], f"number {number} please"
        messages: Any = [{"role": "user", "content": text}]
        try:
            if agent == "drop":
                stream = await client.chat.completions.create(model=agent, messages=messages, stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            return str(
                (await client.chat.completions.create(model=agent, messages=messages)).choices[0].message.content
            )
        except openai.BadRequestError:
            return "bad"

    async with house.async_client(OPERATOR) as client:
        said = await asyncio.gather(*(one(client, number) for number in range(50)))
    wanted = [{"400": "bad", "drop": "echo: "}.get(kinds[n % 5], f"echo: number {n} please") for n in range(50)]
    assert said == wanted
    assert sorted(ends(house)) == sorted(["stop"] * 20 + ["error", "length", "truncated"] * 10)

"""An application of this program is asked as a server would ask it, and answers piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from surefoot.sdk.within import Within

START = {"type": "http.response.start", "status": 200, "headers": [(b"x-name", b"value")]}
Tell = Callable[[dict[str, Any]], Awaitable[None]]


def piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def asking(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=Within(app), base_url="http://127.0.0.1", trust_env=False)


async def test_the_request_and_the_answer_go_through_as_they_are() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Tell) -> None:
        seen.update(scope, body=(await receive())["body"])
        await send(START)
        await send(piece(b"ab"))
        await send(piece(b"c", more=False))

    async with asking(app) as client:
        answer = await client.post("/a%2Fb?q=1", content=b"hello", headers={"x-mine": "1"})
    assert (answer.status_code, answer.content, answer.headers["x-name"]) == (200, b"abc", "value")
    assert (seen["method"], seen["raw_path"], seen["query_string"], seen["body"]) == (
        "POST",
        b"/a%2Fb",
        b"q=1",
        b"hello",
    )
    assert (b"x-mine", b"1") in seen["headers"]


async def test_a_piece_comes_before_the_next_one_is_there() -> None:
    go_on = asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Tell) -> None:
        await send(START)
        await send(piece(b"first"))
        await go_on.wait()
        await send(piece(b"second", more=False))

    async with asking(app) as client, client.stream("GET", "/") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        go_on.set()
        assert await anext(pieces) == b"second"


@pytest.mark.parametrize("told", [True, False])
async def test_an_answer_that_is_not_brought_to_its_end_breaks_off(told: bool) -> None:
    async def app(_scope: Any, _receive: Any, send: Tell) -> None:
        await send(START)
        await send(piece(b"half"))
        if told:
            raise ValueError("mine")

    async with asking(app) as client, client.stream("GET", "/") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"half"
        with pytest.raises(httpx2.RemoteProtocolError):
            await anext(pieces)


@pytest.mark.parametrize("told", [True, False])
async def test_an_application_that_says_nothing_is_a_500(told: bool) -> None:
    async def app(*_: Any) -> None:
        if told:
            raise ValueError("mine")

    async with asking(app) as client:
        assert (await client.get("/")).status_code == 500


async def test_the_application_hears_of_a_client_that_leaves_and_ends_in_its_own_way() -> None:
    heard: list[str] = []

    async def app(_scope: Any, receive: Any, send: Tell) -> None:
        await receive()
        await send(START)
        await send(piece(b"first"))
        heard.append((await receive())["type"])
        await send(piece(b"into the void", more=False))
        heard.append("ended")

    async with asking(app) as client, client.stream("GET", "/") as answer:
        assert await anext(answer.aiter_raw()) == b"first"
    assert heard == ["http.disconnect", "ended"]


async def test_a_request_that_is_given_up_before_an_answer_is_left_too_and_the_end_waits_for_it() -> None:
    heard: list[str] = []

    async def app(_scope: Any, receive: Any, _send: Tell) -> None:
        await receive()
        heard.append((await receive())["type"])
        await asyncio.sleep(0.05)
        heard.append("ended")

    client = asking(app)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.get("/", timeout=5)
    await client.aclose()
    assert heard == ["http.disconnect", "ended"]

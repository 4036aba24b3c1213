"""An exchange: one HTTP request to a chat endpoint, and what came of it.

Exactly one request leaves per `ask`: the library's own retries are off, because each request has to be paid for by a
reservation. What comes back is a `Reply` or a `Setback` (setback.py), and `patiently` repeats what surely was not
billed. A client lives for one request, so that nothing is bound to an event loop or left to close; the trust store,
which takes long to read, is shared.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from surefoot.adapters.clients import async_client, trust
from surefoot.adapters.models.endpoint import Endpoint
from surefoot.adapters.models.prices import cost_of, most_tokens
from surefoot.adapters.models.setback import Setback, is_broken, is_refusal, late, setback_of, unreadable
from surefoot.core.errors import Invalid
from surefoot.core.proposal import Cost
from surefoot.ports import Finish

if TYPE_CHECKING:  # the library takes over a second to import: only who asks a model waits for it
    import httpx2
    from openai import AsyncOpenAI
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import ModelRequestParameters

Role = Literal["system", "user", "assistant"]
Sleep = Callable[[float], Awaitable[None]]

RETRIES = 3
_FIRST_WAIT_S = 0.5
# What servers call the two ordinary ends, besides the words of the protocol.
_STOPS = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence"})
_LENGTHS = frozenset({"length", "max_tokens", "model_length"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is sent: messages, the longest answer in tokens, further fields of the body, and a schema to answer by."""

    messages: tuple[tuple[Role, str], ...]
    max_tokens: int
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: the text (with a schema: its JSON), how it ended, and what it cost."""

    text: str
    finish: Finish
    cost: Cost


def worst(endpoint: Endpoint, letter: Letter) -> Cost:
    """Give the most that this letter can cost; Invalid if the price is unknown."""
    texts = [*(text for _, text in letter.messages), json.dumps(letter.schema), json.dumps(dict(letter.fields))]
    return cost_of(endpoint, most_tokens(texts), letter.max_tokens)


async def patiently(attempt: Callable[[], Awaitable[Reply]], *, sleep: Sleep, rng: Callable[[], float],
                    until: float) -> Reply:  # fmt: skip
    """Repeat `attempt` while that can help: at most `RETRIES` times more, and never past `until` (loop time).

    It waits as long as the server asks, or twice as long each time, with jitter, so that many clients spread out.
    """
    for number in range(RETRIES + 1):
        try:
            return await attempt()
        except Setback as setback:
            wait_s = max(setback.wait_s, _FIRST_WAIT_S * 2**number * (0.5 + rng() / 2))
            if not setback.again or number == RETRIES or asyncio.get_running_loop().time() + wait_s >= until:
                raise
        await sleep(wait_s)
    raise AssertionError("the last attempt returns or raises")


async def ask(endpoint: Endpoint, letter: Letter, *, until: float) -> Reply:
    """Send one request and give its reply, or raise Setback; `until` is a deadline in loop time."""
    try:
        endpoint.check_key()
    except Invalid as missing:
        raise Setback(missing) from None
    try:
        async with asyncio.timeout_at(until):
            return await _sent(endpoint, letter)
    except TimeoutError:
        raise late(endpoint) from None


async def ready() -> None:
    """Load the library and the trust store; the first time this takes seconds, so it is no part of a deadline."""
    if not trust.cache_info().currsize:
        await asyncio.to_thread(_load)


def _load() -> None:
    for name in ("direct", "models.openai", "providers.openai_compatible"):
        import_module(f"pydantic_ai.{name}")
    trust()


async def _sent(endpoint: Endpoint, letter: Letter) -> Reply:
    from pydantic_ai.direct import model_request
    from pydantic_ai.exceptions import ModelAPIError, UnexpectedModelBehavior
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    began: list[bool] = []
    async with _client(endpoint, began) as client:
        provider = OpenAICompatibleProvider(endpoint.host, openai_client=client)
        model = OpenAIChatModel(endpoint.model, provider=provider)
        try:
            response = await model_request(
                model, _messages(letter), model_settings={"extra_body": _body(endpoint, letter)},
                model_request_parameters=_parameters(letter),
            )  # fmt: skip
        except ModelAPIError as error:
            if is_refusal(error):
                return Reply(text="", finish="refused", cost=Cost(calls=1))
            if began and is_broken(error):
                return Reply(text="", finish="truncated", cost=worst(endpoint, letter))
            raise setback_of(endpoint, error) from None
        except (UnexpectedModelBehavior, LookupError, AttributeError, TypeError, ValueError):
            # The library trusts the shape of an answer: one without choices is an IndexError.
            raise unreadable(endpoint) from None
    return _reply(endpoint, letter, response)


@asynccontextmanager
async def _client(endpoint: Endpoint, began: list[bool]) -> AsyncGenerator[AsyncOpenAI]:
    """Open a client for one request; `began` gets an entry when an answer starts to arrive."""
    from openai import AsyncOpenAI

    async def note(_: httpx2.Response) -> None:
        began.append(True)

    async with async_client(endpoint.timeout_s, loopback=endpoint.loopback, on_answer=note) as http:
        client = AsyncOpenAI(
            base_url=endpoint.base_url, api_key=endpoint.api_key or "none", http_client=http, max_retries=0,
            timeout=endpoint.timeout_s,
        )  # fmt: skip
        if not endpoint.is_openai:
            # Account ids found in the environment are nobody else's business.
            client.organization = client.project = None
        yield client


def _messages(letter: Letter) -> list[ModelMessage]:
    from pydantic_ai.messages import ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart

    parts = {"system": SystemPromptPart, "user": UserPromptPart}
    return [
        ModelResponse(parts=[TextPart(_valid(text))]) if role == "assistant"
        else ModelRequest(parts=[parts[role](_valid(text))])
        for role, text in letter.messages
    ]  # fmt: skip


def _valid(text: str) -> str:
    """Give the text with lone surrogates replaced: no request and no store can carry them."""
    return text.encode("utf-8", "replace").decode()


def _parameters(letter: Letter) -> ModelRequestParameters:
    """Ask for a schema as a tool that must be called: the form that most servers know."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    if letter.schema is None:
        return ModelRequestParameters()
    schema = dict(letter.schema)
    tool = ToolDefinition(name="answer", description="Give the answer.", parameters_json_schema=schema, kind="output")
    return ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)


def _body(endpoint: Endpoint, letter: Letter) -> dict[str, Any]:
    """The fields besides messages."""
    named = {"max_tokens", "max_completion_tokens"} & letter.fields.keys()
    return {**letter.fields} if named else {endpoint.bound_name: letter.max_tokens, **letter.fields}


def _reply(endpoint: Endpoint, letter: Letter, response: ModelResponse) -> Reply:
    usage, text = response.usage, response.text or ""
    if letter.schema is not None and response.tool_calls:
        text = response.tool_calls[0].args_as_json_str()
    # Without usage the worst case is all that is known.
    known = usage.input_tokens > 0 and usage.output_tokens >= 0
    cost = cost_of(endpoint, usage.input_tokens, usage.output_tokens) if known else worst(endpoint, letter)
    return Reply(text=_valid(text), finish=_finish(letter, response), cost=cost)


def _finish(letter: Letter, response: ModelResponse) -> Finish:
    """Read the server's own word: the library takes a missing one for "stop", and that is how a cut answer looks."""
    word = str((response.provider_details or {}).get("finish_reason") or "").lower()
    if response.finish_reason == "content_filter":
        return "refused"
    if not word:
        return "truncated"
    if word in _STOPS or (letter.schema is not None and word in ("tool_calls", "function_call")):
        return "stop"
    return "length" if word in _LENGTHS else "error"

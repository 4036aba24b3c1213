"""Turns with an OpenAI-compatible endpoint, tools among them, and with a model of this process.

One request leaves for each turn, and its body is made here: messages, tools, a schema and a bound come in; the model's
name, the key and everything that would change the price do not. A connection that never opened and a server that says
it did no work cost nothing; after everything else the worst case counts as spent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from surefoot.adapters.clients import async_client
from surefoot.adapters.models.endpoint import Endpoint, endpoint_from
from surefoot.adapters.models.prices import cost_of, most_tokens
from surefoot.adapters.models.setback import AGAIN
from surefoot.core.errors import Invalid, NotFound
from surefoot.core.proposal import Cost
from surefoot.core.wire import asked, heard, text_of
from surefoot.ports.model import Model, Question
from surefoot.ports.turn import Body, Setback, Turned, Turns

if TYPE_CHECKING:
    from surefoot.config import ModelSettings

_PASSED = ("messages", "tools", "tool_choice", "response_format", "temperature", "top_p", "seed", "reasoning_effort")
LONGEST_ANSWER = 4096


class EndpointTurns:
    """Turns with one endpoint; implements `ports.turn.Turns`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @property
    def name(self) -> str:
        return self._endpoint.name

    def price(self, body: Body) -> Cost:
        """Give the most that a turn can cost: every byte a token, and the longest answer."""
        texts = [json.dumps(body.get(name)) for name in ("messages", "tools", "response_format")]
        return cost_of(self._endpoint, most_tokens(texts), self._bound(body))

    async def take(self, body: Body) -> Turned:
        """Send one request."""
        import httpx2

        endpoint = self._endpoint
        endpoint.check_key()
        headers = {"authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        try:
            async with async_client(endpoint.timeout_s, loopback=endpoint.loopback) as client:
                url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
                response = await client.post(url, json=self._sent(body), headers=headers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise Setback(f"the model {self.name!r} cannot be reached ({type(error).__name__})",
                          hint=f"check base_url of [models.{self.name}]") from None  # fmt: skip
        except httpx2.TransportError as error:
            raise Setback(f"the answer of the model {self.name!r} broke off ({type(error).__name__})",
                          hint="try later", again=False, billed=True) from None  # fmt: skip
        return self._read(body, response.status_code, response.content)

    def _sent(self, body: Body) -> dict[str, Any]:
        told = {name: body[name] for name in _PASSED if body.get(name) is not None}
        return {**told, "model": self._endpoint.model, self._endpoint.bound_name: self._bound(body), "stream": False}

    def _bound(self, body: Body) -> int:
        return int(body.get("max_tokens") or max(LONGEST_ANSWER, self._endpoint.max_tokens))

    def _read(self, body: Body, status: int, content: bytes) -> Turned:
        if status in AGAIN:
            raise Setback(f"the model {self.name!r} says {status}", hint="try later")
        if status >= 500:
            raise Setback(f"the model {self.name!r} says {status}", hint="try later", again=False, billed=True)
        if status >= 400:
            said = self._endpoint.without_key(content[:300].decode("utf-8", "replace"))
            raise Invalid(f"the model {self.name!r} refuses the request ({status}): {said}", hint="see its settings")
        try:
            answer = json.loads(content)
            message: dict[str, Any] = dict(answer["choices"][0]["message"])
        except (ValueError, LookupError, TypeError):
            raise Setback(f"the model {self.name!r} gave no readable answer", hint="try later", billed=True) from None
        told = heard("chat", answer)
        usage = _cost_of_usage(self._endpoint, told.tokens_in, told.tokens_out)
        return Turned(message=_kept(message), finish=told.finish, cost=usage or _known(self.price, body))


def _cost_of_usage(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> Cost | None:
    """Give what was counted at list price; None without a count."""
    if not tokens_in and not tokens_out:
        return None
    try:
        return cost_of(endpoint, tokens_in, tokens_out)
    except Invalid:
        return Cost(calls=1, tokens=tokens_in + tokens_out)


def _known(price: Callable[[Body], Cost], body: Body) -> Cost:
    try:
        return price(body)
    except Invalid:
        return Cost(calls=1)


def _kept(message: Mapping[str, Any]) -> dict[str, Any]:
    """Give what of a message goes back into the next turn."""
    told = {"role": "assistant", "content": message.get("content") or ""}
    return {**told, "tool_calls": message["tool_calls"]} if message.get("tool_calls") else told


class ModelTurns:
    """Turns with a model of this process: one question, no tools; implements `ports.turn.Turns`."""

    def __init__(self, name: str, model: Model) -> None:
        self.name = name
        self._model = model

    def price(self, body: Body) -> Cost:
        """Give what the model says that it costs."""
        return self._model.price(self._question(body))

    async def take(self, body: Body) -> Turned:
        """Ask the model."""
        answer = await self._model.answer(self._question(body))
        return Turned(message={"role": "assistant", "content": answer.text}, finish=answer.finish, cost=answer.cost)

    def _question(self, body: Body) -> Question:
        if body.get("tools"):
            raise Invalid(f"{self.name} knows no tools", hint="choose a language model under [models]")
        system = [text_of(one.get("content")) for one in body["messages"] if one.get("role") == "system"]
        return Question(system="\n\n".join(system), user=asked("chat", dict(body)))


def turns(
    models: Mapping[str, ModelSettings], environ: Mapping[str, str], model_named: Callable[[str], Model], usual: str
) -> Callable[[str], Turns]:  # fmt: skip
    """Give what talks, by a model's name; the `usual` one without a name."""

    def named(name: str) -> Turns:
        name = name or usual
        if not name:
            raise NotFound("no model is named, and none is usual here", hint="set improver_model, or name a model")
        if name in models or name.startswith("openai:"):
            return EndpointTurns(endpoint_from(name, models, environ))
        return ModelTurns(name, model_named(name))

    return named

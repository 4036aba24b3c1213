"""Models of providers: any OpenAI-compatible endpoint behind `ports.Model`.

A question is priced at its worst case before it is asked, sent at most four times under one deadline, and answered
with how it ended and what it cost. A failure says by its family who can act: Invalid for what will not work later
either (the key, the model's name, the question), Unavailable for what may. Parameters come from the genome, which
improvers edit: only those that steer the wording pass; what would change the price or reach out (`n`, `service_tier`,
tools, routing) is refused by name.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from surefoot.adapters.models.endpoint import Endpoint, endpoint_from
from surefoot.adapters.models.exchange import Letter, Reply, Role, Setback, Sleep, ask, patiently, ready, worst
from surefoot.adapters.models.prices import is_priced
from surefoot.core.errors import Invalid, SurefootError, Unavailable
from surefoot.core.proposal import Cost
from surefoot.ports import Answer, Question

__all__ = ["Endpoint", "ProviderModel", "Unanswered", "endpoint_from"]

_BOUNDS = ("max_tokens", "max_completion_tokens")
PARAMS = frozenset({
    *_BOUNDS, "temperature", "top_p", "top_k", "min_p", "seed", "stop", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "logit_bias", "response_format", "reasoning_effort", "verbosity", "chat_template_kwargs",
})  # fmt: skip


class Unanswered(Unavailable):
    """No answer came; `cost` is the most that the attempt may cost all the same."""

    def __init__(self, message: str, *, hint: str = "", cost: Cost) -> None:
        super().__init__(message, hint=hint)
        self.cost = cost

    def __reduce__(self) -> tuple[object, ...]:
        return (_unanswered, (self.message, self.hint, self.cost))


def _unanswered(message: str, hint: str, cost: Cost) -> SurefootError:
    return Unanswered(message, hint=hint, cost=cost)


class ProviderModel:
    """One endpoint as a model; `sleep` and `rng` (a number in [0, 1)) are given by tests."""

    def __init__(
        self, endpoint: Endpoint, *, sleep: Sleep = asyncio.sleep, rng: Callable[[], float] = random.random
    ) -> None:
        self._endpoint = endpoint
        self._sleep = sleep
        self._rng = rng

    def __repr__(self) -> str:
        return f"ProviderModel({self.name!r})"

    @property
    def name(self) -> str:
        """What pins the answers: model, address and longest answer."""
        return self._endpoint.pinned_name

    @property
    def priced(self) -> bool:
        """Whether the price is known, so that a budget in USD can hold."""
        return is_priced(self._endpoint)

    def price(self, question: Question) -> Cost:
        """Give the most the question can cost: one call, its bytes as tokens, and the longest answer, at list price.

        Invalid for an unknown price, a key that is not set, or a parameter that may not pass.
        """
        self._endpoint.check_key()
        return worst(self._endpoint, self._letter(question))

    async def answer(self, question: Question) -> Answer:
        """Answer within the endpoint's deadline; Unanswered (an Unavailable) or Invalid, never with the key in it."""
        letter = self._letter(question)
        await ready()
        loop = asyncio.get_running_loop()
        started = loop.time()
        until = started + self._endpoint.timeout_s

        async def attempt() -> Reply:
            return await ask(self._endpoint, letter, until=until)

        try:
            reply = await patiently(attempt, sleep=self._sleep, rng=self._rng, until=until)
        except Setback as setback:
            raise self._failed(letter, setback) from None
        return Answer(text=reply.text, finish=reply.finish, cost=reply.cost, latency_s=loop.time() - started)

    def _failed(self, letter: Letter, setback: Setback) -> SurefootError:
        if isinstance(setback.problem, Invalid):
            return setback.problem
        cost = worst(self._endpoint, letter) if setback.billed else Cost(calls=1)
        return Unanswered(setback.problem.message, hint=setback.problem.hint, cost=cost)

    def _letter(self, question: Question) -> Letter:
        system: tuple[tuple[Role, str], ...] = (("system", question.system),) if question.system.strip() else ()
        fields = _fields(question.params)
        most = max((fields[name] for name in _BOUNDS if name in fields), default=self._endpoint.max_tokens)
        return Letter(messages=(*system, ("user", question.user)), max_tokens=most, fields=fields)


def _fields(params: Mapping[str, str]) -> dict[str, Any]:
    """Read the genome's parameters into fields of the request; null means: as if it were not there."""
    fields: dict[str, Any] = {}
    for name, text in params.items():
        if name not in PARAMS:
            known = ", ".join(sorted(PARAMS))
            raise Invalid(f"the parameter {name!r} may not be sent to a model", hint=f"these may: {known}")
        try:
            value: Any = json.loads(text, parse_constant=_no_number)
        except ValueError:
            raise Invalid(f"the parameter {name!r} is not JSON", hint="write its value in JSON, such as 0.2") from None
        if name in _BOUNDS and value is not None and not (type(value) is int and value > 0):
            raise Invalid(f"the parameter {name!r} is not a positive whole number", hint=f"write {name} = 512")
        if value is not None:
            fields[name] = value
    return fields


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")

"""A talk: requests to one endpoint under one ledger, until an answer fits its schema.

Every single request first reserves its worst case, so neither the calls nor the dollars can be exceeded, also not by
repairs of answers that do not fit the schema or by retries. When the budget ends, or the model gives nothing usable,
the talk halts with a reason; an error leaves only while nothing has been spent, so that who tries again does not pay
twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from surefoot.adapters.models.endpoint import Endpoint
from surefoot.adapters.models.exchange import Letter, Reply, Role, Setback, Sleep, ask, patiently, worst
from surefoot.adapters.models.prices import cost_of
from surefoot.core.budget import Budget, Ledger
from surefoot.core.errors import BudgetExhausted, Invalid
from surefoot.core.proposal import Cost

TURNS = 6
USD = 0.50
# The longest answer; a larger bound of the endpoint wins (models that think aloud need it).
ANSWER_TOKENS = 2048
# The longest prompt of a turn, counted as `most_tokens` counts, that is in bytes.
PROMPT_TOKENS = 64_000
QUOTED = 2000

_Shape = TypeVar("_Shape", bound=BaseModel)


class Halt(Exception):
    """No proposal comes of this; `reason` is for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Talk:
    """Requests to one endpoint under one ledger."""

    endpoint: Endpoint
    ledger: Ledger
    sleep: Sleep
    rng: Callable[[], float]
    requests: int = field(default=0)

    @property
    def limit(self) -> Budget:
        return self.ledger.budget

    @property
    def spent(self) -> Cost:
        """What was settled; nothing stays reserved between requests."""
        return self.ledger.settled

    async def shaped(self, system: str, user: str, shape: type[_Shape]) -> _Shape:
        """Ask until an answer fits the shape; Halt when the budget ends first, the first error while it is whole."""
        messages: tuple[tuple[Role, str], ...] = (("system", system), ("user", user))
        repair: tuple[tuple[Role, str], ...] = ()
        while True:
            reply = await self._turn(Letter(
                messages=messages + repair, max_tokens=answer_tokens(self.endpoint), schema=shape.model_json_schema(),
            ))  # fmt: skip
            if reply.finish == "refused":
                raise Halt("the model's provider refused to answer")
            try:
                return shape.model_validate_json(_json_in(reply.text))
            except ValidationError as error:
                repair = (("assistant", reply.text[:QUOTED] or "(nothing)"), ("user", _complaint(error, reply)))

    async def _turn(self, letter: Letter) -> Reply:
        until = asyncio.get_running_loop().time() + self.endpoint.timeout_s
        try:
            return await patiently(lambda: self._once(letter, until), sleep=self.sleep, rng=self.rng, until=until)
        except BudgetExhausted as end:
            if not self.requests:
                raise
            raise Halt(f"the budget ended before the model gave a usable answer: {end.message}") from None
        except Setback as setback:
            if self.spent.usd == 0 and self.spent.tokens == 0:
                raise setback.problem from None
            raise Halt(f"the model gave no usable answer: {setback.problem.message}") from None

    async def _once(self, letter: Letter, until: float) -> Reply:
        """Send one request: reserve its worst case, ask, settle what it cost."""
        most = worst(self.endpoint, letter)
        if most.tokens > PROMPT_TOKENS + letter.max_tokens:
            raise Halt(f"the agent's instructions are too long for one request ({most.tokens} tokens at most)")
        key = str(self.requests)
        self.ledger = self.ledger.reserve(key, most)
        self.requests += 1
        try:
            reply = await ask(self.endpoint, letter, until=until)
        except Setback as setback:
            self.ledger = self.ledger.settle(key, most if setback.billed else Cost(calls=1))
            raise
        self.ledger = self.ledger.settle(key, reply.cost)
        return reply


def limits(budget: Budget) -> Budget:
    """Give the budget with the defaults for what it leaves open."""
    return Budget(
        calls=TURNS if budget.calls is None else budget.calls, tokens=budget.tokens,
        usd=USD if budget.usd is None else budget.usd,
    )  # fmt: skip


def answer_tokens(endpoint: Endpoint) -> int:
    """Give the longest answer of a turn."""
    return max(ANSWER_TOKENS, endpoint.max_tokens)


def price(endpoint: Endpoint, budget: Budget) -> Cost:
    """Give the most that one talk can cost within this budget.

    A side that the budget leaves open gets the default (6 calls, 0.50 USD). Invalid if it leaves both open, if the
    model's price is unknown, or if its key is not set.
    """
    endpoint.check_key()
    if budget.calls is None and budget.usd is None:
        raise Invalid("the improver's budget bounds neither calls nor USD", hint="set calls or usd in it")
    limit = limits(budget)
    turn = cost_of(endpoint, PROMPT_TOKENS, answer_tokens(endpoint))
    calls = limit.calls or 0
    tokens = calls * turn.tokens
    return Cost(
        calls=calls, tokens=tokens if limit.tokens is None else min(tokens, limit.tokens),
        usd=min(calls * turn.usd, limit.usd or 0.0),
    )  # fmt: skip


def _json_in(text: str) -> str:
    """Give the outermost JSON object in a text, which may stand in a fence or among words."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _complaint(error: ValidationError, reply: Reply) -> str:
    cut = " It was cut off: be shorter." if reply.finish in ("length", "truncated") else ""
    first = "; ".join(
        f"{'.'.join(str(part) for part in one['loc']) or 'answer'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)[:5]
    )
    return f"That answer does not fit the schema ({first[:QUOTED]}).{cut} Answer again, with the JSON object alone."

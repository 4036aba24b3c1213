"""The improver that asks a model: a reader sees failures, a writer sees what the reader made of them.

In this order: the reader turns raw failures into findings (findings.py), the findings are checked, the writer turns
them and the genome into edits (drafts.py). Neither has tools, a store or another secret than the model's own key.
Every single request first reserves its worst case, so neither the calls nor the dollars can be exceeded, also not by
repairs of answers that do not fit the schema or by retries. Whatever the model answers, what comes out is a Proposal:
where nothing could be used, one without edits that says why and what it cost. An error leaves only while nothing has
been spent, so that who tries again does not pay twice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from surefoot.adapters.improvers.drafts import WRITER, Draft, edits_of, request_of
from surefoot.adapters.improvers.findings import READER, Findings, Sheet, canary_of, sheet_of, sound
from surefoot.adapters.models.endpoint import Endpoint
from surefoot.adapters.models.exchange import Letter, Reply, Role, Setback, Sleep, ask, patiently, ready, worst
from surefoot.adapters.models.prices import cost_of
from surefoot.core.budget import Budget, Ledger
from surefoot.core.errors import BudgetExhausted, Invalid
from surefoot.core.proposal import Brief, Cost, Proposal

TURNS = 6
USD = 0.50
# The longest answer; a larger bound of the endpoint wins (models that think aloud need it).
ANSWER_TOKENS = 2048
# The longest prompt of a turn, counted as `most_tokens` counts, that is in bytes.
PROMPT_TOKENS = 64_000
# Of the budget, the reader may take this share for one reading; the rest is for the writer and for repairs.
READER_SHARE = 0.4
# Failures shown to the reader, and the fewest that a finding may rest on when the money is short.
FAILURES = 120
FEWEST_FAILURES = 10
OTHERS = 20
_QUOTED = 2000

_Shape = TypeVar("_Shape", bound=BaseModel)


class Reflect:
    """Writes proposals with a model; `sleep` and `rng` (a number in [0, 1)) are given by tests."""

    name = "reflect"

    def __init__(
        self, endpoint: Endpoint, *, sleep: Sleep = asyncio.sleep, rng: Callable[[], float] = random.random
    ) -> None:
        self._endpoint = endpoint
        self._sleep = sleep
        self._rng = rng

    def price(self, budget: Budget) -> Cost:
        """Give the most that one proposal can cost within this budget.

        A side that the budget leaves open gets the default (6 calls, 0.50 USD). Invalid if it leaves both open, if
        the model's price is unknown, or if its key is not set.
        """
        self._endpoint.check_key()
        if budget.calls is None and budget.usd is None:
            raise Invalid("the improver's budget bounds neither calls nor USD", hint="set calls or usd in it")
        limit = _limits(budget)
        turn = cost_of(self._endpoint, PROMPT_TOKENS, _answer_tokens(self._endpoint))
        calls = limit.calls or 0
        tokens = calls * turn.tokens
        return Cost(
            calls=calls, tokens=tokens if limit.tokens is None else min(tokens, limit.tokens),
            usd=min(calls * turn.usd, limit.usd or 0.0),
        )  # fmt: skip

    async def propose(self, brief: Brief, budget: Budget) -> Proposal:
        """Give edits for the brief's gap, or none and the reason.

        Raises BudgetExhausted, Unavailable or Invalid while nothing is spent.
        """
        self.price(budget)
        if not brief.failures:
            return Proposal(improver=self.name, edits=(), rationale="there are no failures to learn from")
        await ready()
        talk = _Talk(self._endpoint, Ledger(budget=_limits(budget)), self._sleep, self._rng)
        try:
            return await self._written(brief, talk)
        except _Halt as halt:
            return Proposal(improver=self.name, edits=(), rationale=halt.reason, cost=talk.spent)

    async def _written(self, brief: Brief, talk: _Talk) -> Proposal:
        canary = canary_of(brief)
        sheet = _affordable(brief, canary, self._endpoint, talk.limit)
        read = await talk.shaped(READER, sheet.text, Findings)
        findings, dropped = sound(read.findings, sheet, canary)
        if not findings:
            why = "all findings quoted failures or gave orders" if dropped else "the reader found nothing in common"
            raise _Halt(f"{why}, so nothing was written")
        draft = await talk.shaped(WRITER, request_of(brief, findings, canary), Draft)
        edited = edits_of(draft, brief, findings, canary)
        notes = [*edited.notes, *([f"{dropped} findings were dropped unread"] if dropped else [])]
        return Proposal(
            improver=self.name, edits=edited.edits, rationale=_rationale(draft, canary, edited.edits != (), notes),
            cost=talk.spent,
        )  # fmt: skip


class _Halt(Exception):
    """No proposal comes of this; `reason` is for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class _Talk:
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
        """Ask until an answer fits the shape; _Halt when the budget ends first, the first error while it is whole."""
        messages: tuple[tuple[Role, str], ...] = (("system", system), ("user", user))
        repair: tuple[tuple[Role, str], ...] = ()
        while True:
            reply = await self._turn(Letter(
                messages=messages + repair, max_tokens=_answer_tokens(self.endpoint), schema=shape.model_json_schema(),
            ))  # fmt: skip
            if reply.finish == "refused":
                raise _Halt("the model's provider refused to answer")
            try:
                return shape.model_validate_json(_json_in(reply.text))
            except ValidationError as error:
                repair = (("assistant", reply.text[:_QUOTED] or "(nothing)"), ("user", _complaint(error, reply)))

    async def _turn(self, letter: Letter) -> Reply:
        until = asyncio.get_running_loop().time() + self.endpoint.timeout_s
        try:
            return await patiently(lambda: self._once(letter, until), sleep=self.sleep, rng=self.rng, until=until)
        except BudgetExhausted as end:
            if not self.requests:
                raise
            raise _Halt(f"the budget ended before the model gave a usable answer: {end.message}") from None
        except Setback as setback:
            if self.spent.usd == 0 and self.spent.tokens == 0:
                raise setback.problem from None
            raise _Halt(f"the model gave no usable answer: {setback.problem.message}") from None

    async def _once(self, letter: Letter, until: float) -> Reply:
        """Send one request: reserve its worst case, ask, settle what it cost."""
        most = worst(self.endpoint, letter)
        if most.tokens > PROMPT_TOKENS + letter.max_tokens:
            raise _Halt(f"the agent's instructions are too long for one request ({most.tokens} tokens at most)")
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


def _limits(budget: Budget) -> Budget:
    """The budget with the defaults for what it leaves open."""
    return Budget(
        calls=TURNS if budget.calls is None else budget.calls, tokens=budget.tokens,
        usd=USD if budget.usd is None else budget.usd,
    )  # fmt: skip


def _answer_tokens(endpoint: Endpoint) -> int:
    return max(ANSWER_TOKENS, endpoint.max_tokens)


def _affordable(brief: Brief, canary: str, endpoint: Endpoint, limit: Budget) -> Sheet:
    """Show as many failures as fit into a prompt and the reader's share of the money."""
    failures, others = min(FAILURES, len(brief.failures)), OTHERS
    while True:
        sheet = sheet_of(brief, canary, failures=failures, others=others)
        letter = Letter(
            messages=(("system", READER), ("user", sheet.text)), max_tokens=_answer_tokens(endpoint),
            schema=Findings.model_json_schema(),
        )  # fmt: skip
        most = worst(endpoint, letter)
        # A repair adds the answer it complains about, and the complaint.
        room = PROMPT_TOKENS + letter.max_tokens - 4 * _QUOTED
        fits = most.tokens <= room and most.usd <= READER_SHARE * (limit.usd or 0.0)
        if fits or failures <= FEWEST_FAILURES:
            return sheet
        failures, others = max(FEWEST_FAILURES, failures * 2 // 3), others // 2


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
    return f"That answer does not fit the schema ({first[:_QUOTED]}).{cut} Answer again, with the JSON object alone."


def _rationale(draft: Draft, canary: str, any_edits: bool, notes: list[str]) -> str:
    said = "".join(char for char in " ".join(draft.rationale.split()) if char.isprintable())[:240]
    if not said or canary in said.lower():
        said = "edits that answer the findings" if any_edits else "nothing was proposed"
    return said + (f" ({'; '.join(notes)})" if notes else "")

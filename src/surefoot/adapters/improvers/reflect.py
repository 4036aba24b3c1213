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

from surefoot.adapters.improvers.drafts import WRITER, Draft, edits_of, request_of
from surefoot.adapters.improvers.findings import READER, Findings, Sheet, canary_of, sheet_of, sound
from surefoot.adapters.improvers.talk import PROMPT_TOKENS, QUOTED, Halt, Talk, answer_tokens, limits, price
from surefoot.adapters.models.endpoint import Endpoint
from surefoot.adapters.models.exchange import Letter, Sleep, ready, worst
from surefoot.core.budget import Budget, Ledger
from surefoot.core.proposal import Brief, Cost, Proposal

# Of the budget, the reader may take this share for one reading; the rest is for the writer and for repairs.
READER_SHARE = 0.4
# Failures shown to the reader, and the fewest that a finding may rest on when the money is short.
FAILURES = 120
FEWEST_FAILURES = 10
OTHERS = 20


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
        return price(self._endpoint, budget)

    async def propose(self, brief: Brief, budget: Budget) -> Proposal:
        """Give edits for the brief's gap, or none and the reason.

        Raises BudgetExhausted, Unavailable or Invalid while nothing is spent.
        """
        self.price(budget)
        if not brief.failures:
            return Proposal(improver=self.name, edits=(), rationale="there are no failures to learn from")
        await ready()
        talk = Talk(self._endpoint, Ledger(budget=limits(budget)), self._sleep, self._rng)
        try:
            return await self._written(brief, talk)
        except Halt as halt:
            return Proposal(improver=self.name, edits=(), rationale=halt.reason, cost=talk.spent)

    async def _written(self, brief: Brief, talk: Talk) -> Proposal:
        canary = canary_of(brief)
        sheet = _affordable(brief, canary, self._endpoint, talk.limit)
        read = await talk.shaped(READER, sheet.text, Findings)
        findings, dropped = sound(read.findings, sheet, canary)
        if not findings:
            why = "all findings quoted failures or gave orders" if dropped else "the reader found nothing in common"
            raise Halt(f"{why}, so nothing was written")
        draft = await talk.shaped(WRITER, request_of(brief, findings, canary), Draft)
        edited = edits_of(draft, brief, findings, canary)
        notes = [*edited.notes, *([f"{dropped} findings were dropped unread"] if dropped else [])]
        return Proposal(
            improver=self.name, edits=edited.edits, rationale=_rationale(draft, canary, edited.edits != (), notes),
            cost=talk.spent,
        )  # fmt: skip


def _affordable(brief: Brief, canary: str, endpoint: Endpoint, limit: Budget) -> Sheet:
    """Show as many failures as fit into a prompt and the reader's share of the money."""
    failures, others = min(FAILURES, len(brief.failures)), OTHERS
    while True:
        sheet = sheet_of(brief, canary, failures=failures, others=others)
        letter = Letter(
            messages=(("system", READER), ("user", sheet.text)), max_tokens=answer_tokens(endpoint),
            schema=Findings.model_json_schema(),
        )  # fmt: skip
        most = worst(endpoint, letter)
        # A repair adds the answer it complains about, and the complaint.
        room = PROMPT_TOKENS + letter.max_tokens - 4 * QUOTED
        fits = most.tokens <= room and most.usd <= READER_SHARE * (limit.usd or 0.0)
        if fits or failures <= FEWEST_FAILURES:
            return sheet
        failures, others = max(FEWEST_FAILURES, failures * 2 // 3), others // 2


def _rationale(draft: Draft, canary: str, any_edits: bool, notes: list[str]) -> str:
    said = "".join(char for char in " ".join(draft.rationale.split()) if char.isprintable())[:240]
    if not said or canary in said.lower():
        said = "edits that answer the findings" if any_edits else "nothing was proposed"
    return said + (f" ({'; '.join(notes)})" if notes else "")

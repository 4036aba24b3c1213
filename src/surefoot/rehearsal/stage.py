"""The stage of a rehearsal: a store of its own, a story clock, seeded ids, and models that remember.

A remembered answer is not asked for again: the same prompt and text get the same answer, so simulated traffic drawn
from a small pool costs a real model once per text and version. What is asked is reserved in one budget first.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.budget import Budget, Ledger
from surefoot.core.proposal import Cost
from surefoot.engine.durable import Durable
from surefoot.ports import Answer, Model, Question
from surefoot.rehearsal.clock import SeededIds, StoryClock


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything a story plays on."""

    app: App
    worker: Durable
    clock: StoryClock


class Remembering:
    """A model that is asked each question once, within one budget; implements `ports.Model`."""

    def __init__(self, model: Model, budget: Budget) -> None:
        self._model = model
        self._answers: dict[tuple[str, str], Answer] = {}
        self._ledger = Ledger(budget=budget)
        self._asked = 0

    @property
    def name(self) -> str:
        """The name of the model behind."""
        return self._model.name

    def price(self, question: Question) -> Cost:
        """Give the price of the model behind."""
        return self._model.price(question)

    async def answer(self, question: Question) -> Answer:
        """Answer from memory, or ask within the budget; BudgetExhausted before a call that would exceed it."""
        key = (question.system, question.user)
        if key not in self._answers:
            self._answers[key] = await self._paid(question)
        return self._answers[key]

    async def _paid(self, question: Question) -> Answer:
        self._asked += 1
        name = str(self._asked)
        self._ledger = self._ledger.reserve(name, self._model.price(question))
        answer = await self._model.answer(question)
        self._ledger = self._ledger.settle(name, answer.cost)
        return answer


@asynccontextmanager
async def staged(store: Path, *, seed: int, settings: Settings, budget: Budget) -> AsyncGenerator[Stage]:
    """Set the stage on a fresh store at `store`; an older one at this place is replaced."""
    for leftover in (store, store.with_name(store.name + "-wal"), store.with_name(store.name + "-shm")):
        leftover.unlink(missing_ok=True)
    clock = StoryClock()
    app = build(settings.model_copy(update={"store": store}), clock=clock, new_id=SeededIds(seed))
    named = app.ports.model_named

    @cache
    def remembering(name: str) -> Model:
        return Remembering(named(name), budget)

    app = replace(app, ports=replace(app.ports, model_named=remembering))
    try:
        async with app.worker(poll_s=0.01) as worker:
            yield Stage(app=app, worker=worker, clock=clock)
    finally:
        app.close()

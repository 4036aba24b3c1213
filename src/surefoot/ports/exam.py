"""The doors of an eval run: who is examined, who judges, what carries out checks, and who may ask a provider now."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from surefoot.core.exam.check import Check, Finding
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.run import Spent
from surefoot.core.exam.suite import SuiteCase
from surefoot.core.proposal import Cost


class Subject(Protocol):
    """What is examined. `digest` pins it: equal digests answer from the same distribution.

    `authors` are those who made it and may therefore not judge it.
    """

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def authors(self) -> frozenset[str]: ...

    def price(self, case: SuiteCase, epoch: int) -> Cost:
        """Give the most that one answer can cost."""
        ...

    async def answer(self, case: SuiteCase, epoch: int) -> Observed:
        """Answer; whatever prevents that comes back as an `Observed` that is not whole."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A judge's reply as it came, and what it cost; `problem` says why none came."""

    text: str
    cost: Cost
    problem: str = ""


class Judge(Protocol):
    """A model that judges one criterion per call; `pin` names model, prompt and parameters."""

    @property
    def name(self) -> str: ...
    @property
    def pin(self) -> str: ...
    @property
    def provider(self) -> str: ...

    def price(self, prompt: str) -> Cost: ...
    async def reply(self, prompt: str, vote: int) -> Reply: ...


class Outside(Protocol):
    """Carries out what needs the outside world: schemas, expressions with a deadline, and the operator's code."""

    async def finding(self, check: Check, case: SuiteCase, observed: Observed, root: str) -> Finding: ...
    async def prepare(self, words: tuple[str, ...], case: SuiteCase, root: str) -> str:
        """Run a setup or teardown; gives what went wrong, or nothing."""
        ...


class Turnstile(Protocol):
    """Lets so many calls to a provider be in flight, and shares the places fairly between runs."""

    def seat(self, provider: str, run: str) -> AbstractAsyncContextManager[None]: ...
    def limited(self, provider: str) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exams:
    """What a run needs besides the store.

    `progress` is told what is durable so far. `votes` is the most that one judgement takes; `same_author` lets a judge
    judge what it wrote.
    """

    outside: Outside
    turnstile: Turnstile
    judge: Judge | None = None
    votes: int = 3
    same_author: bool = False
    progress: Callable[[Spent], None] = field(default=lambda _spent: None)

"""Trials: every evaluation of a prompt on a case, counted before it is made, and never more than the budget.

What was seen is kept by prompt and case, so that nothing is paid for twice. A call that raises has told nothing: its
score is unknown, and it is counted like any other.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.optimiser.symptom import Register, Sighting

Scored = tuple[float, str]
Evaluate = Callable[[str, Any, int], Scored | Awaitable[Scored]]
HOPELESS = 20
TRIES = 2


class Spent(Exception):
    """The calls of this part of the budget are used up."""


class Trials:
    """Runs `evaluate(prompt, case, number)`; `number` is new for every call, so that a noisy one draws afresh."""

    def __init__(self, evaluate: Evaluate, cases: Mapping[str, Any], *, limit: int, concurrency: int) -> None:
        self._evaluate, self._cases = evaluate, cases
        self._seen: defaultdict[str, defaultdict[str, list[Sighting]]] = defaultdict(lambda: defaultdict(list))
        self._register, self._seat = Register(), asyncio.Semaphore(concurrency)
        self._mute = 0
        self.limit, self.calls, self.failed = limit, 0, 0

    def seen(self, prompt: str, cases: Iterable[str]) -> dict[str, Sequence[Sighting]]:
        """Give what was seen of a prompt on these cases."""
        known = self._seen[prompt]
        return {case: known[case] for case in cases if case in known}

    async def at_least(self, prompt: str, cases: Iterable[str], runs: int) -> None:
        """Run what is missing for every case to have `runs` runs; Spent where the limit does not allow all of it."""
        known = self._seen[prompt]
        missing = [case for case in cases for _ in range(runs - len(known[case]))]
        await self._run(prompt, missing)

    async def once_more(self, prompt: str, case: str) -> None:
        """Run one case once more."""
        await self._run(prompt, [case])

    async def settled(self, prompts: Iterable[str], cases: Sequence[str]) -> None:
        """Run again, twice at most and as far as the budget allows, what has no score yet on some prompt."""
        todo = [(prompt, case) for prompt in prompts for case in cases for _ in range(TRIES)]
        for prompt, case in todo:
            if self.calls < self.limit and all(one.score is None for one in self._seen[prompt][case]):
                await self._run(prompt, [case])

    async def _run(self, prompt: str, cases: Sequence[str]) -> None:
        affordable = cases[: max(0, self.limit - self.calls)]
        first = self.calls + 1
        self.calls += len(affordable)
        found = await asyncio.gather(*(self._one(prompt, case, first + at) for at, case in enumerate(affordable)))
        for case, sighting in zip(affordable, found, strict=True):
            self._seen[prompt][case].append(sighting)
        if len(affordable) < len(cases):
            raise Spent

    async def _one(self, prompt: str, case: str, number: int) -> Sighting:
        async with self._seat:
            try:
                answer = self._evaluate(prompt, self._cases[case], number)
                scored = await answer if inspect.isawaitable(answer) else answer
            except Exception as problem:
                self._mute += 1
                self.failed += 1
                if self._mute >= HOPELESS:
                    raise Unavailable(
                        f"{HOPELESS} evaluations in a row failed, the last with {type(problem).__name__}: {problem}",
                        hint="make evaluate(prompt, case, number) work, then begin again",
                    ) from problem
                return Sighting(None, f"{type(problem).__name__}: {problem}")
        self._mute = 0
        return self._sighting(case, scored)

    def _sighting(self, case: str, scored: Scored) -> Sighting:
        score, feedback = scored
        if not 0 <= score <= 1:
            raise Invalid(f"case {case!r} was scored {score}", hint="score in [0, 1], 1 for all right")
        symptom = self._register.name(feedback) if score < 1 else ""
        return Sighting(float(score), feedback, symptom)

"""A trial: ask the subject one case once, grade the answer, and write both down.

A case without a check is not asked. An answer that is stored already is not asked for again: only the scorers that
have not spoken do. Whatever goes wrong here is an errored verdict of this trial, and the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from surefoot.core.budget import Cost
from surefoot.core.digest import digest
from surefoot.core.errors import BudgetExhausted
from surefoot.core.exam.observed import Observed, Taken
from surefoot.core.exam.run import EvalRun
from surefoot.core.exam.suite import SuiteCase
from surefoot.core.exam.verdict import Verdict
from surefoot.engine.grade import Bill, checked, graded, simple, unchecked
from surefoot.engine.ink import Ink
from surefoot.engine.purse import Purse
from surefoot.engine.tranche import Trial, Trials
from surefoot.ports import Ports
from surefoot.ports.exam import Exams, Subject

YIELD_EVERY = 64
_NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class Desk:
    """Where the trials of one session are done, by many workers."""

    ports: Ports
    exams: Exams
    subject: Subject
    run: EvalRun
    root: str
    purse: Purse
    ink: Ink
    trials: Trials
    done: Mapping[tuple[str, int], frozenset[str]]
    known: Mapping[tuple[str, int], Observed]
    cache: bool = False

    async def work(self) -> None:
        """Do trials until there are none, or somebody cancels."""
        count = 0
        while not self.ink.cancelled:
            trial = await self.trials.next()
            if trial is None:
                return
            try:
                await self._tried(trial)
            except BudgetExhausted as problem:  # of a judge; what was answered is kept, and judged by a resume
                self.trials.stop(problem.message)
                return
            count += 1
            if self.ink.full:
                await self.ink.room()
            elif count % YIELD_EVERY == 0:  # a subject that never waits must not keep others from working
                await asyncio.sleep(0)

    async def _tried(self, trial: Trial) -> None:
        case, epoch = trial.case, trial.epoch
        if not case.scorers:
            self.ink.verdict(unchecked(case, epoch))
            self.trials.ended(trial, Cost())
            return
        observed = self.known.get((case.id, epoch))
        if observed is None:
            self.trials.started(trial)
            observed = await self._answered(case, epoch)
            self.trials.ended(trial, observed.cost)
        else:
            self.trials.ended(trial, Cost())
        await self._graded(case, epoch, observed)

    async def _graded(self, case: SuiteCase, epoch: int, observed: Observed) -> None:
        done = self.done.get((case.id, epoch), _NOBODY)
        if simple(case):
            for name, found in checked(case, observed):
                if name not in done:
                    self.ink.verdict(Verdict(case.id, epoch, name, found.state, found.score, found.note))
            return
        bill = Bill()
        try:
            async for verdict in graded(
                self.exams, self.purse, self.run.id, case, epoch, observed, self.root, done, bill
            ):
                self.ink.verdict(verdict)
        finally:
            for held, cost in bill.rows:
                self.ink.bill(held, cost)

    async def _answered(self, case: SuiteCase, epoch: int) -> Observed:
        key = digest([self.subject.digest, case.document(), epoch]) if self.cache else ""
        if key:
            kept = (await self.ports.store.read(lambda tx: tx.evals.cached([key]))).get(key)
            if kept is not None:
                self.ink.answer(Taken(case.id, epoch, kept))
                return kept
        observed = await self._between(case, epoch) if case.setup or case.teardown else await self._asked(case, epoch)
        self.ink.answer(Taken(case.id, epoch, observed), cache_key=key)
        return observed

    async def _between(self, case: SuiteCase, epoch: int) -> Observed:
        """Ask between setup and teardown; the teardown is run whatever came before."""
        try:
            problem = await self.exams.outside.prepare(case.setup, case, self.root) if case.setup else ""
            observed = _nothing(f"setup: {problem}") if problem else await self._asked(case, epoch)
        finally:
            left = await self.exams.outside.prepare(case.teardown, case, self.root) if case.teardown else ""
        return _nothing(f"teardown: {left}", observed) if left else observed

    async def _asked(self, case: SuiteCase, epoch: int) -> Observed:
        subject, turnstile = self.subject, self.exams.turnstile
        try:
            if not turnstile.limited(subject.provider):
                async with asyncio.timeout(case.timeout_s):
                    return await subject.answer(case, epoch)
            async with turnstile.seat(subject.provider, self.run.id), asyncio.timeout(case.timeout_s):
                return await subject.answer(case, epoch)
        except TimeoutError:
            return Observed(output="", finish="timeout", problem=f"no answer within {case.timeout_s:g} s")
        except Exception as problem:  # noqa: BLE001  a subject that breaks has not answered; the run goes on
            return _nothing(f"{type(problem).__name__}: {problem}"[:300])


def _nothing(problem: str, observed: Observed | None = None) -> Observed:
    return Observed(output="", finish="error", problem=problem, cost=observed.cost if observed else None)

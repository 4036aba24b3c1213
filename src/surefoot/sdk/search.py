"""The search of an optimisation: find failures that are real, ask for rewrites, keep the edits that cure.

A round takes every symptom that stands, asks for a few rewrites of each, and tries the edit that most of them want,
all symptoms together. Each edit is judged by its own symptom; what cured is kept if it harms nothing. The rounds end
when nothing real is left to cure, when nothing new is wanted, or with the budget.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from surefoot.core.edit import Edit
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.evidence.paired import betting_evidence
from surefoot.core.gate import VETO_AT
from surefoot.core.genome import Genome
from surefoot.core.guardrail import Bounds, Refusal, judge
from surefoot.core.optimiser.ballot import MOST_REWRITES, MOST_SINGLE, Arm, Ballot
from surefoot.core.optimiser.cure import Cure, cure
from surefoot.core.optimiser.plan import Split
from surefoot.core.optimiser.prose import rewritten, text_of
from surefoot.core.optimiser.symptom import ANY, PATIENCE, standing, suspects, unexplained
from surefoot.sdk.trials import HOPELESS, Spent, Trials

Failure = tuple[Any, float, str]
Rewrite = Callable[[str, Sequence[Failure]], str | Awaitable[str]]
MOST_ROUNDS = 60
SURE_CASES = 2
EXAMPLES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """One edit that was kept: what it changed, the symptom it cured, and what that rests on.

    `cases` had the symptom, `hidden` of them were never shown to whoever rewrote; `votes` of `rewrites` wanted it.
    """

    edit: Edit
    symptom: str
    cases: int
    hidden: int
    votes: int
    rewrites: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """One symptom with the cases that show it, and the edit to be tried on it."""

    symptom: str
    cases: tuple[str, ...]
    arm: Arm
    rewrites: int


@dataclass(slots=True, kw_only=True)
class Search:
    """The state of one search; `genome` is the best so far."""

    trials: Trials
    rewrite: Rewrite
    cases: Mapping[str, Any]
    split: Split
    base: Genome
    genome: Genome
    bounds: Bounds
    held_out: frozenset[str]
    most_rewrites: int
    rewrites: int = 0
    failed: int = 0
    rounds: int = 0
    why: str = ""
    learned: list[Learned] = field(default_factory=list[Learned])
    refused: list[Refusal] = field(default_factory=list[Refusal])
    tried: set[str] = field(default_factory=set[str])
    _ballots: dict[tuple[str, str], Ballot] = field(default_factory=dict[tuple[str, str], Ballot])
    _mixed: set[str] = field(default_factory=set[str])
    _mute: int = 0

    async def run(self) -> None:
        """Search until nothing is left to do; `why` says what ended it."""
        try:
            self.why = await self._rounds()
        except Spent:
            self.why = "the evaluations set aside for searching are used up"

    async def _rounds(self) -> str:
        runs = 1
        await self._look(runs)
        for _ in range(MOST_ROUNDS):
            levers = await self._levers()
            if levers:
                self.rounds += 1
                await self._round(levers)
                await self._look(1)
            elif runs >= PATIENCE:
                return "no failure that stands is left to cure"
            else:  # a rare failure needs a second look to be told from noise
                runs += 1
                await self._look(runs)
        return f"{MOST_ROUNDS} rounds are the most"

    async def _look(self, runs: int) -> None:
        await self.trials.at_least(text_of(self.genome), self.split.search, runs)

    async def _levers(self) -> list[Lever]:
        """Give every symptom that stands, with the edits that are wanted for it."""
        prompt, found = text_of(self.genome), list[Lever]()
        for symptom, cases in suspects(self.trials.seen(prompt, self.split.search)).items():
            if await self._stands(symptom, cases):
                found += await self._wanted(symptom, cases)
        restless = unexplained(self.trials.seen(prompt, self.split.search))
        cases = tuple([case for case in restless if await self._stands(ANY, [case])])
        return found + (await self._wanted(ANY, cases) if cases else [])

    async def _stands(self, symptom: str, cases: Sequence[str]) -> bool:
        """Run the surest cases again until two of them show the symptom for certain, or none is left."""
        prompt, sure = text_of(self.genome), 0
        for case in cases:
            while (now := standing(self.trials.seen(prompt, [case])[case], symptom)) == "again":
                await self.trials.once_more(prompt, case)
            sure += now == "stands"
            if sure >= SURE_CASES:
                break
        return sure > 0

    async def _wanted(self, symptom: str, cases: tuple[str, ...]) -> list[Lever]:
        """Ask for rewrites; one lever where they agree, else one for each edit with the cases that want it."""
        key = (self.genome.digest, symptom)
        if key not in self._ballots:
            shown = set(self.split.shown)
            self._ballots[key] = await self._ballot(symptom, [case for case in cases if case in shown])
        ballot = self._ballots[key]
        arms = ballot.arms(self.tried)
        if symptom not in self._mixed:
            return [Lever(symptom=symptom, cases=cases, arm=arm, rewrites=ballot.rewrites) for arm in arms[:1]]
        return [
            Lever(symptom=symptom, cases=tuple(sorted(arm.cases)), arm=arm, rewrites=ballot.rewrites) for arm in arms
        ]  # fmt: skip

    async def _ballot(self, symptom: str, shown: Sequence[str]) -> Ballot:
        if symptom not in self._mixed:
            ballot = await self._asked(symptom, [shown] * MOST_REWRITES, enough=lambda so_far: so_far.leads)
            if ballot.leads or len(shown) <= SURE_CASES:
                return ballot
            self._mixed.add(symptom)
        return await self._asked(symptom, [[case] for case in shown[:MOST_SINGLE]])

    async def _asked(
        self, symptom: str, samples: Sequence[Sequence[str]], enough: Callable[[Ballot], bool] = lambda _: False
    ) -> Ballot:
        """Rewrite from each sample of cases in turn, until that is enough."""
        ballot = Ballot()
        for sample in samples:
            examples = self._examples(symptom, sample)
            if not examples or enough(ballot) or self.rewrites >= self.most_rewrites:
                break
            ballot.cast(await self._rewritten(examples, symptom), sample)
        return ballot

    def _examples(self, symptom: str, cases: Sequence[str]) -> list[Failure]:
        """Give the failures of shown cases; what is hidden is never shown to whoever rewrites."""
        seen = self.trials.seen(text_of(self.genome), cases)
        found = [(self.cases[case], one.score, one.feedback) for case, runs in seen.items() for one in runs
                 if one.shows(symptom)]  # fmt: skip
        return [(case, score, feedback) for case, score, feedback in found if score is not None][:EXAMPLES]

    async def _rewritten(self, examples: Sequence[Failure], symptom: str) -> tuple[Edit, ...]:
        """Ask once; a rewrite that fails says nothing, and is counted."""
        self.rewrites += 1
        try:
            answer = self.rewrite(text_of(self.genome), examples)
            text = cast("object", await answer if inspect.isawaitable(answer) else answer)
        except Exception as problem:
            self._mute += 1
            self.failed += 1
            if self._mute >= HOPELESS:
                raise Unavailable(
                    f"{HOPELESS} rewrites in a row failed, the last with {type(problem).__name__}: {problem}",
                    hint="make rewrite(prompt, failures) work, then begin again",
                ) from problem
            return ()
        self._mute = 0
        if not isinstance(text, str):
            raise Invalid(f"rewrite gave a {type(text).__name__}", hint="give the whole new prompt as a text")
        return rewritten(self.genome, text, gap=symptom)

    async def _round(self, levers: Sequence[Lever]) -> None:
        """Try all edits in one prompt, judge each by its own symptom, and keep those that cured."""
        allowed = self._allowed(levers)
        if not allowed:
            return
        candidate = judge(self.base, self.genome, [edit for edit, _ in allowed], self.bounds).genome
        cured = [(edit, mine) for edit, mine in allowed if await self._cures(candidate, edit, mine)]
        await self._kept(cured)

    def _allowed(self, levers: Sequence[Lever]) -> list[tuple[Edit, list[Lever]]]:
        by_edit: dict[str, list[Lever]] = {}
        for lever in levers:
            by_edit.setdefault(lever.arm.edit.fingerprint, []).append(lever)
        edits = [mine[0].arm.edit for mine in by_edit.values()]
        said = judge(self.base, self.genome, edits, self.bounds, held_out=self.held_out)
        self.refused += said.refusals
        self.tried |= {one.edit.fingerprint for one in said.refusals}
        return [(edit, by_edit[edit.fingerprint]) for edit in said.allowed]

    async def _cures(self, candidate: Genome, edit: Edit, levers: Sequence[Lever]) -> bool:
        said = [await self._cure(candidate, lever) for lever in levers]
        if "cured" in said:
            return True
        self.tried.add(edit.fingerprint)
        return False

    async def _cure(self, candidate: Genome, lever: Lever) -> Cure:
        before, after, runs, said = text_of(self.genome), text_of(candidate), 0, "again"
        while said == "again":
            runs += 1
            await self.trials.at_least(after, lever.cases, runs)
            await self.trials.at_least(before, lever.cases, runs)
            old, new = self.trials.seen(before, lever.cases), self.trials.seen(after, lever.cases)
            said = cure(old, new, lever.cases, lever.symptom, mixed=lever.symptom in self._mixed)
        return said

    async def _kept(self, cured: Sequence[tuple[Edit, list[Lever]]]) -> None:
        """Keep edits that cured if together they harm nothing; else try each half."""
        if not cured:
            return
        after = judge(self.base, self.genome, [edit for edit, _ in cured], self.bounds).genome
        if await self._harms(after):
            half = len(cured) // 2
            if not half:
                self.tried.add(cured[0][0].fingerprint)
            for part in (cured[:half], cured[half:]) if half else ():
                await self._kept(part)
            return
        self.genome = after
        self.learned += [self._learned(edit, lever) for edit, mine in cured for lever in mine[:1]]

    async def _harms(self, after: Genome) -> bool:
        old, new = text_of(self.genome), text_of(after)
        await self.trials.at_least(new, self.split.search, 1)
        before, now = self.trials.seen(old, self.split.search), self.trials.seen(new, self.split.search)
        scores = [(_mean(before, case), _mean(now, case)) for case in self.split.search]
        return betting_evidence([a - b for a, b in scores if a is not None and b is not None]) >= VETO_AT

    def _learned(self, edit: Edit, lever: Lever) -> Learned:
        hidden = set(self.split.hidden)
        return Learned(
            edit=edit, symptom=lever.symptom, cases=len(lever.cases), hidden=sum(c in hidden for c in lever.cases),
            votes=lever.arm.votes, rewrites=lever.rewrites,
        )  # fmt: skip


def _mean(seen: Mapping[str, Sequence[Any]], case: str) -> float | None:
    known = [one.score for one in seen.get(case, ()) if one.score is not None]
    return sum(known) / len(known) if known else None

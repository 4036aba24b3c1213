"""Optimise a prompt with any two functions: one that scores it on a case, one that rewrites it from failures.

The same discipline as in the product, without its store: whoever rewrites sees shown cases only, a rewrite becomes
typed edits that pass the guardrails, an edit has to cure what it was made for, and the whole is released by one
planned look at sealed cases, or not at all. No evaluation goes uncounted, and there are never more than the budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from surefoot.core.errors import Invalid
from surefoot.core.gate import RELEASE_ALPHA, ReleaseVerdict, release_verdict
from surefoot.core.genome import Genome
from surefoot.core.guardrail import Bounds, Refusal, ngrams
from surefoot.core.optimiser.plan import RESERVE, Split, noisy, pairs, repeats, split
from surefoot.core.optimiser.prose import genome_of, text_of
from surefoot.sdk.search import Learned, Rewrite, Search
from surefoot.sdk.trials import Evaluate, Trials

ROOM = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimised:
    """What came of it: `prompt` is the one to use, which is the old one unless `released`.

    `draft` is the best that was found, released or not, `learned` what it consists of. `verdict` is the look at the
    sealed cases, None where nothing was found that deserved one. `calls` are evaluations, `rewrites` calls of
    `rewrite`; of those `failed_calls` and `failed_rewrites` raised. `sentence` says in words what happened.
    """

    prompt: str
    released: bool
    draft: str
    sentence: str
    verdict: ReleaseVerdict | None
    learned: tuple[Learned, ...]
    refused: tuple[Refusal, ...]
    calls: int
    rewrites: int
    rounds: int
    sealed_runs: int
    failed_calls: int = 0
    failed_rewrites: int = 0


def optimise(
    prompt: str, cases: Sequence[Hashable], evaluate: Evaluate, rewrite: Rewrite, *, budget: int,
    alpha: float = RELEASE_ALPHA, max_rewrites: int = 200, locked: Collection[str] = (), bounds: Bounds | None = None,
    texts: Mapping[Hashable, str] | None = None, groups: Mapping[Hashable, str] | None = None,
    slices: Mapping[Hashable, Mapping[str, str]] | None = None, concurrency: int = 8, seed: str = "0",
) -> Optimised:  # fmt: skip
    """Give a prompt that is proven better than `prompt`, or `prompt` itself.

    `evaluate(prompt, case, number)` gives (score in [0, 1], feedback) and may be a coroutine function, then
    `concurrency` of them run at once; a higher `number` is a fresh draw. `rewrite(prompt, failures)` gives a new
    prompt for failures (case, score, feedback). `budget` counts evaluations, sealed ones too. Lines in `locked` stay.
    `texts` (what each case says) keeps a rewrite from quoting held-out cases, `groups` keeps near-duplicates on one
    side, and a slice of `slices` that loses blocks the release. Errors: Invalid for too few cases, a budget that
    cannot look at each once, or a score outside [0, 1]; Unavailable where `evaluate` keeps failing. Not for use
    inside a running event loop: there, await `optimise_async`.
    """
    return asyncio.run(
        optimise_async(
            prompt, cases, evaluate, rewrite, budget=budget, alpha=alpha, max_rewrites=max_rewrites, locked=locked,
            bounds=bounds, texts=texts, groups=groups, slices=slices, concurrency=concurrency, seed=seed,
        )
    )  # fmt: skip


async def optimise_async(
    prompt: str, cases: Sequence[Hashable], evaluate: Evaluate, rewrite: Rewrite, *, budget: int,
    alpha: float = RELEASE_ALPHA, max_rewrites: int = 200, locked: Collection[str] = (), bounds: Bounds | None = None,
    texts: Mapping[Hashable, str] | None = None, groups: Mapping[Hashable, str] | None = None,
    slices: Mapping[Hashable, Mapping[str, str]] | None = None, concurrency: int = 8, seed: str = "0",
) -> Optimised:  # fmt: skip
    """Do as `optimise` does, inside an event loop."""
    named = {str(case): case for case in cases}
    if len(named) < len(cases):
        raise Invalid("two cases read the same", hint="give each case a name of its own")
    parts = split(list(named), seed=seed, groups=_by_name(groups))
    reserve = _reserve(budget, parts)
    base = genome_of(prompt, locked=locked)
    trials = Trials(evaluate, named, limit=budget - reserve, concurrency=concurrency)
    search = Search(
        trials=trials, rewrite=rewrite, cases=named, split=parts, base=base, genome=base,
        bounds=bounds or _bounds(base), held_out=_held_out(parts, _by_name(texts)), most_rewrites=max_rewrites,
    )  # fmt: skip
    await search.run()
    trials.limit = budget
    if search.genome == base:
        return _optimised(search, prompt, None, 0, f"Nothing was found that helps: {search.why}.")
    runs, verdict = await _look(search, prompt, alpha=alpha, seed=seed, slices=_by_name(slices))
    return _optimised(search, prompt, verdict, runs, verdict.sentence)


def _by_name(given: Mapping[Hashable, T] | None) -> dict[str, T]:
    return {str(case): value for case, value in (given or {}).items()}


def _reserve(budget: int, parts: Split) -> int:
    """Set aside what the sealed look takes: a quarter, at least one run of each case with either prompt."""
    once = 2 * len(parts.sealed)
    needed = once + 2 * len(parts.search)
    if budget < needed:
        raise Invalid(
            f"a budget of {budget} evaluations is too small for {len(parts.search) + len(parts.sealed)} cases",
            hint=f"at least {needed} look at each case once with either prompt",
        )
    return max(once, round(budget * RESERVE))


def _bounds(base: Genome) -> Bounds:
    """The usual bounds, with room beside what the prompt has already."""
    rules, sections = len(base.of_kind("rule")), len(base.of_kind("section"))
    return Bounds(active_rules=rules + ROOM, sections=sections + ROOM, edits=ROOM)


def _held_out(parts: Split, texts: Mapping[str, str]) -> frozenset[str]:
    return frozenset(gram for case in parts.hidden + parts.sealed for gram in ngrams(texts.get(case, "")))


async def _look(
    search: Search, prompt: str, *, alpha: float, seed: str, slices: Mapping[str, Mapping[str, str]]
) -> tuple[int, ReleaseVerdict]:
    """Look once at the sealed cases, each as often as planned beforehand."""
    trials, sealed, draft = search.trials, search.split.sealed, text_of(search.genome)
    unsure = noisy(trials.seen(prompt, search.split.search)) or noisy(trials.seen(draft, search.split.search))
    runs = repeats(len(sealed), trials.limit - trials.calls, noisy=unsure)
    for number in range(1, runs + 1):  # turn by turn, so that a model that drifts drifts for both
        await trials.at_least(draft, sealed, number)
        await trials.at_least(prompt, sealed, number)
    if runs:
        await trials.settled((draft, prompt), sealed)
    seen = pairs(sealed, trials.seen(prompt, sealed), trials.seen(draft, sealed), slices)
    return runs, release_verdict(seen, seed=seed, slots_left=1, slots=1, alpha=alpha)


def _optimised(search: Search, prompt: str, verdict: ReleaseVerdict | None, runs: int, sentence: str) -> Optimised:
    draft = text_of(search.genome)
    released = verdict is not None and verdict.verdict == "pass"
    return Optimised(
        prompt=draft if released else prompt, released=released, draft=draft, sentence=sentence, verdict=verdict,
        learned=tuple(search.learned), refused=tuple(search.refused), calls=search.trials.calls,
        rewrites=search.rewrites, rounds=search.rounds, sealed_runs=runs,
        failed_calls=search.trials.failed, failed_rewrites=search.failed,
    )  # fmt: skip

"""Plans of an optimisation: which cases are for what, and how often each sealed one is looked at.

Shown cases may be read by whoever rewrites, hidden ones only test, sealed ones are looked at once, at the end. All
three are random samples of all cases, drawn by hash before anything is run, with cases of one group together. A sealed
case that is run an odd number of times counts as passed when most of its runs passed, so that the exact sign test
still applies; where runs never disagree, one run is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from surefoot.core.digest import digest
from surefoot.core.errors import Invalid
from surefoot.core.evidence.comparison import Pair
from surefoot.core.optimiser.symptom import Sighting

HIDDEN_SHARE, SEALED_SHARE = 0.15, 0.25
RESERVE = 0.25
MOST_REPEATS = 9
FEWEST = 10
Seen = Mapping[str, Sequence[Sighting]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Cases by what they are for, each in a random order."""

    shown: tuple[str, ...]
    hidden: tuple[str, ...]
    sealed: tuple[str, ...]

    @property
    def search(self) -> tuple[str, ...]:
        """All that may be run while searching."""
        return self.shown + self.hidden


def split(cases: Sequence[str], *, seed: str, groups: Mapping[str, str] | None = None) -> Split:
    """Split cases by hash; Invalid for fewer than ten, which could prove nothing."""
    if len(set(cases)) < len(cases):
        raise Invalid("two cases have one id", hint="give each case an id of its own")
    if len(cases) < FEWEST:
        raise Invalid(f"{len(cases)} cases are too few to prove anything", hint=f"give at least {FEWEST}")
    home = groups or {}
    ranked = sorted(cases, key=lambda case: (digest([seed, home.get(case, case)]), case))
    sealed = _edge(ranked, home, round(len(ranked) * SEALED_SHARE))
    hidden = _edge(ranked, home, sealed + round(len(ranked) * HIDDEN_SHARE))
    return Split(sealed=tuple(ranked[:sealed]), hidden=tuple(ranked[sealed:hidden]), shown=tuple(ranked[hidden:]))


def _edge(ranked: Sequence[str], groups: Mapping[str, str], at: int) -> int:
    """Move an edge on until it cuts no group in two."""
    while 0 < at < len(ranked) and groups.get(ranked[at], ranked[at]) == groups.get(ranked[at - 1], ranked[at - 1]):
        at += 1
    return at


def repeats(cases: int, calls: int, *, noisy: bool) -> int:
    """Give how often each sealed case is run with either prompt for at most `calls` calls: odd, 0 if not even once."""
    affordable = min(MOST_REPEATS if noisy else 1, calls // (2 * cases) if cases else 0)
    return affordable if affordable % 2 or not affordable else affordable - 1


def noisy(seen: Seen) -> bool:
    """Say whether runs of one case were ever seen to disagree."""
    return any(len({one.score for one in runs if one.score is not None}) > 1 for runs in seen.values())


def pairs(cases: Sequence[str], before: Seen, after: Seen, slices: Mapping[str, Mapping[str, str]]) -> list[Pair]:
    """Give one pair a case, over its repeats (`pooled`)."""
    return [
        Pair(case_id=case, incumbent=pooled(before.get(case, ())), candidate=pooled(after.get(case, ())),
             slices=slices.get(case, {}))
        for case in cases
    ]  # fmt: skip


def pooled(runs: Sequence[Sighting]) -> float | None:
    """Pool the repeats of a case: the majority where all scores are 0 or 1, their mean otherwise, None for none."""
    known = [one.score for one in runs if one.score is not None]
    if not known:
        return None
    mean = sum(known) / len(known)
    if all(score in (0.0, 1.0) for score in known):
        return float(mean > 0.5)
    return mean

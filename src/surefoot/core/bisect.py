"""Bisect: which step of a chain made it worse, asked with as few probes as possible.

The chain begins with what was good and ends with what is bad; a probe is judged against both ends on the same cases.
Worse than the good end is bad; as long as the bad end is worse than it, and it is not worse itself, it is good; where
neither shows, it is unclear, and its neighbours are asked instead. So noise ends in a range, never in a wrong name
that looks certain. The level is shared out over all comparisons that a search can take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from surefoot.core.evidence.paired import betting_evidence, sign_test, tally

Standing = Literal["good", "bad", "unclear"]
ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The first bad step lies after `good` and is at latest `bad`; `next` is what to ask now, None for nothing."""

    good: int
    bad: int
    next: int | None

    @property
    def found(self) -> bool:
        """Whether the first bad step is known."""
        return self.bad - self.good == 1


def span(steps: int, probes: Mapping[int, Standing]) -> Span:
    """Narrow a chain of `steps` steps (0 is good, `steps` is bad) by what was probed so far.

    Where answers contradict each other (good above bad), the first bad one counts.
    """
    bad = min([at for at, one in probes.items() if one == "bad"], default=steps)
    good = max([at for at, one in probes.items() if one == "good" and at < bad], default=0)
    middle = (good + bad) / 2
    left = [at for at in range(good + 1, bad) if at not in probes]
    return Span(good=good, bad=bad, next=min(left, key=lambda at: (abs(at - middle), at), default=None))


def level(steps: int) -> float:
    """Give the level of one comparison: the ends against each other, then two for each probe of a straight search."""
    return ALPHA / (1 + 2 * max(0, steps - 1).bit_length())


def worse_p(differences: Sequence[float]) -> float:
    """Give the p of "not worse" from differences (later minus earlier) on the same cases; 1 for no cases.

    The exact sign test for whole wins and losses, the e-process for graded scores.
    """
    if all(d in (-1.0, 0.0, 1.0) for d in differences):
        seen = tally(differences)
        return sign_test(for_it=seen.lost, against_it=seen.gained)
    return min(1.0, 1 / max(1e-300, betting_evidence([-d for d in differences])))


def standing(since_good: Sequence[float], until_bad: Sequence[float], *, alpha: float) -> Standing:
    """Judge a probe: its differences from the good end, and those of the bad end from it."""
    if worse_p(since_good) <= alpha:
        return "bad"
    return "good" if worse_p(until_bad) <= alpha else "unclear"

"""Whether a gain hides a loss: each declared slice is tested by itself before anyone approves.

A slice BLOCKS when the exact sign test for loss survives Holm's correction over all slices, or when it is the worst
slice, stands out from random regroupings of the same cases (permutation p <= .05) and lost by its own exact test
(p <= .05). The permutation alone would accuse slices that merely did not gain. A slice is FLAGGED at an exact p of
.10. Estimates are `(gained - lost) / (n + 2)` with intervals that hold for all slices at once, because the raw worst
slice overstates the loss. The shuffles come from a hash of the caller's seed, so a verdict can be computed again.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from surefoot.core.errors import Invalid
from surefoot.core.evidence.paired import Tally, sign_test

SliceMark = Literal["block", "flag", "clear"]

BLOCK_ALPHA = 0.05
FLAG_ALPHA = 0.10
SHUFFLES = 999


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFinding:
    """What happened on one slice: counts, the exact p for a loss, and the shrunken gain with its interval.

    `gain`, `low` and `high` are shares of the slice's cases; the intervals of all slices hold together at 95 %.
    """

    dimension: str
    value: str
    tally: Tally
    p_loss: float
    gain: float
    low: float
    high: float
    mark: SliceMark

    @property
    def name(self) -> str:
        """The slice as people write it, such as `label=Business`."""
        return f"{self.dimension}={self.value}"

    @property
    def moved(self) -> bool:
        """Whether any case of the slice was gained or lost."""
        return self.tally.gained + self.tally.lost > 0


def slice_findings(
    differences: Sequence[float], slices: Sequence[Mapping[str, str]], *, seed: str, shuffles: int = SHUFFLES
) -> tuple[SliceFinding, ...]:
    """Judge every slice, worst first.

    `slices[i]` gives case i's slices as dimension → value; `differences[i]` its score difference.
    """
    if len(differences) != len(slices):
        raise Invalid("differences and slices have different lengths", hint="give one slice mapping per case")
    members = _members(slices)
    tallies = {key: _tally([differences[i] for i in cases]) for key, cases in members.items()}
    losses = {key: sign_test(for_it=t.lost, against_it=t.gained) for key, t in tallies.items()}
    blocked = _holm(losses, BLOCK_ALPHA)
    worst = worst_slice(tallies)
    lost = worst is not None and losses[worst] <= BLOCK_ALPHA
    if worst and lost and permutation_p(differences, slices, seed=seed, shuffles=shuffles) <= BLOCK_ALPHA:
        blocked.add(worst)
    found = [_finding(key, t, losses[key], key in blocked, len(tallies)) for key, t in tallies.items()]
    return tuple(sorted(found, key=lambda one: (one.gain, one.p_loss, one.name)))


Key = tuple[str, str]


def worst_slice(tallies: Mapping[Key, Tally]) -> Key | None:
    """Give the slice with the smallest shrunken gain, None when there is no slice."""
    return min(tallies, key=lambda key: (tallies[key].shrunken_gain, key), default=None)


def permutation_p(
    differences: Sequence[float], slices: Sequence[Mapping[str, str]], *, seed: str, shuffles: int = SHUFFLES
) -> float:
    """Give the chance that randomly regrouped cases have a worst slice as bad as the real one.

    The real grouping counts as one of the shuffles, so the p is never 0.
    """
    members = _members(slices)
    keys = list(members)
    sizes = [len(members[key]) + 2 for key in keys]
    homes: list[list[int]] = [[] for _ in differences]
    for position, key in enumerate(keys):
        for case in members[key]:
            homes[case].append(position)
    signs = [(d > 0) - (d < 0) for d in differences if d != 0]

    def worst(order: Sequence[int]) -> float:
        nets = [0] * len(keys)
        for sign, case in zip(signs, order, strict=False):  # only the first len(signs) places hold a difference
            for position in homes[case]:
                nets[position] += sign
        return min(net / size for net, size in zip(nets, sizes, strict=True))

    if not keys:
        return 1.0
    real = worst([i for i, d in enumerate(differences) if d != 0])
    as_bad = sum(worst(shuffled(len(differences), seed, k)) <= real + 1e-12 for k in range(shuffles))
    return (1 + as_bad) / (1 + shuffles)


def shuffled(n: int, seed: str, k: int) -> list[int]:
    """Give the k-th pseudo-random order of `range(n)` under a seed: the order of a hash's 64-bit words."""
    words = hashlib.shake_256(f"{seed}:{k}".encode()).digest(8 * n)
    keys = memoryview(words).cast("Q")
    return sorted(range(n), key=keys.__getitem__)


def _members(slices: Sequence[Mapping[str, str]]) -> dict[Key, list[int]]:
    members: defaultdict[Key, list[int]] = defaultdict(list)
    for case, values in enumerate(slices):
        for key in values.items():
            members[key].append(case)
    return dict(members)


def _tally(differences: Sequence[float]) -> Tally:
    return Tally(gained=sum(d > 0 for d in differences), lost=sum(d < 0 for d in differences), n=len(differences))


def _holm(p_values: Mapping[Key, float], alpha: float) -> set[Key]:
    """Give the slices whose loss survives Holm's step-down at `alpha`."""
    rejected: set[Key] = set()
    for rank, key in enumerate(sorted(p_values, key=lambda key: (p_values[key], key))):
        if p_values[key] > alpha / (len(p_values) - rank):
            break
        rejected.add(key)
    return rejected


def _finding(key: Key, tally: Tally, p_loss: float, blocked: bool, slices: int) -> SliceFinding:
    """Attach the interval: half a case is added to each of the four cells (Agresti & Min 2005)."""
    z = NormalDist().inv_cdf(1 - 0.025 / slices)
    gain, cases = tally.shrunken_gain, tally.n + 2
    spread = z * math.sqrt((tally.gained + tally.lost + 1) / cases - gain**2) / math.sqrt(cases)
    mark: SliceMark = "block" if blocked else "flag" if p_loss <= FLAG_ALPHA else "clear"
    return SliceFinding(
        dimension=key[0],
        value=key[1],
        tally=tally,
        p_loss=p_loss,
        gain=gain,
        low=max(-1.0, gain - spread),
        high=min(1.0, gain + spread),
        mark=mark,
    )

"""pass^k: the chance that k independent trials of a case *all* pass, averaged over cases.

For a case with s passes in n trials the unbiased estimate is C(s, k) / C(n, k) (Yao et al. 2024, tau-bench). A case
with fewer than k known trials says nothing about k and is left out and counted. The interval treats the mean as a
proportion over cases (Wilson), which is conservative, because values in [0, 1] vary no more than coin tosses do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from surefoot.core.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class PassK:
    """The estimate for one k with its 95 % interval; None where no case has k known trials."""

    k: int
    value: float | None
    low: float
    high: float
    cases: int
    left_out: int


def pass_k(trials: Sequence[tuple[int, int]], k: int) -> PassK:
    """Estimate pass^k from (passes, known trials) per case."""
    if k < 1 or any(not 0 <= passed <= n for passed, n in trials):
        raise Invalid(f"pass^{k} of impossible counts", hint="k from 1, and passes between 0 and the trials")
    known = [math.comb(passed, k) / math.comb(n, k) for passed, n in trials if n >= k]
    value = math.fsum(known) / len(known) if known else None
    low, high = wilson(value * len(known), len(known)) if value is not None else (0.0, 1.0)
    return PassK(k=k, value=value, low=low, high=high, cases=len(known), left_out=len(trials) - len(known))


def wilson(successes: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Give the Wilson interval of a proportion; (0, 1) for no observations."""
    if n <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, wide = successes / n, z * z / n
    middle = (share + wide / 2) / (1 + wide)
    half = z * math.sqrt(share * (1 - share) / n + wide / (4 * n)) / (1 + wide)
    return max(0.0, middle - half), min(1.0, middle + half)

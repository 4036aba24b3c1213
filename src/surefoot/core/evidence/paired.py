"""Two versions on the same cases: is the candidate better, and could this many cases have shown it?

A case gives one difference d = score(candidate) - score(incumbent) in [-1, 1]; repeats are averaged before. While
searching, and for graded scores, a betting e-process is used, because it may be looked at after every case. For 0/1
scores at a planned look, the exact one-sided sign test on discordant cases is stronger. The power of either follows
from the discordance that was really observed: twelve cases prove nothing, and the report says so in numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from surefoot.core.errors import Invalid
from surefoot.core.evidence.mixture import e_value

BETS: tuple[float, ...] = (0.1, 0.2, 0.35, 0.5, 0.7)
_MOST_CASES = 20_000
_WIDTHS = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many cases the candidate gained, how many it lost, out of `n` scored."""

    gained: int
    lost: int
    n: int

    @property
    def discordance(self) -> float:
        """The share of cases on which the versions differ; 0 for no cases."""
        return (self.gained + self.lost) / self.n if self.n else 0.0

    @property
    def shrunken_gain(self) -> float:
        """The gain as a share of cases, pulled towards 0 by two undecided cases."""
        return (self.gained - self.lost) / (self.n + 2)


def tally(differences: Iterable[float]) -> Tally:
    """Count gains, losses and cases."""
    values = tuple(differences)
    return Tally(gained=sum(d > 0 for d in values), lost=sum(d < 0 for d in values), n=len(values))


def betting_evidence(differences: Sequence[float]) -> float:
    """Give the evidence against "the mean difference is at most 0"; negate the differences to ask about harm.

    `prod(1 + lambda d)` averaged over five stakes; a mean of at most 0 makes each factor a losing bet on average.
    """
    if any(not -1 <= d <= 1 for d in differences):
        raise Invalid("a difference lies outside [-1, 1]", hint="score cases in [0, 1]")
    return e_value([math.fsum(math.log1p(stake * d) for d in differences) for stake in BETS])


def sign_test(*, for_it: int, against_it: int) -> float:
    """Give the exact one-sided p of at least `for_it` heads in `for_it + against_it` fair tosses; 1 for none."""
    tosses, ways, term = for_it + against_it, 0, 1
    for against in range(against_it + 1):
        ways += term
        term = term * (tosses - against) // (against + 1)
    return ways / (1 << tosses)


def sign_test_power(*, n: int, discordance: float, gain: float, alpha: float) -> float:
    """Give the chance that `n` cases show a true gain of `gain` (share of cases) by the sign test at `alpha`.

    `discordance` is the share of cases on which the versions differ, at least `gain`. Sums over the number of
    discordant cases, which is binomial, the chance of enough gains among them.
    """
    if not 0 < gain <= 1 or not 0 <= discordance <= 1 or not 0 < alpha < 1:
        raise Invalid(
            f"no power for gain {gain}, discordance {discordance}, alpha {alpha}", hint="use fractions between 0 and 1"
        )
    differing = max(discordance, gain)
    gaining = (differing + gain) / (2 * differing)
    spread = _WIDTHS * math.sqrt(n * differing * (1 - differing)) + 1
    fewest, most = max(0, math.floor(n * differing - spread)), min(n, math.ceil(n * differing + spread))
    chances = _chances_of_enough(fewest, most, alpha, gaining)
    return min(
        1.0,
        math.fsum(_mass(n, m, differing) * chance for m, chance in zip(range(fewest, most + 1), chances, strict=True)),
    )


def _chances_of_enough(fewest: int, most: int, alpha: float, gaining: float) -> Iterator[float]:
    """Give, for each number of discordant cases, the chance of the gains that the sign test asks for.

    Going from m to m + 1 adds to a tail what one more toss lifts over its edge; the edge then rises by at most one.
    """
    edge = critical_gains(fewest, alpha)
    by_luck, by_skill = _tail(fewest, edge, 0.5), _tail(fewest, edge, gaining)
    for m in range(fewest, most + 1):
        yield by_skill
        by_luck += _mass(m, edge - 1, 0.5) * 0.5
        by_skill += _mass(m, edge - 1, gaining) * gaining
        if by_luck > alpha:
            by_luck -= _mass(m + 1, edge, 0.5)
            by_skill -= _mass(m + 1, edge, gaining)
            edge += 1


def cases_needed(*, discordance: float, gain: float, alpha: float, power: float = 0.8) -> int | None:
    """Give about the fewest cases whose sign test has this power; None beyond 20 000.

    Starts from the normal approximation and corrects it by the exact power, to a hundredth.
    """
    differing = max(discordance, gain)
    normal = NormalDist()
    ask, hope = normal.inv_cdf(1 - alpha) * math.sqrt(differing), normal.inv_cdf(power) * math.sqrt(differing - gain**2)
    guess = ((ask + max(hope, 0)) / gain) ** 2

    def enough(n: int) -> bool:
        return sign_test_power(n=n, discordance=discordance, gain=gain, alpha=alpha) >= power

    if guess > 2 * _MOST_CASES:
        return None
    low, high = 0, max(4, math.ceil(guess))
    while not enough(high):
        low, high = high, math.ceil(high * 1.1) + 1
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high if high <= _MOST_CASES else None


def critical_gains(discordant: int, alpha: float) -> int:
    """Give the fewest gains among `discordant` cases with a sign-test p of at most `alpha`; more than all if none."""
    low, high = 0, discordant + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _tail(discordant, middle, 0.5) <= alpha else (middle + 1, high)
    return low


def betting_power(differences: Sequence[float], *, n: int, gain: float, alpha: float) -> float:
    """Give about the chance that `n` cases like these, moved to a mean of `gain`, reach evidence 1/alpha.

    Each stake's log wealth is taken as normal; the best stake must carry the mixture alone.
    """
    if not differences or n < 1:
        return 0.0
    shift = gain - math.fsum(differences) / len(differences)
    moved = [min(1.0, max(-1.0, d + shift)) for d in differences]
    return max(_stake_power([math.log1p(stake * d) for d in moved], n, math.log(len(BETS) / alpha)) for stake in BETS)


def betting_cases_needed(differences: Sequence[float], *, gain: float, alpha: float, power: float = 0.8) -> int | None:
    """Give about the fewest cases whose e-process has this power; None beyond 20 000."""
    low, high = 0, _MOST_CASES
    if betting_power(differences, n=high, gain=gain, alpha=alpha) < power:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = betting_power(differences, n=middle, gain=gain, alpha=alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _stake_power(steps: Sequence[float], n: int, target: float) -> float:
    mean = math.fsum(steps) / len(steps)
    spread = math.sqrt(math.fsum((step - mean) ** 2 for step in steps) / len(steps) * n)
    if spread == 0:
        return float(n * mean >= target)
    return math.erfc((target - n * mean) / spread / math.sqrt(2)) / 2


def _tail(n: int, at_least: int, chance: float) -> float:
    """Give the chance of at least `at_least` heads in `n` tosses, summing from the near end while terms matter."""
    if at_least <= 0:
        return 1.0
    if at_least > n * chance:
        return _sum_outward(n, at_least, n, chance)
    return 1.0 - _sum_outward(n, at_least - 1, 0, chance)


def _sum_outward(n: int, near: int, far: int, chance: float) -> float:
    """Give the mass between `near` and `far`, where `near` is the end closest to the mean."""
    if near > n or near < 0:
        return 0.0
    if chance in (0.0, 1.0):
        return float(min(near, far) <= n * chance <= max(near, far))
    step = 1 if far >= near else -1
    odds = chance / (1 - chance)
    term = total = _mass(n, near, chance)
    for k in range(near, far, step):
        term *= (n - k) / (k + 1) * odds if step > 0 else k / (n - k + 1) / odds
        total += term
        if term < total * 1e-17:
            break
    return min(total, 1.0)


def _mass(n: int, k: int, chance: float) -> float:
    if not 0 <= k <= n:
        return 0.0
    if chance in (0.0, 1.0):
        return float(k == n * chance)
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(chance) + (n - k) * math.log1p(-chance))

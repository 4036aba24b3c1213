"""What a judge is worth: its agreement with blind human labels, and the rate corrected for its errors.

From the cases that both judged come the true positive rate, the true negative rate and Cohen's kappa, each with n and
a 95 % interval. The observed pass rate of a run is then corrected by Rogan and Gladen (1978):
`(observed + TNR - 1) / (TPR + TNR - 1)`, with an interval that carries the uncertainty of all three (Lang and
Reiczigel 2014, which adds pseudo-counts so that small samples cover too). Where the judge is not shown to be better
than chance there is no corrected rate. Abstentions are no judgement: they are counted and left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

from surefoot.core.errors import Invalid
from surefoot.core.exam.passk import wilson

Z = NormalDist().inv_cdf(0.975)
LEAST_YOUDEN = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A proportion with its count and 95 % interval; `value` is None for no observations."""

    hits: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The plain proportion."""
        return self.hits / self.n if self.n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How a judge agrees with people; `kappa` is None where chance agreement is total."""

    tpr: Share
    tnr: Share
    kappa: float | None
    kappa_low: float
    kappa_high: float
    n: int
    abstained: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A pass rate corrected for the judge's errors, with its 95 % interval; None where nothing corrects it."""

    observed: float
    value: float | None
    low: float
    high: float
    why: str = ""


def calibration(pairs: Iterable[tuple[bool | None, bool]]) -> Calibration:
    """Compare (judge said pass, person said pass); None is a judge that abstained."""
    both = list(pairs)
    known = [(judge, person) for judge, person in both if judge is not None]
    yes = [judge for judge, person in known if person]
    no = [judge for judge, person in known if not person]
    kappa, low, high = _kappa(known)
    return Calibration(
        tpr=_share(sum(yes), len(yes)), tnr=_share(len(no) - sum(no), len(no)), kappa=kappa, kappa_low=low,
        kappa_high=high, n=len(known), abstained=len(both) - len(known),
    )  # fmt: skip


def _share(hits: int, n: int) -> Share:
    low, high = wilson(hits, n)
    return Share(hits=hits, n=n, low=low, high=high)


def _kappa(known: list[tuple[bool, bool]]) -> tuple[float | None, float, float]:
    """Cohen's kappa with the simple large-sample interval (Cohen 1960); (None, -1, 1) where it is not defined."""
    n = len(known)
    if not n:
        return None, -1.0, 1.0
    agree = sum(judge == person for judge, person in known) / n
    judged, meant = sum(judge for judge, _ in known) / n, sum(person for _, person in known) / n
    chance = judged * meant + (1 - judged) * (1 - meant)
    if chance >= 1:
        return None, -1.0, 1.0
    kappa = (agree - chance) / (1 - chance)
    spread = Z * math.sqrt(agree * (1 - agree) / n) / (1 - chance)
    return kappa, max(-1.0, kappa - spread), min(1.0, kappa + spread)


def corrected_rate(passed: int, judged: int, seen: Calibration) -> Corrected:
    """Correct the pass rate of `judged` answers, of which the judge passed `passed`."""
    if not 0 <= passed <= judged or not judged:
        raise Invalid(f"{passed} of {judged} is no rate", hint="count the judged answers again")
    observed = passed / judged
    if not seen.tpr.n or not seen.tnr.n:
        return Corrected(observed=observed, value=None, low=0.0, high=1.0,
                         why="people must have labelled both right and wrong answers")  # fmt: skip
    n, rate = judged + Z * Z, (passed + Z * Z / 2) / (judged + Z * Z)
    n1, tpr = seen.tpr.n + 2, (seen.tpr.hits + 1) / (seen.tpr.n + 2)
    n0, tnr = seen.tnr.n + 2, (seen.tnr.hits + 1) / (seen.tnr.n + 2)
    youden = tpr + tnr - 1
    if youden - Z * math.sqrt(tpr * (1 - tpr) / n1 + tnr * (1 - tnr) / n0) < LEAST_YOUDEN:
        return Corrected(observed=observed, value=None, low=0.0, high=1.0,
                         why="the judge is not shown to be better than chance: label more, or change it")  # fmt: skip
    plain = _corrected(observed, seen.tpr.hits / seen.tpr.n, seen.tnr.hits / seen.tnr.n)
    middle = (rate + tnr - 1) / youden
    inner = rate * (1 - rate) / n + tpr * (1 - tpr) / n1 * middle**2 + tnr * (1 - tnr) / n0 * (1 - middle) ** 2
    half = Z * math.sqrt(inner) / youden
    shift = 2 * Z * Z * (middle * tpr * (1 - tpr) / n1 - (1 - middle) * tnr * (1 - tnr) / n0)
    low, high = middle + shift / youden - half, middle + shift / youden + half
    return Corrected(observed=observed, value=plain, low=min(1.0, max(0.0, low)), high=max(0.0, min(1.0, high)))


def _corrected(observed: float, tpr: float, tnr: float) -> float:
    return min(1.0, max(0.0, (observed + tnr - 1) / (tpr + tnr - 1)))

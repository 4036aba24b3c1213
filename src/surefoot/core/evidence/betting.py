"""Live metrics by arm: is the challenger's score, cost or latency worse by more than the margin that was declared?

A metric is not a count, so no likelihood is known for it. What is known is the share w at which a unit was routed:
`Z = (Y - c) (A/w - (1 - A)/(1 - w))` has the mean "challenger minus incumbent" whatever c is and however both arms
drift, because w was fixed before the request. Each label is a small bet on Z; under the null every bet loses on
average, so the product is an e-process that may be looked at after each label. The centre c (the metric's mean before
the start) only calms the noise. Centre, margin and clip are frozen at the start.

**Every factor is positive.** With Y in [0, clip], Z lies between -L and H, where `L = max(c/w, (clip - c)/(1 - w))`
and `H = max((clip - c)/w, c/(1 - w))`; both are at least the clip, since w and 1 - w weigh their two parts to just
that, and the margin m is below it. Where higher is worse the guard bets on `x = (Z - m)/(L + m)` and the win on
`x = (m - Z)/(H - m)`; where lower is worse Z changes its sign and L and H change places. Then x >= -1, and
`1 + stake x >= 1 - stake > 0` for any share, since no stake reaches 1. The divisor depends on w alone, so
`E[1 + stake x] <= 1` whenever the mean difference is on the null's side of the margin.

The state is counts-like: the logarithm of each factor is rounded down to a billionth and added up as a whole number, so
that labels may come in any order, workers may merge and a corrected label can be taken out again, to the last bit.
Valid only if labelling does not depend on the arm. Source: Waudby-Smith & Ramdas 2024; evidence.md §1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from surefoot.core.errors import Invalid
from surefoot.core.evidence.mixture import e_value
from surefoot.core.trace import Arm

Worse = Literal["higher", "lower"]

STAKES: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.55, 0.75, 0.95)
"""The bets, as parts of the largest one a label allows; the mixture finds the one that suits the metric's noise."""

_LOG_UNIT = 1e-9
_VALUE_UNIT = 1e-6
_NOTHING = (0,) * len(STAKES)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricGuard:
    """The frozen terms of one metric, all in the metric's own unit (points, USD, seconds).

    Values above `clip` count as `clip`; `centre` is the mean before the start, `margin` how much worse the challenger
    may be. Errors: `Invalid` names the field.
    """

    name: str
    worse: Worse
    clip: float
    centre: float
    margin: float = 0.0

    def __post_init__(self) -> None:
        self._require("name", bool(self.name.strip()), "a name")
        self._require("worse", self.worse in ("higher", "lower"), "'higher' or 'lower'")
        self._require("clip", math.isfinite(self.clip) and self.clip > 0, "a finite number above 0")
        self._require("centre", 0 <= self.centre <= self.clip, "between 0 and clip")
        self._require("margin", 0 <= self.margin < self.clip, "at least 0 and below clip")

    def _require(self, field: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise Invalid(f"the metric guard {self.name!r} has {field} {getattr(self, field)!r}", hint=f"give {wanted}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The metric of one labelled unit, and the arm and share (percent) of its first request.

    `value` is at least 0 and may be infinite, such as the latency of an answer that never came.
    """

    arm: Arm
    weight_percent: float
    value: float

    def __post_init__(self) -> None:
        if not self.value >= 0:
            raise Invalid(f"a metric was observed as {self.value}", hint="leave out what is unknown; 0 is the least")
        if not 0 <= self.weight_percent <= 100:
            raise Invalid(f"a metric has the weight {self.weight_percent}", hint="use a share in 0 to 100 %")


@dataclass(frozen=True, slots=True)
class Moments:
    """Clipped values of one arm: how many, their sum and their squares' sum, in millionths of the clip."""

    n: int = 0
    total: int = 0
    squares: int = 0

    def plus(self, other: Moments) -> Moments:
        """Give both together."""
        return Moments(self.n + other.n, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricState:
    """What all labels so far say about one metric: `harm` and `gain` are log factors by stake, in billionths.

    Labels at a share of 0 or 100 % count in the means and say nothing about a difference.
    """

    guard: MetricGuard
    harm: tuple[int, ...] = _NOTHING
    gain: tuple[int, ...] = _NOTHING
    challenger: Moments = Moments()
    incumbent: Moments = Moments()

    def plus(self, observation: Observation) -> MetricState:
        """Give the state with one more label."""
        return self._with(observation, 1)

    def minus(self, observation: Observation) -> MetricState:
        """Give the state without a label that is in it, exactly as if it had never come; `Invalid` without any."""
        if not self._of(observation.arm).n:
            raise Invalid(f"the {observation.arm} has no label of {self.guard.name!r} to take out", hint=_ANEW)
        return self._with(observation, -1)

    def merge(self, other: MetricState) -> MetricState:
        """Give the labels of two workers together; `Invalid` when their terms differ."""
        if self.guard != other.guard:
            raise Invalid(
                f"the metrics {self.guard.name!r} and {other.guard.name!r} have different terms",
                hint="merge states of one guard of one rollout",
            )
        return replace(
            self,
            harm=_added(self.harm, other.harm),
            gain=_added(self.gain, other.gain),
            challenger=self.challenger.plus(other.challenger),
            incumbent=self.incumbent.plus(other.incumbent),
        )

    def mean(self, arm: Arm) -> float | None:
        """Give an arm's mean clipped value; None without a label."""
        seen = self._of(arm)
        return seen.total * _VALUE_UNIT * self.guard.clip / seen.n if seen.n else None

    def deviation(self, arm: Arm) -> float | None:
        """Give an arm's standard deviation; None below two labels."""
        seen = self._of(arm)
        if seen.n < 2:
            return None
        variance = (seen.squares - seen.total**2 / seen.n) / (seen.n - 1)
        return math.sqrt(max(0.0, variance)) * _VALUE_UNIT * self.guard.clip

    def as_dict(self) -> dict[str, Any]:
        """Give the state as JSON-shaped values."""
        return {
            "guard": asdict(self.guard),
            "stakes": list(STAKES),
            "harm": list(self.harm),
            "gain": list(self.gain),
            "challenger": asdict(self.challenger),
            "incumbent": asdict(self.incumbent),
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> MetricState:
        """Read what `as_dict` gave; `Invalid` when it was written with other stakes or is not such a state."""
        try:
            stakes, harm, gain = (tuple(kept[key]) for key in ("stakes", "harm", "gain"))
            arms = Moments(**kept["challenger"]), Moments(**kept["incumbent"])
            state = cls(guard=MetricGuard(**kept["guard"]), harm=harm, gain=gain, challenger=arms[0], incumbent=arms[1])
        except (KeyError, TypeError) as broken:
            raise Invalid(f"the kept state of a metric is unreadable: {broken}", hint=_ANEW) from broken
        whole = all(type(total) is int for total in (*harm, *gain))
        if stakes != STAKES or not whole or len(harm) != len(STAKES) or len(gain) != len(STAKES):
            raise Invalid(f"the kept state of {state.guard.name!r} belongs to other stakes", hint=_ANEW)
        return state

    def _of(self, arm: Arm) -> Moments:
        return self.challenger if arm == "challenger" else self.incumbent

    def _with(self, observation: Observation, times: int) -> MetricState:
        guard, share = self.guard, min(observation.value, self.guard.clip) / self.guard.clip
        units = round(share / _VALUE_UNIT)
        seen = self._of(observation.arm).plus(Moments(times, times * units, times * units**2))
        harm, gain = outlooks(guard, observation)
        return replace(
            self,
            harm=_added(self.harm, _log_factors(harm, times)),
            gain=_added(self.gain, _log_factors(gain, times)),
            challenger=seen if observation.arm == "challenger" else self.challenger,
            incumbent=seen if observation.arm == "incumbent" else self.incumbent,
        )


_ANEW = "count the metric anew from its labels"


def metric_guard_evidence(state: MetricState) -> float:
    """Give the evidence against "the challenger is worse by at most the margin"."""
    return e_value([total * _LOG_UNIT for total in state.harm])


def metric_win_evidence(state: MetricState) -> float:
    """Give the evidence against "the challenger is worse by the margin or more"; at margin 0, that it is better."""
    return e_value([total * _LOG_UNIT for total in state.gain])


def outlooks(guard: MetricGuard, observation: Observation) -> tuple[float, float]:
    """Give what one label says, for the guard and for the win: x of the module's proof, at least -1.

    Their mean is at most 0 when the challenger is worse by at most the margin, or by at least the margin.
    """
    weight = observation.weight_percent / 100
    if not 0 < weight < 1:
        return 0.0, 0.0
    centred = min(observation.value, guard.clip) - guard.centre
    difference = centred / weight if observation.arm == "challenger" else -centred / (1 - weight)
    room = guard.clip - guard.centre
    lowest = max(guard.centre / weight, room / (1 - weight))
    highest = max(room / weight, guard.centre / (1 - weight))
    if guard.worse == "lower":
        difference, lowest, highest = -difference, highest, lowest
    return (difference - guard.margin) / (lowest + guard.margin), (guard.margin - difference) / (highest - guard.margin)


def _log_factors(outlook: float, times: int) -> tuple[int, ...]:
    """Give the log factor of each stake, rounded down so that rounding never adds evidence."""
    return tuple(times * math.floor(math.log1p(stake * outlook) / _LOG_UNIT) for stake in STAKES)


def _added(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))

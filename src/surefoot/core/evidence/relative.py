"""How large the difference is: the relative risk with an interval, and how many labels a decision takes.

The point is Mantel-Haenszel's over weight epochs, so that a drift between epochs is not mistaken for a difference
between versions. The interval inverts the failure-only e-process over relative risks in [.2, 5]: it keeps every
value that the failures do not contradict, and may be read after every label. The planner says before the start, and
at each step, how many labels a win needs, and that none can win when the challenger looks no better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from surefoot.core.errors import Invalid
from surefoot.core.evidence.mixture import LARGEST, Events, log_mean
from surefoot.core.evidence.rollout import Stratum, failures

SMALLEST_RISK, LARGEST_RISK = 0.2, 5.0
_PRIOR: tuple[float, ...] = tuple(SMALLEST_RISK * (LARGEST_RISK / SMALLEST_RISK) ** (k / 32) for k in range(33))
_HALVINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskInterval:
    """Relative risks (challenger over incumbent) that the failures do not contradict, within [.2, 5]."""

    low: float
    high: float


def mantel_haenszel(strata: Iterable[Stratum]) -> float | None:
    """Give the relative risk of failure over epochs; None without a comparison, 1e300 if only the challenger failed."""
    over = under = 0.0
    for s in strata:
        if s.challenger_labels and s.incumbent_labels:
            over += s.challenger_failures * s.incumbent_labels / s.labels
            under += s.incumbent_failures * s.challenger_labels / s.labels
    if under > 0:
        return over / under
    return LARGEST if over > 0 else None


def risk_interval(strata: Iterable[Stratum], *, alpha: float = 0.05) -> RiskInterval:
    """Give the interval that holds the true relative risk at all times with probability at least 1 - alpha.

    A relative risk leaves it when a mixture over the prior explains the failures 1/alpha times better. The log
    likelihood is concave in log risk, so what remains is one interval around the best prior point.
    """
    failed = failures(strata)
    log_prior = [failed.log_likelihood(risk) for risk in _PRIOR]
    bound = log_mean(log_prior) + math.log(alpha)
    best = _PRIOR[max(range(len(_PRIOR)), key=log_prior.__getitem__)]
    return RiskInterval(
        low=_edge(failed, inside=best, outside=SMALLEST_RISK, bound=bound),
        high=_edge(failed, inside=best, outside=LARGEST_RISK, bound=bound),
    )


def _edge(failed: Events, *, inside: float, outside: float, bound: float) -> float:
    """Give where the log likelihood falls to `bound` between a risk inside the interval and the end of the range."""
    if failed.log_likelihood(outside) >= bound:
        return outside
    inner, outer = math.log(inside), math.log(outside)
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        if failed.log_likelihood(math.exp(middle)) >= bound:
            inner = middle
        else:
            outer = middle
    return math.exp(outer)  # the wide side, so that rounding never excludes a value


def labels_needed(
    *,
    baseline_rate: float,
    weight_percent: float,
    relative_risk: float,
    null_risk: float = 1.0,
    threshold: float = 20.0,
    e_now: float = 1.0,
) -> int | None:
    """Give about how many more labels lift the win evidence from `e_now` to `threshold`; None when none would.

    `(ln threshold + 2 - ln e_now) / I`, with the information of one label
    `I = p0 (1 - w + w RR) KL(pi || pi0)`, where pi is the challenger's part of the failures and pi0 what it is at
    `null_risk` (w itself when that is 1). Source: evidence.md §1.
    """
    if not 0 < baseline_rate < 1 or not 0 < weight_percent < 100 or relative_risk < 0:
        raise Invalid(
            f"cannot plan with failure rate {baseline_rate}, share {weight_percent} % and risk {relative_risk}",
            hint="use a rate between 0 and 1, a share between 0 and 100 and a risk of at least 0",
        )
    if relative_risk >= null_risk:
        return None
    weight = weight_percent / 100
    failing = 1 - weight + weight * relative_risk
    null_part = weight * null_risk / (1 - weight + weight * null_risk)
    information = baseline_rate * failing * _divergence(weight * relative_risk / failing, null_part)
    missing = math.log(threshold) + 2 - math.log(max(e_now, 1e-12))
    return max(0, math.ceil(missing / information)) if information > 0 else None


def _divergence(p: float, q: float) -> float:
    """Give the Kullback-Leibler divergence of two coins, in nats."""
    heads = p * math.log(p / q) if p > 0 else 0.0
    return heads + (1 - p) * math.log((1 - p) / (1 - q))

"""What is right, but not well done: answers that are slow, costly, or scored low though nobody called them wrong.

Each answer is held against two measures: the median of its own kind in the window, and the version before (S2-02).
What stands out is clustered by its slices, the narrowest that holds most of it, and becomes a gap like any other. No
edit can be proven to mend it on cases, where time and money are not replayed, so it is a lever for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from surefoot.core.backlog import MIN_GAP, Failure, Gap
from surefoot.core.score import Verdict

Metric = Literal["slow", "costly", "weak"]
TIMES = 3.0
# Below this nobody minds: seconds and US dollars.
FLOORS: Mapping[Metric, float] = {"slow": 1.0, "costly": 0.001}
WORSE_THAN_BEFORE = 1.5
LOW_SCORE = 0.5
FEWEST = 20
SEVERITY: Mapping[Metric, float] = {"slow": 0.3, "costly": 0.2}
_HOLDS_MOST = 0.6
_UNIT: Mapping[Metric, str] = {"slow": "s", "costly": "US$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One answered request with what was measured: seconds, US dollars, and the score somebody gave, if any."""

    trace_id: str
    input: str
    output: str
    source: str
    verdict: Verdict
    latency_s: float = 0.0
    cost_usd: float = 0.0
    score: float | None = None
    expected: str = ""
    version: int = 0
    slices: Mapping[str, str] = field(default_factory=dict[str, str])


def suboptimal(measured: Sequence[Measured], before: Sequence[Measured] = ()) -> tuple[Gap, ...]:
    """Give the gaps among answers that nobody called wrong; `before` are those of the version before.

    Fewer than 20 answers say nothing.
    """
    right = [one for one in measured if one.verdict != "failure"]
    if len(right) < FEWEST:
        return ()
    found = [*_standing_out("slow", right), *_standing_out("costly", right), *_weak(right)]
    known = [one for one in before if one.verdict != "failure"]
    if len(known) >= FEWEST:
        found += [*_worse("slow", right, known), *_worse("costly", right, known)]
    return tuple(sorted(found, key=lambda gap: (-gap.worth, gap.key)))


def _value(metric: Metric, one: Measured) -> float:
    return one.latency_s if metric == "slow" else one.cost_usd


def _standing_out(metric: Metric, right: Sequence[Measured]) -> list[Gap]:
    usual = median(_value(metric, one) for one in right)
    limit = max(FLOORS[metric], TIMES * usual)
    out = [one for one in right if _value(metric, one) > limit]
    if len(out) < MIN_GAP:
        return []
    where = _where(out, right)
    here = [one for one in out if where == "all" or where in _places(one)]
    title = f"{metric} on {where}: more than {limit:.3g} {_UNIT[metric]}, usual are {usual:.3g}"
    return [_gap(f"{metric}:{where}", title, here, len(right), SEVERITY[metric])]


def _worse(metric: Metric, right: Sequence[Measured], before: Sequence[Measured]) -> list[Gap]:
    usual, was = median(_value(metric, one) for one in right), median(_value(metric, one) for one in before)
    if usual < FLOORS[metric] or usual < WORSE_THAN_BEFORE * was:
        return []
    title = f"{metric}: {usual:.3g} {_UNIT[metric]} as a rule, {was:.3g} in the version before"
    return [_gap(f"{metric}:than-before", title, list(right), len(right), SEVERITY[metric])]


def _weak(right: Sequence[Measured]) -> list[Gap]:
    low = [one for one in right if one.score is not None and one.score < LOW_SCORE]
    if len(low) < MIN_GAP:
        return []
    where = _where(low, right)
    here = [one for one in low if where == "all" or where in _places(one)]
    lost = sum(1.0 - (one.score or 0.0) for one in here) / len(here)
    return [_gap(f"weak:{where}", f"scored below {LOW_SCORE:g} on {where}", here, len(right), lost)]


def _where(out: Sequence[Measured], right: Sequence[Measured]) -> str:
    """Give the narrowest slice that holds most of what stands out, and holds it more than it holds the rest."""
    inside, everywhere = (Counter(p for one in some for p in _places(one)) for some in (out, right))
    held = [
        place for place, count in inside.items()
        if count >= max(MIN_GAP, _HOLDS_MOST * len(out)) and count * len(right) > 2 * everywhere[place] * len(out)
    ]  # fmt: skip
    return min(held, key=lambda place: (everywhere[place], place), default="all")


def _places(one: Measured) -> set[str]:
    named = {f"{name}={value}" for name, value in one.slices.items() if len(value) <= 40}
    label = one.expected.strip().lower()
    return named | ({f"label={label}"} if label and len(label) <= 40 else set())


def _gap(key: str, title: str, members: Sequence[Measured], labelled: int, severity: float) -> Gap:
    return Gap(
        key=key, title=title, impact=len(members) / labelled, severity=severity,
        failures=tuple(
            Failure(id=0, trace_id=one.trace_id, version=one.version, input=one.input, predicted=one.output,
                    expected=one.expected, source=one.source, slices=one.slices, score=one.score)
            for one in members
        ),
    )  # fmt: skip

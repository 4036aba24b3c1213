"""From failures to gaps, and from gaps to a ranked backlog of levers.

Failures that miss the same expectation form one gap (per source at most 10 % of its evidence, so that one angry user
cannot write a rule). Each gap becomes one lever; a lever's value is impact times what its history lets hope: every
failed try halves it. Below `min_failures` the answer is to hold, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

LeverState = Literal["open", "doing", "drafted", "shipped", "failed", "closed"]
SOURCE_SHARE = 0.10
MIN_GAP = 3
ENOUGH_LABELS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A wrong answer: what was asked, what came, what was expected, which version did it, who said so."""

    id: int
    trace_id: str
    version: int
    input: str
    predicted: str
    expected: str
    source: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A cluster of failures; `impact` is its share of the labelled traffic that was looked at."""

    key: str
    title: str
    failures: tuple[Failure, ...]
    impact: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """One ranked move: the gap it answers, what it may bring, and how often it was tried in vain."""

    id: str
    agent: str
    gap: str
    title: str
    impact: float
    failures: int
    state: LeverState = "open"
    tries: int = 0
    note: str = ""

    @property
    def worth(self) -> float:
        """The rank: impact, halved for every try that did not work."""
        return self.impact * 0.5**self.tries


def hold_reason(failures: int, min_failures: int) -> str:
    """Say why nothing should be proposed yet; empty when there is enough to look at (S1-12)."""
    if failures >= min_failures:
        return ""
    return f"{failures} failures so far, {min_failures} are needed before a pattern can be told from chance"


def nothing_to_fix(failed: int, labelled: int, headroom: float) -> str:
    """Say that what serves is good enough to be left alone; empty when it is not, or when too little is known."""
    if labelled < ENOUGH_LABELS or failed >= headroom * labelled:
        return ""
    return f"{failed} of {labelled} labelled requests failed ({failed / labelled:.1%})"


def quota(failures: Sequence[Failure], share: float = SOURCE_SHARE) -> tuple[Failure, ...]:
    """Keep, per source, at most `share` of what is kept; failures without a source share one.

    The share counts after the cut: one user with 91 of 100 failures must not be half of what is left. Where fewer
    than 1 / `share` sources make that impossible, none gives more than the lower median source; a single source is
    not limited here (`Policy.min_sources` is what stops it). Records of a file that an operator supplied carry the
    source `file:…`, one each. Which are kept is decided by their order.
    """
    counts = Counter(failure.source for failure in failures)
    if len(counts) <= 1:
        return tuple(failures)
    limit = _limit(sorted(counts.values()), share)
    taken: Counter[str] = Counter()
    kept: list[Failure] = []
    for failure in failures:
        if taken[failure.source] < limit:
            taken[failure.source] += 1
            kept.append(failure)
    return tuple(kept)


def _limit(counts: list[int], share: float) -> int:
    """The most per source, of ascending counts; what is kept grows slower than the limit, so the first hit is it."""
    if len(counts) * share < 1 - 1e-9:
        return counts[(len(counts) - 1) // 2]
    fits = (most for most in range(counts[-1], 1, -1) if most <= share * sum(min(n, most) for n in counts) + 1e-9)
    return next(fits, 1)


def sources(failures: Iterable[Failure]) -> int:
    """Count the distinct sources; all failures that name none count as one together."""
    return len({failure.source for failure in failures})


def gaps(failures: Iterable[Failure], labelled: int) -> tuple[Gap, ...]:
    """Cluster failures by the expectation they missed, largest impact first; `labelled` is all labelled requests."""
    by_expected: dict[str, list[Failure]] = {}
    for failure in failures:
        by_expected.setdefault(failure.expected.strip().lower(), []).append(failure)
    found = [_gap(expected, members, labelled) for expected, members in by_expected.items() if len(members) >= MIN_GAP]
    return tuple(sorted(found, key=lambda gap: (-gap.impact, gap.key)))


def _gap(expected: str, members: list[Failure], labelled: int) -> Gap:
    wrong = Counter(member.predicted.strip().lower() or "(nothing)" for member in members)
    named = ", ".join(f"{label} ({count})" for label, count in wrong.most_common(3))
    return Gap(
        key=f"missed:{expected}",
        title=f"{expected} answered as {named}",
        failures=tuple(members),
        impact=len(members) / max(1, labelled),
    )


def top(levers: Iterable[Lever]) -> Lever | None:
    """Give the open lever of the highest worth; ties go to the first name, so that the order never wobbles."""
    opened = [lever for lever in levers if lever.state == "open" and lever.worth > 0]
    return min(opened, key=lambda lever: (-lever.worth, lever.gap, lever.id), default=None)

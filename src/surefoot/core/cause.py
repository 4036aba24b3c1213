"""A cause: what failures of one symptom have in common, which way they go, and what became of it.

Failures are clustered by their symptom as the next tick does it (`core.backlog`), each beside its lever and the
versions that carry its mending (`core.recurrence`). The trend compares the newer half of the window with the older
(`core.trend`). Three failures stand for all: the newest of each wrong answer, the more common answers first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from surefoot.core.backlog import Failure, Gap, Lever, gaps
from surefoot.core.recurrence import Recurrence, recurrence
from surefoot.core.trend import Trend, of_counts

PARTS, SHOWN = 8, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is known of the levers: each by the gap it answers, and how the versions hang together.

    `parents` says of each version which one it was made from, `coming` are those that may still become live.
    """

    levers: Mapping[str, Lever] = field(default_factory=dict[str, Lever])
    parents: Mapping[int, int | None] = field(default_factory=dict[int, int | None])
    coming: frozenset[int] = frozenset()
    live: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Failures of one symptom; `impact` is their share of the judged traffic, `parts` counts them along the window.

    The oldest part stands first. `versions` are those that failed so, `examples` the failures that stand for all.
    """

    key: str
    title: str
    became: Recurrence
    trend: Trend
    failures: int
    parts: tuple[int, ...]
    impact: float
    lever: Lever | None
    versions: tuple[int, ...]
    examples: tuple[Failure, ...]

    @property
    def newer(self) -> int:
        """Those in the newer half of the window."""
        return sum(self.parts[PARTS // 2 :])

    @property
    def older(self) -> int:
        """Those in the older half of the window."""
        return self.failures - self.newer

    @property
    def reopens(self) -> bool:
        """Whether its lever can be opened again."""
        return self.lever is not None and self.lever.state in ("closed", "failed", "shipped")


def causes(window: Sequence[Failure], labelled: int, known: Backlog) -> tuple[Cause, ...]:
    """Give the causes of failures, the largest first; the newest failure stands first, `labelled` are all judged."""
    places = {one.id: PARTS - 1 - at * PARTS // len(window) for at, one in enumerate(window)}
    return tuple(_cause(gap, known, places) for gap in gaps(window, labelled))


def _cause(gap: Gap, known: Backlog, places: Mapping[int, int]) -> Cause:
    lever, versions = known.levers.get(gap.key), sorted({one.version for one in gap.failures})
    parts = [0] * PARTS
    for one in gap.failures:
        parts[places[one.id]] += 1
    return Cause(
        key=gap.key, title=gap.title, failures=len(gap.failures), parts=tuple(parts), impact=gap.impact, lever=lever,
        trend=of_counts(sum(parts[: PARTS // 2]), sum(parts[PARTS // 2 :])), versions=tuple(versions),
        became=recurrence(lever, failing=versions, live=known.live, parents=known.parents, coming=known.coming),
        examples=representatives(gap.failures),
    )  # fmt: skip


def representatives(found: Sequence[Failure]) -> tuple[Failure, ...]:
    """Give three that differ: the first of each wrong answer, the more common answers first; then what is left."""
    by_answer = defaultdict[str, list[Failure]](list)
    for one in found:
        by_answer[one.predicted.strip().lower()].append(one)
    ordered = sorted(by_answer.values(), key=len, reverse=True)
    return tuple([some[0] for some in ordered] + [one for some in ordered for one in some[1:]])[:SHOWN]

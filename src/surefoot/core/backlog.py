"""From failures to gaps, and from gaps to a ranked backlog of levers.

Failures with the same symptom (the answer that was missed, the check that failed, the tool that broke) form one gap
(per source at most 10 % of its evidence, so that one angry user cannot write a rule). Each gap becomes one lever; a
lever's value is impact times severity times trend times what its history lets hope: every failed try halves it. What
no edit can mend (a tool that breaks, an answer that is slow) becomes a lever for people, which no tick takes. Below
`min_failures` the answer is to hold, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from surefoot.core.digest import digest
from surefoot.core.figure import percent
from surefoot.core.injection import smell

LeverState = Literal["open", "doing", "drafted", "shipped", "failed", "closed"]
SOURCE_SHARE = 0.10
MIN_GAP = 3
ERASED_GAP = "erased:"
FOR_PEOPLE = ("tool:", "slow:", "costly:", "weak:", ERASED_GAP)
PLAIN_CHECKS = frozenset({"", "equals", "contains"})
_NAME_CHARS = 60
ENOUGH_LABELS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A wrong answer: what was asked, what came, what was expected, which version did it, who said so.

    `check` and `tool_error` say what failed, where somebody named it, `score` how much of it was right. `seen` is how
    many people it stands for, where the same message failed for several.
    """

    id: int
    trace_id: str
    version: int
    input: str
    predicted: str
    expected: str
    source: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])
    check: str = ""
    tool_error: str = ""
    score: float | None = None
    seen: int = 1

    @property
    def symptom(self) -> str:
        """What it has in common with others of its cause: the tool that broke, the check, the answer it missed."""
        if self.tool_error:
            return f"tool:{self.tool_error}"
        missed = self.expected.strip().lower()
        return f"missed:{missed}" if self.check in PLAIN_CHECKS else f"check:{self.check}:{missed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A cluster of failures; `impact` is its share of the labelled traffic that was looked at.

    `severity` (1 is plainly wrong) and `trend` (above 1 grows) weigh it.
    """

    key: str
    title: str
    failures: tuple[Failure, ...]
    impact: float
    severity: float = 1.0
    trend: float = 1.0

    @property
    def worth(self) -> float:
        """What mending it would bring: share of the traffic times severity times trend."""
        return self.impact * self.severity * self.trend


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """One ranked move: the gap it answers, what it may bring, and how often it was tried in vain.

    `shipped_in` is the version that mends it (0: none, or from before versions were noted here).
    """

    id: str
    agent: str
    gap: str
    title: str
    impact: float
    failures: int
    state: LeverState = "open"
    tries: int = 0
    note: str = ""
    severity: float = 1.0
    trend: float = 1.0
    shipped_in: int = 0

    @property
    def worth(self) -> float:
        """The rank: impact times severity times trend, halved for every try that did not work."""
        return self.impact * self.severity * self.trend * 0.5**self.tries

    @property
    def for_people(self) -> bool:
        """Whether no edit can mend it, so that no tick takes it."""
        return self.gap.startswith(FOR_PEOPLE)


def lever_of(agent: str, gap: Gap, title: str) -> Lever:
    """Give the lever that answers a gap as it is new; its id is always the same, whoever makes it."""
    return Lever(
        id=f"L-{digest([agent, gap.key])[:6]}", agent=agent, gap=gap.key, title=title, impact=gap.impact,
        failures=len(gap.failures), severity=gap.severity, trend=gap.trend,
    )  # fmt: skip


def hold_reason(failures: int, min_failures: int) -> str:
    """Say why nothing should be proposed yet; empty when there is enough to look at (S1-12)."""
    if failures >= min_failures:
        return ""
    return f"{failures} failures so far, {min_failures} are needed before a pattern can be told from chance"


def nothing_to_fix(failed: int, labelled: int, headroom: float) -> str:
    """Say that what serves is good enough to be left alone; empty when it is not, or when too little is known."""
    if labelled < ENOUGH_LABELS or failed >= headroom * labelled:
        return ""
    return f"{failed} of {labelled} labelled requests failed ({percent(failed / labelled)})"


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


def gaps(failures: Iterable[Failure], labelled: int, *, least: int = MIN_GAP) -> tuple[Gap, ...]:
    """Cluster failures by their symptom, largest impact first; `labelled` is all labelled requests.

    Fewer than `least` of a symptom make no gap.
    """
    by_symptom: dict[str, list[Failure]] = {}
    for failure in failures:
        by_symptom.setdefault(failure.symptom, []).append(failure)
    found = [_gap(key, members, labelled) for key, members in by_symptom.items() if len(members) >= least]
    return tuple(sorted(found, key=lambda gap: (-gap.impact, gap.key)))


def _gap(key: str, members: list[Failure], labelled: int) -> Gap:
    wrong = Counter(_short(member.predicted.strip().lower()) or "(nothing)" for member in members)
    named = ", ".join(f"{label} ({count})" for label, count in wrong.most_common(3))
    return Gap(
        key=key, title=_title(key, named), failures=tuple(members),
        impact=sum(member.seen for member in members) / max(1, labelled),
    )  # fmt: skip


def _title(key: str, named: str) -> str:
    """Name a gap; what it is called travels on into lessons, so no long text of a stranger is part of it."""
    kind, _, what = key.partition(":")
    if kind == "tool":
        return f"the tool {_short(what)} breaks"
    if kind == "check":
        check, _, missed = what.partition(":")
        return f"{_short(missed) or 'answers'} failed by {_short(check)}, answered as {named}"
    return f"{_short(what)} answered as {named}"


def _short(text: str) -> str:
    """Give a label as it is, and of anything longer or odd only that it is there."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _NAME_CHARS and smell(flat, quoted=True) is None else "(another text)"


def trait(key: str) -> str:
    """Say what the failures of a gap have in common, as the end of "the failures ..."."""
    kind, _, what = key.partition(":")
    if kind == "tool":
        return f"in which the tool {_short(what)} broke"
    if kind == "check":
        return f"that the check {_short(what.partition(':')[0])} found"
    return f"where {_short(what)} was right" if what else "whose right answer nobody named"


def missed_by(key: str) -> str:
    """Give the answer that a gap missed, as its key names it; empty where its failures share none."""
    kind, _, what = key.partition(":")
    return what if kind == "missed" else what.partition(":")[2] if kind == "check" else ""


def top(levers: Iterable[Lever]) -> Lever | None:
    """Give the open lever of the highest worth; ties go to the first name, so that the order never wobbles."""
    opened = [lever for lever in levers if lever.state == "open" and lever.worth > 0 and not lever.for_people]
    return min(opened, key=lambda lever: (-lever.worth, lever.gap, lever.id), default=None)

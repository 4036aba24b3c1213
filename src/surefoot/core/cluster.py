"""Clusters: which failures have one cause, how the cause is named, and how much it matters.

First by what is known of a failure (the tool that broke, the check that failed, the answer that was missed; see
`Failure.symptom`), then, where that leaves too few together, by the likeness of their texts. A cluster needs several
texts that differ: one message repeated, however often and by however many accounts, is one text. Its impact is its
share of the traffic, each person counted once per text; severity and trend weigh it. Names are made of labels and of
words that several people used, never of one person's sentence, because they travel on into lessons and briefs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from surefoot.core.backlog import MIN_GAP, Failure, Gap, gaps
from surefoot.core.case import groups
from surefoot.core.injection import smell
from surefoot.core.trend import of_counts
from surefoot.core.words import FUNCTION_WORDS, stems

ALIKE = 0.5
NAME_WORDS = 3
MOST_COMPARED = 300
TREND = (0.5, 2.0)


def clusters(
    failures: Iterable[Failure], labelled: int, *, redact: Callable[[str], str] = lambda text: text
) -> tuple[Gap, ...]:
    """Give the gaps of failures, what matters most first; `labelled` is all labelled requests."""
    members = list(failures)
    known = gaps(members, labelled)
    inside = {id(one) for gap in known for one in gap.failures}
    rest = [one for one in members if id(one) not in inside]
    found = [gap for gap in (*known, *_alike(rest, labelled, redact)) if distinct(gap.failures) >= MIN_GAP]
    middle = _middle(members)
    weighed = [replace(gap, severity=severity(gap.failures), trend=trend(gap.failures, middle)) for gap in found]
    return tuple(sorted(weighed, key=lambda gap: (-gap.worth, gap.key)))


def merged(failures: Iterable[Failure], key: Callable[[Failure], str]) -> list[Failure]:
    """Give one failure per key, the oldest of it (they come newest first), with how many people it stands for."""
    kept: dict[str, Failure] = {}
    people: dict[str, set[str]] = {}
    for failure in failures:
        kept[key(failure)] = failure
        people.setdefault(key(failure), set()).add(failure.source)
    return [replace(failure, seen=len(people[name])) for name, failure in kept.items()]


def distinct(failures: Sequence[Failure]) -> int:
    """Count the texts that are no near-duplicates of each other."""
    return len(set(groups([failure.input for failure in failures])))


def severity(failures: Sequence[Failure]) -> float:
    """Give how bad the failures are on average: 1 for plainly wrong, less where somebody gave a part of the score."""
    return sum(1.0 if one.score is None else 1.0 - one.score for one in failures) / len(failures) if failures else 1.0


def trend(failures: Sequence[Failure], middle: float) -> float:
    """Give how a cluster grows against the others: more than 1 if its failures are mostly new ones, at most 2.

    `middle` parts the newer half of all failures from the older. It is 1 where chance could have done it
    (`core.trend`), so that chance does not reorder the backlog.
    """
    known = [one.id for one in failures if one.id > 0]
    newer = sum(number > middle for number in known)
    older = len(known) - newer
    if of_counts(older, newer).way == "steady":
        return 1.0
    return min(TREND[1], max(TREND[0], (newer + 1) / (older + 1)))


def _middle(failures: Sequence[Failure]) -> float:
    known = sorted(one.id for one in failures if one.id > 0)
    if not known:
        return 0.0
    return (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2


# Likeness of texts ----------------------------------------------------------------------------------------------------


def _alike(failures: Sequence[Failure], labelled: int, redact: Callable[[str], str]) -> list[Gap]:
    """Cluster what shares no symptom by the words of its texts; of very many only the newest are compared."""
    some = list(failures)[:MOST_COMPARED]
    if len(some) < MIN_GAP:
        return []
    bags = [_bag(redact(one.input)) for one in some]
    held = Counter(stem for bag in bags for stem in bag)
    rarity = {stem: math.log((1 + len(bags)) / count) for stem, count in held.items()}
    found: list[Gap] = []
    for at in _linked(bags):
        members = [some[i] for i in at]
        shared = _shared_words(members, [bags[i] for i in at], rarity)
        if len(members) >= MIN_GAP and shared:
            found.append(Gap(
                key=f"alike:{'+'.join(shared)}", title=f"texts about {', '.join(shared)} answered wrongly",
                failures=tuple(members), impact=sum(one.seen for one in members) / max(1, labelled),
            ))  # fmt: skip
    return list({gap.key: gap for gap in reversed(found)}.values())


def _bag(text: str) -> frozenset[str]:
    return frozenset(stem for stem in stems(text) if stem not in FUNCTION_WORDS and stem.isalpha() and len(stem) > 2)


def _linked(bags: Sequence[frozenset[str]]) -> list[list[int]]:
    """Group by leader: each text joins the first text it is like enough, in order, else it leads a group."""
    leaders: list[int] = []
    members: dict[int, list[int]] = {}
    for at, bag in enumerate(bags):
        near = [(likeness(bag, bags[leader]), -leader) for leader in leaders]
        best, leader = max(near, default=(0.0, 0))
        if best >= ALIKE:
            members[-leader].append(at)
        else:
            leaders.append(at)
            members[at] = [at]
    return list(members.values())


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Give the cosine of two sets of stems; unweighted, since what a large cluster shares is common by that alone."""
    return len(one & other) / math.sqrt(len(one) * len(other)) if one and other else 0.0


def _shared_words(
    members: Sequence[Failure], bags: Sequence[frozenset[str]], rarity: dict[str, float]
) -> tuple[str, ...]:
    """Give up to three stems that half of the members and at least three people used, rarest first."""
    used: dict[str, set[str]] = {}
    held: Counter[str] = Counter()
    for member, bag in zip(members, bags, strict=True):
        for stem in bag:
            used.setdefault(stem, set()).add(member.source)
            held[stem] += 1
    common = [stem for stem, count in held.items() if 2 * count >= len(members) and len(used[stem]) >= MIN_GAP]
    best = sorted(common, key=lambda stem: (-held[stem] * rarity[stem], stem))[:NAME_WORDS]
    return () if smell(" ".join(best)) else tuple(sorted(best))

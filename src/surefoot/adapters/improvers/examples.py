"""Which failures are worth quoting as examples: safe to quote, short, typical of their label, unlike each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from surefoot.adapters.improvers.caution import is_safe_text
from surefoot.core.genome import Genome
from surefoot.core.injection import smell
from surefoot.core.proposal import Example
from surefoot.core.words import stems, words

FEWEST_WORDS = 3
MOST_WORDS = 30
# Two messages that share more than this part of the shorter one's words say the same thing.
LIKENESS = 0.5


def representative(
    failures: Iterable[Example], genome: Genome, typical: Callable[[Example], float]
) -> Iterator[Example]:
    """Give usable failures, most typical first, leaving out what resembles the genome's examples or each other."""
    seen = [frozenset(stems(block.text)) for block in genome.of_kind("example")]
    usable = [
        case
        for case in failures
        if FEWEST_WORDS <= len(words(case.input)) <= MOST_WORDS
        and is_safe_text(case.input)
        and not smell(case.input, quoted=True)
    ]
    for case in sorted(usable, key=lambda case: (-typical(case), case.case_id)):
        mine = frozenset(stems(case.input))
        if all(_likeness(mine, other) <= LIKENESS for other in seen):
            seen.append(mine)
            yield case


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / (min(len(one), len(other)) or 1)

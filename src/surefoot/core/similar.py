"""The texts most like some other texts: TF-IDF over words, no vectors needed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from surefoot.core.case import words


def nearest(wanted: Sequence[str], pool: Sequence[str], count: int) -> list[int]:
    """Give the positions in `pool` of the `count` texts nearest to the texts `wanted`, nearest first."""
    bags = [Counter(words(text)) for text in pool]
    held = Counter(word for bag in bags for word in bag)
    rarity = {word: math.log((1 + len(bags)) / n) for word, n in held.items()}
    target = Counter(word for text in wanted for word in set(words(text)))

    def likeness(bag: Counter[str]) -> float:
        size = math.sqrt(sum((n * rarity[word]) ** 2 for word, n in bag.items())) or 1.0
        return sum(n * rarity[word] ** 2 * target[word] for word, n in bag.items()) / size

    return sorted(range(len(bags)), key=lambda at: (-likeness(bags[at]), at))[:count]

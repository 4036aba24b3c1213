"""Contrastive terms: the words that tell one label's messages from the others'.

A term is one word or a pair of neighbours, counted once per message. Its strength is the log-odds of its document
frequencies under a shrinking prior (Monroe, Colaresi & Quinn, "Fightin' Words", 2008, with Bernoulli counts), judged
against each other label's own rate rather than against the crowd, so that a large label cannot hide a small one. A
pair must say more than its words do. What could be private or an order never becomes a term.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from surefoot.adapters.improvers.caution import is_safe_word
from surefoot.core.words import FUNCTION_WORDS, stem, words

Phrase = tuple[str, ...]

# Messages' worth of doubt that every label's rate of a term starts with.
_PRIOR = 2.0
# A pair replaces its words only if it is this much stronger (log-odds) than the better of them.
_PAIR_GAIN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A shown case as the miner sees it."""

    case_id: str
    text: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A phrase (stems), how people write it, its log-odds for the label, and how many of its messages hold it."""

    phrase: Phrase
    surface: str
    strength: float
    hits: int


class Corpus:
    """Shown messages with their terms counted per label; the same message said again counts once."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.phrases: dict[str, Mapping[Phrase, str]] = {}
        self._counts: dict[str, Counter[Phrase]] = {}
        self._sizes: Counter[str] = Counter()
        heard: set[tuple[str, tuple[str, ...]]] = set()
        for message in messages:
            phrases = self.phrases[message.case_id] = _phrases(message.text)
            said = (message.label, words(message.text))
            if said not in heard:
                heard.add(said)
                self._sizes[message.label] += 1
                self._counts.setdefault(message.label, Counter()).update(phrases.keys())

    @cached_property
    def _means(self) -> Mapping[Phrase, tuple[float, float]]:
        """Per term: its mean rate over labels (what a label without evidence is taken to have), smoothed rates' sum."""
        raw: dict[Phrase, float] = {}
        damped: dict[Phrase, float] = {}
        for label, counts in self._counts.items():
            size = self._sizes[label]
            for phrase, count in counts.items():
                raw[phrase] = raw.get(phrase, 0.0) + count / size
                damped[phrase] = damped.get(phrase, 0.0) + count / (size + _PRIOR)
        labels = len(self._sizes)
        doubt = sum(_PRIOR / (size + _PRIOR) for size in self._sizes.values())
        return {phrase: (total / labels, damped[phrase] + doubt * total / labels) for phrase, total in raw.items()}

    @cached_property
    def surfaces(self) -> Mapping[Phrase, str]:
        """How each term is written most often (the first in the alphabet of equals)."""
        forms: dict[Phrase, Counter[str]] = {}
        for phrases in self.phrases.values():
            for phrase, surface in phrases.items():
                forms.setdefault(phrase, Counter())[surface] += 1
        return {phrase: min(count, key=lambda form: (-count[form], form)) for phrase, count in forms.items()}

    def terms(self, label: str, *, min_hits: int) -> list[Term]:
        """Give the label's contrastive terms, strongest first; pairs only where they beat their words."""
        own = self._counts.get(label, Counter[Phrase]())
        found = {phrase: self._term(label, phrase) for phrase, hits in own.items() if hits >= min_hits}
        kept = [term for term in found.values() if term.strength > 0 and _adds(term, found)]
        return sorted(kept, key=lambda term: (-term.strength * math.log1p(term.hits), term.surface))

    def strength(self, label: str, phrase: Phrase) -> float:
        """Give the log-odds of the term for the label against the other labels' mean rate."""
        mean, total = self._means.get(phrase, (0.0, 0.0))
        own = (self._counts[label][phrase] + _PRIOR * mean) / (self._sizes[label] + _PRIOR)
        rest = (total - own) / max(1, len(self._sizes) - 1)
        return _logit(own) - _logit(rest)

    def _term(self, label: str, phrase: Phrase) -> Term:
        return Term(
            phrase=phrase,
            surface=self.surfaces[phrase],
            strength=self.strength(label, phrase),
            hits=self._counts[label][phrase],
        )


def _logit(rate: float) -> float:
    rate = min(max(rate, 1e-6), 1 - 1e-6)
    return math.log(rate / (1 - rate))


def _phrases(text: str) -> dict[Phrase, str]:
    """Give the terms of a text with their first written form."""
    found: dict[Phrase, str] = {}
    said = words(text)
    for at, word in enumerate(said):
        if word not in FUNCTION_WORDS and is_safe_word(word) and not (len(word) == 1 and word.isascii()):
            found.setdefault((stem(word),), word)
        pair = said[at : at + 2]
        if len(pair) == 2 and not set(pair) <= FUNCTION_WORDS and all(is_safe_word(each) for each in pair):
            found.setdefault((stem(pair[0]), stem(pair[1])), " ".join(pair))
    return found


def _adds(term: Term, found: Mapping[Phrase, Term]) -> bool:
    if len(term.phrase) == 1:
        return True
    words_of_it: Iterable[Term | None] = (found.get((part,)) for part in term.phrase)
    return term.strength > max((word.strength for word in words_of_it if word), default=0.0) + _PAIR_GAIN

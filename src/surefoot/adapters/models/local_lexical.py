"""`local-lexical`: a word-counting classifier behind the chat interface, so that the whole loop runs with no key.

It is not a language model, and it knows only what the system prompt says (lexical_prompt.py). A message is compared
with every label: TF-IDF likeness to the label's name, to what the prompt says it means, and to the prompt's examples,
plus a bonus for each term of a rule that occurs in it. Rarer words weigh more, a term that rules give to several
labels weighs less, and within a rule the first terms weigh most, as for a hurried reader. Where no word matches,
runs of characters are compared; where even these say nothing, a hash of message and label chooses. So every gain is
the prompt's, and a wrong rule makes it worse.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from surefoot.adapters.models.lexical_prompt import Reading, read
from surefoot.core.digest import unit_interval
from surefoot.core.errors import Invalid
from surefoot.core.proposal import Cost
from surefoot.core.words import FUNCTION_WORDS, character_grams, name_text, stems, words
from surefoot.ports import Answer, Question

Vector = Mapping[str, float]

NOT_A_LANGUAGE_MODEL = (
    "local-lexical is not a language model: classification only; name the labels in the system prompt "
    "('Labels: a, b, c'), or configure another model"
)
_UNSUPPORTED_PARAMS = ("tools", "response_format")
_NAME_WEIGHT = 1.0
_DESCRIPTION_WEIGHT = 1.0
_EXAMPLE_WEIGHT = 0.5
_RULE_WEIGHT = 0.4
# A rule's terms fade: the one at this position (from 0) weighs half of the first.
_HALF_RANK = 20.0
# Each further word of a phrase adds this share of a word's weight, since phrases are matched whole.
_PHRASE_GAIN = 0.5
_PROMPTS_KEPT = 64


class LocalLexical:
    """The offline model: deterministic, in-process, cost 0."""

    name = "local-lexical"

    def price(self, question: Question) -> Cost:
        """Give one call and no money: it runs in this process."""
        return Cost(calls=1)

    async def answer(self, question: Question) -> Answer:
        """Answer with one label of the prompt; Invalid for tools, JSON schemas and prompts that name no labels."""
        started = time.perf_counter()
        for param in _UNSUPPORTED_PARAMS:
            if question.params.get(param, "null") not in ("null", "[]", "{}", ""):
                raise Invalid(f"local-lexical cannot answer with the parameter {param!r}", hint=NOT_A_LANGUAGE_MODEL)
        label = _reader(question.system).label_of(question.user)
        return Answer(text=label, cost=Cost(calls=1), latency_s=time.perf_counter() - started)


@lru_cache(maxsize=_PROMPTS_KEPT)
def _reader(system: str) -> _Reader:
    reading = read(system)
    if not reading.labels:
        raise Invalid("the system prompt names no set of labels", hint=NOT_A_LANGUAGE_MODEL)
    return _Reader(reading)


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of the prompt that stands for a label, as a unit vector."""

    label: str
    weight: float
    vector: Vector


@dataclass(frozen=True, slots=True)
class _Term:
    """What a rule looks for: consecutive stems, and how much finding them says for `label`."""

    label: str
    stems: tuple[str, ...]
    weight: float
    unless: tuple[tuple[str, ...], ...] = ()


class _Reader:
    """One prompt, prepared for many messages."""

    def __init__(self, reading: Reading) -> None:
        self._labels = reading.labels
        self._rarity = _rarity(reading)
        self._texts = tuple(self._text(*entry) for entry in _standing_texts(reading))
        self._terms: dict[str, list[_Term]] = {}
        for term in _weighted_terms(reading):
            self._terms.setdefault(term.stems[0], []).append(term)
        self._grams = {label: character_grams(text) for label, text in _all_text(reading).items()}

    def label_of(self, message: str) -> str:
        """Give the label that the prompt makes most likely for the message."""
        said = stems(message)
        scores = dict.fromkeys(self._labels, 0.0)
        self._add_likeness(scores, said)
        self._add_rules(scores, said)
        best = max(scores.values())
        leaders = [label for label in self._labels if scores[label] >= best - 1e-9]
        return leaders[0] if len(leaders) == 1 else self._closest(message, leaders)

    def _add_likeness(self, scores: dict[str, float], said: Sequence[str]) -> None:
        """Add, per label and kind of text, its best cosine; the message's length is the same for all and left out."""
        message = {stem: count * self._rarity(stem) for stem, count in Counter(said).items()}
        best: dict[tuple[str, float], float] = {}
        for text in self._texts:
            likeness = sum(weight * message.get(stem, 0.0) for stem, weight in text.vector.items())
            key = (text.label, text.weight)
            best[key] = max(best.get(key, 0.0), likeness)
        for (label, weight), likeness in best.items():
            scores[label] += weight * likeness

    def _add_rules(self, scores: dict[str, float], said: Sequence[str]) -> None:
        found: set[tuple[str, tuple[str, ...]]] = set()
        for at, first in enumerate(said):
            for term in self._terms.get(first, ()):
                key = (term.label, term.stems)
                if key in found or tuple(said[at : at + len(term.stems)]) != term.stems:
                    continue
                if not any(_occurs(phrase, said) for phrase in term.unless):
                    found.add(key)
                    scores[term.label] += term.weight

    def _closest(self, message: str, leaders: list[str]) -> str:
        grams = character_grams(message)

        def closeness(label: str) -> tuple[float, float]:
            own = self._grams[label]
            shared = len(grams & own) / math.sqrt(len(own)) if own else 0.0
            return shared, unit_interval(message, label)

        return max(leaders, key=closeness)

    def _text(self, label: str, text: str, weight: float) -> _Text:
        counts = Counter(_content(text))
        raw = {stem: count * self._rarity(stem) for stem, count in counts.items()}
        length = math.sqrt(sum(value * value for value in raw.values())) or 1.0
        return _Text(label, weight, {stem: value / length for stem, value in raw.items()})


def _content(text: str) -> tuple[str, ...]:
    """The stems that carry meaning; all of them where nothing else is left (a label named `on`)."""
    return stems(" ".join(word for word in words(text) if word not in FUNCTION_WORDS)) or stems(text)


def _standing_texts(reading: Reading) -> list[tuple[str, str, float]]:
    weights = {"description": _DESCRIPTION_WEIGHT, "example": _EXAMPLE_WEIGHT}
    names = [(label, name_text(label), _NAME_WEIGHT) for label in reading.labels]
    return names + [(passage.label, passage.text, weights[passage.kind]) for passage in reading.passages]


def _all_text(reading: Reading) -> dict[str, str]:
    parts = {label: [name_text(label)] for label in reading.labels}
    for passage in reading.passages:
        parts[passage.label].append(passage.text)
    for rule in reading.rules:
        parts[rule.label] += rule.terms
    return {label: "\n".join(texts) for label, texts in parts.items()}


def _rarity(reading: Reading) -> Callable[[str], float]:
    """Weigh a stem by the share of labels whose texts in the prompt use it: 1 for one label, towards 0 for all."""
    holders: Counter[str] = Counter()
    for text in _all_text(reading).values():
        holders.update(set(stems(text)))
    labels = len(reading.labels)
    weights = {stem: math.log(1 + labels / count) / math.log(1 + labels) for stem, count in holders.items()}
    return lambda stem: weights.get(stem, 1.0)


def _weighted_terms(reading: Reading) -> list[_Term]:
    holders: Counter[tuple[str, ...]] = Counter()
    for label in reading.labels:
        holders.update({stems(term) for rule in reading.rules if rule.label == label for term in rule.terms})
    ruled = len({rule.label for rule in reading.rules})
    terms: list[_Term] = []
    for rule in reading.rules:
        unless = tuple(phrase for term in rule.unless if (phrase := stems(term)))
        for rank, term in enumerate(rule.terms):
            if phrase := stems(term):
                rarity = math.log(1 + ruled / holders[phrase]) / math.log(1 + ruled)
                fade = _HALF_RANK / (_HALF_RANK + rank)
                weight = _RULE_WEIGHT * rarity * fade * (1 + _PHRASE_GAIN * (len(phrase) - 1))
                terms.append(_Term(rule.label, phrase, weight, unless))
    return terms


def _occurs(phrase: tuple[str, ...], said: Sequence[str]) -> bool:
    return any(tuple(said[at : at + len(phrase)]) == phrase for at in range(len(said)))

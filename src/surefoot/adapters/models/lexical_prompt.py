"""What the offline model understands of a system prompt, and nothing more.

First the label set is looked for (`Labels: a, b, c`, `Answer with exactly one of: …`, or a list of `- label: meaning`
lines under such a header); the first one in the prompt counts, so a later, editable section cannot replace a locked
one. Then every sentence is tried as a rule, an example, an alias or a description; what answers with a label outside
the set, and all other prose, says nothing to this model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

_BULLET = re.compile(r"\s*(?:[-*•+]|\d{1,3}[.)])\s+")
_NOUNS = r"(?:labels|categories|classes|intents|options|choices|topics)"
_HEADER = re.compile(
    rf"(?:^|\W){_NOUNS}(?:\s+are)?\s*[:：]|\bone of(?: the| these)?(?: following)?(?: {_NOUNS})?\s*[:：]", re.IGNORECASE
)
_IF = re.compile(
    r"(?:if|when)\s+(?:the|a|an)\s+\w+\s+(?:mentions|contains|includes|says)\s+(?:any of\s+)?[:：]?", re.IGNORECASE
)
_THEN = re.compile(r"[,，]?\s*(?:then\s+)?\b(?:answer|reply|choose|use|return)\s+(?:with\s+)?", re.IGNORECASE)
_TREAT = re.compile(r"treat\s+", re.IGNORECASE)
_AS = re.compile(r"\s+as\s+", re.IGNORECASE)
_BUT_NOT = re.compile(r",?\s+but\s+not\s+", re.IGNORECASE)
_ARROW = re.compile(r"\s*(?:->|=>|→)\s*")
_MEANS = re.compile(r"\s*(?:[:：=]|\s[-–—]\s)\s*")
_SENTENCE = re.compile(r"(?<=[.。])\s+(?=(?:If|When|Treat)\s)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|“[^”]*”|`[^`]*`')
_COMMA = re.compile(r"[,;|、，；]")
_TERM_END = re.compile(r"[,;、，；]|\s+or\s+")
_NEXT_SENTENCE = re.compile(r"[.。](?:\s|$)")
_FEWEST_LABELS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`If the message mentions` any of `terms` (and none of `unless`), answer `label`."""

    label: str
    terms: tuple[str, ...]
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A text that stands for a label: what the label means, or a message that had it."""

    label: str
    text: str
    kind: Literal["description", "example"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that the model took from one prompt; `labels` is empty if the prompt names none."""

    labels: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    passages: tuple[Passage, ...] = ()


def read(system: str) -> Reading:
    """Give what the prompt says about labels; prose that says nothing about them is left out."""
    lines = system.splitlines()
    labels = _labels(lines)
    known = {_folded(label): label for label in labels}
    rules: list[Rule] = []
    passages: list[Passage] = []
    for sentence in _sentences(lines) if known else ():
        found = _rule(sentence, known) or _example(sentence, known) or _meaning(sentence, known)
        if isinstance(found, Rule):
            rules.append(found)
        elif found:
            passages.append(found)
    return Reading(labels=labels, rules=tuple(rules), passages=tuple(passages))


def _sentences(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        bullet = _BULLET.match(line)
        yield from (part.strip() for part in _SENTENCE.split(line[bullet.end() if bullet else 0 :]) if part.strip())


def _labels(lines: list[str]) -> tuple[str, ...]:
    for at, line in enumerate(lines):
        for header in _HEADER.finditer(line):
            here = line[header.end() :].strip()
            labels = _listed(here) if here else _bulleted(lines[at + 1 :])
            distinct = tuple({_folded(label): label for label in reversed(labels)}.values())[::-1]
            if len(distinct) >= _FEWEST_LABELS:
                return distinct
    return ()


def _listed(text: str) -> list[str]:
    shade = _shaded(text)
    end = _NEXT_SENTENCE.search(shade)
    shade = shade[: end.start() if end else None]
    return [label for part in _parts(text, shade, _COMMA) if (label := _bare(_without_joiner(part)))]


def _bulleted(lines: list[str]) -> list[str]:
    labels: list[str] = []
    for line in lines:
        bullet = _BULLET.match(line)
        if not bullet and (labels or line.strip()):
            break
        if bullet:
            body = line[bullet.end() :]
            cut = _MEANS.search(_shaded(body))
            labels.append(_bare(body[: cut.start() if cut else None]))
    return [label for label in labels if label]


def _rule(sentence: str, known: Mapping[str, str]) -> Rule | None:
    start = _IF.match(sentence)
    if not start:
        return None
    for then in reversed(list(_THEN.finditer(_shaded(sentence), start.end()))):
        if label := known.get(_folded(_bare(sentence[then.end() :]))):
            body = sentence[start.end() : then.start()]
            cut = _BUT_NOT.search(_shaded(body))
            terms, unless = (body[: cut.start()], body[cut.end() :]) if cut else (body, "")
            return Rule(label=label, terms=_terms(terms), unless=_terms(unless))
    return None


def _example(sentence: str, known: Mapping[str, str]) -> Passage | None:
    for arrow in reversed(list(_ARROW.finditer(sentence))):
        label = known.get(_folded(_bare(sentence[arrow.end() :])))
        if label and (text := _bare(sentence[: arrow.start()])):
            return Passage(label=label, text=text, kind="example")
    return None


def _meaning(sentence: str, known: Mapping[str, str]) -> Passage | None:
    """Read `Treat X as L.` and `L: what it means`."""
    if start := _TREAT.match(sentence):
        for cut in reversed(list(_AS.finditer(sentence, start.end() - 1))):
            if label := known.get(_folded(_bare(sentence[cut.end() :]))):
                return Passage(label=label, text=_bare(sentence[start.end() : cut.start()]), kind="description")
    cut = _MEANS.search(_shaded(sentence))
    label = known.get(_folded(_bare(sentence[: cut.start()]))) if cut else None
    if cut and label and sentence[cut.end() :].strip():
        return Passage(label=label, text=sentence[cut.end() :].strip(), kind="description")
    return None


def _terms(text: str) -> tuple[str, ...]:
    parts = _parts(text, _shaded(text), _TERM_END)
    return tuple(dict.fromkeys(term for part in parts if (term := _bare(_without_joiner(part)))))


def _parts(text: str, shade: str, separator: re.Pattern[str]) -> list[str]:
    """Cut `text` where `separator` is found in its shade, so that nothing is cut within quotes."""
    cuts = [match.span() for match in separator.finditer(shade)]
    starts = [0, *(end for _, end in cuts)]
    ends = [*(start for start, _ in cuts), len(shade)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def _shaded(text: str) -> str:
    return _QUOTED.sub(lambda match: "\0" * len(match.group()), text)


def _without_joiner(part: str) -> str:
    part = part.strip()
    return next((part[len(word) :] for word in ("or ", "and ") if part.lower().startswith(word)), part)


def _bare(text: str) -> str:
    """Take off white space, a final stop and one pair of quotes."""
    text = text.strip()
    if len(text) > 1 and text[-1] in ".。" and (len(text) < 3 or text[-2] in '"”`' or text[0] not in '"“`'):
        text = text[:-1].rstrip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return _unescaped(text)
    if len(text) > 1 and (text[0], text[-1]) in {("“", "”"), ("`", "`"), ("'", "'")}:
        return text[1:-1]
    return text


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text[1:-1]


def _folded(label: str) -> str:
    return label.strip().casefold()

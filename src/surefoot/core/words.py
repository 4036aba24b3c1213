"""Words and stems of any text, in any script, without a dictionary.

The offline model and the lexical improver must mean the same thing by "a word", but may not know each other; so the
one definition lives here. Text is folded (NFKC, lower case), cut at what is neither letter nor digit, and stemmed
lightly; runs of a script that writes no spaces become overlapping character pairs. Light means: better to leave two
forms apart than to merge two meanings. The suffixes are English; other languages lose little and gain little.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CAMEL = re.compile(r"(?<=[a-zß-ÿ0-9])(?=[A-ZÀ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])")
# Thai, Lao, Myanmar, Khmer, kana and Han ideographs: scripts that put no space between words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_SHORTEST_STEM = 3
_MOST_WORDS = 2000
FUNCTION_WORDS = frozenset(
    "a an and are as at be been but by did do does for from had has have he her his i if im in is it its ive just me "
    "my of on or our she so that the their them then there they this to was we were will with would you your "
    "aber als am auf aus bei das dem den der des die ein eine einen einer es für hat ich im ist mein meine mir mit "
    "sie sind und von war wir wird zu zum zur".split()
)


def words(text: str) -> tuple[str, ...]:
    """Give the lower-case words of a text in order, at most 2,000 of them."""
    found: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).lower()):
        found += _pieces(match.group())
        if len(found) >= _MOST_WORDS:
            break
    return tuple(found[:_MOST_WORDS])


def stem(word: str) -> str:
    """Give the word without its common English endings; never shorter than three letters."""
    if len(word) <= _SHORTEST_STEM or not word.isalpha():
        return word
    word = _without_plural(word)
    for ending in ("ing", "ed"):
        body = word.removesuffix(ending)
        if body != word and len(body) >= _SHORTEST_STEM and any(vowel in body for vowel in "aeiouy"):
            word = body[:-1] if body[-1] == body[-2] and body[-1] not in "sz" else body
            break
    if word.endswith(("e", "y")) and len(word) > _SHORTEST_STEM:
        word = word[:-1] + ("i" if word.endswith("y") else "")
    return word[:-1] if word.endswith("ll") and len(word) > _SHORTEST_STEM + 1 else word


def stems(text: str) -> tuple[str, ...]:
    """Give the stems of a text in order."""
    return tuple(stem(word) for word in words(text))


def name_text(name: str) -> str:
    """Write a label such as `card_arrival` or `AddToPlaylist` as words with spaces."""
    return _CAMEL.sub(" ", name).replace("_", " ").replace("-", " ").replace("/", " ")


def character_grams(text: str, size: int = 4) -> frozenset[str]:
    """Give all runs of `size` characters within the words of a text, word edges included (a fuzzy likeness)."""
    padded = " " + " ".join(words(text)) + " "
    return frozenset(gram for at in range(len(padded) - size + 1) if " " not in (gram := padded[at : at + size])[1:-1])


def _pieces(word: str) -> list[str]:
    pieces: list[str] = []
    at = 0
    for run in _UNSPACED.finditer(word):
        pieces += _apart(word[at : run.start()])
        body = run.group()
        pieces += [body[i : i + 2] for i in range(len(body) - 1)] or [body]
        at = run.end()
    return pieces + _apart(word[at:])


def _apart(word: str) -> list[str]:
    """Cut at apostrophes: `l'argent` is two words, `where's` is where, `don't` is dont."""
    head, *tail = re.split("['’]", word)
    pieces = [head]
    for part in tail:
        if len(part) > 2:
            pieces.append(part)
        elif part != "s":
            pieces[-1] += part
    return [piece for piece in pieces if piece]


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > _SHORTEST_STEM + 1:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word

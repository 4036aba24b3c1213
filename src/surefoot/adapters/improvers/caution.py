"""What must not travel from a user's message into a prompt: private details, and orders to whoever reads them.

Patterns only, and on the safe side: a text that looks private or imperative is not used, since there are always
others. Names of people cannot be told from other words with certainty; words of a single message never become terms,
and a text that greets, signs or titles somebody never becomes an example.
"""

from __future__ import annotations

import re
import unicodedata

_PRIVATE = re.compile(
    r"https?:|www\.|\w@\w|\S+\.(?:com|net|org|io|de|info)\b|\d[\d\s().-]{3,}\d|\d{4,}|\b[A-Z]{2,}-?\d{2,}|"
    r"\b(?:mr|mrs|ms|dr|herr|frau)\b\.?\s+[A-Z]|\b(?:my name is|i am called|regards|sincerely|dear|grüße)\b",
    re.IGNORECASE,
)
_FULL_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+ [A-Z][a-z]+\b")
_ORDERS = re.compile(
    r"\b(?:ignor\w*|disregard\w*|overrid\w*|bypass\w*|jailbreak\w*|instructions?|prompts?|guardrails?|you are now|"
    r"act as|pretend|always (?:answer|allow|approve|say)|(?:answer|reply|respond|classify|label) (?:this|it|with|as))\b"
    r"|(?:^|\n)\s*(?:system|assistant|developer)\s*:|<\|",
    re.IGNORECASE,
)
_BLOB = re.compile(r"[A-Za-z0-9+/=_-]{32,}")
# Words that read as orders wherever they stand in a rule.
_ORDER_WORDS = re.compile(
    r"(?:ignor|disregard|overrid|bypass|jailbreak|guardrail|instruct|prompt$|prompts$|always$|never$|must$|forget$|"
    r"answer$|reply$|credential|secret)\w*"
)
_LONGEST_WORD = 24


def is_safe_text(text: str) -> bool:
    """Say whether a message may be quoted in a prompt: nothing private, hidden or imperative in it."""
    if any(unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs") for char in text):
        return False
    return not any(pattern.search(text) for pattern in (_PRIVATE, _FULL_NAME, _ORDERS, _BLOB))


def is_trusted_source(text: str) -> bool:
    """Say whether words may be learned from a message: it holds no order and nothing invisible."""
    if any(unicodedata.category(char) in ("Cf", "Co", "Cs") for char in text):
        return False
    return not (_ORDERS.search(text) or _BLOB.search(text))


def is_safe_word(word: str) -> bool:
    """Say whether a word may stand in a rule: no number, no code, no order, not absurdly long."""
    digits = sum(char.isdigit() for char in word)
    return digits < 2 and digits < len(word) and len(word) <= _LONGEST_WORD and not _ORDER_WORDS.match(word)

"""Secrets in what an agent said: well-known shapes of keys, and words the operator named, also disguised.

Every pattern runs in linear time. A named word is also found reversed, in base64 or hex, and with its characters
spread by spaces or punctuation, because a leak is a leak however it is dressed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]{0,24}PRIVATE KEY-----")),
    ("an AWS key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("an API key", re.compile(r"\b(?:sk|pk|rk)[-_](?:[A-Za-z]{2,10}[-_])?[A-Za-z0-9_-]{20,}")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}")),
    ("a Google key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}")),
    ("a JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")),
    ("a password in an address", re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,80}:[^\s/@]{3,80}@")),
)
_LETTERS = re.compile(r"[\W_]+")
SHORTEST = 6


def leaks(text: str, named: Iterable[str] = ()) -> list[str]:
    """Name what leaks in a text, without repeating it; a named word shorter than six letters only counts as it is."""
    found = [what for what, shape in SHAPES if shape.search(text)]
    squeezed = _LETTERS.sub("", text).lower()
    found += [f"secret {number}" for number, word in enumerate(named, 1) if _hidden(word, text, squeezed)]
    return found


def _hidden(word: str, text: str, squeezed: str) -> bool:
    if not word:
        return False
    if word in text:
        return True
    bare = _LETTERS.sub("", word).lower()
    if len(bare) < SHORTEST:
        return False
    raw = word.encode("utf-8", "replace")
    return any(form in squeezed for form in (bare, bare[::-1], raw.hex())) or any(
        piece in text for piece in _base64_pieces(raw)
    )


def _base64_pieces(raw: bytes) -> list[str]:
    """Give what base64 makes of the bytes at each of the three places they can start at, without the ragged ends."""
    pieces: list[str] = []
    for lead in range(3):
        whole = base64.b64encode(b"\0" * lead + raw).decode()
        start, end = (lead * 8 + 5) // 6, (lead + len(raw)) * 8 // 6
        pieces.append(whole[start:end])
    return [piece for piece in pieces if len(piece) >= SHORTEST]

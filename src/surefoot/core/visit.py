"""A visit: a browser in which a person has shown their token.

The browser keeps a random word in a cookie, the store its SHA-256 beside that of the token. So a cookie that is stolen
from the store opens nothing, a token that is revoked or expires ends all its visits, and leaving ends one visit. The
word of the forms is made from the cookie's and differs each time it is written down, so a page of another site cannot
know it, and a compressed answer does not give it away.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

LASTS = timedelta(days=7)
_WORD_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One browser: the SHA-256 of its cookie and of the token it showed, since when and until when."""

    sha256: str
    token_sha256: str
    name: str
    at: datetime
    until: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it still lets anybody in."""
        return now < self.until


def form_word(cookie: str, mask: bytes) -> str:
    """Give the word that a form of this visit carries, under a random mask of 16 bytes."""
    return mask.hex() + _mixed(_word(cookie), mask).hex()


def fits(cookie: str, presented: str) -> bool:
    """Whether a form came from a page of this visit."""
    try:
        raw = bytes.fromhex(presented)
    except ValueError:
        return False
    mask, mixed = raw[:_WORD_BYTES], raw[_WORD_BYTES:]
    return bool(cookie) and len(raw) == 2 * _WORD_BYTES and hmac.compare_digest(_mixed(mixed, mask), _word(cookie))


def _word(cookie: str) -> bytes:
    return hashlib.sha256(b"surefoot form " + cookie.encode("utf-8", "replace")).digest()[:_WORD_BYTES]


def _mixed(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))

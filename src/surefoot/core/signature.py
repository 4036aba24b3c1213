"""A signed message: who holds the secret said exactly this, just now, and once.

What is signed is `timestamp.nonce.body`. Neither the timestamp nor the nonce may hold a full stop, so the three parts
cannot be cut in another place. A message is good when its signature fits, its timestamp is within five minutes of
`now`, and, which only a store can say, its nonce was never seen before. Every refusal is Unauthenticated, and none
says how near it was.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from typing import ClassVar

from surefoot.core.errors import Forbidden, Unavailable

TOLERANCE = timedelta(minutes=5)
NONCE_KEPT = timedelta(hours=1)  # longer than any timestamp can be good
SCHEME = "sha256="
SHORTEST_SECRET = 16
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_NONCE = re.compile(r"[A-Za-z0-9_-]{8,128}")


class Unauthenticated(Forbidden):
    """Nobody knows who is asking: a credential is missing, wrong, too old, or was used before."""

    code: ClassVar[str] = "unauthenticated"


def sign(secret: str, *, timestamp: str, nonce: str, body: bytes) -> str:
    """Give the signature of a message, as `sha256=` and 64 hexadecimal digits; `timestamp` is in Unix seconds."""
    message = f"{timestamp}.{nonce}.".encode() + body
    return SCHEME + hmac.new(_key(secret), message, hashlib.sha256).hexdigest()


def verify(secret: str, *, timestamp: str, nonce: str, signature: str, body: bytes, now: datetime) -> None:
    """Raise Unauthenticated unless the message was signed with the secret within five minutes of `now`.

    Whoever calls this must then spend the nonce, or the message may be sent again. Unavailable without a usable
    secret, because a message must never be good for want of one.
    """
    key = _key(secret)
    if not _TIMESTAMP.fullmatch(timestamp) or not _NONCE.fullmatch(nonce):
        raise Unauthenticated(
            "the message has no usable timestamp and nonce",
            hint="send Unix seconds, and 8 to 128 letters, digits, '-' or '_' that were never used before",
        )
    wanted = SCHEME + hmac.new(key, f"{timestamp}.{nonce}.".encode() + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace")):
        raise Unauthenticated("the signature does not fit", hint="sign timestamp.nonce.body with the shared secret")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise Unauthenticated("the message is too old, or from the future", hint="set the clock, and sign it anew")


def _key(secret: str) -> bytes:
    if len(secret) < SHORTEST_SECRET:
        raise Unavailable(
            "there is no usable secret for signatures",
            hint=f"set one of at least {SHORTEST_SECRET} characters where the server starts: SUREFOOT_WEBHOOK_SECRET "
            "for what is sent, SUREFOOT_APPROVAL_SECRET for what comes in, or what the settings name instead",
        )
    return secret.encode()

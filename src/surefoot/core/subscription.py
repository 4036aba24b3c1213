"""A subscription: an address that is told of events, under a key of its own.

The key is made from the server's secret and the subscription's id each time it is needed. So it is kept nowhere, a
receiver cannot sign for another one, and a new secret makes all old keys worthless at once. `after` is the number of
the last event that was put into the outbox for it; it moves in the same transaction.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from surefoot.core.errors import Unavailable
from surefoot.core.signature import SHORTEST_SECRET

CHANNEL = "webhook:"
MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Who is told of which events; no agent or kind named is all of them."""

    id: str
    url: str
    kinds: tuple[str, ...]
    agents: tuple[str, ...]
    by: str
    at: datetime
    after: int
    revision: int = 0

    @property
    def channel(self) -> str:
        """The channel of its notices in the outbox."""
        return f"{CHANNEL}{self.id}"


def subscribed(channel: str) -> str:
    """Give the subscription's id of a channel; empty for a channel of people."""
    return channel.removeprefix(CHANNEL) if channel.startswith(CHANNEL) else ""


def signing_key(secret: str, subscription_id: str) -> str:
    """Give the key of a subscription; Unavailable without a secret that is worth the name."""
    if len(secret) < SHORTEST_SECRET:
        raise Unavailable(
            "there is no secret to sign webhooks with",
            hint=f"put one of at least {SHORTEST_SECRET} characters into the variable of [notify] webhook_secret_env",
        )
    made = hmac.new(secret.encode(), f"subscription:{subscription_id}".encode(), hashlib.sha256)
    return f"whsec_{made.hexdigest()}"

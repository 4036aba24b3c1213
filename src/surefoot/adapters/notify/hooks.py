"""Webhooks of subscribers: the same signed post as to people's webhook, with a key for each subscriber."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from surefoot.adapters.address import Resolve, looked_up, target_of
from surefoot.adapters.notify.webhook import Webhook
from surefoot.core.reach import Reach, must_reach_name
from surefoot.core.subscription import signing_key
from surefoot.ports import Notifier


class SignedHooks:
    """Posts to subscribers; the keys are made from one secret, and `resolve` may be scripted."""

    def __init__(
        self, secret: str, *, clock: Callable[[], datetime], reach: Reach, resolve: Resolve = looked_up
    ) -> None:  # fmt: skip
        self._secret = secret
        self._reach = reach
        self._made = partial(Webhook, clock=clock, reach=reach, resolve=resolve)

    def check(self, url: str) -> None:
        """Raise Invalid for what is no address, Forbidden for one that is plainly inside or without TLS."""
        target = target_of(url)
        must_reach_name(self._reach, target.host, tls=target.tls)

    def key(self, subscription: str) -> str:
        """Give what a subscription's messages are signed with."""
        return signing_key(self._secret, subscription)

    def notifier(self, url: str, subscription: str) -> Notifier:
        """Give the channel to one subscriber."""
        return self._made(url, self.key(subscription))

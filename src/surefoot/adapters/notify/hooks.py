"""Webhooks of subscribers: the same signed post as to people's webhook, with a key for each subscriber."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from surefoot.adapters.notify.address import Resolve, is_public, looked_up, target_of
from surefoot.adapters.notify.webhook import Webhook
from surefoot.core.errors import Forbidden, Invalid
from surefoot.core.subscription import signing_key
from surefoot.ports import Notifier


class SignedHooks:
    """Posts to subscribers; the keys are made from one secret, and `resolve` may be scripted."""

    def __init__(
        self, secret: str, *, clock: Callable[[], datetime], allow_private_hosts: Collection[str] = (),
        resolve: Resolve = looked_up,
    ) -> None:  # fmt: skip
        self._secret = secret
        self._allowed = frozenset(name.lower().strip("[]") for name in allow_private_hosts)
        self._made = partial(Webhook, clock=clock, allow_private_hosts=tuple(allow_private_hosts), resolve=resolve)

    def check(self, url: str) -> None:
        """Raise Invalid for what is no address, Forbidden for one that is plainly inside or without TLS.

        A name is not looked up here: what it stands for is judged each time it is posted to.
        """
        try:
            target = target_of(url)
        except Invalid:
            raise Invalid("the address is not usable", hint="send https://HOST/PATH, with no name in it") from None
        host = target.host.lower().rstrip(".")
        if host in self._allowed:
            return
        inside = host == "localhost" or host.endswith(".localhost") or (_is_address(host) and not is_public(host))
        if inside or not target.tls:
            what = "is not a public address" if inside else "would be told without TLS"
            raise Forbidden(f"{target.host} {what}", hint="[notify] allow_private_hosts names those that are meant")

    def key(self, subscription: str) -> str:
        """Give what a subscription's messages are signed with."""
        return signing_key(self._secret, subscription)

    def notifier(self, url: str, subscription: str) -> Notifier:
        """Give the channel to one subscriber."""
        return self._made(url, self.key(subscription))


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()

"""The door by which a notice leaves the house: one channel, one method."""

from __future__ import annotations

from typing import Protocol

from surefoot.core.errors import Unavailable
from surefoot.core.notice import Notice


class Notifier(Protocol):
    """A channel to people: a webhook, a command that sends e-mail, a terminal."""

    async def send(self, notice: Notice) -> None:
        """Deliver a notice, or raise: Unavailable for what may work later, another family for what never will."""
        ...


class Hooks(Protocol):
    """The addresses of other systems that subscribe to events: any address that is allowed, each with its own key."""

    def check(self, url: str) -> None:
        """Raise Invalid or Forbidden for an address that will never do, as far as that can be told by looking at it."""
        ...

    def key(self, subscription: str) -> str:
        """Give what a subscription's messages are signed with; Unavailable where there is no secret to make it from."""
        ...

    def notifier(self, url: str, subscription: str) -> Notifier:
        """Give the channel to one subscriber."""
        ...


class NoHooks:
    """Nobody can subscribe here."""

    def check(self, url: str) -> None:
        """Refuse."""
        raise self._none(url)

    def key(self, subscription: str) -> str:
        """Refuse."""
        raise self._none(subscription)

    def notifier(self, url: str, subscription: str) -> Notifier:
        """Refuse."""
        raise self._none(f"{subscription} {url}")

    @staticmethod
    def _none(what: str) -> Unavailable:
        return Unavailable(f"nobody here tells {what}", hint="build the application with app.build")

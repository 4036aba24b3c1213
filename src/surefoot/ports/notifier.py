"""The door by which a notice leaves the house: one channel, one method."""

from __future__ import annotations

from typing import Protocol

from surefoot.core.notice import Notice


class Notifier(Protocol):
    """A channel to people: a webhook, a command that sends e-mail, a terminal."""

    async def send(self, notice: Notice) -> None:
        """Deliver a notice, or raise: Unavailable for what may work later, another family for what never will."""
        ...

"""The door to what answers an app's requests: bytes in, bytes out, nothing understood on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from surefoot.core.errors import Unavailable


class Unreached(Unavailable):
    """No answer came from the upstream, or it broke off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request: the path below the upstream's address, the body, and the headers that go with it.

    `authorization` is the app's own key, passed through; empty means the upstream's own. It is in no repr.
    """

    path: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    authorization: str = field(default="", repr=False)


class Reply(Protocol):
    """An answer that has begun: its status and headers are known, its body still comes."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers as they were sent, without those that belong to the connection."""
        ...

    async def read(self) -> bytes:
        """Give the whole body; Unreached when it breaks off."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece, each as soon as it is there; Unreached when it breaks off."""
        ...

    def close(self) -> None:
        """Let go; an answer that is not at its end is broken off, so that the upstream stops too."""
        ...


class Upstream(Protocol):
    """One endpoint with one model behind it."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    async def send(self, call: Call) -> Reply:
        """Send a request and give its answer when it begins; Unreached when none does."""
        ...

    def cost_usd(self, tokens_in: int, tokens_out: int) -> float:
        """Give what so many tokens cost at list price; 0 where the price is unknown."""
        ...

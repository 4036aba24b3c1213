"""The door to a turn of a conversation with a model: messages and tools in, words or tool calls out, and the price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from surefoot.core.errors import Unavailable
from surefoot.core.proposal import Cost

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """What a model said: the message as it goes back into the next turn, how it ended, and what it cost."""

    message: Mapping[str, Any]
    finish: str
    cost: Cost = field(default_factory=Cost)


class Setback(Unavailable):
    """A turn that brought nothing; `again` when it may work soon, `billed` when it may have cost its worst case."""

    def __init__(self, message: str, *, hint: str = "", again: bool = True, billed: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.again = again
        self.billed = billed


class Turns(Protocol):
    """A model that talks."""

    @property
    def name(self) -> str: ...
    def price(self, body: Body) -> Cost:
        """Give the most that this turn can cost; Invalid when the price is unknown."""
        ...

    async def take(self, body: Body) -> Turned:
        """Take a turn; Setback when nothing came, Invalid for what will not work later either."""
        ...

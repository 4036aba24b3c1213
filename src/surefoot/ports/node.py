"""The door to processes: ask one how it is, give one a request. Where they may be is decided behind this door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from surefoot.core.errors import Unavailable
from surefoot.core.process import Vital


class NotSent(Unavailable):
    """The process could not be connected to, so it knows nothing of the request: another one may be asked."""


class Broken(Unavailable):
    """The process was reached and its answer did not come, whole and readable: it may have done the work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a process answered: its status, and its JSON (None where there was none)."""

    status: int
    body: object


class Schemas(Protocol):
    """What builds say of what goes in and comes out, as JSON Schema."""

    async def check(self, schemas: Mapping[str, Mapping[str, object]]) -> None:
        """Raise Invalid for what is no schema, leads out of itself or takes too long; the keys say what they are."""
        ...

    async def misfit(self, schema: Mapping[str, object], value: object) -> str:
        """Say where and why a value does not fit; empty where it does."""
        ...


class Node(Protocol):
    """Processes by address."""

    async def permit(self, base_url: str) -> str:
        """Give the address in its one spelling; Invalid or Forbidden for one that may not be connected to."""
        ...

    async def vital(self, base_url: str) -> Vital:
        """Ask how it is; never raises, because no answer is an answer."""
        ...

    async def call(self, base_url: str, path: str, body: object, headers: Mapping[str, str], timeout_s: float) -> Said:
        """Post JSON; NotSent, Broken, or TimeoutError."""
        ...

    async def aclose(self) -> None: ...

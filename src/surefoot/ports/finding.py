"""The door to finding: requests and sessions of an agent, newest first, page by page."""

from __future__ import annotations

from typing import Protocol

from surefoot.core.sought import Found, SessionFound, Sought, Spot


class Finding(Protocol):
    """Requests by what is known of them."""

    def traces(self, sought: Sought, *, after: Spot | None, limit: int) -> tuple[list[Found], Spot | None]:
        """Give at most `limit` requests older than `after`, newest first, and where to go on (None = at the end)."""
        ...

    def trace(self, trace_id: str) -> Found | None:
        """Give a request with its verdict; None if nobody recorded it, or its texts were deleted."""
        ...

    def under(self, trace_id: str) -> list[tuple[str, str]]:
        """Give the requests that are known by an id, in any spelling, each with its agent.

        The one that has the id itself is first, those whose texts were deleted are last.
        """
        ...

    def external(self, agent: str, external_id: str) -> str | None:
        """Give the id of the request that an agent's app calls so."""
        ...

    def agents_of(self, session: str) -> list[str]:
        """Give the agents that answered in a session."""
        ...

    def sessions(self, agent: str, *, actor: str, after: Spot | None, limit: int) -> tuple[
        list[SessionFound], Spot | None
    ]:  # fmt: skip
        """Give at most `limit` sessions, the one that was used last first."""
        ...

    def session(self, agent: str, session: str) -> SessionFound | None: ...
    def beside(self, agent: str, session: str, spot: Spot) -> tuple[str, str]:
        """Give the ids of the requests right before and right after a place in a session, each empty without one."""
        ...

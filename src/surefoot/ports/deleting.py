"""The door to deleting: rows go with all that hangs on them, and what counts rest on stays without its texts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from surefoot.core.retention import RetainedKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """Requests that are about to go: their ids, the cases that were made of them (agent, id), and their sessions.

    `phrases` are the texts that are long enough to be looked for elsewhere, where they may have been copied to.
    """

    ids: tuple[str, ...] = ()
    cases: tuple[tuple[str, str], ...] = ()
    sessions: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A row elsewhere that quotes a text: its table, its key, the column."""

    table: str
    key: tuple[object, ...]
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """A block of a genome that rests on a text: whose it is, in which versions, and whether one of them serves."""

    agent: str
    block: str
    versions: tuple[int, ...] = ()
    live: bool = False
    draft: bool = False


@dataclass(slots=True)
class Gone:
    """How many rows went, by kind; `kept` requests remain as what counts rest on, without anything of a person."""

    counts: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, kind: str, many: int) -> None:
        """Count some more."""
        if many:
            self.counts[kind] = self.counts.get(kind, 0) + many

    def merge(self, other: Gone) -> None:
        """Count what another one counted."""
        for kind, many in other.counts.items():
            self.add(kind, many)


class Deleting(Protocol):
    """Deleting by age."""

    def old_traces(
        self, agent: str, before: datetime, *, limit: int, since: datetime | None = None
    ) -> list[tuple[str, datetime]]:
        """Requests that are older, and of which no case is still to be made, with their times, oldest first."""
        ...

    def still_old(self, agent: str, before: datetime, ids: Sequence[str]) -> list[str]:
        """Those of these requests that are older, as things stand now."""
        ...

    def traces(self, ids: Sequence[str]) -> Gone:
        """Delete requests with their outcomes, failures and spans; those that counts rest on lose their texts only."""
        ...

    def old(self, kind: RetainedKind, before: datetime, *, limit: int) -> int:
        """Delete some rows of another kind that are older; gives how many."""
        ...

    def count(self, kind: RetainedKind, before: datetime, *, agent: str = "") -> int:
        """How many rows are older, for a look before anything is done."""
        ...

    def counted_right(self, agent: str) -> bool:
        """Whether the verdicts counted are those of the rows and of what was deleted."""
        ...


class Erasing(Protocol):
    """Deleting all that is kept of a person; `persons` are all names under which they may have been stored."""

    def doomed(self, persons: Collection[str], *, limit: int) -> Doomed:
        """The next requests of a person, with what was made of them."""
        ...

    def quoting(self, doomed: Doomed) -> tuple[list[Hit], list[Quoted]]:
        """Where else these texts stand: in rows that can be mended, and in genomes."""
        ...

    def erase(self, doomed: Doomed, hits: Sequence[Hit], *, new_id: Callable[[], str]) -> Gone:
        """Delete requests and all that was made of them; what counts rest on gets another name."""
        ...

    def erase_rest(self, persons: Collection[str], *, new_id: Callable[[], str]) -> Gone:
        """Delete what hangs on the person and on no request: memory, spans, executions, places in rollouts."""
        ...

    def of_person(self, persons: Collection[str]) -> Gone:
        """How much there is of a person, by kind."""
        ...

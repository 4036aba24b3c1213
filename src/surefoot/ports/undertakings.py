"""The door to long work of all kinds in one list, and to the processes that carry it out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

WorkKind = Literal["eval", "job", "tick"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WorkSpot:
    """One piece of long work in the list of all: when it began, of what kind it is, and its id."""

    at: datetime
    kind: WorkKind
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """The process that carries a workflow out; `pid` is -1 for one that ended in peace and left it to others.

    `ended` says that nobody does any more, because the workflow itself has ended, well or by an error.
    """

    host: str
    pid: int
    seen_at: datetime
    ended: bool = False


class Undertakings(Protocol):
    def listed(
        self, *, limit: int, kinds: Collection[WorkKind], agents: Collection[str], after: WorkSpot | None = None,
        most: WorkSpot | None = None,
    ) -> list[WorkSpot]:  # fmt: skip
        """Give long work of these agents (none named: all), newest first, behind one spot and none newer than another.

        Ticks are found in the newest part of the audit record; their id is its subject, such as `support/tick-3`.
        """
        ...

    def executor(self, workflow: str) -> Executor | None:
        """Give the process that carries a workflow out; None where none does, or it is not known."""
        ...

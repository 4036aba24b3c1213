"""A site: one repository with everything that works on it, as the loop on repositories sees it.

The four files lie in the person's working tree (`Papers`) and on the loop's branch (`Repository`); coding agents and
gates are strangers to both. A site is built again from its folder whenever a workflow goes on in another process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from surefoot.core.repo.settings import AgentChoice
from surefoot.ports.repository import CodingAgent, Gates, Repository


class Papers(Protocol):
    """The four files as they lie in the person's working tree."""

    def read(self, name: str) -> bytes | None:
        """Give a file's bytes, or None if it is not there; Invalid if it is no plain file."""
        ...

    def write(self, name: str, content: bytes, *, expected: bytes | None) -> None:
        """Replace a file whole, or make it (expected None); Conflict if it is not as expected any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A repository, its papers, its gates, coding agents by choice; `logs` is a folder for what gates print."""

    folder: str
    git: Repository
    papers: Papers
    gates: Gates
    agent: Callable[[AgentChoice], CodingAgent]
    logs: str

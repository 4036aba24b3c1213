"""The doors to cases, and to what genomes answered on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from surefoot.core.case import Case, Split


class Cases(Protocol):
    def add(self, cases: Iterable[Case]) -> int: ...
    def of(self, agent: str, splits: Collection[Split], *, limit: int | None = None) -> list[Case]: ...
    def groups(self, agent: str) -> list[tuple[str, str, Split]]:
        """(input, group, split) of every case, oldest first."""
        ...

    def counts(self, agent: str) -> Mapping[Split, int]: ...


class Scores(Protocol):
    def known(self, genome: str, model: str, cases: Collection[str]) -> Mapping[tuple[str, int], tuple[str, float]]:
        """What this genome answered on these cases: (case, repeat) → (answer, score)."""
        ...

    def add(self, genome: str, model: str, rows: Iterable[tuple[str, int, str, float]]) -> None: ...

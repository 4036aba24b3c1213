"""A clock that a story moves, and ids that a seed gives."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class StoryClock:
    """Story time: it stands still until it is moved, and never moves back."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def __call__(self) -> datetime:
        """Give the present moment; each look is a microsecond later, so that records keep their order."""
        self._now += timedelta(microseconds=1)
        return self._now

    def advance(self, to: datetime) -> None:
        """Move on to a moment; one that has passed changes nothing."""
        self._now = max(self._now, to)


class SeededIds:
    """Ids that look fresh and repeat with the seed; in the order they were made."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"ids-{seed}")
        self._count = 0

    def __call__(self) -> str:
        """Give the next id."""
        self._count += 1
        return f"{self._count:012x}-{self._random.getrandbits(48):012x}"

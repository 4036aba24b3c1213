"""The door to what has moved since somebody looked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What has moved: the last audit entry, the last outcome, and the revision of each rollout in progress.

    `work` is how far each agent's long work is: the revisions of its jobs and eval runs that have not ended, and how
    many answers these have, in one number; what is about no agent stands under the empty name.
    """

    audit: int
    outcomes: int
    rollouts: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    work: Mapping[str, int] = field(default_factory=dict[str, int])


class Beats(Protocol):
    def now(self) -> Beat: ...

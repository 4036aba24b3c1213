"""Whether units were really routed at the share that was promised: a sequential sample-ratio test.

The same e-process as for failures, on first requests instead of labels: a unit assigned at share w is the
challenger's with probability w, whatever happened before. A broken router, a cache in front of one arm or a client
that retries on one version shows here first, and every other number of the rollout is worthless then. So it is
looked at before the guards, and when it fires the rollout is frozen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from surefoot.core.errors import Invalid
from surefoot.core.evidence.mixture import BETTER, LARGEST, WORSE, e_value, events


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Units first seen in one weight epoch, by the arm that was to serve them."""

    epoch: int
    weight_percent: float
    challenger: int
    incumbent: int

    def __post_init__(self) -> None:
        if not 0 <= self.weight_percent <= 100 or self.challenger < 0 or self.incumbent < 0:
            raise Invalid(f"the assignments of epoch {self.epoch} are impossible", hint="count the assignments again")

    @property
    def impossible(self) -> bool:
        """Whether an arm whose share was 0 received units."""
        return (self.weight_percent == 0 and self.challenger > 0) or (self.weight_percent == 100 and self.incumbent > 0)


def sample_ratio_evidence(assigned: Iterable[Assigned]) -> float:
    """Give the evidence against "every unit was routed at its declared share"; 1e300 if a share of 0 was served."""
    rows = tuple(assigned)
    if any(row.impossible for row in rows):
        return LARGEST
    seen = events((row.weight_percent, row.challenger, row.incumbent) for row in rows)
    return e_value([seen.log_likelihood(ratio) for ratio in (*BETTER, *WORSE)])

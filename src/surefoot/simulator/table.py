"""A run of one policy through one scenario, and the row it comes to, with intervals."""

# Arrays are of any shape here; the stubs of numpy cannot say more than Unknown of most expressions on them.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from surefoot.core.rollout import RolloutSettings
from surefoot.simulator.policies import Policy
from surefoot.simulator.world import DAYS, LOOKS_A_DAY, P0, PROMOTED, ROLLED_BACK, RUNNING, Array, Scenario, World

REFERENCE = RolloutSettings(baseline_rate=P0, ledger_slots=None, horizon_days=DAYS, horizon_labels=10**9)
"""The terms of the reference numbers: failure rate frozen at .15, ledger off, forty days, no limit on labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a policy did in a scenario: percent of the replications, with 95 % intervals, and medians.

    `chal_rollback` is the median of the challenger's requests before a rollback, `days_promote` of the days before a
    promotion; None where there was none.
    """

    policy: str
    scenario: str
    promote: float
    promote_low: float
    promote_high: float
    rollback: float
    rollback_low: float
    rollback_high: float
    inconclusive: float
    replications: int
    chal_rollback: float | None
    days_promote: float | None
    requests_promote: float | None


def simulated(policy: Policy, scenario: Scenario, *, replications: int, seed: int) -> World:
    """Run many rollouts under a policy; the same seed gives the same world."""
    rng = np.random.default_rng(seed)
    world = World(replications, scenario, policy.start)
    for look in range(scenario.days * LOOKS_A_DAY):
        rows = world.alive
        if not len(rows):
            break
        world.serve(rows, look / LOOKS_A_DAY, rng)
        world.deliver(rows, look, rng)
        share, verdict = policy.decide(world, rows, look)
        world.follow(rows, share, verdict, (look + 1) / LOOKS_A_DAY)
    return world


def row_of(name: str, scenario: str, world: World) -> Row:
    """Count a world's verdicts."""
    promoted, dead = world.state == PROMOTED, world.state == ROLLED_BACK
    yes, no = _share(promoted), _share(dead)
    return Row(
        policy=name, scenario=scenario, promote=yes[0], promote_low=yes[1], promote_high=yes[2], rollback=no[0],
        rollback_low=no[1], rollback_high=no[2], inconclusive=_share(world.state == RUNNING)[0],
        replications=world.n, chal_rollback=_median(world.served[dead]), days_promote=_median(world.ended[promoted]),
        requests_promote=_median(world.requests[promoted]),
    )  # fmt: skip


def _share(hits: Array) -> tuple[float, float, float]:
    """Percent with Wilson's 95 % interval."""
    n, k, z = len(hits), int(hits.sum()), NormalDist().inv_cdf(0.975)
    middle, width = (k + z * z / 2) / (n + z * z), z * ((k * (n - k) / n + z * z / 4) ** 0.5) / (n + z * z)
    return 100 * k / n, max(0.0, 100 * (middle - width)), min(100.0, 100 * (middle + width))


def _median(values: Array) -> float | None:
    return float(np.median(values)) if len(values) else None

"""Other rules for the same canary, as they are known from the field, so that ours can be read beside them.

None of them sees more than the labels, and for each a person says yes at once. `seed` and `flagger` look at the
challenger alone; the others compare pooled counts, which a ramp and a drift confuse. Where a rule reads a window of
outcomes, whole looks are read until the window is full.
"""

# Arrays are of any shape here; the stubs of numpy cannot say more than Unknown of most expressions on them.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Protocol

import numpy as np

from surefoot.core.rollout import RolloutSettings
from surefoot.core.rollout.seed import SEED
from surefoot.simulator.twin import Surefoot
from surefoot.simulator.world import CF, CS, LOOKS_A_DAY, NF, NS, P0, PROMOTED, ROLLED_BACK, RUNNING, Array, World

MIN_LABELS = 20


class Policy(Protocol):
    """A rule for canaries: the share to begin with, and at each look the next share and verdict of each row."""

    @property
    def name(self) -> str: ...
    @property
    def start(self) -> float: ...
    def decide(self, world: World, rows: Array, look: int) -> tuple[Array, Array]: ...


class Seed:
    """Absolute thresholds on the last hundred outcomes of the challenger, read anew at every tick."""

    name, start = "seed", 5.0

    def decide(self, world: World, rows: Array, look: int) -> tuple[Array, Array]:
        """Roll back above .15, 20 points up below .05."""
        failed, seen = _last(world, rows, look, SEED.window)
        rate = failed / np.maximum(seen, 1)
        now, enough = world.now(rows), seen >= SEED.minimum
        up, down = enough & (rate < SEED.promote_below), enough & (rate > SEED.roll_back_above)
        share = np.where(up, np.minimum(SEED.ceiling, now + SEED.step), now)
        verdict = np.select([down, up & (share >= SEED.ceiling)], [ROLLED_BACK, PROMOTED], RUNNING)
        return share, verdict


class FlaggerLike:
    """Five points up at each look whose last day stays under an absolute limit; five bad looks in all end it."""

    name, start = "flagger", 5.0
    limit, step, ceiling, patience = P0 + 0.03, 5.0, 50.0, 5

    def decide(self, world: World, rows: Array, look: int) -> tuple[Array, Array]:
        """Compare the challenger's last day with the limit that was set before."""
        day = world.recent[rows, max(0, look - LOOKS_A_DAY + 1) : look + 1].sum(axis=1) * world.scenario.cluster
        seen = day[:, CF] + day[:, CS]
        bad = (seen >= MIN_LABELS) & (day[:, CF] > self.limit * seen)
        good = (seen >= MIN_LABELS) & ~bad
        strikes = self._strikes(world)
        strikes[rows] += bad
        share = np.where(good, world.now(rows) + self.step, world.now(rows))
        verdict = np.select([strikes[rows] >= self.patience, share > self.ceiling], [ROLLED_BACK, PROMOTED], RUNNING)
        return np.minimum(share, self.ceiling), verdict

    def _strikes(self, world: World) -> Array:
        if getattr(self, "_of", None) is not world:
            self._of, self._count = world, np.zeros(world.n, dtype=np.int64)
        return self._count


class PeekedZ:
    """A two-proportion z test at 1.96 looked at again and again, at a fixed share."""

    name, start = "peeked_z", 45.0

    def decide(self, world: World, rows: Array, look: int) -> tuple[Array, Array]:
        """Stop at the first significant look."""
        z, enough = _z(_pooled(world, rows))
        return world.now(rows), np.select([enough & (z > 1.96), enough & (z < -1.96)], [PROMOTED, ROLLED_BACK], RUNNING)


class Glr:
    """Track and stop: the generalised likelihood ratio against log((1 + log n) / .05), on our ramp, pooled."""

    name, start = "glr", 5.0
    shares = (5.0, 15.0, 25.0, 35.0, 45.0)

    def decide(self, world: World, rows: Array, look: int) -> tuple[Array, Array]:
        """Stop when one arm is better beyond the threshold."""
        counts = _pooled(world, rows)
        n1, n0 = counts[:, CF] + counts[:, CS], counts[:, NF] + counts[:, NS]
        p1, p0 = counts[:, CF] / np.maximum(n1, 1), counts[:, NF] / np.maximum(n0, 1)
        both = (counts[:, CF] + counts[:, NF]) / np.maximum(n1 + n0, 1)
        ratio = n1 * _kl(p1, both) + n0 * _kl(p0, both)
        sure = (n1 >= MIN_LABELS) & (ratio > np.log((1 + np.log(np.maximum(n1 + n0, 2))) / 0.05))
        shares, here = np.array(self.shares), world.labels[rows, world.epoch[rows]]
        level = np.searchsorted(shares, world.now(rows))
        climbs = here[:, CF] + here[:, CS] >= 25
        share = shares[np.minimum(level + climbs, len(shares) - 1)]
        return share, np.select([sure & (p1 < p0), sure & (p1 > p0)], [PROMOTED, ROLLED_BACK], RUNNING)


class Thompson:
    """A bandit: the share is the chance of being better, between 5 and 95 %; beyond .95 or below .05 it stops."""

    name, start = "thompson", 5.0

    def decide(self, world: World, rows: Array, look: int) -> tuple[Array, Array]:
        """Follow the posterior (normal approximation)."""
        z, enough = _z(_pooled(world, rows))
        better = _normal(z)
        share = np.where(enough, np.clip(np.round(100 * better), 5, 95), world.now(rows))
        return share, np.select([enough & (better > 0.95), enough & (better < 0.05)], [PROMOTED, ROLLED_BACK], RUNNING)


def policies(settings: RolloutSettings) -> Mapping[str, Policy]:
    """Give every rule by name; ours with these settings."""
    every: tuple[Policy, ...] = (Surefoot(settings), Seed(), FlaggerLike(), PeekedZ(), Glr(), Thompson())
    return {policy.name: policy for policy in every}


def _pooled(world: World, rows: Array) -> Array:
    """All labels of each row; a rule that counts requests counts each of a unit's as if it stood alone."""
    return world.labels[rows, : world.used(rows)].sum(axis=1) * world.scenario.cluster


def _last(world: World, rows: Array, look: int, window: int) -> tuple[Array, Array]:
    """Failures and outcomes of the challenger in its last `window` outcomes, rounded up to whole looks."""
    newest_first = world.recent[rows, : look + 1][:, ::-1] * world.scenario.cluster
    failed, seen = newest_first[:, :, CF].cumsum(axis=1), newest_first[:, :, [CF, CS]].sum(axis=2).cumsum(axis=1)
    full = np.where((seen >= window).any(axis=1), (seen >= window).argmax(axis=1), look)
    index = np.arange(len(rows))
    return failed[index, full], seen[index, full]


def _z(counts: Array) -> tuple[Array, Array]:
    """The z of "the challenger fails less", and whether both arms have enough labels."""
    n1, n0 = counts[:, CF] + counts[:, CS], counts[:, NF] + counts[:, NS]
    p1, p0 = counts[:, CF] / np.maximum(n1, 1), counts[:, NF] / np.maximum(n0, 1)
    both = (counts[:, CF] + counts[:, NF]) / np.maximum(n1 + n0, 1)
    error = np.sqrt(np.maximum(both * (1 - both) * (1 / np.maximum(n1, 1) + 1 / np.maximum(n0, 1)), 1e-12))
    return (p0 - p1) / error, (n1 >= MIN_LABELS) & (n0 >= MIN_LABELS)


def _kl(p: Array, q: Array) -> Array:
    p, q = np.clip(p, 1e-9, 1 - 1e-9), np.clip(q, 1e-9, 1 - 1e-9)
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


_GRID = np.linspace(-6, 6, 2401)
_CDF = np.array([NormalDist().cdf(float(z)) for z in _GRID])


def _normal(z: Array) -> Array:
    return np.interp(z, _GRID, _CDF)

"""The vectorised twin of `next_step`: the product's own rule on thousands of canaries at once.

Every bet comes from `core.evidence`, and a test compares its decisions with those of `next_step` on more than ten
thousand states, so what is measured with it is the product's rule.
"""

# Arrays are of any shape here; the stubs of numpy cannot say more than Unknown of most expressions on them.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from typing import Any

import numpy as np

from surefoot.core.evidence.mixture import BETTER, WORSE
from surefoot.core.evidence.rollout import Stratum, failures, log_evidence, successes
from surefoot.core.rollout import RolloutSettings
from surefoot.simulator.world import CF, CS, NF, NS, PROMOTED, ROLLED_BACK, RUNNING, Array, World

HOLD, RAMP, FLOOR, WIN, HARD = range(5)
ACTIONS = {"hold": HOLD, "ramp": RAMP, "to_floor": FLOOR, "await_approval": WIN, "roll_back": HARD}


def stratum(epoch: int, share: float, counts: Any) -> Stratum:
    """Give counts in the order of the world's kinds as a stratum."""
    cf, cs, nf, ns = (int(count) for count in counts)
    return Stratum(
        epoch=epoch, weight_percent=share, challenger_failures=cf, challenger_successes=cs, incumbent_failures=nf,
        incumbent_successes=ns,
    )  # fmt: skip


def bets(settings: RolloutSettings, ratios: tuple[float, ...], null: float = 1.0) -> Array:
    """Give the log factor of one label: share by kind by alternative, straight from the product's evidence."""
    shares = settings.shares_percent
    table = np.zeros((len(shares), 4, len(ratios)))
    for level, share in enumerate(shares):
        for kind in range(4):
            one = stratum(0, share, [int(kind == other) for other in range(4)])
            kinds = failures((one,)), successes((one,))
            table[level, kind] = [
                log_evidence(*kinds, ratio=r * null, null=null, baseline_rate=settings.frozen_rate) for r in ratios
            ]
    return table


def decisions(
    settings: RolloutSettings, labels: Array, level: Array, epoch: Array, tables: tuple[Array, Array]
) -> Array:
    """Give each canary's action; `labels` by row, epoch and kind, `level` the index of each epoch's share."""
    rows, levels = np.arange(len(labels)), len(settings.shares_percent)
    kinds = np.ascontiguousarray(np.moveaxis(labels, 2, 0))
    cell = (rows[:, None] * levels + level).ravel()
    by_level = np.stack(
        [np.bincount(cell, kind.ravel(), len(rows) * levels).reshape(-1, levels) for kind in kinds], axis=2
    )
    e_win, e_guard = (mixture(np.einsum("nlk,lkr->nr", by_level, table)) for table in tables)
    challenger, incumbent = kinds[CF] + kinds[CS], kinds[NF] + kinds[NS]
    both = (challenger > 0) & (incumbent > 0)
    total = np.maximum(challenger + incumbent, 1)
    over = np.where(both, kinds[CF] * incumbent / total, 0).sum(axis=1)
    under = np.where(both, kinds[NF] * challenger / total, 0).sum(axis=1)
    none_failed = both.any(axis=1) & (kinds[CF].sum(axis=1) == 0)
    quiet = np.where(under > 0, over <= settings.mh_limit * under, (over == 0) & none_failed)
    now = level[rows, epoch]
    climbs = (challenger[rows, epoch] >= settings.min_fresh_labels) & quiet & (now < levels - 1)
    choices = [
        e_guard >= settings.hard_guard,
        (e_win >= settings.win_at) & ((over > 0) | (under > 0)),
        e_guard >= settings.soft_guard,
        climbs,
    ]
    return np.select(choices, [HARD, WIN, np.where(now > 0, FLOOR, HOLD), RAMP], HOLD)


def mixture(logs: Array) -> Array:
    """Give the mean over alternatives of what their logs say, without overflow."""
    top = logs.max(axis=1, keepdims=True)
    return np.exp(np.minimum(top[:, 0] + np.log(np.exp(logs - top).mean(axis=1)), 690))


class Surefoot:
    """The product's rule; a person says yes at once, which is the worst case for false promotions."""

    name = "surefoot"

    def __init__(self, settings: RolloutSettings) -> None:
        self.settings = settings
        self.start = settings.floor_percent
        self._tables = (bets(settings, BETTER, settings.null_risk), bets(settings, WORSE))

    def decide(self, world: World, rows: Array, look: int) -> tuple[Array, Array]:
        """Give the share and the verdict of each row."""
        shares, used = np.array(self.settings.shares_percent), world.used(rows)
        level = np.searchsorted(shares, world.shares[rows, :used])
        act = decisions(self.settings, world.labels[rows, :used], level, world.epoch[rows], self._tables)
        here = np.searchsorted(shares, world.now(rows))
        next_share = np.select(
            [act == RAMP, act == FLOOR], [shares[np.minimum(here + 1, len(shares) - 1)], shares[0]], world.now(rows)
        )
        return next_share, np.select([act == WIN, act == HARD], [PROMOTED, ROLLED_BACK], RUNNING)

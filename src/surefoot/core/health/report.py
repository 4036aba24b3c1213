"""All lines of health together, for whoever looks: those of the whole house only for who sees all agents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from surefoot.core.exposition import Reading
from surefoot.core.health.counted import Counted, taking_in, upstreams
from surefoot.core.health.sign import Sign, in_order
from surefoot.core.health.stored import Mine, Whole, lapsed, letters, money, store, waiting, work


def signs(mine: Mine, whole: Whole | None, readings: Sequence[Reading], now: datetime) -> list[Sign]:
    """Give all lines; without `whole`, only those about the agents that somebody sees."""
    found = [*money(mine, all_of_them=whole is not None), *waiting(mine, now), *lapsed(mine)]
    if whole is not None:
        counted = Counted(readings)
        found += [*taking_in(counted, now), *work(whole, mine, now), *upstreams(counted, now)]
        found += [*letters(whole, now), *store(whole, now)]
    return in_order(found)

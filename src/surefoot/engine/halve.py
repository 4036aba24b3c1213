"""Halve: let arms run a few shown cases side by side, drop the lower half, and again with twice as many cases."""

from __future__ import annotations

from collections.abc import Sequence

from surefoot.core.agent import Agent
from surefoot.core.arms import rungs, survivors
from surefoot.core.case import Case
from surefoot.core.genome import Genome
from surefoot.engine.evaluate import accuracy, examine
from surefoot.ports import Ports


async def halve(ports: Ports, agent: Agent, arms: Sequence[Genome], cases: Sequence[Case], *, scope: str) -> int:
    """Give the position of the arm that is left; the first where there are no cases."""
    left = list(range(len(arms)))
    for runs in rungs(len(arms)):
        part = cases[:runs]
        if len(left) == 1 or not part:
            break
        sheets = await examine(ports, agent, [arms[at] for at in left], part, scope=scope)
        left = [left[at] for at in survivors([accuracy(sheet) for sheet in sheets])]
    return left[0]
